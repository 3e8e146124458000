"""One row a user: name, agent, rule, and each attribute as old → new; and the tools to find one among thousands.

A browser's time for 50,000 rows is that of its elements and texts. So a row has few of
each: routine is plain text, and what rows of a chunk share is said once, above them.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from connector.model import (
    AgentRef,
    Change,
    ChangeKind,
    Look,
    Outcome,
    Plan,
    Result,
)
from connector.model.plan import group_problems
from connector.reports.html.parts import (
    PageMarker,
    T,
    escape_prose,
    escape_text,
    isolate_direction,
    render_chunk,
    render_table,
    split_chunks,
)
from connector.reports.sections import NewsMarks
from connector.reports.wording import (
    ChangeSides,
    Lines,
    Outcomes,
    by_user,
    count_noun,
    find_sides,
    join_sides,
    name_agent,
    name_rule,
    outcome_text,
)

BETWEEN: Final = ";\n"
"""What stands between two attributes of a row."""
_LONGEST: Final = 80
"""Characters of a choice of a filter."""
NOT_WRITTEN: Final = {Result.CONFLICT: 0, Result.FAILED: 1}
"""Results that come first, and their places."""
COLUMNS: Final = ("Row", "User", "Agent", "Rule", "Old → new")
"""`assets.py` counts on these places. A mark of news stands beside the rule, so that no row
gets another element."""
Sides = dict[str, ChangeSides]
"""Attributes by name."""


class Group(Struct):
    """Changes of one kind, or those of none, in the order of their rows."""

    kind: ChangeKind | None
    changes: list[Change]
    common: Sides
    """What is the same for all of them."""


def group_changes(plan: Plan, outcomes: Outcomes) -> list[Group]:
    """All changes in the order of their rows: by kind, the riskiest first; at the end those of no kind.

    Of each kind conflicts and failures come first.
    """
    kinds = plan.notes.kinds
    place_of = {
        change.user.id: place
        for place, kind in enumerate(kinds)
        for change in kind.changes
    }
    results = by_user(outcomes)
    groups = [Group(kind, [], find_common_sides(kind)) for kind in kinds]
    groups.append(Group(None, [], {}))
    for change in sorted(
        plan.changes, key=lambda each: rank_result(results.get(each.user.id))
    ):
        groups[place_of.get(change.user.id, -1)].changes.append(change)
    return [group for group in groups if group.changes]


def rank_result(outcome: Outcome | None) -> int:
    """Conflicts come first, then failures, then all else."""
    last = len(NOT_WRITTEN)
    return NOT_WRITTEN.get(outcome.result, last) if outcome else last


class ChangeRows:
    """The rows of a plan, and what they can be filtered by: to each row the numbers of its choices."""

    def __init__(
        self,
        plan: Plan,
        outcomes: Outcomes,
        marker: PageMarker,
        groups: Sequence[Group],
    ) -> None:
        self._marker = marker
        self._results = by_user(outcomes)
        self._marks = NewsMarks(plan)
        self._groups = groups
        self._count = len(plan.changes)
        names = {each.name for change in plan.changes for each in change.attributes}
        self._attributes = _number_names(sorted(names))
        rules = {change.rule for change in plan.changes}
        self._rules = _number_names(
            sorted(rules, key=lambda rule: -1 if rule is None else rule)
        )
        self._kinds_of_problems = group_problems(plan.problems)
        self._problems_of = defaultdict[str | AgentRef | None, set[int]](set)
        """By the name of a user, and by agent: numbers of the kinds of problems about it."""
        for number, problems in enumerate(self._kinds_of_problems.values()):
            for problem in problems:
                for about in (*problem.users, problem.agent):
                    self._problems_of[about].add(number)
        self._problems_of[None] = set()

    def render_tools(self) -> Lines:
        """What the script shows: search, filters, sorting."""
        kinds = [
            f"{number}. {textwrap.shorten(group.kind.title, _LONGEST, placeholder='…')}"
            for number, group in enumerate(self._groups, 1)
            if group.kind is not None
        ]
        rules = [name_rule(rule) or "no agent" for rule in self._rules]
        yield '<div class="tools" id="tools" role="search" aria-label="Users and problems" hidden>\n'
        yield '<label>Search <input type="search" id="search" autocomplete="off"></label>\n'
        yield _render_select("kind", "Kind", "all kinds", kinds)
        yield _render_select(
            "attribute", "Attribute", "all attributes", self._attributes
        )
        yield _render_select("rule", "Rule", "all rules", rules)
        yield _render_select(
            "problem", "Problem", "with and without", self._kinds_of_problems
        )
        yield '<label>Sort by <select id="sort"><option value="0">kind</option><option value="1">user</option>'
        yield '<option value="2">agent</option><option value="3">rule</option></select></label>\n'
        yield '<button type="button" id="reset">Show all</button>\n'
        yield f'<output id="shown">{count_noun(self._count, "user")}</output>\n</div>\n'

    def render_rows(self) -> Lines:
        """The rows, kind by kind, in chunks."""
        yield f'<section class="rows" id="changes">\n<h2>Changes ({self._count:,})</h2>\n'
        number = 0
        for place, group in enumerate(self._groups):
            yield f'<section class="group" id="r{place + 1}">\n'
            named = ""
            if group.kind is not None:
                named = f", kind {place + 1}"
                yield from _kind_heading(place + 1, group.kind, group.common)
            for part, chunk in enumerate(split_chunks(group.changes)):
                shared = self._list_choices(chunk[0])
                rows = []
                for change in chunk:
                    number += 1
                    choices = self._list_choices(change)
                    own = "" if choices == shared else choices
                    rows.append(
                        f'<tr id="u{number}"{own}{self._list_problems(change)}>'
                        f'<td><a href="#u{number}">{number}</a></td>'
                        f"{self._render_cells(change, named, group.common)}</tr>"
                    )
                data = f' data-kind="{place}"{shared}'
                yield from render_chunk(COLUMNS, rows, data, is_first=not part)
            yield "</section>\n"
        yield "</section>\n"

    def render_looks(self, looks: Sequence[Look]) -> Lines:
        """Users that are worth a look: row, user, why with the users that it names, and old → new."""
        if not looks:
            return
        sides = {look.user: "" for look in looks}
        for group in self._groups:
            for change in group.changes:
                if change.user in sides:
                    sides[change.user] = _render_own(change, group.common)
        rows = []
        for look in looks:
            number = self._marker.rows[look.user.name]
            why = [escape_prose(look.why)]
            why += [self._marker.mark_user(other.name) for other in look.others]
            row = f'<a href="#u{number}">{number}</a>'
            user = self._marker.name_user(look.user.name)
            rows.append([row, user, self._marker.between.join(why), sides[look.user]])
        yield f'<section class="looks">\n<h2>Worth a look ({len(rows):,})</h2>\n'
        yield from render_table(("Row", "User", "Why", "Old → new"), rows)
        yield "</section>\n"

    def _render_cells(self, change: Change, kind: str, common: Sides) -> str:
        user = self._marker.name_user(change.user.name)
        outcome = self._results.get(change.user.id)
        if outcome is not None:
            said = escape_prose(outcome_text(outcome))
            user += f'<p class="{outcome.result.value}">{said}</p>'
        rule = name_rule(change.rule) or "no rule"
        news = self._marks.mark_change(change)
        return (
            f"<td>{user}</td>"
            f"<td>{escape_prose(name_agent(change.agent))}</td>"
            f"<td>{self._marker.add_news(rule + kind, news)}</td>"
            f"<td>{_render_changes(change, common)}</td>"
        )

    def _list_choices(self, change: Change) -> str:
        """What the row can be filtered by, as attributes of an element."""
        numbers = {self._attributes[each.name] for each in change.attributes}
        rule = self._rules[change.rule]
        return f' data-attribute="{_list_numbers(numbers)}" data-rule="{rule}"'

    def _list_problems(self, change: Change) -> str:
        """The kinds of problems about the user or its agent, as an attribute of an element."""
        of_user = self._problems_of.get(change.user.name, set())
        numbers = of_user | self._problems_of.get(change.agent, set())
        return f' data-problem="{_list_numbers(numbers)}"' if numbers else ""


def _kind_heading(number: int, kind: ChangeKind, common: Sides) -> Lines:
    title = f"Kind {number}: {escape_text(kind.form)} ({kind.users:,})"
    yield f'<h3><a href="#k{number}">{title}</a></h3>\n'
    if common:
        yield f'<p class="paper lead">In each row also: {render_attributes(common)}</p>\n'


def _list_numbers(numbers: Iterable[int]) -> str:
    return " ".join(map(str, sorted(numbers)))


def _number_names(names: Iterable[T]) -> dict[T, int]:
    return {name: number for number, name in enumerate(names)}


def _render_select(name: str, label: str, every: str, choices: Iterable[str]) -> str:
    options = "".join(
        f'<option value="{number}">{escape_text(choice)}</option>'
        for number, choice in enumerate(choices)
    )
    return f'<label>{label} <select id="{name}"><option value="">{every}</option>{options}</select></label>\n'


def find_common_sides(kind: ChangeKind) -> Sides:
    """What all changes of a kind have in common: a page of paper says it once, and not again for each user."""
    first, *others = kind.changes
    if not others:
        return {}
    common = {each.name: find_sides(each) for each in first.attributes}
    for change in others:
        sides = {
            each.name: find_sides(each)
            for each in change.attributes
            if each.name in common
        }
        common = {
            name: side for name, side in common.items() if sides.get(name) == side
        }
    return common


def render_attributes(found: Sides) -> str:
    """Several in a sentence."""
    return "; ".join(render_attribute(name, sides) for name, sides in found.items())


def _render_changes(change: Change, common: Sides) -> str:
    """What changes. Paper leaves out the part that stands above all rows of the kind."""
    said = _render_own(change, common)
    routine = [
        render_attribute(each.name, common[each.name], plain=True)
        for each in change.attributes
        if each.name in common
    ]
    if not routine:
        return said
    begin = BETWEEN if said else ""
    return f'{said}<i class="same">{begin}{BETWEEN.join(routine)}</i>'


def _render_own(change: Change, common: Sides) -> str:
    """What changes for this user, and not alike for all of its kind."""
    own = [
        render_attribute(each.name, find_sides(each))
        for each in change.attributes
        if each.name not in common
    ]
    return BETWEEN.join(own)


def render_attribute(name: str, sides: ChangeSides, *, plain: bool = False) -> str:
    """`mail old → new`. Of values of which some stay, those that go and come.

    Marked up where a value goes, unless `plain`: what only comes is routine, and of routine
    a page has most.
    """
    gone = " | ".join(map(isolate_direction, sides.old))
    come = " | ".join(map(isolate_direction, sides.new))
    label = escape_text(name)
    if gone and not plain:
        label = f"<b>{label}</b>"
        gone = f"<del>{gone}</del>"
        come = f"<ins>{come}</ins>" if come else ""
    return f"{label} {join_sides(sides, gone, come)}"

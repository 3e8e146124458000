"""One row a user: name, agent, rule, and each attribute as old → new; and the tools to find one among thousands.

A browser's time for 50,000 rows is that of its elements and texts. So a row has few of
each: routine is plain text, and what rows of a chunk share is said once, above them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connector.model import (
    AgentRef,
    Change,
    ChangeKind,
    Outcome,
    Plan,
    Result,
)
from connector.model.plan import group_problems
from connector.reports import wording as say
from connector.reports.html.parts import (
    PageMarker,
    T,
    chunk_of,
    escape_prose,
    escape_text,
    isolate_direction,
    split_chunks,
)

NOT_WRITTEN = (Result.CONFLICT, Result.FAILED)
"""Results that come first, in this order."""
COLUMNS = ("Row", "User", "Agent", "Rule", "Old → new")
"""`style.py` and `script.py` count on these places. A mark of news stands beside the rule,
so that no row gets another element."""
_SECRET = ([say.HIDDEN_SET], [say.HIDDEN_CLEARED])
"""What is shown of a secret. A value that reads like it is shown in quotation marks."""
Group = tuple[ChangeKind | None, Sequence[Change]]


def group_changes(plan: Plan) -> list[Group]:
    """All changes in the order of their rows: by kind, the riskiest first; at the end those of no kind."""
    places = {
        change.user.id: place
        for place, kind in enumerate(plan.notes.kinds)
        for change in kind.changes
    }
    found: list[list[Change]] = [[] for _ in (*plan.notes.kinds, None)]
    for change in plan.changes:
        found[places.get(change.user.id, -1)].append(change)
    return [
        (kind, changes)
        for kind, changes in zip((*plan.notes.kinds, None), found, strict=True)
        if kind or changes
    ]


class ChangeRows:
    """The rows of a plan, and what they can be filtered by: to each row the numbers of its choices."""

    def __init__(
        self,
        plan: Plan,
        outcomes: Sequence[Outcome] | None,
        marker: PageMarker,
        grouped: Sequence[Group],
    ) -> None:
        self._marker = marker
        self._results = say.by_user(outcomes)
        self._marks = say.NewsMarks(plan)
        self._groups = grouped
        self._count = len(plan.changes)
        self._attributes = _number_names(
            sorted({each.name for change in plan.changes for each in change.attributes})
        )
        self._rules = _number_names(
            sorted(
                {-1 if change.rule is None else change.rule for change in plan.changes}
            )
        )
        self._problems = _number_names(group_problems(plan.problems))
        self._of: dict[str | AgentRef | None, set[int]] = {}
        for problem in plan.problems:
            for about in (*problem.users, problem.agent):
                self._of.setdefault(about, set()).add(self._problems[problem.kind])
        self._of.pop(None, None)

    def render_tools(self) -> Iterator[str]:
        """What the script shows: search, filters, sorting."""
        kinds = [
            f"{number}. {kind.form}"
            for number, (kind, _) in enumerate(self._groups, 1)
            if kind is not None
        ]
        rules = [
            "no agent" if rule < 0 else say.name_rule(rule) for rule in self._rules
        ]
        yield '<div class="tools" id="tools" role="search" aria-label="Users and problems" hidden>\n'
        yield '<label>Search <input type="search" id="search" autocomplete="off"></label>\n'
        yield _render_select("kind", "Kind", "all kinds", kinds)
        yield _render_select(
            "attribute", "Attribute", "all attributes", self._attributes
        )
        yield _render_select("rule", "Rule", "all rules", rules)
        yield _render_select("problem", "Problem", "with and without", self._problems)
        yield '<label>Sort by <select id="sort"><option value="0">kind</option><option value="1">user</option>'
        yield '<option value="2">agent</option><option value="3">rule</option></select></label>\n'
        yield '<button type="button" id="reset">Show all</button>\n'
        yield f'<output id="shown">{say.count_noun(self._count, "user")}</output>\n</div>\n'

    def render_rows(self) -> Iterator[str]:
        """The rows, kind by kind, in chunks; of each kind conflicts and failures first."""
        yield f'<section class="rows" id="changes">\n<h2>Changes ({self._count:,})</h2>\n'
        number = 0
        for place, (kind, changes) in enumerate(self._groups):
            yield f'<section class="group" id="r{place + 1}">\n'
            alike = {} if kind is None else find_common_sides(kind)
            yield from () if kind is None else _kind_heading(place + 1, kind, alike)
            for part, chunk in enumerate(
                split_chunks(sorted(changes, key=self._rank_outcome))
            ):
                shared = {"kind": f"{place}"} | self._find_choices(chunk[0])
                rows = []
                for change in chunk:
                    number += 1
                    rows.append(
                        self._render_row(
                            number,
                            change,
                            shared,
                            alike,
                            "" if kind is None else f", kind {place + 1}",
                        )
                    )
                yield from chunk_of(
                    COLUMNS, rows, _data_attributes(shared), first=not part
                )
            yield "</section>\n"
        yield "</section>\n"

    def _rank_outcome(self, change: Change) -> int:
        outcome = self._results.get(change.user.id)
        result = None if outcome is None else outcome.result
        return NOT_WRITTEN.index(result) if result in NOT_WRITTEN else len(NOT_WRITTEN)

    def _render_row(
        self,
        number: int,
        change: Change,
        shared: dict[str, str],
        alike: dict[str, say.ChangeSides],
        kind: str,
    ) -> str:
        choices = self._find_choices(change)
        own = {
            name: numbers
            for name, numbers in choices.items()
            if shared.get(name) != numbers
        }
        problems = self._find_problems(change)
        if problems:
            own["problem"] = " ".join(map(str, sorted(problems)))
        rule = say.name_rule(change.rule) or "no rule"
        news = self._marker.mark_news(self._marks.mark_change(change))
        user = self._marker.name_user(change.user.name)
        return (
            f'<tr id="u{number}"{_data_attributes(own)}>'
            f'<td><a href="#u{number}">{number}</a></td>'
            f"<td>{user}{self._render_outcome(change)}</td>"
            f"<td>{escape_prose(say.name_agent(change.agent))}</td>"
            f"<td>{rule}{kind}{news}</td>"
            f"<td>{_render_changes(change, alike)}</td></tr>"
        )

    def _find_problems(self, change: Change) -> set[int]:
        """Numbers of the kinds of problems that are about the user or its agent."""
        of_user = self._of.get(change.user.name, set())
        of_agent = self._of.get(change.agent, set())
        return of_user | of_agent

    def _render_outcome(self, change: Change) -> str:
        outcome = self._results.get(change.user.id)
        if outcome is None:
            return ""
        said = escape_prose(say.outcome_text(outcome))
        return f'<p class="{outcome.result.value}">{said}</p>'

    def _find_choices(self, change: Change) -> dict[str, str]:
        attributes = sorted({self._attributes[each.name] for each in change.attributes})
        rule = self._rules[-1 if change.rule is None else change.rule]
        return {"attribute": " ".join(map(str, attributes)), "rule": f"{rule}"}


def _kind_heading(
    number: int, kind: ChangeKind, alike: dict[str, say.ChangeSides]
) -> Iterator[str]:
    yield f'<h3><a href="#k{number}">Kind {number}: {escape_text(kind.form)} ({kind.users:,})</a></h3>\n'
    if alike:
        yield f'<p class="paper lead">In each row also: {render_attributes(alike)}</p>\n'


def _data_attributes(choices: dict[str, str]) -> str:
    return "".join(f' data-{name}="{found}"' for name, found in choices.items())


def _number_names(names: Iterable[T]) -> dict[T, int]:
    return {name: number for number, name in enumerate(names)}


def _render_select(name: str, label: str, every: str, choices: Iterable[str]) -> str:
    options = "".join(
        f'<option value="{number}">{escape_text(choice)}</option>'
        for number, choice in enumerate(choices)
    )
    return f'<label>{label} <select id="{name}"><option value="">{every}</option>{options}</select></label>\n'


def find_common_sides(kind: ChangeKind) -> dict[str, say.ChangeSides]:
    """What all changes of a kind have in common: a page of paper says it once, and not again for each user."""
    if kind.users < 2:
        return {}
    first, *others = kind.changes
    alike = {each.name: say.find_sides(each) for each in first.attributes}
    for change in others:
        held = {each.name: each for each in change.attributes}
        alike = {
            name: sides
            for name, sides in alike.items()
            if name in held and say.find_sides(held[name]) == sides
        }
        if not alike:
            break
    return alike


def render_attributes(found: dict[str, say.ChangeSides]) -> str:
    """Several in a sentence."""
    return "; ".join(render_attribute(name, sides) for name, sides in found.items())


def _render_changes(change: Change, alike: dict[str, say.ChangeSides]) -> str:
    """What changes. Paper leaves out the part that stands above all rows of the kind."""
    said: list[str] = []
    routine: list[str] = []
    for each in change.attributes:
        sides = say.find_sides(each)
        if alike.get(each.name) == sides:
            routine.append(render_attribute(each.name, sides, plain=True))
        else:
            said.append(render_attribute(each.name, sides))
    between = ";\n"
    if not routine:
        return between.join(said)
    begin = between if said else ""
    return f'{between.join(said)}<i class="same">{begin}{between.join(routine)}</i>'


def render_attribute(name: str, sides: say.ChangeSides, *, plain: bool = False) -> str:
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
    if sides.kept:
        signed = [f"- {gone}"] if gone else []
        signed += [f"+ {come}"] if come else []
        return f"{label} {', '.join(signed)}"
    if sides.new in _SECRET:
        return f"{label} {come}"
    return f"{label} {gone or say.NONE} → {come or say.NONE}"

"""One row a user: name, agent, rule, and each attribute as old → new; and the tools to find one among thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from connector.model import AgentRef, Change, Kind, Outcome, Plan, Result
from connector.reconcile import problem_kinds
from connector.reports import wording as say
from connector.reports.html.parts import T, Users, isolated, marked, tables, text

NOT_WRITTEN = (Result.CONFLICT, Result.FAILED)
"""Results that come first, in this order."""
SECRET = ([say.HIDDEN_SET], [say.HIDDEN_CLEARED])
"""What is shown of a secret. A value that reads like it is shown in quotation marks."""


class Rows:
    """The rows of a plan, and what they can be filtered by: to each row the numbers of its choices."""

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome] | None, users: Users) -> None:
        self._users = users
        self._results = say.by_user(outcomes)
        self._marks = say.Marks(plan)
        self._changes = sorted(enumerate(plan.changes, 1), key=self._place)
        self._same = [same(kind) for kind in plan.kinds]
        self._kinds = {change.user.id: place for place, kind in enumerate(plan.kinds) for change in kind.changes}
        self._attributes = _numbered(sorted({each.name for change in plan.changes for each in change.attributes}))
        self._rules = _numbered(sorted({-1 if change.rule is None else change.rule for change in plan.changes}))
        self._problems = _numbered(problem_kinds.grouped(plan.problems))
        self._of: dict[str | AgentRef | None, set[int]] = {}
        for problem in plan.problems:
            for name in problem.users:
                self._of.setdefault(name, set()).add(self._problems[problem.kind])
            self._of.setdefault(problem.agent, set()).add(self._problems[problem.kind])
        self._of.pop(None, None)
        self._forms = [kind.form for kind in plan.kinds]

    def _place(self, numbered: tuple[int, Change]) -> int:
        outcome = self._results.get(numbered[1].user.id)
        result = None if outcome is None else outcome.result
        return NOT_WRITTEN.index(result) if result in NOT_WRITTEN else len(NOT_WRITTEN)

    def tools(self) -> Iterator[str]:
        """What the script shows: search, filters, sorting."""
        kinds = [f"{number}. {form}" for number, form in enumerate(self._forms, 1)]
        rules = ["no agent" if rule < 0 else say.by_rule(rule) for rule in self._rules]
        yield '<div class="tools" id="tools" role="search" aria-label="Users and problems" hidden>\n'
        yield '<label>Search <input type="search" id="search" autocomplete="off"></label>\n'
        yield _choice("kind", "Kind", "all kinds", kinds)
        yield _choice("attribute", "Attribute", "all attributes", self._attributes)
        yield _choice("rule", "Rule", "all rules", rules)
        yield _choice("problem", "Problem", "with and without", self._problems)
        yield '<label>Sort by <select id="sort"><option value="0">plan</option><option value="1">user</option>'
        yield '<option value="2">agent</option><option value="3">rule and kind</option></select></label>\n'
        yield '<button type="button" id="reset">Show all</button>\n<output id="shown"></output>\n</div>\n'

    def render(self) -> Iterator[str]:
        """The rows, in chunks; conflicts and failures first."""
        yield f'<section class="rows" id="changes">\n<h2>Changes ({len(self._changes):,})</h2>\n'
        rows = (self._row(number, change) for number, change in self._changes)
        yield from tables(("Row", "User", "Agent", "Rule", "Old → new"), rows)
        yield "</section>\n"

    def _row(self, number: int, change: Change) -> str:
        kind = self._kinds.get(change.user.id)
        alike = {} if kind is None else self._same[kind]
        outcome = self._results.get(change.user.id)
        became = "" if outcome is None else f'<p class="{outcome.result.value}">{text(say.outcome_text(outcome))}</p>'
        said, hidden = [], 0
        for each in change.attributes:
            sides = say.sides(each)
            hides = alike.get(each.name) == sides
            hidden += hides
            said.append(f'<div class="same">{plain(each.name, sides)}</div>' if hides else _marked(each.name, sides))
        if hidden and kind is not None:
            said.append(f'<span class="paper">{hidden} more as all of kind {kind + 1}</span>')
        place = "" if kind is None else f' <a href="#k{kind + 1}">kind {kind + 1}</a>'
        place += marked(self._marks.change(change))
        return (
            f'<tr id="u{number}"{self._choices(change, kind)}><td><a href="#u{number}">{number}</a></td>'
            f"<td>{self._users.named(change.user.name)}{became}</td><td>{text(say.who(change.agent))}</td>"
            f"<td>{say.by_rule(change.rule)}{place}</td><td>{''.join(said)}</td></tr>\n"
        )

    def _choices(self, change: Change, kind: int | None) -> str:
        problems = self._of.get(change.user.name, set()) | self._of.get(change.agent, set())
        chosen = {
            "kind": [] if kind is None else [kind],
            "attribute": [self._attributes[each.name] for each in change.attributes],
            "rule": [self._rules[-1 if change.rule is None else change.rule]],
            "problem": sorted(problems),
        }
        return "".join(f' data-{name}="{" ".join(map(str, found))}"' for name, found in chosen.items() if found)


def _numbered(names: Iterable[T]) -> dict[T, int]:
    return {name: number for number, name in enumerate(names)}


def _choice(name: str, label: str, every: str, choices: Iterable[str]) -> str:
    options = "".join(f'<option value="{number}">{text(choice)}</option>' for number, choice in enumerate(choices))
    return f'<label>{label} <select id="{name}"><option value="">{every}</option>{options}</select></label>\n'


def same(kind: Kind) -> dict[str, say.Sides]:
    """What all changes of a kind have in common: a page of paper says it once, and not again for each user."""
    if kind.users < 2:
        return {}
    first, *others = kind.changes
    alike = {each.name: say.sides(each) for each in first.attributes}
    for change in others:
        held = {each.name: each for each in change.attributes}
        alike = {name: sides for name, sides in alike.items() if name in held and say.sides(held[name]) == sides}
        if not alike:
            break
    return alike


def _marked(name: str, sides: say.Sides) -> str:
    return f"<div>{attribute(name, sides)}</div>"


def attribute(name: str, sides: say.Sides) -> str:
    """`mail old → new`. Of values of which some stay, those that go and come."""
    gone, come = (" | ".join(map(isolated, values)) for values in (sides.old, sides.new))
    if sides.kept:
        shown = [f"<del>- {gone}</del>"] if gone else []
        shown += [f"<ins>+ {come}</ins>"] if come else []
        return f"<b>{text(name)}</b> {', '.join(shown)}"
    if sides.new in SECRET:
        return f"<b>{text(name)}</b> <ins>{come}</ins>"
    before = f"<del>{gone}</del>" if gone else f"<i>{say.NONE}</i>"
    return f"<b>{text(name)}</b> {before} → {f'<ins>{come}</ins>' if come else say.NONE}"


def plain(name: str, sides: say.Sides) -> str:
    """The same without marks, for what is routine: of that a page has most."""
    return re.sub(r"</?(b|i|ins|del)>", "", attribute(name, sides))

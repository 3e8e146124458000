"""The report for a ticket or a merge request, in GitHub-flavoured Markdown (GFM 0.29).

Data is never markup. A value, a name or any word of more than plain letters is a code span:
in one there is no HTML, no link, no emphasis, and neither GitHub nor GitLab looks in it for
`@somebody`, `#1` or an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from connector.model import AttributeChange, Outcome, Plan, Problem, problem_kinds
from connector.planning.overview.affected import NAMED, concerned
from connector.reports import wording as say
from connector.reports.visible import visible

# words that no Markdown reader makes anything of; `1.` begins a list, and GitHub makes a
# link of `GH-1`
_PLAIN: Final = re.compile(r"\(?[^\W\d_]+(?:['-][^\W\d_]+)*[),.;:?]{0,2}|\d+[,;:?]?")


def render(
    plan: Plan, outcomes: Sequence[Outcome] | None = None, *, command: str = ""
) -> Iterator[str]:
    """Line by line; every table is whole, so that it can be cut where a ticket is too short for it.

    `command`: what `--accept` is appended to.
    """
    yield f"# CEC to directory: {say.title(plan, outcomes)}\n\n"
    yield f"Job {code(plan.job)}, plan {code(plan.id)}, created {code(plan.created)}.\nDigest {code(plan.digest)}.\n\n"
    for place, what in plan.about:
        yield f"- {place}: {code(what)}\n"
    if plan.about:
        yield "\n"
    yield f"**{say.headline(plan, outcomes)}**\n\n"
    if plan.notes.since is not None:
        yield f"{prose(say.since(plan))}\n\n"
    if plan.refusals:
        yield "## Refused\n\n" if outcomes is None else "## Refused, then accepted\n\n"
        rows = (
            [code(r.limit), say.figures(r), prose(r.why), _first(concerned(plan, r))]
            for r in plan.refusals
        )
        yield from _table(("Limit", "Users", "Reason", "Affected users"), rows)
        if outcomes is None:
            accept = code(say.accepting(plan, command))
            yield f"Blocked. {say.lifting(plan, command)} {accept}\n\n"
    for caution in plan.cautions:
        yield f"> {prose(caution)}\n\n"
    yield from _summary(plan)
    yield from _kinds(plan)
    yield from _changes(plan, outcomes)
    found = say.strays(plan, outcomes)
    if found:
        yield f"## Not in this plan ({len(found)})\n\n"
        yield from _table(
            ("User", "Outcome"),
            ([code(each.user.name), prose(say.outcome_text(each))] for each in found),
        )
    marks = say.Marks(plan)
    for kind, problems in problem_kinds.grouped(plan.problems).items():
        yield f"## Problems: {prose(kind)} ({len(problems)})\n\n{problem_kinds.explain(kind)}\n\n"
        facts = (
            [
                _marked(prose(say.about(some)), marks.problem(some[0])),
                _alike(plan, some),
                _why(plan, some[0]),
            ]
            for some in problem_kinds.alike(problems, marks.problem)
        )
        yield from _table(("About", "Users", "Why"), facts)


def code(text: str) -> str:
    """The text as a code span that also stands in a table cell: its fence is longer than any row of backticks in it.

    A bar is escaped, as GFM's tables ask even in code; after a backslash that would be read
    in two ways, so there it is named instead.
    """
    text = visible(text)
    if not text:
        return ""
    text = text.replace("\\|", "\\<U+007C>").replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    stripped = text[0] == text[-1] == " " and not text.isspace()
    space = " " if stripped or "`" in (text[0], text[-1]) else ""
    return f"{fence}{space}{text}{space}{fence}"


def _user(plan: Plan, name: str) -> str:
    """A user by name, with the name of the person where it was read."""
    said = plan.notes.people.get(name)
    return (
        code(name) if said is None or said == name else f"{code(name)} ({prose(said)})"
    )


def _marked(said: str, mark: str) -> str:
    return f"{said} **{mark}**" if mark else said


def _alike(plan: Plan, problems: Sequence[Problem]) -> str:
    """The users of problems that are alike; of several each with its agent, which stands nowhere else."""
    if len(problems) == 1:
        return _users(plan, problems[0].users)
    each = (
        (_users(plan, p.users), prose(say.who(p.agent)) if p.agent is not None else "")
        for p in problems
    )
    return "; ".join(" ← ".join(filter(None, pair)) for pair in each)


def _users(plan: Plan, names: Iterable[str]) -> str:
    return " ".join(_user(plan, name) for name in names)


def prose(text: str) -> str:
    """A sentence in which every word that is not plain is a code span; neighbours share one."""
    words = visible(text).split(" ")
    parts = []
    for plain, group in groupby(
        words, key=lambda word: not word or bool(_PLAIN.fullmatch(word))
    ):
        run = " ".join(group)
        tail = run[-1] if not plain and run[-1] in ",;:" else ""
        parts.append(run if plain else code(run.removesuffix(tail)) + tail)
    return " ".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"
    yield "\n"


def _first(names: Sequence[str]) -> str:
    more = [f"… and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return " ".join([*map(code, names[:NAMED]), *more])


def _summary(plan: Plan) -> Iterator[str]:
    names = ("agents", *say.AGENT_COUNTS, *say.USER_COUNTS)
    yield from _table(
        ("Count", "", "Meaning"),
        ([name, str(getattr(plan.summary, name)), say.COUNTS[name]] for name in names),
    )


def _why(plan: Plan, problem: Problem) -> str:
    nearby = [
        f"{_user(plan, near.user)} ({prose(say.almost(near))})" for near in problem.near
    ]
    why = prose(problem.why)
    return f"{why}. Almost: {', '.join(nearby)}" if nearby else why


def _kinds(plan: Plan) -> Iterator[str]:
    if plan.notes.kinds:
        yield f"## Kinds of changes ({len(plan.notes.kinds)})\n\n"
        rows = (
            [str(k.users), prose(k.form), prose(k.sentence), _users(plan, k.examples)]
            for k in plan.notes.kinds
        )
        yield from _table(("Users", "Kind", "What", "Examples"), rows)
    if plan.notes.worth_a_look:
        yield f"## Worth a look ({len(plan.notes.worth_a_look)})\n\n"
        yield from _table(
            ("User", "Why"),
            (
                [_user(plan, each.user.name), prose(each.why)]
                for each in plan.notes.worth_a_look
            ),
        )


def _changes(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    if not plan.changes:
        return
    yield f"## Changes ({len(plan.changes)})\n\n"
    columns = ["User", "Agent", "Rule", "Attribute", "Old", "New"]
    yield from _table(
        columns if outcomes is None else [*columns, "Outcome"], _rows(plan, outcomes)
    )


def _rows(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[list[str]]:
    marks, results = say.Marks(plan), say.by_user(outcomes)
    for change in plan.changes:
        head = [
            _marked(_user(plan, change.user.name), marks.change(change)),
            prose(say.who(change.agent)),
            say.by_rule(change.rule),
        ]
        tail = (
            []
            if outcomes is None
            else [prose(say.outcome_text(results.get(change.user.id)))]
        )
        for each in change.attributes:
            yield [*head, code(each.name), *_sides(each), *tail]


def _sides(each: AttributeChange) -> tuple[str, str]:
    change = say.sides(each)
    old, new = (" ".join(map(code, values)) for values in (change.old, change.new))
    none = "" if change.kept else say.NONE
    return old or ("" if each.secret else none), new or none

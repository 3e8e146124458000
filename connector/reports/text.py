"""The report that a reviewer reads in a terminal: what would happen, or has happened, in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connector.model import (
    LISTED,
    NOTICED,
    Change,
    Ending,
    Outcome,
    Plan,
    Problem,
    Refusal,
    Result,
    problem_kinds,
)
from connector.planning.overview.affected import NAMED, concerned
from connector.planning.review import LEFT_OUT
from connector.reports import wording as say
from connector.reports.visible import visible

LONGEST: Final = 400
"""Characters of one line of a change; what is cut off is in every other format."""
LONG: Final = 120
"""Characters of a reason that is given once for all users whom it holds for."""
MOST: Final = 200
"""So many outcomes of a result are listed, but for conflicts and failures."""
NARROW: Final = 50
"""Columns below which the counts of agents and of users stand below each other."""
NOBODY: Final[Mapping[str, str]] = {}


def render(
    plan: Plan,
    outcomes: Sequence[Outcome] | None = None,
    *,
    whole: bool | None = False,
    command: str = "",
    accepted: bool = False,
    narrow: bool = False,
    goes_on: bool = False,
) -> Iterator[str]:
    """Line by line.

    Of more than `LISTED` changes, kinds and users that are worth a look are printed, and of
    so many problems of a kind the first, those that are new before others; `whole`: all of
    them as well. None: the command has no option for that.

    `command` is the command line that `--accept` is appended to; without it, `cec-connector apply` of the
    plan's job. `accepted`: somebody has lifted the refusals of this very plan, so nobody is
    told how to.
    `narrow`: there are fewer than `NARROW` columns. `goes_on`: this is not the end, for the plan is to be written.
    """
    yield from _header(plan, outcomes)
    yield from _summary(plan, narrow=narrow)
    yield from _refusals(plan, command, accepted=accepted or outcomes is not None)
    yield from _cautions(plan)
    yield from _kinds(plan)
    yield from _worth_a_look(plan, outcomes)
    yield from _changes(plan, outcomes, whole=whole)
    yield from _problems(plan, whole=whole)
    if outcomes is not None:
        yield from ending(plan, outcomes)
    elif plan.refusals and not accepted:
        yield f"Refused. Nothing was written.{_attention(plan)} {say.lifting(plan, command)}\n"
        yield f"    {say.accepting(plan, command)}\n"
    elif not goes_on:
        yield f"Nothing was written.{_attention(plan)}\n"


def ending(
    plan: Plan, outcomes: Sequence[Outcome], account: Ending | None = None
) -> Iterator[str]:
    """The end of the report alone, for a reader who has seen the plan: its changes' outcomes; `account`: in numbers."""
    for result in Result:
        yield from _outcomes(
            result, [outcome for outcome in outcomes if outcome.result is result]
        )
    for noticed in (what for place, what in plan.about if place == NOTICED):
        yield f"Note: {visible(noticed)}\n"
    yield f"{say.last_line(account or Ending.of(outcomes))}{_attention(plan)}\n"


def _attention(plan: Plan) -> str:
    return (
        f" {say.count(len(plan.problems), 'problem')} to check."
        if plan.problems
        else ""
    )


def _header(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    yield f"{visible(plan.job)}: {say.title(plan, outcomes)}\n"
    yield f"  plan    {visible(plan.id)}, created {visible(plan.created)}\n"
    yield f"  digest  {visible(plan.digest)}\n"
    for place, what in plan.about:
        yield f"  {visible(place):<9} {visible(what)}\n"
    yield "\n"
    yield say.headline(plan, outcomes) + "\n\n"
    if plan.notes.since is not None:
        yield say.since(plan) + "\n\n"


def _summary(plan: Plan, *, narrow: bool) -> Iterator[str]:
    """Matched users that differ and stay as they are show in no count of their own, so they are said."""
    left = [("Agents", f"{plan.summary.agents:,}")]
    left += [
        ("  " + name, f"{getattr(plan.summary, name):,}") for name in say.AGENT_COUNTS
    ]
    right = [("Users", "")] + [
        ("  " + name, f"{getattr(plan.summary, name):,}") for name in say.USER_COUNTS
    ]
    if narrow:
        left, right = [*left, *right], []
    right += [("", "")] * (len(left) - len(right))
    for (name, number), (other, figure) in zip(left, right, strict=True):
        yield f"{name:<14}{number:>9}    {other:<13}{figure:>9}".rstrip() + "\n"
    held = (
        plan.summary.matched
        - plan.summary.unchanged
        - sum(change.agent is not None for change in plan.changes)
    )
    if held > 0:
        how = "left out by --only, or held back" if plan.notes.only else "held back"
        yield f"\n{say.count(held, 'matched user')} {how}; problems and notes give the reason.\n"
    yield "\n"


def _refusals(plan: Plan, command: str, *, accepted: bool) -> Iterator[str]:
    if not plan.refusals:
        return
    yield "REFUSED, then accepted\n" if accepted else "REFUSED\n"
    for refusal in plan.refusals:
        yield (
            f"  {visible(refusal.limit)}  {say.figures(refusal)}".rstrip()
            + f"\n    {visible(refusal.why)}\n"
        )
        yield from _concerned(plan, refusal)
    if not accepted:
        yield f"  Blocked. {say.lifting(plan, command)}\n"
        yield f"    {say.accepting(plan, command)}\n"
    yield "\n"


def _concerned(plan: Plan, refusal: Refusal) -> Iterator[str]:
    names = concerned(plan, refusal)
    for name in names[:NAMED]:
        yield f"      {_cut(say.person(plan.notes.people, name))}\n"
    if len(names) > NAMED:
        yield f"      … and {len(names) - NAMED:,} more\n"


def _cautions(plan: Plan) -> Iterator[str]:
    for caution in plan.cautions:
        yield f"Note: {visible(caution)}\n"
    if plan.cautions:
        yield "\n"


def _kinds(plan: Plan) -> Iterator[str]:
    if not plan.notes.kinds:
        return
    yield f"Kinds of changes ({say.count(len(plan.changes), 'user')}), the riskiest first\n"
    for kind in plan.notes.kinds:
        yield f"{kind.users:>7,}  {kind.form}\n         {visible(kind.sentence)}\n"
        if len(plan.changes) > LISTED:
            yield from (
                f"           {_cut(say.person(plan.notes.people, name))}\n"
                for name in kind.examples
            )
            if kind.users > len(kind.examples):
                yield f"           … and {kind.users - len(kind.examples):,} more\n"
    yield "\n"


def _worth_a_look(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    if not plan.notes.worth_a_look:
        return
    yield f"Worth a look ({say.count(len(plan.notes.worth_a_look), 'user')})\n"
    changes = {change.user: change for change in plan.changes}
    marks = say.Marks(plan)
    results = say.by_user(outcomes)
    for look in plan.notes.worth_a_look:
        yield from _change(plan, changes[look.user], results.get(look.user.id), marks)
        yield f"    ! {_cut(visible(look.why))}\n"
    yield "\n"


def _changes(
    plan: Plan, outcomes: Sequence[Outcome] | None, *, whole: bool | None
) -> Iterator[str]:
    if not plan.changes:
        return
    yield f"Changes ({say.count(len(plan.changes), 'user')})\n"
    marks, results = say.Marks(plan), say.by_user(outcomes)
    every = whole or len(plan.changes) <= LISTED
    marked = [change for change in plan.changes if marks.change(change)]
    for change in plan.changes if every else marked if len(marked) <= LISTED else ():
        yield from _change(plan, change, results.get(change.user.id), marks)
    if not every:
        yield f"  To list all, use {_ways(whole)}.\n"
    yield "\n"


def _change(
    plan: Plan, change: Change, outcome: Outcome | None, marks: say.Marks
) -> Iterator[str]:
    result = f"  [{outcome.result}]" if outcome else ""
    result += f"  [{marks.change(change)}]" if marks.change(change) else ""
    yield f"~ {_cut(say.person(plan.notes.people, change.user.name))}  ← {_cut(say.reason(change))}{result}\n"
    for each in change.attributes:
        yield f"    {visible(each.name)}: {_cut(difference(say.sides(each)))}\n"


def difference(change: say.Sides) -> str:
    """`old → new` of one value, `- old, + new` of several; of a secret only what happens to it."""
    if change.new[:1] and change.new[0].startswith("(secret)"):
        return change.new[0]
    if change.kept or len(change.old) > 1 or len(change.new) > 1:
        return ", ".join(
            [f"- {value}" for value in change.old]
            + [f"+ {value}" for value in change.new]
        )
    return f"{(change.old or [say.NONE])[0]} → {(change.new or [say.NONE])[0]}"


def _problems(plan: Plan, *, whole: bool | None) -> Iterator[str]:
    marks = say.Marks(plan)
    for kind, problems in problem_kinds.grouped(plan.problems).items():
        yield f"Problems: {visible(kind)} ({len(problems):,})\n"
        yield f"  {problem_kinds.explain(kind)}\n"
        lines = problem_kinds.alike(problems, marks.problem)
        if not whole and len(lines) > LISTED:
            lines.sort(key=lambda alike: not marks.problem(alike[0]))
        most = len(lines) if whole else LISTED
        for alike in lines[:most]:
            yield from _alike(alike, plan.notes.people, marks.problem(alike[0]))
        yield from _more(sum(map(len, lines[most:])), _ways(whole))
        yield "\n"


def _alike(
    problems: Sequence[Problem], people: Mapping[str, str], mark: str
) -> Iterator[str]:
    """One line for what holds for all of them, and the first of those whom it holds for."""
    if len(problems) == 1:
        yield from problem_lines(problems[0], people, mark)
        return
    marked = f"[{mark}] " if mark else ""
    yield f"  - {marked}{_cut(say.about(problems))}: {visible(problems[0].why)}\n"
    for each in problems[:NAMED]:
        who = (
            [", ".join(_cut(say.person(people, user)) for user in each.users)]
            if each.users
            else []
        )
        who += [_cut(say.who(each.agent))] if each.agent is not None else []
        yield f"      {'  ← '.join(who)}\n"
    yield from _more(len(problems) - NAMED, indent="    ")


def problem_lines(
    problem: Problem, people: Mapping[str, str] = NOBODY, mark: str = ""
) -> Iterator[str]:
    """A problem with the users that it names, and those that are near."""
    marked = f"[{mark}] " if mark else ""
    about = f"{_cut(say.subject(problem))}: " if say.subject(problem) else ""
    yield f"  - {marked}{about}{visible(problem.why)}\n"
    for user in problem.users:
        yield f"      {_cut(say.person(people, user))}\n"
    for near in problem.near:
        yield f"      almost: {_cut(say.person(people, near.user))} ({_cut(say.almost(near))})\n"


def _outcomes(result: Result, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Conflicts and failures are all listed: each is somebody's to look at."""
    if not outcomes:
        return
    yield f"{result}: {len(outcomes):,}\n"
    for why in LEFT_OUT:
        count = sum(each.why == why for each in outcomes)
        yield f"  {count:,} {why}\n" if count else ""
    # what was written says something only where there is more to say
    told = [
        each
        for each in outcomes
        if (each.why or result is not Result.WRITTEN) and each.why not in LEFT_OUT
    ]
    most = len(told) if result in (Result.CONFLICT, Result.FAILED) else MOST
    alike: dict[str, list[Outcome]] = {}
    for outcome in told[:most]:
        own = len(outcome.why) <= LONG or any(say.difference_texts(outcome))
        alike.setdefault(outcome.user.id if own else outcome.why, []).append(outcome)
    for first, *others in alike.values():
        who = (
            say.count(len(others) + 1, "user")
            if others
            else _cut(visible(first.user.name))
        )
        yield f"  {who}: {visible(first.why) or 'no reason given'}\n"
        yield from (
            f"      {_cut(visible(each.user.name))}\n"
            for each in ((first, *others) if others else ())
        )
        yield from (f"      {each}\n" for each in say.difference_texts(first))
    yield from _more(len(told) - most)


def _ways(whole: bool | None) -> str:
    return "--report FILE" if whole is None else "--all or --report FILE"


def _more(left: int, ways: str = "--report FILE", indent: str = "") -> Iterator[str]:
    if left > 0:
        yield f"{indent}  … and {left:,} more: use {ways} for all\n"


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= LONGEST
        else f"{text[:LONGEST]}… ({len(text):,} characters)"
    )

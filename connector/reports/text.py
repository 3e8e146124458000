"""The report that a reviewer reads in a terminal: what would happen, or has happened, in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from msgspec.structs import asdict

from connector.model import (
    LISTED,
    NOTICED,
    Change,
    ChangeKind,
    Outcome,
    Plan,
    Problem,
    Result,
    RunEnding,
)
from connector.model.plan import explain_kind, group_alike, group_problems
from connector.planning.kinds import NAMED, find_concerned
from connector.planning.review import LEFT_OUT
from connector.reports import wording as say
from connector.reports.visible import make_visible

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
    yield from _report_head(plan, outcomes)
    yield from _summary_lines(plan, narrow=narrow)
    is_lifted = accepted or outcomes is not None
    yield from _refusal_lines(plan, command, accepted=is_lifted)
    yield from _caution_lines(plan)
    yield from _kind_lines(plan)
    changes = _ChangeLines(plan, outcomes)
    yield from changes.list_worth_a_look()
    yield from changes.list_changes(whole=whole)
    yield from _problem_sections(plan, whole=whole)
    to_check = _count_problems(plan)
    if outcomes is not None:
        yield from render_ending(plan, outcomes)
    elif plan.refusals and not accepted:
        how = say.accept_sentence(plan, command)
        yield f"Refused. Nothing was written.{to_check} {how}\n"
        yield f"    {say.accept_command(plan, command)}\n"
    elif not goes_on:
        yield f"Nothing was written.{to_check}\n"


def render_ending(
    plan: Plan, outcomes: Sequence[Outcome], account: RunEnding | None = None
) -> Iterator[str]:
    """The end of the report alone, for a reader who has seen the plan: its changes' outcomes; `account`: in numbers."""
    for result in Result:
        found = [outcome for outcome in outcomes if outcome.result is result]
        if found:
            yield from _outcome_lines(result, found)
    for place, what in plan.about:
        if place == NOTICED:
            yield f"Note: {make_visible(what)}\n"
    last_line = say.last_line(account or RunEnding.of(outcomes))
    yield f"{last_line}{_count_problems(plan)}\n"


def _count_problems(plan: Plan) -> str:
    if not plan.problems:
        return ""
    return f" {say.count_noun(len(plan.problems), 'problem')} to check."


# ---------------------------------------------------------------- the head


def _report_head(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    yield f"{make_visible(plan.job)}: {say.report_title(plan, outcomes)}\n"
    yield f"  plan    {make_visible(plan.id)}, created {make_visible(plan.created)}\n"
    yield f"  digest  {make_visible(plan.digest)}\n"
    for place, what in plan.about:
        yield f"  {make_visible(place):<9} {make_visible(what)}\n"
    yield "\n"
    yield f"{say.write_headline(plan, outcomes)}\n\n"
    if plan.notes.since is not None:
        yield f"{say.describe_since(plan)}\n\n"


def _summary_lines(plan: Plan, *, narrow: bool) -> Iterator[str]:
    """Counts of agents and of users, beside each other unless it is too narrow for that."""
    counts = {name: f"{number:,}" for name, number in asdict(plan.summary).items()}
    left = [("Agents", counts["agents"])]
    left += [(f"  {name}", counts[name]) for name in say.AGENT_COUNTS]
    right = [("Users", "")]
    right += [(f"  {name}", counts[name]) for name in say.USER_COUNTS]
    if narrow:
        left, right = [*left, *right], []
    for (name, number), (other, figure) in zip_longest(left, right, fillvalue=("", "")):
        line = f"{name:<14}{number:>9}    {other:<13}{figure:>9}"
        yield f"{line.rstrip()}\n"
    yield from _held_back_line(plan)
    yield "\n"


def _held_back_line(plan: Plan) -> Iterator[str]:
    """Matched users that differ and stay as they are. They show in no count of their own."""
    changing = sum(change.agent is not None for change in plan.changes)
    held = plan.summary.matched - plan.summary.unchanged - changing
    if held > 0:
        users = say.count_noun(held, "matched user")
        how = "left out by --only, or held back" if plan.notes.only else "held back"
        yield f"\n{users} {how}; problems and notes give the reason.\n"


def _refusal_lines(plan: Plan, command: str, *, accepted: bool) -> Iterator[str]:
    if not plan.refusals:
        return
    yield "REFUSED, then accepted\n" if accepted else "REFUSED\n"
    for refusal in plan.refusals:
        head = f"  {make_visible(refusal.limit)}  {say.count_refusal(refusal)}"
        yield f"{head.rstrip()}\n"
        yield f"    {make_visible(refusal.why)}\n"
        names = find_concerned(plan, refusal)
        for name in names[:NAMED]:
            yield f"      {_name_user(plan.notes.people, name)}\n"
        if len(names) > NAMED:
            yield f"      … and {len(names) - NAMED:,} more\n"
    if not accepted:
        yield f"  Blocked. {say.accept_sentence(plan, command)}\n"
        yield f"    {say.accept_command(plan, command)}\n"
    yield "\n"


def _caution_lines(plan: Plan) -> Iterator[str]:
    for caution in plan.cautions:
        yield f"Note: {make_visible(caution)}\n"
    if plan.cautions:
        yield "\n"


# ---------------------------------------------------------------- changes


def _kind_lines(plan: Plan) -> Iterator[str]:
    if not plan.notes.kinds:
        return
    users = say.count_noun(len(plan.changes), "user")
    yield f"Kinds of changes ({users}), the riskiest first\n"
    for kind in plan.notes.kinds:
        yield f"{kind.users:>7,}  {kind.form}\n"
        yield f"         {make_visible(kind.sentence)}\n"
        if len(plan.changes) > LISTED:
            yield from _example_lines(plan, kind)
    yield "\n"


def _example_lines(plan: Plan, kind: ChangeKind) -> Iterator[str]:
    for name in kind.examples:
        yield f"           {_name_user(plan.notes.people, name)}\n"
    if kind.users > len(kind.examples):
        yield f"           … and {kind.users - len(kind.examples):,} more\n"


class _ChangeLines:
    """The lines of a plan's changes, each with its outcome and what is new in it."""

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        self._plan = plan
        self._marks = say.NewsMarks(plan)
        self._outcomes = say.by_user(outcomes)

    def list_worth_a_look(self) -> Iterator[str]:
        looks = self._plan.notes.worth_a_look
        if not looks:
            return
        yield f"Worth a look ({say.count_noun(len(looks), 'user')})\n"
        changes = {change.user: change for change in self._plan.changes}
        for look in looks:
            yield from self._describe_change(changes[look.user])
            yield f"    ! {_cut_text(make_visible(look.why))}\n"
        yield "\n"

    def list_changes(self, *, whole: bool | None) -> Iterator[str]:
        """All changes if they are few, else those that are new, if these are few."""
        changes = self._plan.changes
        if not changes:
            return
        yield f"Changes ({say.count_noun(len(changes), 'user')})\n"
        lists_all = whole or len(changes) <= LISTED
        listed = changes
        if not lists_all:
            listed = tuple(filter(self._marks.mark_change, changes))
        for change in listed if lists_all or len(listed) <= LISTED else ():
            yield from self._describe_change(change)
        if not lists_all:
            yield f"  To list all, use {_ways_to_list_all(whole)}.\n"
        yield "\n"

    def _describe_change(self, change: Change) -> Iterator[str]:
        outcome = self._outcomes.get(change.user.id)
        marks = [outcome.result if outcome else "", self._marks.mark_change(change)]
        marked = "".join(f"  [{mark}]" for mark in marks if mark)
        user = _name_user(self._plan.notes.people, change.user.name)
        yield f"~ {user}  ← {_cut_text(say.give_reason(change))}{marked}\n"
        for each in change.attributes:
            yield f"    {make_visible(each.name)}: {_cut_text(show_sides(say.find_sides(each)))}\n"


def show_sides(change: say.ChangeSides) -> str:
    """`old → new` of one value, `- old, + new` of several; of a secret only what happens to it."""
    old, new = change.old, change.new
    if new and new[0].startswith("(secret)"):
        return new[0]
    if change.kept or len(old) > 1 or len(new) > 1:
        gone = [f"- {value}" for value in old]
        come = [f"+ {value}" for value in new]
        return ", ".join(gone + come)
    before = old[0] if old else say.NONE
    after = new[0] if new else say.NONE
    return f"{before} → {after}"


# ---------------------------------------------------------------- problems


def _problem_sections(plan: Plan, *, whole: bool | None) -> Iterator[str]:
    marks = say.NewsMarks(plan)
    for kind, problems in group_problems(plan.problems).items():
        yield f"Problems: {make_visible(kind)} ({len(problems):,})\n"
        yield f"  {explain_kind(kind)}\n"
        groups = group_alike(problems, marks.mark_problem)
        listed = groups
        if not whole and len(groups) > LISTED:
            # those that are new come first
            groups.sort(key=lambda alike: not marks.mark_problem(alike[0]))
            listed = groups[:LISTED]
        for alike in listed:
            yield from _alike_lines(
                alike, plan.notes.people, marks.mark_problem(alike[0])
            )
        left = sum(len(alike) for alike in groups[len(listed) :])
        yield from _more_line(left, _ways_to_list_all(whole))
        yield "\n"


def _alike_lines(
    problems: Sequence[Problem], people: Mapping[str, str], mark: str
) -> Iterator[str]:
    """One line for what holds for all of them, and the first of those whom it holds for."""
    if len(problems) == 1:
        yield from problem_lines(problems[0], people, mark)
        return
    about = _cut_text(say.name_subjects(problems))
    yield f"  - {_in_brackets(mark)}{about}: {make_visible(problems[0].why)}\n"
    for each in problems[:NAMED]:
        said = [", ".join(_name_user(people, user) for user in each.users)]
        if each.agent is not None:
            said.append(_cut_text(say.name_agent(each.agent)))
        yield f"      {'  ← '.join(filter(None, said))}\n"
    yield from _more_line(len(problems) - NAMED, indent="    ")


def problem_lines(
    problem: Problem, people: Mapping[str, str] = NOBODY, mark: str = ""
) -> Iterator[str]:
    """A problem with the users that it names, and those that are near."""
    subject = say.name_subject(problem)
    about = f"{_cut_text(subject)}: " if subject else ""
    yield f"  - {_in_brackets(mark)}{about}{make_visible(problem.why)}\n"
    for user in problem.users:
        yield f"      {_name_user(people, user)}\n"
    for near in problem.near:
        how = _cut_text(say.describe_near(near))
        yield f"      almost: {_name_user(people, near.user)} ({how})\n"


def _in_brackets(mark: str) -> str:
    return f"[{mark}] " if mark else ""


# ---------------------------------------------------------------- outcomes


def _outcome_lines(result: Result, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Conflicts and failures are all listed: each is somebody's to look at."""
    yield f"{result}: {len(outcomes):,}\n"
    for why in LEFT_OUT:
        count = sum(each.why == why for each in outcomes)
        if count:
            yield f"  {count:,} {why}\n"
    told = [outcome for outcome in outcomes if _has_more_to_say(outcome)]
    lists_all = result in (Result.CONFLICT, Result.FAILED)
    most = len(told) if lists_all else MOST
    for alike in _group_by_reason(told[:most]):
        yield from _reason_lines(alike)
    yield from _more_line(len(told) - most)


def _has_more_to_say(outcome: Outcome) -> bool:
    if outcome.why in LEFT_OUT:
        return False
    return bool(outcome.why) or outcome.result is not Result.WRITTEN


def _group_by_reason(outcomes: Sequence[Outcome]) -> Iterable[list[Outcome]]:
    """Outcomes with the same long reason together, any other by itself."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        stands_alone = len(outcome.why) <= LONG or any(say.difference_texts(outcome))
        key = outcome.user.id if stands_alone else outcome.why
        groups.setdefault(key, []).append(outcome)
    return groups.values()


def _reason_lines(alike: Sequence[Outcome]) -> Iterator[str]:
    first, several = alike[0], len(alike) > 1
    names = [_cut_text(make_visible(each.user.name)) for each in alike]
    who = say.count_noun(len(alike), "user") if several else names[0]
    yield f"  {who}: {make_visible(first.why) or 'no reason given'}\n"
    for name in names if several else ():
        yield f"      {name}\n"
    for said in say.difference_texts(first):
        yield f"      {said}\n"


# ---------------------------------------------------------------- words


def _ways_to_list_all(whole: bool | None) -> str:
    return "--report FILE" if whole is None else "--all or --report FILE"


def _more_line(
    left: int, ways: str = "--report FILE", indent: str = ""
) -> Iterator[str]:
    if left > 0:
        yield f"{indent}  … and {left:,} more: use {ways} for all\n"


def _name_user(people: Mapping[str, str], name: str) -> str:
    return _cut_text(say.name_user(people, name))


def _cut_text(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text):,} characters)"

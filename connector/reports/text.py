"""The report that a reviewer reads in a terminal: what would happen, or has happened, in plain text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final

from connector.model import (
    LISTED,
    NOTICED,
    Change,
    Outcome,
    Plan,
    Result,
    RunEnding,
)
from connector.planning.kinds import NAMED
from connector.planning.review import LEFT_OUT
from connector.reports.sections import (
    Marker,
    NewsMarks,
    list_kinds,
    list_problems,
    list_refusals,
)
from connector.reports.visible import make_visible
from connector.reports.wording import (
    AGENT_COUNTS,
    USER_COUNTS,
    Lines,
    Outcomes,
    accept_advice,
    by_user,
    count_noun,
    describe_since,
    difference_texts,
    give_reason,
    last_line,
    report_title,
    show_sides,
    write_headline,
)

LONGEST: Final = 400
"""Characters of one line of a change; what is cut off is in every other format."""
LONG: Final = 120
"""Characters of a reason that is given once for all users whom it holds for."""
MOST: Final = 200
"""So many outcomes of a result are listed, but for conflicts and failures."""
NARROW: Final = 50
"""Columns below which the counts of agents and of users stand below each other."""


class TextMarker(Marker):
    """Plain words, of which a cell has one a line."""

    between = "\n"
    news = "[{mark}] {said}"
    most = NAMED

    def mark_value(self, shown: str) -> str:
        return cut_text(make_visible(shown))


def render(
    plan: Plan,
    outcomes: Outcomes = None,
    *,
    whole: bool | None = False,
    command: str = "",
    accepted: bool = False,
    narrow: bool = False,
    goes_on: bool = False,
) -> Lines:
    """Line by line.

    Of more than `LISTED` changes, kinds and users that are worth a look are printed, and of
    so many problems of a kind the first, those that are new before others; `whole`: all of
    them as well. None: the command has no option for that.

    `command` is the command line that `--accept` is appended to; without it, `cec-connector apply` of the
    plan's job. `accepted`: somebody has lifted the refusals of this very plan, so nobody is
    told how to.
    `narrow`: there are fewer than `NARROW` columns. `goes_on`: this is not the end, for the plan is to be written.
    """
    is_lifted = accepted or outcomes is not None
    accept_lines = []
    if plan.refusals and not is_lifted:
        sentence, accept = accept_advice(plan, command)
        accept_lines = [sentence, f"    {accept}"]
    lines = [
        _head_lines(plan, outcomes),
        _summary_lines(plan, narrow=narrow),
        _refusal_lines(plan, accept_lines),
        _caution_lines(plan),
        _kind_lines(plan),
        _worth_a_look_lines(plan, outcomes),
        list_changes(plan, outcomes, whole=whole),
        _problem_lines(plan, whole=whole),
    ]
    for part in lines:
        yield from finish_lines(part)
    if outcomes is not None:
        yield from render_ending(plan, outcomes)
    elif accept_lines:
        sentence, accept = accept_lines
        said = f"Refused. Nothing was written.{_count_problems(plan)} {sentence}"
        yield from finish_lines([said, accept])
    elif not goes_on:
        yield f"Nothing was written.{_count_problems(plan)}\n"


def render_ending(
    plan: Plan, outcomes: Sequence[Outcome], account: RunEnding | None = None
) -> Lines:
    """The end of the report alone, for a reader who has seen the plan: its changes' outcomes; `account`: in numbers."""
    for result in Result:
        found = [outcome for outcome in outcomes if outcome.result is result]
        yield from finish_lines(_outcome_lines(result, found))
    notes = [f"Note: {what}" for place, what in plan.about if place == NOTICED]
    yield from finish_lines(notes)
    ending = last_line(account or RunEnding.of(outcomes))
    yield f"{ending}{_count_problems(plan)}\n"


def finish_lines(lines: Iterable[str]) -> Lines:
    """Lines with their ends, and without a character that a terminal obeys."""
    for line in lines:
        yield make_visible(line) + "\n"


def cut_text(text: str) -> str:
    """The text in a length that does not flood a terminal."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text):,} characters)"


def list_more(left: int, ways: str = "--report FILE") -> Lines:
    """That more are left, and how to see all."""
    if left > 0:
        yield f"  … and {left:,} more: use {ways} for all"


def _count_problems(plan: Plan) -> str:
    if not plan.problems:
        return ""
    return f" {count_noun(len(plan.problems), 'problem')} to check."


# ---------------------------------------------------------------- the head


def _head_lines(plan: Plan, outcomes: Outcomes) -> Lines:
    yield f"{plan.job}: {report_title(plan, outcomes)}"
    yield f"  plan    {plan.id}, created {plan.created}"
    yield f"  digest  {plan.digest}"
    for place, what in plan.about:
        yield f"  {place:<9} {what}"
    yield ""
    yield write_headline(plan, outcomes)
    yield ""
    if plan.notes.since:
        yield describe_since(plan.notes.since)
        yield ""


def _summary_lines(plan: Plan, *, narrow: bool) -> Lines:
    """Counts of agents and of users, beside each other unless it is too narrow for that."""
    agents = [f"Agents        {plan.summary.agents:>9,}"]
    agents += _count_lines(plan, AGENT_COUNTS, 12)
    users = ["Users", *_count_lines(plan, USER_COUNTS, 12 if narrow else 11)]
    if narrow:
        yield from (*agents, *users)
    else:
        for left, right in zip_longest(agents, users, fillvalue=""):
            yield f"{left:<27}{right}".rstrip()
    yield from _held_back_lines(plan)
    yield ""


def _count_lines(plan: Plan, names: Iterable[str], width: int) -> Lines:
    counts = plan.summary.counts
    for name in names:
        if name in counts:
            yield f"  {name:<{width}}{counts[name]:>9,}"


def _held_back_lines(plan: Plan) -> Lines:
    """Matched users that differ and stay as they are. They show in no count of their own."""
    changing = sum(change.agent is not None for change in plan.changes)
    held = plan.summary.matched - plan.summary.unchanged - changing
    if held > 0:
        users = count_noun(held, "matched user")
        how = "left out by --only, or held back" if plan.notes.only else "held back"
        yield ""
        yield f"{users} {how}; problems and notes give the reason."


def _refusal_lines(plan: Plan, accept_lines: Sequence[str]) -> Lines:
    if not plan.refusals:
        return
    yield "REFUSED" if accept_lines else "REFUSED, then accepted"
    section = list_refusals(plan, TextMarker(plan.notes.people))
    for limit, count, why, users in section.rows:
        yield f"  {limit}  {count}".rstrip()
        yield f"    {why}"
        yield from _indent_cell(users)
    if accept_lines:
        sentence, accept = accept_lines
        yield f"  Blocked. {sentence}"
        yield accept
    yield ""


def _indent_cell(cell: str, columns: int = 6) -> Lines:
    for line in cell.splitlines():
        yield f"{' ' * columns}{line}"


def _caution_lines(plan: Plan) -> Lines:
    for caution in plan.cautions:
        yield f"Note: {caution}"
    if plan.cautions:
        yield ""


# ---------------------------------------------------------------- changes


def _kind_lines(plan: Plan) -> Lines:
    if not plan.notes.kinds:
        return
    users = count_noun(len(plan.changes), "user")
    yield f"Kinds of changes ({users}), the riskiest first"
    section = list_kinds(plan, TextMarker(plan.notes.people))
    for count, form, sentence, examples in section.rows:
        yield f"{count:>7}  {form}"
        yield f"         {sentence}"
        if len(plan.changes) > LISTED:
            yield from _indent_cell(examples, 11)
    yield ""


def _worth_a_look_lines(plan: Plan, outcomes: Outcomes) -> Lines:
    looks = plan.notes.worth_a_look
    if not looks:
        return
    describer = _ChangeDescriber(plan, outcomes)
    changes = {change.user: change for change in plan.changes}
    yield f"Worth a look ({count_noun(len(looks), 'user')})"
    for look in looks:
        yield from describer.describe_change(changes[look.user])
        yield f"    ! {cut_text(look.why)}"
    yield ""


def list_changes(plan: Plan, outcomes: Outcomes, *, whole: bool | None) -> Lines:
    """All changes if they are few, else those that are new, if these are few."""
    if not plan.changes:
        return
    yield f"Changes ({count_noun(len(plan.changes), 'user')})"
    describer = _ChangeDescriber(plan, outcomes)
    lists_all = whole or len(plan.changes) <= LISTED
    listed: Sequence[Change] = plan.changes
    if not lists_all:
        new = [each for each in plan.changes if describer.marks.mark_change(each)]
        listed = new if len(new) <= LISTED else []
    for change in listed:
        yield from describer.describe_change(change)
    if not lists_all:
        yield f"  To list all, use {_ways_to_list_all(whole)}."
    yield ""


class _ChangeDescriber:
    """Describes a plan's changes, each with its outcome and what is new in it."""

    def __init__(self, plan: Plan, outcomes: Outcomes) -> None:
        self.marks = NewsMarks(plan)
        self._marker = TextMarker(plan.notes.people)
        self._outcomes = by_user(outcomes)

    def describe_change(self, change: Change) -> Lines:
        outcome = self._outcomes.get(change.user.id)
        line = change_title(change, self._marker)
        if outcome:
            line += f"  [{outcome.result}]"
        news = self.marks.mark_change(change)
        if news:
            line += f"  [{news}]"
        yield line
        for each in change.attributes:
            yield f"    {each.name}: {cut_text(show_sides(each))}"


def change_title(change: Change, marker: TextMarker) -> str:
    """Who changes, and why."""
    user = marker.mark_user(change.user.name)
    return f"~ {user}  ← {cut_text(give_reason(change))}"


def _ways_to_list_all(whole: bool | None) -> str:
    return "--report FILE" if whole is None else "--all or --report FILE"


# ---------------------------------------------------------------- problems


def _problem_lines(plan: Plan, *, whole: bool | None) -> Lines:
    most = len(plan.problems) if whole else LISTED
    for section in list_problems(plan, TextMarker(plan.notes.people), most):
        yield f"Problems: {section.title}"
        yield f"  {section.lead}"
        for row in section.rows:
            yield from describe_problem(row)
        yield from list_more(section.left, _ways_to_list_all(whole))
        yield ""


def describe_problem(row: Sequence[str], kind: str = "") -> Lines:
    """A problem (`problem_row`) with the users that it names, and those that are near."""
    about, users, why = row
    reason, _, near = why.partition("\n")
    said = [kind, cut_text(about), reason]
    yield f"  - {': '.join(filter(None, said))}"
    yield from _indent_cell(users)
    yield from _indent_cell(near)


# ---------------------------------------------------------------- outcomes


def _outcome_lines(result: Result, outcomes: Sequence[Outcome]) -> Lines:
    """Users with the same long reason together. Conflicts and failures are all listed: each is somebody's to see."""
    if not outcomes:
        return
    yield f"{result}: {len(outcomes):,}"
    counts = Counter(each.why for each in outcomes)
    for why in LEFT_OUT:
        if counts[why]:
            yield f"  {counts[why]:,} {why}"
    routine = (*LEFT_OUT, "") if result is Result.WRITTEN else LEFT_OUT
    listed = [each for each in outcomes if each.why not in routine]
    most = MOST
    if result in (Result.CONFLICT, Result.FAILED):
        most = len(listed)
    groups = defaultdict[tuple[str, ...], list[str]](list)
    for each in listed[:most]:
        name = cut_text(each.user.name)
        alone = "" if len(each.why) > LONG else each.user.id
        groups[alone, each.why, *difference_texts(each)].append(name)
    for (_, why, *differences), names in groups.items():
        several = names if len(names) > 1 else []
        who = count_noun(len(names), "user") if several else names[0]
        yield f"  {who}: {why or 'no reason given'}"
        for line in (*several, *differences):
            yield f"      {line}"
    yield from list_more(len(listed) - most)

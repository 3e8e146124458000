"""The report that a reviewer reads in a terminal: what would happen, or has happened, in plain text."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Final

from msgspec import Struct
from rich.cells import cell_len

from connector.model import (
    EXAMPLES,
    LISTED,
    NOTICED,
    AttributeChange,
    Change,
    Outcome,
    Plan,
    Problem,
    Result,
    RunEnding,
)
from connector.model.plan import group_problems
from connector.planning.kinds import NAMED
from connector.planning.review import LEFT_OUT
from connector.reports.sections import (
    Marker,
    NewsMarks,
    list_problems,
    list_refusals,
)
from connector.reports.visible import make_visible
from connector.reports.wording import (
    AGENT_COUNTS,
    USER_COUNTS,
    Lines,
    Outcomes,
    advise_next,
    by_user,
    count_noun,
    describe_since,
    difference_texts,
    give_reason,
    last_line,
    list_warnings,
    report_title,
    show_sides,
    write_verdict,
)

LONGEST: Final = 400
"""Characters of one line of a change; what is cut off is in every other format."""
LONG: Final = 120
"""Characters of a reason that is given once for all users whom it holds for."""
MOST: Final = 200
"""So many outcomes of a result are listed, but for conflicts and failures."""
NARROW: Final = 50
"""Columns below which the counts of agents and of users stand below each other."""
COLUMNS: Final = 120
"""How wide a text is taken to be that goes to no terminal."""
ROOM: Final = 60
"""Lines of a plan at a terminal, unless all of it is asked for."""
ROOM_OF_FEW: Final = 20
"""Lines of a plan of a few changes."""
FEW: Final = 2
"""So many changes are few. Their values are always shown."""
_INDENT: Final = 10
"""Columns that a broken line loses to its indent and to whole words."""
_RESERVED: Final = 8
"""Lines that changes leave to problems, where there are some."""


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
    command: str | None = "",
    accepted: bool = False,
    columns: int = COLUMNS,
    goes_on: bool = False,
) -> Lines:
    """Line by line: the head, changes, problems, notes, and what to run next.

    It takes no more than `ROOM` lines of so many `columns`, so that of many changes their
    kinds are listed. `whole`: all of it, and what it was made from. None: the command has no
    option for that.

    `command` is the command line that applies the plan (`advise_next`). None: there is none.
    `accepted`: somebody has lifted the refusals of this very plan.
    `goes_on`: this is not the end, for the plan is to be written.
    """
    is_refused = bool(plan.refusals) and not accepted and outcomes is None
    room = ROOM_OF_FEW if 0 < len(plan.changes) <= FEW else ROOM
    page = _Page(columns, room)
    head = [
        *_head_lines(plan, outcomes),
        *_refusal_lines(plan, is_refused=is_refused),
    ]
    page.add_best([head])
    end: list[str] = []
    if outcomes is None and (is_refused or not goes_on):
        end = _next_lines(plan, command, is_refused=is_refused)
        page.room -= page.count_rows(end) + 1
    if whole:
        page.add_best([list_changes(plan, outcomes)])
        page.add_best([_problem_lines(plan, whole=True)])
        page.add_best([_note_lines(plan)])
    else:
        reserved = _RESERVED if plan.problems else 0
        page.add_best(_change_versions(plan, outcomes, whole), reserved)
        page.add_best(_problem_versions(plan, whole))
        page.add_best([list(_note_lines(plan)), _count_notes(plan, whole)])
    if whole is not False or outcomes is not None:
        page.add_best([_about_lines(plan)])
    if whole:
        page.add_best([_summary_lines(plan, narrow=columns < NARROW)])
    yield from finish_lines(page.lines)
    if outcomes is not None:
        yield "\n"
        yield from render_ending(plan, outcomes)
    elif end:
        yield from finish_lines(["", *end])


def _next_lines(plan: Plan, command: str | None, *, is_refused: bool) -> list[str]:
    said = f"{'Refused. ' if is_refused else ''}Nothing was written."
    if command is None or (plan.refusals and not is_refused):
        return [said]
    sentence, commands = advise_next(plan, command)
    return [f"{said} {sentence}", *(f"    {each}" for each in commands)]


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


class _Page(Struct):
    """The lines of a text, as many as there is room for."""

    columns: int
    room: int
    """Lines of a terminal that are left."""
    lines: list[str] = []

    def add_best(self, versions: Iterable[Iterable[str]], reserved: int = 0) -> None:
        """Add the first version of a part for which there is room, else the last, below an empty line."""
        lines: list[str] = []
        for version in versions:
            lines = list(version)
            if self.count_rows(lines) < self.room - reserved:
                break
        if lines:
            lines = ["", *lines] if self.lines else lines
            self.lines += lines
            self.room -= self.count_rows(lines)

    def count_rows(self, lines: Iterable[str]) -> int:
        """How many lines of a terminal these take. What is broken there is indented."""
        width = max(1, self.columns - _INDENT)
        rows = 0
        for line in lines:
            cells = cell_len(line)
            rows += 1 if cells <= self.columns else -(-cells // width)
        return rows


# ---------------------------------------------------------------- the head


def _head_lines(plan: Plan, outcomes: Outcomes) -> Lines:
    """The job, what would change, and the problems; below them what decides."""
    agents = plan.summary.agents
    read = f" for {count_noun(agents, 'agent')}, {plan.summary.matched:,} matched"
    yield f"{plan.job}: {report_title(plan, outcomes)}{read if agents else ''}"
    yield write_verdict(plan, outcomes)
    yield f"{_count_kinds(plan.problems)}.{_count_held_back(plan)}"
    for warning in list_warnings(plan, outcomes):
        yield f"! {warning}"
    if plan.notes.since:
        yield describe_since(plan.notes.since)


def _count_kinds(problems: Sequence[Problem]) -> str:
    if not problems:
        return "No problems"
    counts = (
        f"{len(each):,} {kind}" for kind, each in group_problems(problems).items()
    )
    return f"{count_noun(len(problems), 'problem')}: {', '.join(counts)}"


def _count_held_back(plan: Plan) -> str:
    """Matched users that differ and stay as they are. They show in no count of their own."""
    changing = sum(change.agent is not None for change in plan.changes)
    held = plan.summary.matched - plan.summary.unchanged - changing
    if held <= 0:
        return ""
    how = "left out by --only, or held back" if plan.notes.only else "held back"
    return f" {count_noun(held, 'matched user')} {how}."


def _refusal_lines(plan: Plan, *, is_refused: bool) -> Lines:
    if not plan.refusals:
        return
    yield "REFUSED" if is_refused else "REFUSED, then accepted"
    marker = TextMarker(plan.notes.people)
    for limit, count, why, users in list_refusals(plan, marker).rows:
        yield f"  {limit}  {count}".rstrip()
        yield f"    {why}"
        yield from _indent_cell(users)


def _indent_cell(cell: str, columns: int = 6) -> Lines:
    for line in cell.splitlines():
        yield f"{' ' * columns}{line}"


# ---------------------------------------------------------------- notes, sources, counts


def _note_lines(plan: Plan) -> Lines:
    for caution in plan.cautions:
        yield f"Note: {caution}"


def _count_notes(plan: Plan, whole: bool | None) -> Lines:
    if plan.cautions:
        notes = count_noun(len(plan.cautions), "note")
        yield f"{notes}: to read them, use {_ways_to_list_all(whole)}."


def _about_lines(plan: Plan) -> Lines:
    yield f"  plan    {plan.id}, created {plan.created}"
    yield f"  digest  {plan.digest}"
    for place, what in plan.about:
        yield f"  {place:<9} {what}"


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


def _count_lines(plan: Plan, names: Iterable[str], width: int) -> Lines:
    counts = plan.summary.counts
    for name in names:
        if name in counts:
            yield f"  {name:<{width}}{counts[name]:>9,}"


# ---------------------------------------------------------------- changes


def list_changes(
    plan: Plan, outcomes: Outcomes, *, packed: bool = False, new_alone: bool = False
) -> Lines:
    """Each change once, by kinds. `packed`: a user's attributes share a line; `new_alone`: those that are marked."""
    if not plan.changes:
        return
    describer = _ChangeDescriber(plan, outcomes, packed=packed)
    kinds = [(kind.title, kind.changes) for kind in plan.notes.kinds]
    users = count_noun(len(plan.changes), "user")
    yield f"Changes ({users}){', the riskiest first' if kinds else ''}"
    for title, changes in kinds or [("", plan.changes)]:
        if title:
            yield f"{len(changes):>7,}  {title}"
        for change in changes:
            if describer.marks.mark_change(change) or not new_alone:
                yield from describer.describe_change(change)


def _change_versions(
    plan: Plan, outcomes: Outcomes, whole: bool | None
) -> Iterator[Lines]:
    """The changes, or kinds of them with examples: first what says most."""
    count = len(plan.changes)
    if count <= LISTED:
        yield list_changes(plan, outcomes)
        yield list_changes(plan, outcomes, packed=True)
    since = plan.notes.since
    if since and count > LISTED and len(since.new) + len(since.changed) <= LISTED:
        yield _list_new(plan, outcomes, whole)
    if count > FEW:
        for examples, looks in ((EXAMPLES, count), (1, count), (1, 5), (0, 5), (0, 2)):
            yield chain(
                _kind_lines(plan, examples),
                _look_lines(plan, outcomes, looks),
                _all_listed_by(whole),
            )


def _all_listed_by(whole: bool | None) -> Lines:
    yield f"  To list all, use {_ways_to_list_all(whole)}."


def _list_new(plan: Plan, outcomes: Outcomes, whole: bool | None) -> Lines:
    yield from list_changes(plan, outcomes, packed=True, new_alone=True)
    yield from _all_listed_by(whole)


def _kind_lines(plan: Plan, examples: int) -> Lines:
    """Kinds, each with so many examples, but for users that are listed below."""
    if not plan.notes.kinds:
        yield f"Changes ({count_noun(len(plan.changes), 'user')})"
        return
    marker = TextMarker(plan.notes.people)
    looks = {look.user for look in plan.notes.worth_a_look}
    users = count_noun(len(plan.changes), "user")
    yield f"Kinds of changes ({users}), the riskiest first"
    for kind in plan.notes.kinds:
        yield f"{kind.users:>7,}  {kind.title}"
        others = [change.user for change in kind.changes if change.user not in looks]
        for user in others[:examples]:
            yield f"           {marker.mark_user(user.name)}"
        if examples and len(others) > examples:
            yield f"           … and {len(others) - examples:,} more"


def _look_lines(plan: Plan, outcomes: Outcomes, most: int) -> Lines:
    looks = plan.notes.worth_a_look
    if not looks:
        return
    describer = _ChangeDescriber(plan, outcomes, packed=True)
    changes = {change.user: change for change in plan.changes}
    yield ""
    yield f"Worth a look ({count_noun(len(looks), 'user')})"
    for look in looks[:most]:
        yield from describer.describe_look(changes[look.user])
    if len(looks) > most:
        yield f"  … and {len(looks) - most:,} more"


class _ChangeDescriber:
    """Describes a plan's changes, each with its outcome, what is new in it, and why it is worth a look."""

    def __init__(self, plan: Plan, outcomes: Outcomes, *, packed: bool) -> None:
        self.marks = NewsMarks(plan)
        self._marker = TextMarker(plan.notes.people)
        self._outcomes = by_user(outcomes)
        self._looks = {look.user: look.why for look in plan.notes.worth_a_look}
        self._packed = packed

    def describe_change(self, change: Change) -> Lines:
        outcome = self._outcomes.get(change.user.id)
        line = change_title(change, self._marker)
        if outcome:
            line += f"  [{outcome.result}]"
        news = self.marks.mark_change(change)
        if news:
            line += f"  [{news}]"
        yield line
        yield from self._describe_attributes(change.attributes)
        why = self._looks.get(change.user)
        if why:
            yield f"    ! {cut_text(why)}"

    def describe_look(self, change: Change) -> Lines:
        """A user that is worth a look; of its attributes those that are the reason, where some are."""
        why = self._looks[change.user]
        named = tuple(each for each in change.attributes if each.name in why)
        yield change_title(change, self._marker)
        yield from self._describe_attributes(named or change.attributes)
        yield f"    ! {cut_text(why)}"

    def _describe_attributes(self, attributes: Iterable[AttributeChange]) -> Lines:
        texts = [f"{each.name}: {cut_text(show_sides(each))}" for each in attributes]
        for text in _pack(texts) if self._packed else texts:
            yield f"    {text}"


def _pack(texts: Sequence[str]) -> list[str]:
    """Texts on one line; one in which their border could not be seen has its own."""
    shared = [each for each in texts if ";" not in each]
    alone = [each for each in texts if ";" in each]
    return [*filter(None, ["; ".join(shared)]), *alone]


def change_title(change: Change, marker: TextMarker) -> str:
    """Who changes, and why."""
    user = marker.mark_user(change.user.name)
    return f"~ {user}  ← {cut_text(give_reason(change))}"


def _ways_to_list_all(whole: bool | None) -> str:
    return "--report FILE" if whole is None else "--all or --report FILE"


# ---------------------------------------------------------------- problems


def _problem_lines(
    plan: Plan,
    most: int = LISTED,
    *,
    kinds: int = sys.maxsize,
    brief: bool = False,
    whole: bool | None = False,
) -> Lines:
    """Problems by kind: of so many kinds so many rows. `brief`: without what a kind means."""
    most = len(plan.problems) if whole else most
    left = len(plan.problems)
    marker = TextMarker(plan.notes.people)
    for section in islice(list_problems(plan, marker, most), kinds):
        yield f"Problems: {section.title}"
        if not brief:
            yield f"  {section.lead}"
        for row in section.rows:
            yield from describe_problem(row)
        left -= section.count
        yield from list_more(section.left, _ways_to_list_all(whole))
    if left:
        yield f"{count_noun(left, 'problem')} of other kinds: use {_ways_to_list_all(whole)}"


def _problem_versions(plan: Plan, whole: bool | None) -> Iterator[Lines]:
    """The problems, or the first of them: first what says most."""
    yield _problem_lines(plan, whole=whole)
    for most in (LISTED, 5, 2, 1):
        yield _problem_lines(plan, most, brief=True, whole=whole)
    for kinds in (5, 3, 1, 0):
        yield _problem_lines(plan, 1, kinds=kinds, brief=True, whole=whole)


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

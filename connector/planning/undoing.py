"""Taking a run back is a plan like any other: of its confirmed writes, where the value still is what that run wrote.

`make_undo_plan` lists the steps. What takes one change back is in `undo_values.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.matching.people import ExcludeList, refuse_unprotected
from connector.matching.user_names import NameRules
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Plan,
    Problem,
    Refusal,
    Result,
    Summary,
    User,
    UserRef,
    WritePart,
)
from connector.model.draft import Draft
from connector.model.limits import LimitBasis, too_many
from connector.planning.assembly import (
    PlanContents,
    assemble_plan,
    count_changes,
    list_held_back,
    make_change,
)
from connector.planning.brief import PlanBrief
from connector.planning.forms import OtherValues
from connector.planning.open_writes import OpenWrite, tell_unsettled
from connector.planning.person_names import add_people
from connector.planning.standing import ShownUser
from connector.planning.undo_values import (
    LastWriters,
    find_staying,
    make_back_draft,
    take_classes_back,
)
from connector.planning.unique_values import in_order, settle_drafts

_LATE: Final = "that run wrote it at {wrote}. {asked} does not show it yet. Rerun the undo once it does"
_UNSHOWN: Final = "that run wrote {names}, and the directory did not show it. All its values of this user are kept"
_SPARED: Final = "on the exclude list; the values of that run are kept"
_GONE: Final = "the user is gone, or outside base and filter"
_UNKNOWN: Final = "no answer tells whether that run wrote here, and {why}; kept"


class WrittenStep(Struct, frozen=True):
    """A write of the run, as its journal has it."""

    change: Change
    result: Result | None
    """None: nobody knows whether it happened."""
    server: str
    """The one that it was meant for."""
    run: str


class WrittenRun(Struct, frozen=True):
    """The run that is taken back, as its journal and that of later runs tell."""

    writes: Sequence[WrittenStep]
    begun: Mapping[str, Collection[str]] = {}
    """By user id what a killed undo emptied alone."""
    since: Mapping[str, Collection[str]] = {}
    """By user id the attributes that later runs wrote."""
    unshown: Sequence[tuple[Change, Collection[str]]] = ()
    """Changes with the attributes that the directory took and did not show: they stay."""

    def find_servers(self, here: str) -> dict[str, str]:
        """By user id the other server that it was written at."""
        return {
            each.change.user.id: each.server
            for each in self.writes
            if each.server not in ("", here)
        }


def make_undo_plan(
    directory: Lookup, brief: PlanBrief, run: WrittenRun, exclude: ExcludeList
) -> Plan:
    """The plan that takes back what a run has written, as far as it still is as that run left it.

    Attributes that belong together go back all, or none. `exclude`: agents and users that are left as they are.
    """
    naming = NameRules(brief.description)
    exclude = exclude.with_known_users(brief.memory.read_excluded())
    now = _read_users(directory, brief, run)
    written, unknown = _judge_writes(run, now, brief)
    problems = [*_tell_unknown(unknown, written, now, brief, run.since)]
    there, kept = _choose_users(written, now, brief, exclude, naming)
    problems += kept
    writers = LastWriters(brief, now, _list_open_users(run))
    drafts = _make_drafts(directory, there, brief, run, writers)
    unique = settle_drafts(directory, drafts, brief, lambda draft: False)
    for draft, (change, user) in zip(drafts, there, strict=True):
        draft.planned += take_classes_back(change, draft, user, brief)
    waiting = unique.find_waiting()
    changes = [make_change(draft, draft.planned, waiting) for draft in in_order(drafts)]
    summary = Summary(**count_changes(changes))
    whole = max(len(written), writers.users)
    refusals = _refuse_unprotected(directory, exclude, naming, written)
    refusals += too_many(brief.limits, summary, LimitBasis(whole, whole), changes)
    problems += [*list_held_back(drafts, unique.problems), *tell_unsettled(brief)]
    for each, lost in run.unshown:
        why = _UNSHOWN.format(names=", ".join(lost))
        problems.append(Problem("undo", why, each.agent, (each.user.name,)))
    contents = PlanContents(
        changes, problems, summary, refusals, brief.description.cautions
    )
    # nothing else is taken back
    ours = {change.user.id for change in changes}
    plan = assemble_plan(
        brief, contents, OtherValues(taken=unique.find_taken(), ours=ours)
    )
    return add_people(directory, plan, brief)


def _read_users(
    directory: Lookup, brief: PlanBrief, run: WrittenRun
) -> dict[str, User]:
    """By id the users that the run wrote to, or may have, as they are now."""
    refs = dict.fromkeys(
        each.change.user for each in run.writes if each.result in (Result.WRITTEN, None)
    )
    users = directory.read(refs, disabled=brief.mapping.disabled == "clear")
    return {user.id: user for user in users}


def _list_open_users(run: WrittenRun) -> set[str]:
    """Ids of users of whom the journal does not know whether the run wrote to them."""
    return {each.change.user.id for each in run.writes if each.result is None}


def _judge_writes(
    run: WrittenRun, now: Mapping[str, User], brief: PlanBrief
) -> tuple[list[Change], list[Change]]:
    """What was written, a change a user; and what may have been, where nothing tells."""
    open_runs = defaultdict[str, set[str]](set)
    for each in brief.memory.read_unsettled():
        open_runs[each.user.id].add(each.run)
    written, unknown = [], []
    for write in run.writes:
        result = _judge_write(write, now, brief, open_runs[write.change.user.id])
        if result is Result.WRITTEN:
            written.append(write.change)
        elif result is None:
            unknown.append(write.change)
    return join_parts(written), join_parts(unknown)


def _judge_write(
    write: WrittenStep,
    now: Mapping[str, User],
    brief: PlanBrief,
    open_runs: Collection[str],
) -> Result | None:
    """What came of a write; where the journal does not know, the user as it is now tells. None: nothing tells.

    `open_runs`: the runs that have an open write of that user.
    """
    id_ = write.change.user.id
    if write.result is not None or id_ not in now:
        # who is gone may be out of reach for a while, as somebody who is disabled or was moved
        return write.result
    past = brief.memory.read_past([id_]).get(id_, ())
    earlier = takewhile(
        lambda whose: whose != write.run, (whose for whose, _, _ in past)
    )
    told = OpenWrite(
        write.change,
        ShownUser(now[id_], brief.description, brief.fingerprint),
        write.run,
        write.server,
        brief.memory.read_confirmed([id_]).get(id_, {}),
        past,
        set(earlier).intersection(open_runs),
    ).judge()
    return told.result if told else None


def _tell_unknown(
    unknown: Iterable[Change],
    written: Iterable[Change],
    now: Mapping[str, User],
    brief: PlanBrief,
    since: Mapping[str, Collection[str]],
) -> Iterator[Problem]:
    """Users whom the run may have written, where what this account sees does not tell."""
    named = {change.user.id for change in written}
    for change in unknown:
        user = now.get(change.user.id)
        if user is None:
            if change.user.id not in named:
                yield _make_problem(change, _UNKNOWN.format(why=_GONE))
            continue
        shown = ShownUser(user, brief.description, brief.fingerprint)
        judged = {OBJECT_CLASS, *since.get(change.user.id, ())}
        hidden = [
            each.name
            for each in change.attributes
            if each.name not in judged and shown.stands(each) is None
        ]
        if hidden:
            why = f"nothing that is read tells of {', '.join(hidden)}"
            yield _make_problem(change, _UNKNOWN.format(why=why))


def _choose_users(
    written: Sequence[Change],
    now: Mapping[str, User],
    brief: PlanBrief,
    exclude: ExcludeList,
    naming: NameRules,
) -> tuple[list[tuple[Change, User]], list[Problem]]:
    """The changes that may be taken back, each with its user; and why others are kept."""
    ids = [change.user.id for change in written]
    spared = exclude.make_test(naming, brief.memory.read_agents(ids))
    there: list[tuple[Change, User]] = []
    problems: list[Problem] = []
    for change in written:
        user = now.get(change.user.id)
        if user is None or (user.disabled and change.agent is not None):
            problems.append(_make_problem(change, f"{_GONE}; kept"))
        # by its name of now, or of then
        elif spared(change.agent, user.ref) or spared(None, change.user):
            problems.append(Problem("exclude", _SPARED, change.agent, (user.name,)))
        else:
            there.append((change, user))
    return there, problems


def _make_problem(change: Change, why: str) -> Problem:
    return Problem("undo", why, change.agent, (change.user.name,))


def _make_drafts(
    directory: Lookup,
    there: Sequence[tuple[Change, User]],
    brief: PlanBrief,
    run: WrittenRun,
    writers: LastWriters,
) -> list[Draft]:
    """What takes back each change, and what of it must stay."""
    server = brief.description.server
    elsewhere = run.find_servers(server)
    stays = find_staying(directory, there, brief, run.since)
    drafts = []
    for change, user in there:
        emptied = run.begun.get(user.id, ())
        # why an attribute that is as it was before the run may not be so everywhere
        late = dict[str, str]()
        if user.id in elsewhere:
            had_values = {each.name for each in change.attributes if each.old}
            # what was emptied alone, and had no value before, is done
            done = set(run.since.get(user.id, ())) - had_values.intersection(emptied)
            why = _LATE.format(wrote=elsewhere[user.id], asked=server)
            late = {
                each.name: why for each in change.attributes if each.name not in done
            }
        draft = make_back_draft(
            change,
            ShownUser(user, brief.description, brief.fingerprint),
            brief.mapping.groups,
            writers,
            begun=emptied,
            stays=stays[user.id],
            late=late,
        )
        drafts.append(draft)
    return drafts


def _refuse_unprotected(
    directory: Lookup,
    exclude: ExcludeList,
    naming: NameRules,
    written: Sequence[Change],
) -> list[Refusal]:
    """The refusal for entries of the exclude list that name nobody, neither now nor among the users of then."""
    then: list[UserRef] = [change.user for change in written]
    keys = exclude.list_keys(naming)
    now = list(directory.find(keys)) if keys else []
    lost = [entry for entry, ids in exclude.name_users(now, naming).items() if not ids]
    lost = [entry for entry in lost if not any(map(naming.make_test([entry]), then))]
    return refuse_unprotected(directory, exclude, naming, lost)


def join_parts(steps: Iterable[Change]) -> list[Change]:
    """One change a user: a change that was written in parts is whole again, with what went first at its begin."""
    users: dict[str, Change] = {}
    for change in sorted(steps, key=lambda change: change.part is WritePart.REST):
        before = users.get(change.user.id)
        users[change.user.id] = (
            change
            if before is None
            else replace(before, attributes=_join_attributes(before, change))
        )
    return sorted(users.values(), key=lambda change: (change.user.name, change.user.id))


def _join_attributes(first: Change, second: Change) -> tuple[AttributeChange, ...]:
    begun = {each.name: each for each in first.attributes}
    then = {each.name for each in second.attributes}
    return (
        *(each for each in first.attributes if each.name not in then),
        *(
            replace(each, old=begun[each.name].old) if each.name in begun else each
            for each in second.attributes
        ),
    )

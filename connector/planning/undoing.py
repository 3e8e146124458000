"""Taking a run back is a plan like any other: of its confirmed writes, where the value still is what that run wrote.

`make_undo_plan` lists the steps.
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
    Description,
    Equality,
    Held,
    Holds,
    Plan,
    Problem,
    Question,
    Refusal,
    Result,
    Secret,
    Summary,
    User,
    equality,
    hide_value,
    patterns,
)
from connector.model.digests import UNKEYED
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
from connector.planning.order import join_parts
from connector.planning.person_names import add_people
from connector.planning.schema_checks import classes_of, is_emptied
from connector.planning.standing import LastWriters, ShownUser
from connector.planning.unique_values import in_order, settle_drafts

_LATE: Final = "that run wrote it at {wrote}. {asked} does not show it yet. Rerun the undo once it does"
_UNSHOWN: Final = "that run wrote {names}, and the directory did not show it. All its values of this user are kept"
_SPARED: Final = "on the exclude list; the values of that run are kept"
_GONE: Final = "the user is gone, or outside base and filter"
_UNKNOWN: Final = "no answer tells whether that run wrote here, and {why}; kept"
_UNREADABLE: Final = "no value is shown: it is gone, or this account cannot read it. It may have changed since that run"
_STAYS: Final = (
    "kept. Grant the right to read it and rerun the undo, or remove it by hand"
)
_CHANGED: Final = "changed since that run; kept"


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


class _Undo(Struct, frozen=True):
    """What an undo is made from."""

    brief: PlanBrief
    run: WrittenRun
    now: Mapping[str, User]
    """By id the users that the run wrote to, or may have, as they are now."""

    def show_user(self, user: User) -> ShownUser:
        return ShownUser(user, self.brief.description, self.brief.fingerprint)


def make_undo_plan(
    directory: Lookup, brief: PlanBrief, run: WrittenRun, exclude: ExcludeList
) -> Plan:
    """The plan that takes back what a run has written, as far as it still is as that run left it.

    Attributes that belong together go back all, or none. `exclude`: agents and users that are left as they are.
    """
    naming = NameRules(brief.description)
    exclude = exclude.with_known_users(brief.memory.read_excluded())
    undo = _Undo(brief, run, _read_users(directory, brief, run))
    written, unknown = _judge_writes(undo)
    there, kept = _choose_users(undo, written, exclude, naming)
    open_users = {each.change.user.id for each in run.writes if each.result is None}
    writers = LastWriters(brief.memory, brief.description, undo.now, open_users)
    drafts = _make_drafts(directory, undo, there, writers)
    unique = settle_drafts(directory, drafts, brief, lambda draft: False)
    for draft, (change, user) in zip(drafts, there, strict=True):
        draft.planned += take_classes_back(change, draft, user, brief)
    waiting = unique.find_waiting()
    changes = [make_change(draft, draft.planned, waiting) for draft in in_order(drafts)]
    summary = Summary(**count_changes(changes))
    whole = max(len(written), writers.users)
    refusals = _refuse_unprotected(directory, exclude, naming, written)
    refusals += too_many(brief.limits, summary, LimitBasis(whole, whole), changes)
    problems = [
        *_tell_unknown(undo, unknown, written),
        *kept,
        *list_held_back(drafts, unique.problems),
        *tell_unsettled(brief),
    ]
    for each, lost in run.unshown:
        problems.append(_make_problem(each, _UNSHOWN.format(names=", ".join(lost))))
    contents = PlanContents(
        changes, problems, summary, refusals, brief.description.cautions
    )
    # nothing else is taken back
    ours = {change.user.id for change in changes}
    others = OtherValues(taken=unique.find_taken(), ours=ours)
    return add_people(directory, assemble_plan(brief, contents, others), brief)


def _read_users(
    directory: Lookup, brief: PlanBrief, run: WrittenRun
) -> dict[str, User]:
    refs = dict.fromkeys(
        each.change.user for each in run.writes if each.result in (Result.WRITTEN, None)
    )
    users = directory.read(refs, disabled=brief.mapping.disabled == "clear")
    return {user.id: user for user in users}


# ---------------------------------------------------------------- what the run wrote


def _judge_writes(undo: _Undo) -> tuple[list[Change], list[Change]]:
    """What was written, a change a user; and what may have been, where nothing tells."""
    open_runs = defaultdict[str, set[str]](set)
    for each in undo.brief.memory.read_unsettled():
        open_runs[each.user.id].add(each.run)
    written, unknown = [], []
    for write in undo.run.writes:
        id_, result = write.change.user.id, write.result
        # who is gone may be out of reach for a while, as somebody who is disabled or was moved
        if result is None and id_ in undo.now:
            result = _judge_by_user(undo, write, open_runs[id_])
        if result is Result.WRITTEN:
            written.append(write.change)
        elif result is None:
            unknown.append(write.change)
    return join_parts(written), join_parts(unknown)


def _judge_by_user(
    undo: _Undo, write: WrittenStep, open_runs: set[str]
) -> Result | None:
    """What came of a write of which the journal does not know, by its user as it is now; None: nothing tells."""
    id_, memory = write.change.user.id, undo.brief.memory
    past = memory.read_past([id_]).get(id_, ())
    runs = (run for run, _, _ in past)
    earlier = takewhile(lambda run: run != write.run, runs)
    told = OpenWrite(
        write.change,
        undo.show_user(undo.now[id_]),
        write.run,
        write.server,
        memory.read_confirmed([id_]).get(id_, {}),
        past,
        open_runs.intersection(earlier),
    ).judge()
    return told.result if told else None


def _tell_unknown(
    undo: _Undo, unknown: Iterable[Change], written: Iterable[Change]
) -> Iterator[Problem]:
    """Users whom the run may have written, where what this account sees does not tell."""
    named = {change.user.id for change in written}
    for change in unknown:
        id_ = change.user.id
        if id_ not in undo.now:
            if id_ not in named:
                yield _make_problem(change, _UNKNOWN.format(why=_GONE))
            continue
        shown = undo.show_user(undo.now[id_])
        judged = {OBJECT_CLASS, *undo.run.since.get(id_, ())}
        others = [each for each in change.attributes if each.name not in judged]
        hidden = [each.name for each in others if shown.stands(each) is None]
        if hidden:
            why = f"nothing that is read tells of {', '.join(hidden)}"
            yield _make_problem(change, _UNKNOWN.format(why=why))


def _choose_users(
    undo: _Undo, written: Sequence[Change], exclude: ExcludeList, naming: NameRules
) -> tuple[list[tuple[Change, User]], list[Problem]]:
    """The changes that may be taken back, each with its user; and why others are kept."""
    ids = [change.user.id for change in written]
    spared = exclude.make_test(naming, undo.brief.memory.read_agents(ids))
    there: list[tuple[Change, User]] = []
    problems: list[Problem] = []
    for change in written:
        user = undo.now.get(change.user.id)
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


def _refuse_unprotected(
    directory: Lookup,
    exclude: ExcludeList,
    naming: NameRules,
    written: Iterable[Change],
) -> list[Refusal]:
    """The refusal for entries of the exclude list that name nobody, neither now nor among the users of then."""
    keys = exclude.list_keys(naming)
    now = list(directory.find(keys)) if keys else []
    lost = [entry for entry, ids in exclude.name_users(now, naming).items() if not ids]
    then = [change.user for change in written]
    lost = [entry for entry in lost if not any(map(naming.make_test([entry]), then))]
    return refuse_unprotected(directory, exclude, naming, lost)


# ---------------------------------------------------------------- what takes it back


def _make_drafts(
    directory: Lookup,
    undo: _Undo,
    there: Sequence[tuple[Change, User]],
    writers: LastWriters,
) -> list[Draft]:
    """What takes back each change, and what of it must stay."""
    stays = _find_staying(directory, undo, there)
    server = undo.brief.description.server
    elsewhere = {
        each.change.user.id: each.server
        for each in undo.run.writes
        if each.server not in ("", server)
    }
    drafts = []
    for change, user in there:
        emptied = undo.run.begun.get(user.id, ())
        late = dict[str, str]()
        if user.id in elsewhere:
            why = _LATE.format(wrote=elsewhere[user.id], asked=server)
            late = dict.fromkeys(_list_late(change, undo.run, emptied), why)
        drafts.append(
            _draft_back(
                undo,
                change,
                user,
                stays[user.id],
                late,
                writers=writers,
            )
        )
    return drafts


def _draft_back(
    undo: _Undo,
    change: Change,
    user: User,
    stays: Mapping[str, str],
    late: Mapping[str, str],
    *,
    writers: LastWriters,
) -> Draft:
    """What takes one change back, and what of it, or of the groups that it is part of, must stay."""
    shown, back, kept = undo.show_user(user), [], dict[str, str]()
    emptied = undo.run.begun.get(user.id, ())
    for each in change.attributes:
        if each.name == OBJECT_CLASS:
            continue
        answer = stays.get(each.name) or _take_back(each, shown, emptied)
        if answer is None:
            answer = late.get(each.name)
        if isinstance(answer, AttributeChange):
            answer = writers.tell_later_writer(user.id, each, answer) or answer
        if isinstance(answer, AttributeChange):
            back.append(answer)
        elif answer:
            kept[each.name] = answer
    for group in undo.brief.mapping.groups:
        if any(each.name in group for each in back):
            kept |= {name: why for name, why in stays.items() if name in group}
    held = [
        Problem("undo", why, change.agent, (user.name,), attribute=name)
        for name, why in kept.items()
    ]
    return Draft(
        user.ref,
        change.agent,
        change.rule,
        tuple(back),
        tuple(held),
        disabled=user.disabled,
        inactive=user.inactive,
    )


def _list_late(
    change: Change,
    run: WrittenRun,
    emptied: Collection[str],
) -> set[str]:
    """Attributes that may not be everywhere as they were before the run: it wrote at another server."""
    had_values = {each.name for each in change.attributes if each.old}
    # what was emptied alone, and had no value before, is done
    done = {*run.since.get(change.user.id, ())} - had_values.intersection(emptied)
    return {each.name for each in change.attributes} - done


def _find_staying(
    directory: Lookup, undo: _Undo, there: Sequence[tuple[Change, User]]
) -> dict[str, dict[str, str]]:
    """By user id the attributes that stay whatever they hold, each with the reason."""
    description = undo.brief.description
    stays: dict[str, dict[str, str]] = {}
    unseen: list[Question] = []
    for change, user in there:
        later = dict.fromkeys(
            undo.run.since.get(user.id, ()), "a later run wrote it; kept"
        )
        for each in change.attributes:
            later.pop(each.name, None)
            info = description.attributes.get(each.name)
            if info is None or info.readable is True or each.name in user.values:
                continue
            # what was emptied: is there none still?
            values = each.new or (() if each.fingerprint else each.old)
            if values:
                unseen.append(Question(change.user, each.name, values[0]))
        stays[user.id] = later
    for asked, answer in directory.compare(unseen):
        if answer is not Holds.ABSENT:
            why = _tell_unreadable(description, asked.value)
            stays[asked.user.id][asked.attribute] = why
    return stays


def _tell_unreadable(description: Description, value: Held) -> str:
    if isinstance(value, Secret) and description.writing.replaces:
        return f"{_UNREADABLE}; it may be lost, since the whole user is written"
    return f"{_UNREADABLE}; {_STAYS}"


def _take_back(
    each: AttributeChange, shown: ShownUser, emptied: Collection[str]
) -> AttributeChange | str | None:
    """The change that takes this one back, None where that was done already, or why it stays."""
    if each.secret:
        return _take_secret_back(each, shown)
    rule = shown.description.equality(each.name)
    ours = patterns.owned_values(each.pattern, shown.held_values(each.name))
    if equality.same_set(rule, ours, each.old):
        return None
    is_emptied = not ours and each.name in emptied
    if not is_emptied and not equality.same_set(rule, ours, each.new):
        return _CHANGED
    return replace(each, old=ours, new=each.old)


def _take_secret_back(
    each: AttributeChange, shown: ShownUser
) -> AttributeChange | str | None:
    held, shows = shown.held_values(each.name), shown.shows_whole(each.name)
    was_known = each.seen or each.absent
    if each.fingerprint and not shows:
        return _tell_unreadable(shown.description, Secret(""))
    if was_known and equality.same_set(Equality.OCTETS, held, each.old):
        return None
    if each.fingerprint == UNKEYED:
        return "that run had another key, so a later change cannot be excluded; kept"
    if not shown.secret_stands(each):
        return _CHANGED
    if not was_known:
        return "its value before that run could not be read, or is sealed with another key; kept"
    print_ = ""
    if each.old:
        print_ = shown.fingerprint(shown.user.ref, each.name, each.old[0])
    return replace(
        each,
        old=tuple(map(hide_value, held)),
        new=tuple(map(hide_value, each.old)),
        seen=shows,
        absent=not shows,
        fingerprint=print_,
    )


def take_classes_back(
    change: Change, draft: Draft, user: User, brief: PlanBrief
) -> tuple[AttributeChange, ...]:
    """Away with the object classes that the run added and nothing left on the entry needs; back with those it took."""
    wrote = next((one for one in change.attributes if one.name == OBJECT_CLASS), None)
    if wrote is None:
        return ()
    held, left = classes_of(user), _list_left(draft, user, brief)
    others = set(held)
    gone = []
    for name in map(str, wrote.new):
        low = name.lower()
        allowing = {
            each: info.definition.classes
            for each, info in brief.description.attributes.items()
            if low in info.definition.classes
        }
        others.discard(low)
        needing = [
            each for each in left & allowing.keys() if not allowing[each] & others
        ]
        if low in held and allowing and not needing:
            gone.append(name)
        elif low in held:
            others.add(low)
    come = [name for name in map(str, wrote.old) if name.lower() not in held]
    if not gone and not come:
        return ()
    return (AttributeChange(OBJECT_CLASS, tuple(gone), tuple(come)),)


def _list_left(
    draft: Draft,
    user: User,
    brief: PlanBrief,
) -> set[str]:
    """The attributes that the user has once the draft is written, or may have."""
    left = {*user.values, *(each.name for each in draft.planned)}
    left -= {each.name for each in draft.planned if is_emptied(user, each)}
    left |= {each.attribute or "" for each in draft.held}
    for name, info in brief.description.attributes.items():
        if info.readable is not True and brief.memory.fingerprint_of(user.id, name):
            left.add(name)
    return left - {OBJECT_CLASS}

"""Users of ours that no agent claims: who they are, and where.

One read by id, also past base and filter, tells where they are. Whoever is out of reach may be disabled, left out by
the filter for another reason, moved out of the base, or deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set as AbstractSet
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.matching.lookup import Lookup
from connector.matching.matches import Matches
from connector.model import (
    ID,
    Change,
    Cleared,
    Description,
    Holds,
    Memory,
    Problem,
    Question,
    Scope,
    User,
    UserRef,
)
from connector.model.dn import is_below, split_rdns
from connector.model.mapping import Mapping as AttributeMapping
from connector.planning.brief import PlanBrief, Slot
from connector.planning.compare_user import UserComparer
from connector.planning.standing import Leaver, LeaverPlace

READ_AGAIN: Final = 500
"""Former leavers that a plan reads to see whether what was cleared is back: one request each."""
BACK: Final = (
    "{names}: cleared on {date}, and back. Not cleared again, for somebody may have put it back on purpose. Clear it "
    "by hand, or set `adopt: true` for an attribute that only this job writes"
)
ANY: Final = ""
"""In the place of an attribute: any of them."""


class Leavers(Struct, frozen=True):
    """Users that hold something of ours and that no agent claims, and what is to be said of them."""

    users: Sequence[Leaver]
    """Those that a plan speaks of."""
    silent: Sequence[Leaver]
    """Those of which an earlier plan has said that they are nowhere."""
    holders: Mapping[str, int]
    """How many users hold something of ours, by attribute as it was spelt; under `ANY`, of any attribute."""
    claimed: AbstractSet[str] = frozenset()
    """The ids of users that agents claim and that hold something of ours."""
    lapsed: frozenset[str] = frozenset()
    """The ids of those that are nowhere."""
    problems: Sequence[Problem] = ()
    """A line about each former leaver that shows again what this job cleared."""
    restored: int = 0
    """How many of these hold a secret again."""

    @property
    def user_ids(self) -> frozenset[str]:
        return frozenset(each.user.id for each in self.users)


def find_leavers(
    directory: Lookup,
    brief: PlanBrief,
    matches: Matches,
    comparer: UserComparer,
) -> Leavers:
    """Who has left, by what this job wrote last and by what attributes with `adopt` hold."""

    def is_nobodys(user: UserRef) -> bool:
        return user.id not in matches.claimed and user.name not in matches.unidentified

    adopting = brief.mapping.adopting
    why = f"`adopt: true` of {' and '.join(adopting)} has to see every user who holds a value"
    adopted = directory.scan(adopting, why) if adopting else ()
    found = list_leavers(
        brief.memory,
        is_nobodys,
        adopted,
        comparer.list_adopted,
    )
    shown = (match.id for match in matches.matched if match.user.identified)
    witness = next(shown, None)
    placed = place_leavers(
        directory,
        found.users,
        brief.description,
        witness,
    )
    told, lapsed = split_lapsed(placed, brief.memory.read_lapsed())
    ids = {each.user.id for each in told}
    problems, restored = _find_restored(
        directory,
        brief,
        is_nobodys,
        comparer,
    )
    return replace(
        found,
        users=[
            replace(each, theirs=comparer.list_theirs(each, brief.fingerprint))
            for each in told
        ],
        silent=[each for each in placed if each.user.id not in ids],
        lapsed=lapsed,
        problems=problems,
        restored=restored,
    )


def list_leavers(
    memory: Memory,
    is_nobodys: Callable[[UserRef], bool],
    adopted: Iterable[User],
    adopts: Callable[[User], frozenset[str]],
) -> Leavers:
    """Users that we wrote to, and that are `adopted` for what they hold, whoever wrote it, by their names."""
    found = dict[str, Leaver]()
    unshown, lapsed, claimed = memory.read_unshown(), memory.read_lapsed(), set[str]()
    holders: Counter[str] = Counter()
    for ref, written in memory.read_owned():
        owned = {name: each for name, each in written.items() if not each.restored}
        if ref.id not in lapsed:
            holders.update([ANY, *owned])
        lost = unshown.get(ref.id, {})
        if not is_nobodys(ref):
            claimed.update([ref.id] if owned else [])
        elif owned or lost:
            found[ref.id] = Leaver(
                ref,
                owned,
                unshown=lost,
            )
    for user in adopted:
        names = adopts(user) if is_nobodys(user.ref) else frozenset()
        if names:
            each = found.get(user.id, Leaver(user.ref))
            holders.update(name for name in names if each.find_last(name) is None)
            holders.update([] if user.id in found else [ANY])
            found[user.id] = replace(
                each,
                user=user.ref,
                adopted=names,
            )
    users = sorted(found.values(), key=lambda each: each.user)
    return Leavers(
        users,
        (),
        holders,
        claimed,
    )


def _find_restored(
    directory: Lookup,
    brief: PlanBrief,
    is_nobodys: Callable[[UserRef], bool],
    comparer: UserComparer,
) -> tuple[list[Problem], int]:
    """A line about each user without an agent that shows what this job cleared there; how many got secrets back."""
    known = [each for each in brief.memory.read_cleared() if is_nobodys(each.user)]
    if not known:
        return [], 0
    adopting = {name.lower() for name in brief.mapping.adopting}
    theirs = {
        (each.user.id, name.lower())
        for each in brief.memory.read_other_jobs()
        for name in each.attributes
    }
    cleared: dict[str, list[Cleared]] = {}
    for each in known:
        name = each.attribute.lower()
        if name not in adopting and (each.user.id, name) not in theirs:
            cleared.setdefault(each.user.id, []).append(each)
    refs = cleared_last(cleared.values())
    problems, credentials = [], 0
    for user in directory.read(refs, disabled=True) if refs else ():
        held = {each.attribute: each.held for each in cleared[user.id]}
        was = Leaver(
            user.ref,
            held,
            now=user,
        )
        ours = comparer.draft_clearing(
            user,
            was,
            brief.fingerprint,
        ).planned
        names = [each.name for each in ours if each.seen]
        if names:
            date = max(each.time for each in cleared[user.id])[:10]
            why = BACK.format(names=", ".join(names), date=date)
            problems.append(
                Problem(
                    "stale",
                    why,
                    users=(user.name,),
                )
            )
            credentials += any(each.secret for each in ours)
    return problems, credentials


def cleared_last(cleared: Iterable[Sequence[Cleared]]) -> list[UserRef]:
    """The users of these, those cleared last first, no more than a plan may read one by one."""
    newest = sorted(
        cleared,
        key=lambda each: max(one.time for one in each),
        reverse=True,
    )
    return [each[0].user for each in newest[:READ_AGAIN]]


# ---------------------------------------------------------------- where they are


def place_leavers(
    directory: Lookup,
    leavers: Sequence[Leaver],
    description: Description,
    witness: str | None,
) -> list[Leaver]:
    """These users with where they are, and as they are now. `witness`: the id of a user within base and filter.

    That nobody is found past them is believed where somebody is who is there, and where that look is one at the whole
    directory (`Scope.sees_past`).
    """
    if not leavers:
        return []
    refs = [each.user for each in leavers]
    within = {user.id: user for user in directory.read(refs, disabled=True)}
    gone = [ref.id for ref in refs if ref.id not in within]
    past: dict[str, User] = {}
    if gone:
        asked = [(ID, id_) for id_ in (*gone, witness) if id_]
        # nobody where nobody may look there
        with suppress(IncompleteRead):
            past = {user.id: user for user in directory.find_outside(asked)}
    is_sure = bool(past) and description.scope.sees_past
    placed = []
    for each in leavers:
        id_ = each.user.id
        user = within.get(id_) or past.get(id_)
        if id_ in within:
            disabled = within[id_].disabled
            place = LeaverPlace.DISABLED if disabled else LeaverPlace.WITHIN
        elif user is None:
            place = LeaverPlace.DELETED if is_sure else LeaverPlace.UNKNOWN
        else:
            place = _find_place_past(user, description.scope)
        placed.append(
            replace(
                each,
                place=place,
                now=user,
            )
        )
    return placed


def _find_place_past(user: User, scope: Scope) -> LeaverPlace:
    bases = [split_rdns(base) for base in scope.bases]
    here = not bases or is_below(
        user.name,
        *bases,
        one_level=scope.one_level,
    )
    return LeaverPlace.FILTERED if here else LeaverPlace.MOVED


def split_lapsed(
    leavers: Sequence[Leaver], lapsed: frozenset[str]
) -> tuple[list[Leaver], frozenset[str]]:
    """Those that a plan speaks of, and the ids of those that lapse with it: nobody speaks of a deleted user twice.

    `lapsed`: of whom it was said. They stay so where nobody may look for them.
    """
    gone = frozenset(
        each.user.id for each in leavers if each.place is LeaverPlace.DELETED
    )
    unknown = frozenset(
        each.user.id for each in leavers if each.place is LeaverPlace.UNKNOWN
    )
    silent = lapsed & (gone | unknown)
    return [each for each in leavers if each.user.id not in silent], gone | silent


# ---------------------------------------------------------------- what they hold


def find_emptied(
    directory: Lookup,
    leavers: Sequence[Leaver],
    rules: AttributeMapping,
    description: Description,
) -> list[Slot]:
    """Attributes to which this job wrote, of users that nobody claims and that hold no value of them any more.

    Where a value may only be hidden, the directory is asked; secrets are asked about as they are cleared.
    """
    if description.reading.hides:
        return []
    absent: list[Slot] = []
    hidden: list[Question] = []
    for each in leavers:
        user = each.now
        if user is None or each.place not in (LeaverPlace.WITHIN, LeaverPlace.DISABLED):
            continue
        for rule in rules.attributes:
            name = rule.name
            is_held = name in each.unshown or user.values.get(name)
            if is_held or not each.find_last(name):
                continue
            if description.attributes[name].readable:
                absent.append((user.id, name))
            elif not rule.secret:
                hidden.append(
                    Question(
                        user.ref,
                        name,
                        "0",
                    )
                )
    for asked, answer in directory.compare(hidden):
        if answer is Holds.ABSENT:
            absent.append((asked.user.id, asked.attribute))
    return absent


def count_keeping_credentials(
    leavers: Iterable[Leaver],
    changes: Iterable[Change],
    mapping: AttributeMapping,
) -> int:
    """How many stale users keep a secret of this job. Whoever was deleted keeps nothing."""
    secret = {rule.name.lower() for rule in mapping.attributes if rule.secret}
    cleared = {
        change.user.id: {each.name.lower() for each in change.attributes}
        for change in changes
        if change.agent is None
    }
    return sum(
        not each.list_credentials(secret) <= cleared.get(each.user.id, set())
        for each in leavers
        if each.place is not LeaverPlace.DELETED
    )

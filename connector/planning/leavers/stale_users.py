"""Stale users: they hold something of ours and no agent claims them. Who they are, and when that is to be cleared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    AgentRef,
    Cleared,
    Fingerprint,
    Held,
    Memory,
    Moment,
    Owned,
    Problem,
    User,
    UserRef,
)
from connector.model.mapping import Grace, Mapping as AttributeMapping, Stale
from connector.planning.brief import Brief
from connector.planning.compare.draft import Draft
from connector.planning.leavers.grace import passed

UNSURE = (
    "stale users are kept: some agents may be anybody (an invalid record, a pin without a match, pins that contradict "
    "each other or the records, or users that do not show their ids)"
)
UNMAPPED = (
    "{names} left the mapping, and no run has cleared the values of this job. To clear them, see docs/mapping-file.md, "
    "`An attribute that leaves the mapping`"
)
READ_AGAIN: Final = 500
"""Former leavers that a plan reads to see whether what was cleared is back: one request each."""
BACK = (
    "{names}: cleared on {date}, and back. Not cleared again, for somebody may have put it back on purpose. Clear it "
    "by hand, or set `adopt: true` for an attribute that only this job writes"
)
NOT_OURS = (
    "matched users that hold their values already, none of them written by this job: {users}. If their agents leave, "
    "nothing is cleared there. To change that, set `adopt: true` for an attribute that only this job writes"
)
MISSED = "not cleared: an agent matches this user, but no look-up gave it the user"
DOUBTED = (
    "not cleared: it may be the user of an agent that has no value for the match rule of {names}, or shares one with "
    "another record. Solve the problems of unmatched and contested agents"
)
UNSEEN = "secrets that this account cannot read are cleared from stale users, whoever wrote them"
JUMPED = (
    "{jump} since the last apply ({last}). The time since then does not count towards clear_after. Check the "
    "clock of this machine"
)
UNSHOWN_LEAVER = (
    "a value of this job that this account cannot read; not cleared. "
    "Grant the right to read it, or clear it by hand"
)
CHANGED = "changed by somebody since this job wrote it; kept"
_LOST: Final = ". The mapping no longer writes {names}: not cleared"
_SPARED: Final = "stale, and on the exclude list; without that it would be cleared"
_KEPT: Final = ". Its values are kept. To clear them, set `stale: {disabled: clear}` in the mapping"


ANY: Final = ""
"""In the place of an attribute: any of them."""


class Place(Enum):
    """Where a user that nobody claims is, with what its line says of that.

    `UNKNOWN`: base and filter leave it out, and a look past them does not tell.
    """

    WITHIN = ""
    DISABLED = ". The user is disabled, so the filter leaves it out"
    FILTERED = ". The filter leaves the user out, so nothing is written there. Clear it by hand, or widen the filter"
    MOVED = ". The user was moved out of the base, so nothing is written there. Clear it by hand, or widen the base"
    DELETED = ". The user was deleted, or is hidden from the job's account. This note is given once"
    UNKNOWN = (
        ". The user is outside base and filter: disabled, moved or deleted. To tell which, grant the job's "
        "account the right to read the whole tree, or check by hand"
    )


class Unclaimed(Struct, frozen=True):
    """A user that nobody claims, what this job wrote last there, and the attributes that are `adopted`.

    `now`: as it is shown now, wherever it is. `unshown`: as of `Memory.unshown`. `theirs`: attributes that hold what
    somebody else has put in the place of ours, and nothing of ours.
    """

    user: UserRef
    owned: Mapping[str, Owned] = {}
    adopted: frozenset[str] = frozenset()
    place: Place = Place.WITHIN
    now: User | None = None
    unshown: Mapping[str, tuple[Held, ...]] = {}
    theirs: frozenset[str] = frozenset()

    def last(self, name: str) -> Owned | None:
        """What this job wrote last to an attribute, however its name was spelt then; None: nothing."""
        return next(
            (
                each
                for spelt, each in self.owned.items()
                if spelt.lower() == name.lower()
            ),
            None,
        )

    @property
    def renamed(self) -> bool:
        """Whether the user is there under another name."""
        return self.now is not None and self.now.name != self.user.name

    def credentials(self, secret: Collection[str]) -> frozenset[str]:
        """The attributes, in small letters, that hold a secret of ours. `secret`: those that are secret now."""
        names = {name.lower() for name in self.names}
        written = {
            name.lower() for name, each in self.owned.items() if each.fingerprint
        }
        return frozenset(names & {*secret, *written})

    @property
    def names(self) -> frozenset[str]:
        """The attributes that hold something of ours, as far as is known."""
        names = self.adopted | self.owned.keys() | self.unshown.keys()
        return (
            frozenset(each for each in names if each.lower() not in self.theirs)
            if self.theirs
            else names
        )


class Ours(Struct, frozen=True):
    """Users that hold something of ours: those whom no agent claims, and the ids of `claimed` ones.

    `holders`: how many there are, by attribute as it was spelt; under `ANY`, of any attribute.
    """

    unclaimed: list[Unclaimed]
    holders: Counter[str]
    claimed: set[str]


def unclaimed(
    memory: Memory,
    nobodys: Callable[[UserRef], bool],
    adopted: Iterable[User],
    ours: Callable[[User], frozenset[str]],
) -> Ours:
    """Users that we wrote to, and that are `adopted` for what they hold, whoever wrote it.

    `nobodys`: whether no agent claims the user.
    """
    found, unshown, lapsed, claimed = {}, memory.unshown(), memory.lapsed(), set[str]()
    holders: Counter[str] = Counter()
    for ref, written in memory.owned():
        owned = {name: each for name, each in written.items() if not each.restored}
        if ref.id not in lapsed:
            holders.update([ANY, *owned])
        if nobodys(ref):
            lost = unshown.get(ref.id, {})
            if owned or lost:
                found[ref.id] = Unclaimed(ref, owned, unshown=lost)
        elif owned:
            claimed.add(ref.id)
    for user in adopted:
        names = ours(user) if nobodys(user.ref) else frozenset()
        if names:
            each = found.get(user.id, Unclaimed(user.ref))
            holders.update(name for name in names if each.last(name) is None)
            holders.update([] if user.id in found else [ANY])
            found[user.id] = replace(each, user=user.ref, adopted=names)
    return Ours(sorted(found.values(), key=lambda each: each.user), holders, claimed)


def cleared_last(cleared: Iterable[Sequence[Cleared]]) -> list[UserRef]:
    """The users of these, those cleared last first, no more than a plan may read one by one."""
    newest = sorted(
        cleared, key=lambda each: max(one.time for one in each), reverse=True
    )
    return [each[0].user for each in newest[:READ_AGAIN]]


def jumped(policy: Stale, memory: Memory, now: Moment) -> Iterator[str]:
    """That the clock has jumped, where users wait for days."""
    last = (
        memory.looked() if isinstance(policy, Grace) and policy.unit == "days" else None
    )
    jump = passed(last, now).jump
    if last is not None and jump:
        yield JUMPED.format(jump=jump, last=last.time.isoformat(timespec="seconds"))


def judged(
    users: Sequence[Unclaimed], mapping: AttributeMapping, memory: Memory, now: Moment
) -> tuple[list[Unclaimed], list[Problem]]:
    """Those that are to be cleared, and whose grace is over, if the mapping grants one; and a line about each user.

    Of a user that holds nothing of ours any more, only that somebody has changed it.
    """
    grace = mapping.stale if isinstance(mapping.stale, Grace) else None
    seen = memory.stale()
    since = passed(memory.looked(), now).time
    due, problems = [], []
    written = {rule.name.lower() for rule in mapping.attributes}
    for each in users:
        if not each.names:
            names = [
                rule.name
                for rule in mapping.attributes
                if rule.name.lower() in each.theirs
            ]
            problems += [
                Problem("stale", CHANGED, users=(each.user.name,), attribute=name)
                for name in names
            ]
            continue
        clears = _clears(each.place, mapping)
        waited, runs = seen.get(each.user.id, (None, 0))
        left = (
            grace.left(timedelta(0) if waited is None else waited + since, runs)
            if grace and clears
            else ""
        )
        kept = "" if clears or each.place is not Place.DISABLED else _KEPT
        lost = sorted(
            name for name in each.names - each.adopted if name.lower() not in written
        )
        kept += _LOST.format(names=", ".join(lost)) if clears and lost else ""
        why = f"{', '.join(sorted(each.names))}: values of this job; no agent claims the user any more{left}"
        problems.append(
            Problem("stale", f"{why}{each.place.value}{kept}", users=(each.user.name,))
        )
        due += [each] if clears and not left else []
    return due, problems


def _clears(place: Place, mapping: AttributeMapping) -> bool:
    """Whether the mapping clears our values from users there; elsewhere nothing is ever written."""
    if place is Place.DISABLED:
        return mapping.disabled == "clear"
    return place is Place.WITHIN and mapping.stale != "report"


def cleared(
    due: Sequence[Unclaimed],
    brief: Brief,
    clearing: Callable[[User, Unclaimed, Fingerprint], Draft],
    claimers: Callable[[User], list[AgentRef]],
    *,
    spared: Callable[[UserRef], bool],
    doubt: Callable[[UserRef], str],
    hidden: Mapping[str, Sequence[str]],
    doubted: Mapping[str, Sequence[str]],
) -> tuple[list[Draft], list[Problem]]:
    """What clears these users, as they are now, and why some are kept.

    `claimers`: the agents that would claim a user; a disabled one is found by none. `spared`: who is never written, by
    any name. `doubt`: why a user may be one of these. By user id, match attributes:
    `hidden` ones, and those by which an agent in doubt may have a user.
    """
    drafts: list[Draft] = []
    problems: list[Problem] = []
    for each in due:
        user = each.now
        if user is None:
            continue
        # by the name that it had, or has now
        held = spared(each.user) or spared(user.ref)
        why = _SPARED if held else doubt(user.ref)
        within = each.place is Place.WITHIN
        agents = claimers(user) if within else []
        missing, doubts = hidden.get(user.id, ()), doubted.get(user.id, ())
        if why:
            open_ = agents or missing or doubts
            if (
                each.user.identified
                and not open_
                and clearing(user, each, brief.fingerprint).planned
            ):
                problems.append(Problem("exclude", why, users=(each.user.name,)))
        elif agents:
            problems += [
                Problem("stale", MISSED, agent, (user.name,)) for agent in agents
            ]
        elif missing:
            why = f"not cleared: it shows no {' and no '.join(missing)}, so an agent may still match it"
            problems.append(Problem("stale", why, users=(user.name,)))
        elif doubts:
            why = DOUBTED.format(names=" and ".join(doubts))
            problems.append(Problem("stale", why, users=(user.name,)))
        else:
            drafts.append(clearing(user, each, brief.fingerprint))
    return drafts, problems

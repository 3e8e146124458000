"""Single-holder values: an attribute marked `unique` never gives one value to two users, not even for a moment.

A value still held by another user is a problem `reassigned`, unless the plan itself frees
it: then the change that sets it waits for the one that frees it. Users outside of base and
filter are not looked at. What another server was told to give counts as held, until this
one may be expected to show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import Description, Key, Owned, Problem, User, UserRef, equality
from connector.model.draft import Bond, Draft
from connector.model.folding import text_of
from connector.model.mapping import Mapping as AttributeMapping
from connector.planning.brief import PlanBrief
from connector.planning.leaver import Leaver, LeaverPlace

Slot = tuple[str, Hashable]
"""An attribute, and a value's key under its equality rule."""
_SHARED: Final = "several users are to get this unique value"
_STUCK: Final = "another user still holds the value, and this plan does not free it"
_LATE: Final = (
    "another user got the value at another server less than a day ago. This server does not show it yet. Rerun "
    "once it does"
)


class _Holder(Struct):
    """Who holds a wanted value."""

    name: str
    late: bool = False
    """This server does not show it as a holder, and may do so later."""
    respelt: bool = False
    """The server shows the value in another spelling."""


class UniqueValues:
    """The unique values that drafts would set, and what stands against each. `problems`: what was held back."""

    def __init__(
        self,
        drafts: Iterable[Draft],
        mapping: AttributeMapping,
        description: Description,
    ) -> None:
        self._rules = {
            rule.name: description.attributes[rule.name].equality
            for rule in mapping.attributes
            if (rule.unique or description.attributes[rule.name].unique)
            and not rule.secret
        }
        self._keys = {
            name: equality.likenesses_of(rule) for name, rule in self._rules.items()
        }
        self._drafts = {draft.user.id: draft for draft in drafts}
        self._values: dict[Slot, str] = {}
        self._wanted: dict[Slot, list[str]] = defaultdict(list)
        self._held: dict[Slot, dict[str, _Holder]] = {}
        self.problems: list[Problem] = []
        for user, draft in self._drafts.items():
            for slot, value in self._list_brought(draft):
                self._wanted[slot].append(user)
                self._values.setdefault(slot, value)

    def _list_brought(self, draft: Draft) -> Iterator[tuple[Slot, str]]:
        """The values that a draft would set, each with its slot."""
        for each in draft.planned:
            name = each.name
            if name in self._keys:
                for value in equality.subtract_equal(
                    self._rules[name], each.new, each.old
                ):
                    plain = equality.reveal_value(value)
                    yield (name, self._keys[name](plain)), text_of(plain)

    def list_keys(self) -> Iterator[Key]:
        """What to look for in the directory: who holds these values now."""
        for (name, _), value in self._values.items():
            yield name, value

    def find_among(self, owned: Mapping[str, Owned]) -> dict[str, tuple[str, ...]]:
        """Those of the same values that a job wrote to a user last, by attribute, however that was spelt then."""
        found: dict[str, tuple[str, ...]] = {}
        for spelt, each in owned.items():
            for digest in each.values:
                name, value = self._wanted_digests.get(
                    (spelt.lower(), digest), ("", "")
                )
                if name:
                    found[name] = (*found.get(name, ()), value)
        return found

    @cached_property
    def _wanted_digests(self) -> dict[tuple[str, str], tuple[str, str]]:
        rules, wanted = self._rules, self.list_keys()
        return {
            (name.lower(), equality.digest_value(rules[name], value)): (name, value)
            for name, value in wanted
        }

    def __len__(self) -> int:
        return len(self._values)

    def held_by(
        self,
        holders: Iterable[User],
        *,
        late: bool = False,
        respelt: bool = False,
    ) -> None:
        """Take in who holds the wanted values now: by value their ids, with their names.

        `late`: this server does not show them as holders, and may do so later. `respelt`: it shows other spellings.
        """
        for user in holders:
            for name, key_of in self._keys.items():
                for value in user.values.get(name, ()):
                    slot = (name, key_of(equality.reveal_value(value)))
                    if slot in self._wanted:
                        of_slot = self._held.setdefault(slot, {})
                        known = of_slot.setdefault(user.id, _Holder(user.name, late))
                        known.respelt = known.respelt or respelt

    def hold_back(self) -> None:
        """Hold back every value that is not free; of what is held back already, more may follow."""
        for slot, users in self._wanted.items():
            bringing = [user for user in users if self._brings_value(user, slot)]
            if len(users) > 1 and len(bringing) > 1:
                names = sorted(self._drafts[user].user.name for user in bringing)
                self._hold_users(
                    bringing,
                    Problem("shared", _SHARED, users=tuple(names), attribute=slot[0]),
                )
        if self._held:
            self._hold_reassigned()

    def find_taken(self) -> set[tuple[str, str]]:
        """Attributes of users, by id, that are to get a value which another user holds now."""
        return {
            (user, slot[0])
            for slot, holders in self._held.items()
            for user in self._wanted[slot]
            if holders.keys() - {user} and self._brings_value(user, slot)
        }

    def find_waiting(self) -> Mapping[str, frozenset[str]]:
        """The users who have to wait for others, with these: whoever holds a value that they still are to get."""
        waiting: dict[str, frozenset[str]] = defaultdict(frozenset)
        for slot, holders in self._held.items():
            for user in self._wanted[slot]:
                if self._brings_value(user, slot):
                    waiting[user] |= holders.keys() - {user}
        return waiting

    def _brings_value(self, user: str, slot: Slot) -> bool:
        return any(
            slot == brought for brought, _ in self._list_brought(self._drafts[user])
        )

    def _hold_reassigned(self) -> None:
        """Holding one back may keep a value where it is that another waits for: go on until nothing falls any more."""
        queue = list(self._drafts)
        waiters: dict[str, set[str]] = defaultdict(set)
        while queue:
            user = queue.pop()
            draft = self._drafts[user]
            for slot, _ in list(self._list_brought(draft)):
                holders = self._held.get(slot, {})
                stuck = [
                    each
                    for holder, each in holders.items()
                    if not self._frees_value(holder, slot, user)
                ]
                if stuck:
                    why = _LATE if all(each.late for each in stuck) else _STUCK
                    names = sorted(each.name for each in stuck)
                    line = draft.problem("reassigned", why, slot[0], names)
                    self._hold_users([user], line)
                    queue.extend((*waiters.pop(user, ()), user))
                    break  # others may have fallen with it
                for holder in holders:
                    waiters[holder].add(user)

    def _frees_value(
        self,
        holder: str,
        slot: Slot,
        user: str,
    ) -> bool:
        """Whether the holder is the user itself, or its own change takes the value away."""
        if holder == user:
            return True
        name, key = slot
        draft = self._drafts.get(holder)
        for each in draft.planned if draft else ():
            if each.name == name:
                gone = equality.subtract_equal(self._rules[name], each.old, each.new)
                if self._held[slot][holder].respelt:
                    return gone == each.old
                keys = {
                    self._keys[name](equality.reveal_value(value)) for value in gone
                }
                return key in keys
        return False

    def _hold_users(self, users: Iterable[str], problem: Problem) -> None:
        self.problems.append(problem)
        for user in users:
            self._drafts[user].hold((problem.attribute or "",), problem)


# ---------------------------------------------------------------- the fixpoint


def in_order(drafts: Iterable[Draft]) -> list[Draft]:
    """Drafts with something planned, as a plan lists their users."""
    planned = [draft for draft in drafts if draft.planned]
    return sorted(planned, key=lambda draft: (draft.user.name, draft.user.id))


def settle_drafts(
    directory: Lookup,
    drafts: Sequence[Draft],
    brief: PlanBrief,
    hold_classless: Callable[[Draft], bool],
    leavers: Sequence[Leaver] = (),
) -> UniqueValues:
    """Hold back what cannot be written, and what falls with it, until nothing more falls.

    An attribute takes its group along at once (`Draft.bind`), so that what others wait for falls in the same round.
    `hold_classless`: hold back what of a draft needs a class that cannot be added; whether there was any.
    """
    bond = Bond(brief.mapping.groups, brief.description.writing.replaces)
    for draft in drafts if bond.groups else ():
        draft.bind(bond)
    unique = UniqueValues(in_order(drafts), brief.mapping, brief.description)
    if len(unique):
        unique.held_by(directory.search(unique.list_keys(), len(unique)))
        unique.held_by(still_holding(unique, leavers))
        unique.held_by(_told_elsewhere(unique, brief), late=True)
        unique.held_by(_holding_respelt(directory, unique, brief), respelt=True)
    unique.hold_back()
    while [draft for draft in drafts if hold_classless(draft)]:
        unique.hold_back()
    return unique


def still_holding(unique: UniqueValues, leavers: Iterable[Leaver]) -> list[User]:
    """Users out of reach who hold a wanted value that this job wrote to them last.

    Whoever is found nowhere holds nothing. Where nobody may look past base and filter, the state is believed.
    """
    holders = []
    for each in leavers:
        values = unique.find_among(each.owned)
        if values and each.place is LeaverPlace.UNKNOWN:
            holders.append(User(each.user.id, each.user.name, values))
        elif values and each.place is not LeaverPlace.WITHIN and each.now is not None:
            holders.append(each.now)
    return holders


def _holding_respelt(
    directory: Lookup,
    unique: UniqueValues,
    brief: PlanBrief,
) -> list[User]:
    """Users who hold a wanted value in the spelling of the directory, in which no look-up finds it."""
    stored: dict[str, set[tuple[str, str]]] = {}
    wanted: dict[UserRef, dict[str, tuple[str, ...]]] = {}
    for ref, owned in brief.memory.read_respelt():
        values = unique.find_among(
            {name: replace(each, values=each.sent) for name, each in owned.items()}
        )
        if values:
            wanted[ref] = values
            stored[ref.id] = {
                (name.lower(), digest)
                for name, each in owned.items()
                for digest in each.stored
            }
    sent = {ref.id: values for ref, values in wanted.items()}
    found = []
    for user in directory.read(wanted, disabled=True) if wanted else ():
        for name, spelt in sent[user.id].items():
            rule = brief.description.equality(name)
            held = {
                (name.lower(), equality.digest_value(rule, value))
                for value in user.values.get(name, ())
            }
            if not held.isdisjoint(stored[user.id]):
                found.append(User(user.id, user.name, {name: spelt}))
    return found


def _told_elsewhere(unique: UniqueValues, brief: PlanBrief) -> Iterator[User]:
    """Users to whom another server was told to give a wanted value: this one may not show it yet."""
    for ref, owned in brief.memory.read_late():
        held = unique.find_among(owned)
        if held:
            yield User(ref.id, ref.name, held)

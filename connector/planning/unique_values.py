"""Single-holder values: an attribute marked `unique` never gives one value to two users, not even for a moment.

A value still held by another user is a problem `reassigned`, unless the plan itself frees
it: then the change that sets it waits for the one that frees it. Users outside of base and
filter are not looked at. What another server was told to give counts as held, until this
one may be expected to show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import cached_property
from typing import Final

from msgspec import Struct

from connector.matching.lookup import Lookup
from connector.model import (
    Description,
    Held,
    Key,
    Owned,
    Problem,
    User,
    UserRef,
    equality,
)
from connector.model.draft import Bond, Draft
from connector.model.mapping import Mapping as AttributeMapping
from connector.planning.brief import PlanBrief
from connector.planning.standing import Leaver, LeaverPlace

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
    """The unique values that drafts would set, and what stands against each. `problems`: what was held back.

    An attribute of a draft falls as a whole, so that it brings all its values or none.
    """

    def __init__(
        self,
        drafts: Iterable[Draft],
        mapping: AttributeMapping,
        description: Description,
    ) -> None:
        infos = description.attributes
        self._rules = {
            rule.name: infos[rule.name].equality
            for rule in mapping.attributes
            if (rule.unique or infos[rule.name].unique) and not rule.secret
        }
        self._keys = {
            name: equality.likenesses_of(rule) for name, rule in self._rules.items()
        }
        self._drafts = {draft.user.id: draft for draft in drafts}
        self._values: dict[Slot, str] = {}
        self._wanted: dict[Slot, list[str]] = defaultdict(list)
        self._slots: dict[str, list[Slot]] = defaultdict(list)
        """The same by user."""
        self._held: dict[Slot, dict[str, _Holder]] = defaultdict(dict)
        self.problems: list[Problem] = []
        for user, draft in self._drafts.items():
            for each in draft.planned:
                rule = self._rules.get(each.name)
                if rule is None:
                    continue
                for value in equality.subtract_equal(
                    rule,
                    each.new,
                    each.old,
                ):
                    slot = self._slot_of(each.name, value)
                    self._wanted[slot].append(user)
                    self._slots[user].append(slot)
                    self._values.setdefault(slot, equality.plain_text(value))

    def _slot_of(self, name: str, value: Held) -> Slot:
        return name, self._keys[name](equality.reveal_value(value))

    def list_keys(self) -> list[Key]:
        """What to look for in the directory: who holds these values now."""
        return [(name, value) for (name, _), value in self._values.items()]

    def find_among(
        self, digests: Iterable[tuple[str, Collection[str]]]
    ) -> dict[str, tuple[str, ...]]:
        """The wanted values that have these digests, by attribute, however its name was spelt then."""
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        for spelt, of_values in digests:
            for digest in of_values:
                for name, value in self._wanted_digests.get(
                    (spelt.lower(), digest), ()
                ):
                    found[name] += (value,)
        return found

    @cached_property
    def _wanted_digests(self) -> dict[tuple[str, str], list[Key]]:
        found = defaultdict[tuple[str, str], list[Key]](list)
        for name, value in self.list_keys():
            digest = equality.digest_value(self._rules[name], value)
            found[name.lower(), digest].append((name, value))
        return found

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
            for name in self._rules:
                for value in user.values.get(name, ()):
                    slot = self._slot_of(name, value)
                    if slot in self._wanted:
                        known = _Holder(user.name, late)
                        known = self._held[slot].setdefault(user.id, known)
                        known.respelt |= respelt

    def hold_back(self) -> None:
        """Hold back every value that is not free; of what is held back already, more may follow."""
        for slot, users in self._wanted.items():
            bringing = [user for user in users if self._brings_value(user, slot)]
            if len(bringing) > 1:
                names = sorted(self._drafts[user].user.name for user in bringing)
                line = Problem(
                    "shared",
                    _SHARED,
                    users=tuple(names),
                    attribute=slot[0],
                )
                self._hold_users(bringing, line)
        if self._held:
            self._hold_reassigned()

    def find_taken(self) -> set[tuple[str, str]]:
        """Attributes of users, by id, that are to get a value which another user holds now."""
        return {(user, name) for user, name, others in self._list_waits() if others}

    def find_waiting(self) -> Mapping[str, frozenset[str]]:
        """The users who have to wait for others, with these: whoever holds a value that they still are to get."""
        waiting: dict[str, frozenset[str]] = defaultdict(frozenset)
        for user, _, others in self._list_waits():
            waiting[user] |= others
        return waiting

    def _list_waits(self) -> Iterator[tuple[str, str, frozenset[str]]]:
        """Who is to get a held value, in which attribute, and the others that hold it."""
        for slot, holders in self._held.items():
            for user in self._wanted[slot]:
                if self._brings_value(user, slot):
                    yield user, slot[0], frozenset(holders.keys() - {user})

    def _brings_value(self, user: str, slot: Slot) -> bool:
        return any(each.name == slot[0] for each in self._drafts[user].planned)

    def _hold_reassigned(self) -> None:
        """Holding one back may keep a value where it is that another waits for: go on until nothing falls any more."""
        queue = list(self._slots)
        waiters: dict[str, set[str]] = defaultdict(set)
        while queue:
            user = queue.pop()
            for slot in self._slots[user]:
                holders = self._held.get(slot)
                if not holders or not self._brings_value(user, slot):
                    continue
                stuck = [
                    each
                    for holder, each in holders.items()
                    if holder != user and not self._frees_value(holder, slot)
                ]
                for holder in holders:
                    waiters[holder].add(user)
                if stuck:
                    why = _LATE if all(each.late for each in stuck) else _STUCK
                    names = sorted(each.name for each in stuck)
                    line = self._drafts[user].problem(
                        "reassigned",
                        why,
                        slot[0],
                        names,
                    )
                    self._hold_users([user], line)
                    queue += waiters.pop(user, ())

    def _frees_value(self, holder: str, slot: Slot) -> bool:
        """Whether the holder's own change takes the value away."""
        name, draft = slot[0], self._drafts.get(holder)
        for each in draft.planned if draft else ():
            if each.name == name:
                gone = equality.subtract_equal(
                    self._rules[name],
                    each.old,
                    each.new,
                )
                if self._held[slot][holder].respelt:
                    return gone == each.old
                return any(slot == self._slot_of(name, value) for value in gone)
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
    unique = UniqueValues(
        in_order(drafts),
        brief.mapping,
        brief.description,
    )
    keys = unique.list_keys()
    if keys:
        unique.held_by(directory.search(keys, len(keys)))
        unique.held_by(still_holding(unique, leavers))
        unique.held_by(_told_elsewhere(unique, brief), late=True)
        unique.held_by(
            _holding_respelt(
                directory,
                unique,
                brief,
            ),
            respelt=True,
        )
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
        values = unique.find_among((n, one.values) for n, one in each.owned.items())
        if values and each.place is LeaverPlace.UNKNOWN:
            holders.append(
                User(
                    each.user.id,
                    each.user.name,
                    values,
                )
            )
        elif values and each.place is not LeaverPlace.WITHIN and each.now is not None:
            holders.append(each.now)
    return holders


def _holding_respelt(
    directory: Lookup,
    unique: UniqueValues,
    brief: PlanBrief,
) -> Iterator[User]:
    """Users who hold a wanted value in the spelling of the directory, in which no look-up finds it."""
    wanted: dict[UserRef, tuple[Mapping[str, Owned], dict[str, tuple[str, ...]]]] = {}
    for ref, owned in brief.memory.read_respelt():
        sent = unique.find_among((name, each.sent) for name, each in owned.items())
        if sent:
            wanted[ref] = owned, sent
    known = {ref.id: found for ref, found in wanted.items()}
    for user in directory.read(wanted, disabled=True) if wanted else ():
        owned, sent = known[user.id]
        for name, values in sent.items():
            rule = brief.description.equality(name)
            held = equality.digest_values(rule, user.values.get(name, ()))
            stored = {
                digest
                for spelt, each in owned.items()
                if spelt.lower() == name.lower()
                for digest in each.stored
            }
            if not held.isdisjoint(stored):
                yield User(
                    user.id,
                    user.name,
                    {name: values},
                )


def _told_elsewhere(unique: UniqueValues, brief: PlanBrief) -> Iterator[User]:
    """Users to whom another server was told to give a wanted value: this one may not show it yet."""
    for ref, owned in brief.memory.read_late():
        held = unique.find_among((name, each.values) for name, each in owned.items())
        if held:
            yield User(
                ref.id,
                ref.name,
                held,
            )

"""Single-holder values: an attribute marked `unique` never gives one value to two users, not even for a moment.

A value still held by another user is a problem `reassigned`, unless the plan itself frees it: then the change that
sets it waits for the one that frees it. Users outside of base and filter are not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from connector.model import Change, Description, Key, Problem, User
from connector.reconcile import equality
from connector.reconcile.mapping import Mapping as AttributeMapping

Slot = tuple[str, Hashable]
"""An attribute, and a value's key under its equality rule."""


class Moves:
    """The unique values that a plan's changes would set, and what stands against each."""

    def __init__(self, changes: Iterable[Change], mapping: AttributeMapping, description: Description) -> None:
        self._rules = {
            rule.name: description.attributes[rule.name].equality
            for rule in mapping.attributes
            if (rule.unique or description.attributes[rule.name].unique) and not rule.secret
        }
        self._keys = {name: equality.keys_of(rule) for name, rule in self._rules.items()}
        self._changes = {change.user.id: change for change in changes}
        self._brings = {user: self._sets(change) for user, change in self._changes.items()}
        self._wanted: dict[Slot, list[str]] = defaultdict(list)
        for user, brought in self._brings.items():
            for slot, _ in brought:
                self._wanted[slot].append(user)

    def _sets(self, change: Change) -> list[tuple[Slot, str]]:
        """The unique values that a change brings to a user that does not hold them now."""
        brought: list[tuple[Slot, str]] = []
        keys = self._keys
        for each in change.attributes:
            if each.name in keys:
                for value in equality.minus(self._rules[each.name], each.new, each.old):
                    plain = equality.plain(value)
                    text = plain if isinstance(plain, str) else plain.decode()
                    brought.append(((each.name, keys[each.name](plain)), text))
        return brought

    def keys(self) -> Iterator[Key]:
        """What to look for in the directory: who holds these values now."""
        for brought in self._brings.values():
            for (name, _), value in brought:
                yield name, value

    def __len__(self) -> int:
        return len(self._wanted)

    def settle(self, holders: Iterable[User]) -> tuple[list[Change], list[Problem]]:
        """The changes in an order in which each value is free before it is given, and what has to be left out."""
        held = self._held(holders)
        problems = [self._leave_out_shared(slot, users) for slot, users in self._wanted.items() if len(users) > 1]
        problems += self._leave_out_reassigned(held) if held else ()
        waiting = self._waiting(held)
        changes = [
            replace(change, after=waiting[user]) if user in waiting else change
            for user, change in self._changes.items()
            if change.attributes
        ]
        return changes, problems

    def _waiting(self, held: Mapping[Slot, dict[str, str]]) -> Mapping[str, frozenset[str]]:
        """The users who have to wait for others, with these: whoever holds a value that they still are to get."""
        waiting: dict[str, frozenset[str]] = defaultdict(frozenset)
        for slot, holders in held.items():
            for user in self._wanted[slot]:
                others = holders.keys() - {user}
                if others and any(slot == brought for brought, _ in self._brings[user]):
                    waiting[user] |= others
        return waiting

    def _held(self, holders: Iterable[User]) -> Mapping[Slot, dict[str, str]]:
        """For each wanted value the users that hold it now: their ids, with their names."""
        held: dict[Slot, dict[str, str]] = defaultdict(dict)
        for user in holders:
            for name, key_of in self._keys.items():
                for value in user.values.get(name, ()):
                    slot = (name, key_of(equality.plain(value)))
                    if slot in self._wanted:
                        held[slot][user.id] = user.name
        return held

    def _leave_out_shared(self, slot: Slot, users: list[str]) -> Problem:
        names = tuple(sorted(self._changes[user].user.name for user in users))
        for user in users:
            self._leave_out(user, slot[0])
        return Problem(
            "shared",
            "one user at a time may hold this value, and several users are to get it",
            users=names,
            attribute=slot[0],
        )

    def _leave_out_reassigned(self, held: Mapping[Slot, dict[str, str]]) -> list[Problem]:
        """Leaving one out may keep a value where it is that another waits for: go on until nothing falls any more."""
        problems = []
        queue = list(self._changes)
        waiters: dict[str, set[str]] = defaultdict(set)
        while queue:
            user = queue.pop()
            change = self._changes[user]
            for slot, _ in self._brings[user]:
                stuck = {
                    holder: name for holder, name in held.get(slot, {}).items() if not self._frees(holder, slot, user)
                }
                if stuck:
                    why = "the value is still held by another user, and nothing here takes it from there"
                    names = (change.user.name, *sorted(stuck.values()))
                    problems.append(Problem("reassigned", why, change.agent, names, change.rule, slot[0]))
                    self._leave_out(user, slot[0])
                    queue.extend(waiters.pop(user, ()))
                else:
                    for holder in held.get(slot, {}):
                        waiters[holder].add(user)
        return problems

    def _frees(self, holder: str, slot: Slot, user: str) -> bool:
        """Whether the holder is the user itself, or its own change takes the value away."""
        if holder == user:
            return True
        name, key = slot
        change = self._changes.get(holder)
        each = next((each for each in change.attributes if each.name == name), None) if change else None
        if each is None:
            return False
        gone = equality.minus(self._rules[name], each.old, each.new)
        return any(self._keys[name](equality.plain(value)) == key for value in gone)

    def _leave_out(self, user: str, attribute: str) -> None:
        change = self._changes[user]
        kept = tuple(each for each in change.attributes if each.name != attribute)
        self._changes[user] = replace(change, attributes=kept)
        self._brings[user] = [(slot, value) for slot, value in self._brings[user] if slot[0] != attribute]

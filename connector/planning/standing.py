"""Whether what a change sets out to do to a user has happened, as far as the user's values tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Description,
    Equality,
    Fingerprint,
    Held,
    Memory,
    Owned,
    Secret,
    User,
    UserRef,
    equality,
)
from connector.model.digests import UNKEYED


def change_stands(
    each: AttributeChange,
    held: tuple[Held, ...],
    description: Description,
) -> bool:
    """Whether the values that the change sets are there, and those that it takes away are gone."""
    if not each.old and (held == each.new or all(value in held for value in each.new)):
        return True  # as nearly always: nothing has to be compared
    rule = equality.choose_rule(description.equality(each.name), secret=each.secret)
    gone = equality.subtract_equal(rule, each.old, each.new)
    return (
        not equality.subtract_equal(rule, each.new, held)
        and equality.subtract_equal(rule, gone, held) == gone
    )


class ShownUser(Struct, frozen=True):
    """A user as a server shows it now, to be compared with what a change leaves behind."""

    user: User
    description: Description
    fingerprint: Fingerprint

    def held_values(self, name: str) -> tuple[Held, ...]:
        return self.user.values.get(name, ())

    def shows_whole(self, name: str) -> bool:
        """Whether all that an attribute holds is shown, if only that it is empty."""
        info = self.description.attributes.get(name)
        return bool(self.held_values(name)) or (
            info is not None and info.readable is True
        )

    def secret_stands(self, each: AttributeChange) -> bool:
        """Whether a secret that is shown is as its change leaves it, by its fingerprint; without one it was cleared."""
        held, user = self.held_values(each.name), self.user.ref
        if not each.fingerprint:
            return not held
        return any(
            self.fingerprint(user, each.name, value) == each.fingerprint
            for value in held
        )

    def judge_changes(self, changes: Iterable[AttributeChange]) -> list[bool]:
        """Of each attribute that can be judged, whether it is as its change leaves it."""
        return [answer for answer in map(self.stands, changes) if answer is not None]

    def stands(self, each: AttributeChange) -> bool | None:
        """Whether an attribute is as its change leaves it; None: the user does not tell."""
        held = self.held_values(each.name)
        if each.name == OBJECT_CLASS:
            return change_stands(each, held, self.description) if held else None
        if each.name not in self.description.attributes:
            return None  # the mapping no longer names it, so that it was not asked for
        shows = self.shows_whole(each.name)
        if each.secret:
            return (
                self.secret_stands(each)
                if shows and each.fingerprint != UNKEYED
                else None
            )
        if each.new or shows or (each.seen and each.old):
            return change_stands(each, held, self.description)
        return None

    def as_before(self, each: AttributeChange) -> bool:
        """Whether an attribute does not stand, and shows what was there before."""
        if each.secret or not each.seen or self.stands(each) is not False:
            return False
        return equality.same_set(
            self.description.equality(each.name), each.old, self.held_values(each.name)
        )


# ---------------------------------------------------------------- other spellings


class KnownSpellings:
    """What a state knows of the spelling of values, by user and attribute."""

    def __init__(self, memory: Memory, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._known: defaultdict[tuple[str, str], list[Owned]] = defaultdict(list)
        for user, attributes in memory.read_respelt():
            for name, each in attributes.items():
                self._known[user.id, name.lower()].append(each)

    def is_in_step(
        self,
        user: UserRef,
        name: str,
        rule: Equality,
        wanted: Iterable[Held],
        held: Iterable[Held],
    ) -> bool:
        """Whether an attribute holds exactly what the directory made of the wanted values when they were written."""
        known = self._known.get((user.id, name.lower()))
        if not known:
            return False
        sent, stored = (
            {
                self._fingerprint(user, name, one)
                if isinstance(one, Secret)
                else equality.digest_value(rule, one)
                for one in values
            }
            for values in (wanted, held)
        )
        return any(
            (sent, stored) == (set(each.sent), set(each.stored)) for each in known
        )

"""Whether what a change sets out to do to a user has happened, as far as the user's values tell."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from connector.model import OBJECT_CLASS, AttributeChange, Description, Fingerprint, Held, User, UserRef
from connector.reconcile import equality
from connector.reconcile.digests import UNKEYED


def stands(each: AttributeChange, held: tuple[Held, ...], description: Description) -> bool:
    """Whether the values that the change sets are there, and those that it takes away are gone."""
    if not each.old and (held == each.new or all(value in held for value in each.new)):
        return True  # as nearly always: nothing has to be compared
    rule = description.equality(each.name)
    gone = equality.minus(rule, each.old, each.new)
    return not equality.minus(rule, each.new, held) and equality.minus(rule, gone, held) == gone


def secret_stands(each: AttributeChange, held: tuple[Held, ...], user: UserRef, fingerprint: Fingerprint) -> bool:
    """The same of a secret that is known by its fingerprint alone, and was shown; an empty one: it was cleared."""
    if not each.fingerprint:
        return not held
    return any(fingerprint(user, each.name, value) == each.fingerprint for value in held)


class Shown(Struct, frozen=True):
    """A user as a server shows it now, to be compared with what a change leaves behind."""

    user: User
    description: Description
    fingerprint: Fingerprint

    def answers(self, changes: Iterable[AttributeChange]) -> list[bool]:
        """Of each attribute that can be judged, whether it is as its change leaves it."""
        return [answer for answer in map(self.stands, changes) if answer is not None]

    def stands(self, each: AttributeChange) -> bool | None:
        """Whether an attribute is as its change leaves it; None: the user does not tell."""
        held = self.user.values.get(each.name, ())
        if each.name == OBJECT_CLASS:
            return stands(each, held, self.description) if held else None
        info = self.description.attributes.get(each.name)
        if info is None:
            return None  # the mapping no longer names it, so that it was not asked for
        shows = bool(held) or info.readable is True
        if each.secret:
            known = shows and each.fingerprint != UNKEYED
            return secret_stands(each, held, self.user.ref, self.fingerprint) if known else None
        if each.new or shows or (each.seen and each.old):
            return stands(each, held, self.description)
        return None

    def as_before(self, each: AttributeChange) -> bool:
        """Whether an attribute does not stand, and shows what was there before."""
        if each.secret or not each.seen or self.stands(each) is not False:
            return False
        held = self.user.values.get(each.name, ())
        return equality.same_set(self.description.equality(each.name), each.old, held)

"""How a user in conflict differs from the change that was to be written, for the one who has to decide."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Difference,
    Equality,
    Held,
    User,
    equality,
)
from connector.model.digests import digest_of_change, is_secret, secret_fingerprint
from connector.model.patterns import ours


def unlike(
    change: Change, user: User, description: Description, *, reviewed: bool = False
) -> tuple[Difference, ...]:
    """The attributes in which a user does not hold the old values of a change. Classes that others add do not count."""
    names = [
        each.name
        for each in change.attributes
        if not _as_before(each, user, description.equality(each.name))
    ]
    # what is not seen is not compared
    return held_now(change, user, (), names, reviewed=reviewed)


def held_now(
    change: Change,
    user: User,
    hidden: Collection[str],
    names: Collection[str],
    *,
    reviewed: bool = True,
) -> tuple[Difference, ...]:
    """These attributes of a change, with what the user holds now. `hidden`: those that cannot be read."""
    return tuple(
        Difference(each.name, each, _shown(each, user, hidden), reviewed=reviewed)
        for each in change.attributes
        if each.name in names
    )


def replanned(
    reviewed: Change, planned: Change, user: User | None, hidden: Collection[str]
) -> tuple[Difference, ...]:
    """The attributes in which two changes of one user differ, with what the user holds now."""
    before, now = (
        {each.name: each for each in change.attributes}
        for change in (reviewed, planned)
    )
    found = []
    for name, each in (before | now).items():
        one, other = before.get(name), now.get(name)
        if _digest(reviewed, one) != _digest(reviewed, other):
            then = None if one and other and _aim(one) == _aim(other) else other
            found.append(
                Difference(name, one, _shown(each, user, hidden), then, reviewed=True)
            )
    return tuple(found)


def _as_before(each: AttributeChange, user: User, rule: Equality) -> bool:
    """Whether the user holds the old values, as far as that can be told."""
    held = user.values.get(each.name, ())
    if not each.seen:
        return True
    if each.name == OBJECT_CLASS:
        return not equality.minus(rule, each.old, held)
    return equality.same_set(rule, ours(each.pattern, held), each.old)


def _digest(change: Change, each: AttributeChange | None) -> str:
    return (
        digest_of_change(replace(change, agent=None, rule=None, attributes=(each,)))
        if each
        else ""
    )


def _aim(each: AttributeChange) -> object:
    return bool(secret_fingerprint(each)) if is_secret(each) else each.new


def _shown(
    each: AttributeChange, user: User | None, hidden: Collection[str]
) -> tuple[Held, ...] | None:
    """The values of ours that the user shows, never of a secret; None where that does not tell."""
    if is_secret(each) or user is None:
        return None
    held = ours(each.pattern, user.values.get(each.name, ()))
    return None if not held and (each.name in hidden or not each.seen) else held

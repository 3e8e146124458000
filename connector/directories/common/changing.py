"""What a change does to the values that an entry holds now: the compare-and-set of directories without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from connector.directories.common.schema import Schema
from connector.model import (
    AttributeChange,
    AttributeInfo,
    Change,
    Equality,
    Held,
    Value,
)
from connector.reconcile.diff.conversion import UnfitError, fit
from connector.reconcile.diff.patterns import ours
from connector.reconcile.equality import choose_rule, keys_of, plain

S = TypeVar("S", str, bytes)


class ConflictError(Exception):
    """The entry is not what the change believes; the message says where, without a value."""


class ForbiddenError(Exception):
    """What the schema forbids, or cannot be written without touching what is not ours; the message tells no value."""


class Edit(Struct, frozen=True):
    """Values to take out of one attribute, as they are stored, and values to put in."""

    name: str
    removed: tuple[bytes, ...]
    added: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<edit of {self.name}>"  # its values may be passwords


def octets(value: Held) -> bytes:
    """A value as it is stored."""
    bare = value if type(value) is str else plain(value)
    return bare if isinstance(bare, bytes) else bare.encode("utf-8", "surrogateescape")


def value_of(info: AttributeInfo, stored: bytes) -> Value:
    """A stored value as the model has it: text, but for octet strings and for what is no UTF-8."""
    return stored if info.octets else text(stored)


def text(stored: bytes) -> Value:
    """A value of a text syntax; octets where it is no UTF-8, whatever the server may say."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def edits(
    values: Mapping[str, Sequence[bytes]], change: Change, schema: Schema
) -> list[Edit]:
    """What to do to an entry that holds these values (by `Schema.key`); nothing where it says all of it already.

    A value that stays is left as it is spelt. Raises ConflictError and ForbiddenError,
    before anything is done.
    """
    found = []
    for attribute in change.attributes:
        held = values.get(schema.key(attribute.name), ())
        if schema.key(attribute.name) == "objectclass":
            edit = _classes(held, attribute)
        else:
            edit = _edit(held, attribute, schema.info(attribute.name))
        if edit.removed or edit.added:
            found.append(edit)
    return found


class Compared(Struct, Generic[S], frozen=True):
    """What of an attribute's values goes, what comes, what is others', and all that is to be there of ours."""

    removed: tuple[S, ...]
    added: tuple[S, ...]
    others: tuple[S, ...]
    wanted: tuple[S, ...]

    def refuse_several(self, name: str) -> None:
        """Raises ForbiddenError where an attribute of one value would have more."""
        if len(self.others) + len(self.wanted) > 1:
            raise ForbiddenError(f"{name} can hold one value only")


def compared(
    held: Sequence[S],
    change: AttributeChange,
    rule: Equality,
    stored: Callable[[Held], S],
) -> Compared[S]:
    """Compare and set: the values that are there against those that the plan saw. `stored`: a value as they are.

    Raises ConflictError.
    """
    key = keys_of(choose_rule(rule, secret=change.secret))
    mine = ours(change.pattern, held)
    keys = set(map(key, mine))
    if change.seen and keys != {key(plain(value)) for value in change.old}:
        raise ConflictError(f"{change.name} changed since the plan")
    wanted = {key(plain(value)): stored(value) for value in change.new}
    others = tuple(value for value in held if value not in mine)
    if not wanted.keys().isdisjoint(map(key, others)):
        raise ConflictError(
            f"{change.name} already holds the new value among those that are not this job's"
        )
    removed = tuple(value for value in mine if key(value) not in wanted)
    added = tuple(value for name, value in wanted.items() if name not in keys)
    return Compared(removed, added, others, tuple(wanted.values()))


def _edit(held: Sequence[bytes], change: AttributeChange, info: AttributeInfo) -> Edit:
    found = compared(held, change, info.equality, octets)
    if info.single and found.added:
        found.refuse_several(change.name)
    for value in found.added:
        _check(info, value)
    return Edit(change.name, found.removed, found.added)


def _classes(held: Sequence[bytes], change: AttributeChange) -> Edit:
    """Object classes: those of `old` have to be there, those of `new` may be already; no other is looked at."""
    present, old, new = (
        {octets(value).strip().lower(): octets(value) for value in values}
        for values in (held, change.old, change.new)
    )
    if not old.keys() <= present.keys():
        raise ConflictError(f"{change.name} changed since the plan")
    removed = tuple(
        value for name, value in present.items() if name in old.keys() - new.keys()
    )
    return Edit(
        change.name,
        removed,
        tuple(value for name, value in new.items() if name not in present),
    )


def _check(info: AttributeInfo, stored: bytes) -> None:
    """What every server checks of a value: that there is one, that its syntax and its length fit."""
    if not stored:
        raise ForbiddenError(f"{info.name} cannot hold an empty value")
    value = value_of(info, stored)
    try:
        if isinstance(value, str):
            fit(info, value)
        elif not info.octets:
            raise ForbiddenError(f"{info.name} cannot hold octets that are no text")
        elif info.max_length is not None and len(value) > info.max_length:
            raise ForbiddenError(f"{info.name} holds at most {info.max_length} octets")
    except UnfitError as fault:
        raise ForbiddenError(f"{info.name}: {fault}") from None

"""What the bind may write of an entry, as the server itself says it to whoever reads: nothing is written to find out.

389-DS has a control for it, get-effective-rights, by which an account may always ask for its own (measured on 3.1). To
Active Directory it is an attribute of the entry, allowedAttributesEffective ([MS-ADTS] 3.1.1.4.5). Both speak only of
what the entry's object classes allow as they are: of an attribute whose class is still to be added they say nothing.

389-DS judges without the connection and without the values, so that it denies what rules with `ssf`, `authmethod` or
`targattrfilters` allow (measured). The last are how single object classes are let in: objectClass is therefore never
taken for refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from connector.directories.filters import Present
from connector.directories.ldap import requests
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.requests import Scope, Search
from connector.directories.ldap.responses import ENTRY, entry
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from connector.directories.schema import Schema
from connector.model import OBJECT_CLASS, AttributeChange, Change

_LEVEL: Final = "attributeLevelRights"
_ALLOWED: Final = "allowedAttributesEffective"


class Rights(Struct, frozen=True):
    """Whether attributes of a user, which a change names, may be written; None where the server does not tell."""

    user: str
    writable: Mapping[str, bool | None]


class EffectiveRights:
    """The rights that one server tells of. `subject`: the DN that we are bound as, where it is known."""

    def __init__(self, wire: Wire, dialect: Dialect, schema: Schema, subject: str | None) -> None:
        self._wire = wire
        self._identity = dialect.identity
        self._schema = schema
        self._as_attribute = dialect.microsoft
        known = dialect.effective_rights and subject is not None
        self._controls = (requests.effective_rights(subject),) if known and subject is not None else ()

    @property
    def told(self) -> bool:
        """Whether this server tells any."""
        return self._as_attribute or bool(self._controls)

    def of(self, changes: Iterable[Change], window: int) -> Iterator[Rights]:
        """What may be written of these changes, so many requests in flight; nobody is left out, and the order is any.

        Raises one of the kinds of IncompleteRead where the server goes away.
        """
        operations = (Operation(change, self._request(change), self._controls) for change in changes)
        shown: dict[str, dict[str, list[str]]] = {}
        for change, frame in self._wire.exchange(operations, window):
            if frame.tag == ENTRY:
                shown[change.user.id] = self._attributes(self._wire.located(entry, frame).attributes)
            else:  # whatever the result is: who was not shown is not told of
                yield self._rights(change, shown.pop(change.user.id, {}))

    def _request(self, change: Change) -> bytes:
        named = (_ALLOWED,) if self._as_attribute else tuple(_plain(each.name) for each in change.attributes)
        attributes = dict.fromkeys((*named, OBJECT_CLASS, self._identity.attribute))
        return requests.search(Search(change.user.name, Scope.BASE, Present(OBJECT_CLASS), tuple(attributes)))

    def _attributes(self, attributes: Iterable[tuple[bytes, list[bytes]]]) -> dict[str, list[str]]:
        """What decides, by name in lower case; values of other attributes, which may be secrets, are let go."""
        wanted = {name.lower() for name in (_LEVEL, _ALLOWED, OBJECT_CLASS)}
        found = {name.decode("utf-8", "replace").lower(): values for name, values in attributes}
        kept = {name: [value.decode("utf-8", "replace") for value in found[name]] for name in wanted & found.keys()}
        ids = found.get(self._identity.attribute.lower(), [])
        return kept | {self._identity.attribute.lower(): [self._identity.show(value) for value in ids]}

    def _rights(self, change: Change, shown: Mapping[str, list[str]]) -> Rights:
        if shown.get(self._identity.attribute.lower()) != [change.user.id]:
            return Rights(change.user.id, {each.name: None for each in change.attributes})
        granted = self._granted(shown)
        classes = shown.get(OBJECT_CLASS.lower(), [])
        return Rights(change.user.id, {each.name: self._writable(each, granted, classes) for each in change.attributes})

    def _granted(self, shown: Mapping[str, list[str]]) -> dict[str, str]:
        """Attributes by key, each with the letters of what may be done: w to put values in, o to take them out."""
        if self._as_attribute:
            return {self._schema.key(name): "wo" for name in shown.get(_ALLOWED.lower(), [])}
        pairs = [each.strip().rpartition(":") for value in shown.get(_LEVEL.lower(), []) for each in value.split(",")]
        return {self._schema.key(name): "" if letters == "none" else letters for name, _, letters in pairs}

    def _writable(self, change: AttributeChange, granted: Mapping[str, str], classes: list[str]) -> bool | None:
        needed = ("w" if change.new else "") + ("o" if change.old or not (change.new and change.seen) else "")
        if not set(needed) - set(granted.get(self._schema.key(_plain(change.name)), "")):
            return True
        if change.name.lower() == OBJECT_CLASS.lower():
            return None
        return False if self._schema.allows(classes, change.name) else None


def _plain(name: str) -> str:
    """An attribute without its options, which rights make no difference of."""
    return name.partition(";")[0]

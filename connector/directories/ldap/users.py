"""Search result entries as users: the attributes of a view, under the names they were asked by.

The plain road is `responses.decode_attribute`: any attribute, in any form. Beside it there is one
shortcut. Nearly every attribute is in the shortest form, and then all octets before its value
are the same for all users whose value is as long:

    30 15 04 03 u i d 31 0e 04 0c | a g e n t 0 0 0 0 0 0 7
    header                        | value

So a header is checked octet by octet once, and looked up afterwards. One look-up says that all
tags and lengths are right, which attribute it is, and how long its value. On people of all
lengths this reads a user in 5 us in place of 20. Headers do not depend on one another, so
neither the order of attributes nor a missing one matters. What is remembered is bounded, and is
never a secret. Active Directory writes longer lengths, and its users take the plain road.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import decode_text
from connector.directories.common.filter_matching import make_matcher
from connector.directories.common.ldap_filters import DisabledMark
from connector.directories.ldap.ber import (
    OCTETS,
    SEQUENCE,
    SHORT,
    Frame,
    encode_attribute,
    find_element,
    split_elements,
)
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import LEFT_OVER, TWICE, decode_attribute
from connector.errors import MalformedError
from connector.model import (
    ID,
    OBJECT_CLASS,
    UNIDENTIFIED,
    Held,
    User,
    Value,
    View,
    hide_value,
)

MOST_HEADERS = 10_000
_MOST_NAMES = 1000
"""Spellings of attributes."""
_MOST_SETS = 5000
"""Values of an attribute that are remembered together."""
_RANGE = re.compile(rb"(?P<kind>.+);range=\d+-(?P<last>\d{1,9}|\*)", re.IGNORECASE)
_AROUND = 8
"""Octets of a header around the description: four tags, four lengths of one octet."""
_OFF = "@off"
"""In the place of an attribute: whether the account is disabled."""

Decode = Callable[[bytes], Held]
Names = tuple[tuple[str, Decode], ...]
"""The names that one attribute is shown under, each with how its values are shown."""
Shown = dict[str, tuple[Held, ...]]
"""Values by the names that they are shown under."""
Attributes = list[tuple[bytes, list[bytes]]]
"""Descriptions and values, as octets."""


def _decode_secret(decode: Decode) -> Decode:
    return lambda value: hide_value(decode(value))


def _match_mark(mark: DisabledMark) -> Callable[[bytes], str]:
    """Whether a value says that its account is disabled, or an empty text.

    The server's own schema may have no equality rule for the mark (389-DS).
    """
    schema = known_schema()
    key, matches = schema.attribute_key(mark.attribute), make_matcher(mark.says, schema)
    return lambda octets: _OFF if matches({key: [octets]}) else ""


class UserDecoder:
    """What a view wants of each entry.

    An attribute description is matched whole: `cn;lang-de` is not `cn` (RFC 4512 §2.5),
    while `commonName` and a number are, since a server may answer by another name than it
    was asked by.
    """

    def __init__(self, view: View, inspection: Inspection) -> None:
        self._key = inspection.schema.attribute_key
        self._names: dict[str, Names] = {}
        self.attributes: tuple[str, ...] = ()
        """What to ask the server for."""
        identity = inspection.dialect.identity
        self.id_attribute = identity.attribute
        self._show_attribute(identity.attribute, ID, identity.show)
        for name in dict.fromkeys((*view.attributes, OBJECT_CLASS)):
            decode: Decode = decode_text
            if inspection.info(name).octets:
                decode = bytes
            if name in view.secrets:
                decode = _decode_secret(decode)
            self._show_attribute(name, name, decode)
        mark = inspection.dialect.disabled
        if inspection.schema.info(mark.attribute).definition.known:
            self._show_attribute(mark.attribute, _OFF, _match_mark(mark))
        self.unfinished: dict[str, dict[str, int]] = {}
        """By user id, attributes of which the first values came alone, and how many: the
        reader gets the rest."""
        self._find_names = lru_cache(_MOST_NAMES)(self._look_up_names)
        self._headers: dict[bytes, tuple[int, str, Decode | None]] = {}
        """The octets before a value: how many octets of values follow, the name that they are
        shown under, and how; None: several texts follow, of which the first begins here."""

    def _show_attribute(self, attribute: str, name: str, decode: Decode) -> None:
        """Show an attribute under one more name."""
        key = self._key(attribute)
        names = self._names.get(key, ())
        self._names[key] = (*names, (name, decode))
        if attribute not in self.attributes:
            self.attributes = (*self.attributes, attribute)

    def decode_user(self, message: Frame) -> User:
        """The user in a search result entry.

        One that does not show its id has its name in that place. Raises MalformedError for
        what is no entry or whose name is no text.
        """
        data, headers = message.data, self._headers
        start, at = find_element(data, message.start, message.stop, OCTETS)
        name = data[start:at]
        at, stop = find_element(data, at, message.stop, SEQUENCE)
        if stop != message.stop:
            raise MalformedError(LEFT_OVER)
        values: Shown = {}
        others: Attributes = []
        while at + 3 < stop:
            start = at + _AROUND + data[at + 3]
            header = headers.get(data[at:start])
            if header is None:
                at = self._decode_other(data, at, stop, others)
                continue
            size, shown, decode = header
            at = start + size
            if shown in values:
                raise MalformedError(TWICE)
            if decode is None:
                values[shown] = _decode_texts(data[start - 2 : at])
                continue
            try:
                values[shown] = (decode(data[start:at]),)
            except UnicodeDecodeError:
                values[shown] = (data[start:at],)
        if at != stop:
            raise MalformedError(LEFT_OVER)
        try:
            dn = name.decode()
        except UnicodeDecodeError:
            raise MalformedError(
                f"the name of an entry is not UTF-8: {name!r}"
            ) from None
        unfinished = self._add_others(others, values) if others else {}
        off = _OFF in values and any(values.pop(_OFF))
        id_ = str(values.pop(ID, [UNIDENTIFIED + dn])[0])
        if unfinished and not id_.startswith(UNIDENTIFIED):
            self.unfinished[id_] = unfinished
        return User(id_, dn, values, inactive=off)

    def _decode_other(self, data: bytes, at: int, stop: int, others: Attributes) -> int:
        """Decode an attribute whose header is not known, and learn its header; the place behind it."""
        start, end = find_element(data, at, stop, SEQUENCE)
        description, octets = decode_attribute(SEQUENCE, data[start:end])
        others.append((description, octets))
        names = self._find_names(description)
        if octets and len(names) == 1:
            name, decode = names[0]
            self._learn_header(data[at:end], description, octets, name, decode)
        return end

    def _learn_header(
        self,
        raw: bytes,
        description: bytes,
        octets: list[bytes],
        name: str,
        decode: Decode,
    ) -> None:
        """Remember what stands before the values, where all lengths take one octet."""
        if raw[1] >= SHORT or raw != encode_attribute(description, octets):
            return
        is_text = decode is decode_text
        learned: Decode | None = bytes.decode if is_text else decode
        if len(octets) > 1:
            if not is_text:
                return
            learned = None
        if len(self._headers) >= MOST_HEADERS:
            self._headers.clear()
        size = _AROUND + len(description)
        self._headers[raw[:size]] = len(raw) - size, name, learned

    def _add_others(self, others: Attributes, values: Shown) -> dict[str, int]:
        """Add these attributes to the values; those of which more are to come, with the number of those so far.

        Active Directory sends many values in pieces such as `member;range=0-1499`, beside a
        `member` without any ([MS-ADTS] 3.1.1.3.1.3.3).
        """
        if len({description.lower() for description, _ in others}) != len(others):
            raise MalformedError(TWICE)
        before = frozenset(values)
        unfinished = {}
        for kind, octets in others:
            piece = _RANGE.fullmatch(kind)
            if piece is None and b";range=" in kind.lower():
                raise MalformedError("a range of values that ends at no number")
            for name, decode in self._find_names(piece["kind"] if piece else kind):
                if name in before or (octets and name in values):
                    raise MalformedError(TWICE)
                if octets:
                    values[name] = tuple(map(decode, octets))
                if piece and piece["last"] != b"*":
                    unfinished[name] = int(piece["last"]) + 1
        return unfinished

    def _look_up_names(self, description: bytes) -> Names:
        return self._names.get(self._key(description.decode("utf-8", "replace")), ())


@lru_cache(_MOST_SETS)
def _decode_texts(octets: bytes) -> tuple[Value, ...]:
    """Several values, which many users share (objectClass)."""
    elements = split_elements(octets)
    if any(tag != OCTETS for tag, _ in elements):
        raise MalformedError(LEFT_OVER)
    return tuple(decode_text(value) for _, value in elements)

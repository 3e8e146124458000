"""LDAP requests as octets (RFC 4511 §4.2 to §4.14), and the controls that go with them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct

from connector.directories.common.ldap_filters import (
    ANYTHING,
    And,
    Approx,
    Equal,
    Extensible,
    Filter,
    GreaterOrEqual,
    LessOrEqual,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.ldap.ber import (
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    encode_attribute,
    encode_integer,
    encode_sequence,
    encode_tlv,
)

ASSERTION = "1.3.6.1.1.12"
"""Assertion control, RFC 4528."""
POST_READ = "1.3.6.1.1.13.2"
"""Post-read control, RFC 4527."""
EFFECTIVE_RIGHTS = "1.3.6.1.4.1.42.2.27.9.5.2"
"""Get effective rights, of 389-DS and its ancestors."""
PAGED = "1.2.840.113556.1.4.319"
"""Simple paged results, RFC 2696."""
_UNBIND = b"\x42\x00"
_TRUE, _FALSE = b"\x01\x01\xff", b"\x01\x01\x00"
"""RFC 4511 §5.1 wants true to be 0xFF."""


class SearchScope(IntEnum):
    """How much below a base a search covers."""

    BASE = 0
    ONELEVEL = 1
    SUBTREE = 2


class EditKind(IntEnum):
    """What a modification does with its values."""

    ADD = 0
    DELETE = 1
    REPLACE = 2


class Search(Struct, frozen=True):
    """A search request. Aliases are never followed: an entry has one name here."""

    base: str
    scope: SearchScope
    filter: Filter
    attributes: tuple[str, ...]


NOTHING = ("1.1",)
"""No attribute at all (RFC 4511 §4.5.1.8)."""


def search_entry(
    name: str, attributes: tuple[str, ...] = NOTHING, wanted: Filter = ANYTHING
) -> Search:
    """A search for the entry of this name, by default whatever it is."""
    return Search(name, SearchScope.BASE, wanted, attributes)


_SEARCH, _MODIFY, _COMPARE, _ABANDON = 0x63, 0x66, 0x6E, 0x50


def encode_message(
    number: int,
    operation: bytes,
    controls: Iterable[bytes] = (),
) -> bytes:
    """The envelope: message id, operation, controls."""
    body = encode_integer(number) + operation
    held = b"".join(controls)
    return encode_tlv(SEQUENCE, body + encode_tlv(0xA0, held) if held else body)


def encode_unbind(number: int) -> bytes:
    """The message that ends a session; nothing answers it."""
    return encode_message(number, _UNBIND)


def encode_abandon(number: int, other: int) -> bytes:
    """The message that asks to give up operation `other`; nothing answers it."""
    return encode_message(number, encode_integer(other, _ABANDON))


def encode_search(request: Search, most: int = 0) -> bytes:
    """A search, by default without limits of our own: one of the server's is an incomplete read, which must be seen."""
    return encode_sequence(
        (
            _encode_text(request.base),
            encode_integer(request.scope, ENUMERATED),
            encode_integer(0, ENUMERATED),  # never dereference aliases
            encode_integer(most),
            encode_integer(0),
            _FALSE,
            encode_filter(request.filter),
            encode_sequence(map(_encode_text, request.attributes)),
        ),
        _SEARCH,
    )


def encode_modify(name: str, modifications: Iterable[bytes]) -> bytes:
    """A modify request: all of these, or none."""
    return encode_sequence(
        (_encode_text(name), encode_sequence(modifications)), _MODIFY
    )


def encode_modification(
    edit: EditKind,
    attribute: str,
    values: Iterable[bytes],
) -> bytes:
    """An attribute's part of a modify request."""
    changed = encode_attribute(attribute.encode(), values)
    return encode_sequence((encode_integer(edit, ENUMERATED), changed))


def encode_compare(
    name: str,
    attribute: str,
    value: bytes,
) -> bytes:
    """A compare request."""
    return encode_sequence(
        (
            _encode_text(name),
            encode_sequence((_encode_text(attribute), _encode_octets(value))),
        ),
        _COMPARE,
    )


# ---------------------------------------------------------------- controls


def assertion_control(*wanted: Filter) -> bytes:
    """Carry the operation out only where all of these filters are true (RFC 4528).

    Critical, since a server that does not know the control would otherwise carry it out all
    the same.
    """
    both = wanted[0] if len(wanted) == 1 else And(wanted)
    return _encode_control(ASSERTION, encode_filter(both))


def paging_control(size: int, cookie: bytes = b"") -> bytes:
    """The next so many entries (RFC 2696); size 0 gives the rest up. Critical: without it the answer has no bound."""
    return _encode_control(
        PAGED, encode_sequence((encode_integer(size), _encode_octets(cookie)))
    )


def post_read_control(attributes: tuple[str, ...]) -> bytes:
    """Answer an update with these attributes of the entry as it is then (RFC 4527).

    Not critical: who cannot be shown the entry wants it changed all the same. (Measured:
    OpenLDAP leaves the entry out of the answer and reports success either way.)
    """
    return _encode_control(
        POST_READ, encode_sequence(map(_encode_text, attributes)), critical=False
    )


def effective_rights_control(name: str) -> bytes:
    """Show what the entry of this name may do to what is found. Critical: without it the answer is another one."""
    return _encode_control(EFFECTIVE_RIGHTS, f"dn:{name}".encode())


def _encode_control(
    oid: str,
    value: bytes,
    *,
    critical: bool = True,
) -> bytes:
    return encode_sequence(
        (_encode_text(oid), _TRUE if critical else b"", _encode_octets(value))
    )


# ---------------------------------------------------------------- filters


_ASSERTED = {
    Equal: 0xA3,
    GreaterOrEqual: 0xA5,
    LessOrEqual: 0xA6,
    Approx: 0xA8,
}


def encode_filter(wanted: Filter) -> bytes:  # noqa: PLR0911  # a line for each kind of filter
    """A filter (RFC 4511 §4.5.1.7)."""
    match wanted:
        case And(parts):
            return encode_sequence(map(encode_filter, parts), 0xA0)
        case Or(parts):
            return encode_sequence(map(encode_filter, parts), 0xA1)
        case Not(part):
            return encode_tlv(0xA2, encode_filter(part))
        case Substrings():
            return _encode_substrings(wanted)
        case Present(attribute):
            return encode_tlv(0x87, attribute.encode())
        case Extensible():
            return _encode_extensible(wanted)
        case _:
            return encode_sequence(
                (_encode_text(wanted.attribute), _encode_octets(wanted.value)),
                _ASSERTED[type(wanted)],
            )


def _encode_substrings(wanted: Substrings) -> bytes:
    pieces = [encode_tlv(0x81, piece) for piece in wanted.middle]
    if wanted.initial is not None:
        pieces.insert(0, encode_tlv(0x80, wanted.initial))
    if wanted.final is not None:
        pieces.append(encode_tlv(0x82, wanted.final))
    return encode_sequence(
        (_encode_text(wanted.attribute), encode_sequence(pieces)), 0xA4
    )


def _encode_extensible(wanted: Extensible) -> bytes:
    parts = []
    if wanted.rule is not None:
        parts.append(encode_tlv(0x81, wanted.rule.encode()))
    if wanted.attribute is not None:
        parts.append(encode_tlv(0x82, wanted.attribute.encode()))
    parts.append(encode_tlv(0x83, wanted.value))
    if wanted.dn:
        parts.append(encode_tlv(0x84, b"\xff"))
    return encode_sequence(parts, 0xA9)


def _encode_octets(value: bytes) -> bytes:
    return encode_tlv(OCTETS, value)


def _encode_text(value: str) -> bytes:
    return encode_tlv(OCTETS, value.encode())

"""LDAP responses out of octets (RFC 4511 §4), for servers that may be broken or hostile.

Any octets give what they say, or MalformedError: no other exception, and work that is
linear in their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from connector.directories.ldap import ber
from connector.directories.ldap.framing import Frame
from connector.errors import MalformedError

MAX_VALUES: Final = 100_000
"""Values of one entry. Users have dozens; without a bound a message's octets could become
as many objects."""
MAX_CONTROLS: Final = 100
MAX_URIS: Final = 1000

TWICE: Final = "an entry with one attribute twice"
LEFT_OVER: Final = "an entry with octets that belong to no attribute"

BOUND: Final = 0x61
ENTRY: Final = 0x64
DONE: Final = 0x65
REFERENCE: Final = 0x73
EXTENDED: Final = 0x78
_PLAIN_SUCCESS: Final = b"\x0a\x01\x00\x04\x00\x04\x00"
"""Code 0, and nothing said: neither a name nor a diagnostic, and no optional component."""


class Entry(Struct, frozen=True):
    """A search result entry: its DN, and the attributes with their values, as octets and as the server spells them."""

    name: bytes
    attributes: list[tuple[bytes, list[bytes]]]

    @property
    def dn(self) -> str:
        return self.name.decode("utf-8", "replace")

    def texts(self) -> dict[str, list[str]]:
        """The attributes as text, by their names in lower case."""
        return {
            attribute.decode("utf-8", "replace").lower(): [
                value.decode("utf-8", "replace") for value in values
            ]
            for attribute, values in self.attributes
        }


class Response(Struct, frozen=True, gc=False):
    """The end of an operation: result code, diagnostics, referral, name of an extended response, controls by OID.

    `credentials`: what a server says in a bind by SASL (RFC 4511 §4.2.2).
    """

    code: int
    diagnostic: str = ""
    referrals: tuple[str, ...] = ()
    name: str = ""
    controls: Mapping[str, bytes] = {}
    credentials: bytes = b""


def entry(message: Frame) -> Entry:
    """A search result entry, with whatever attributes; none is there twice (RFC 4511 §4.5.2)."""
    data, end = message.data, message.stop
    start, at = ber.element(data, message.start, end, ber.OCTETS)
    name = data[start:at]
    at, stop = ber.element(data, at, end, ber.SEQUENCE)
    if stop != end:
        raise MalformedError(LEFT_OVER)
    attributes: list[tuple[bytes, list[bytes]]] = []
    count = 0
    while at < stop:
        description, values, at = attribute(data, at, stop)
        attributes.append((description, values))
        count += len(values) + 1
        if count > MAX_VALUES:
            raise MalformedError(f"an entry of more than {MAX_VALUES} values")
    if len({description.lower() for description, _ in attributes}) != len(attributes):
        raise MalformedError(TWICE)
    return Entry(name, attributes)


def attribute(data: bytes, at: int, end: int) -> tuple[bytes, list[bytes], int]:
    """The attribute at `at`: description, values, and the place behind it."""
    at, after = ber.element(data, at, end, ber.SEQUENCE)
    start, at = ber.element(data, at, after, ber.OCTETS)
    description = data[start:at]
    at, stop = ber.element(data, at, after, ber.SET)
    values: list[bytes] = []
    while at < stop:
        start, at = ber.element(data, at, stop, ber.OCTETS)
        values.append(data[start:at])
        if len(values) > MAX_VALUES:
            raise MalformedError(f"an attribute of more than {MAX_VALUES} values")
    if stop != after:
        raise MalformedError(LEFT_OVER)
    return description, values, after


def reference(message: Frame) -> tuple[str, ...]:
    """A search result reference: the URLs of other servers that hold a part of what was asked for."""
    return _uris(message.data, message.start, message.stop)


def response(message: Frame) -> Response:
    """An LDAPResult (RFC 4511 §4.1.9) with the controls beside it; components that we do not know are passed over."""
    data, end = message.data, message.stop
    if data[message.start : end] == _PLAIN_SUCCESS:  # as nearly every one is
        return Response(0, controls=controls(message))
    start, at = ber.element(data, message.start, end, ber.ENUMERATED)
    code = ber.number(data, start, at)
    # the name of the nearest entry that there is
    _, at = ber.element(data, at, end, ber.OCTETS)
    start, at = ber.element(data, at, end, ber.OCTETS)
    diagnostic = _text(data, start, at)
    referrals: tuple[str, ...] = ()
    name = ""
    credentials = b""
    for _ in range(_OPTIONAL):
        if at >= end:
            break
        tag = data[at]
        start, at = ber.element(data, at, end, tag)
        if tag == _REFERRAL:
            referrals = _uris(data, start, at)
        elif tag == _NAME:
            name = _text(data, start, at)
        elif tag == _CREDENTIALS:
            credentials = data[start:at]
    return Response(code, diagnostic, referrals, name, controls(message), credentials)


_REFERRAL, _CREDENTIALS, _NAME, _OPTIONAL = 0xA3, 0x87, 0x8A, 8


def controls(message: Frame) -> dict[str, bytes]:
    """The values of the controls beside a message, by their numbers."""
    data, end = message.data, message.end
    if message.stop >= end:
        return {}
    at, stop = ber.element(data, message.stop, end, 0xA0)
    found: dict[str, bytes] = {}
    while at < stop:
        if len(found) == MAX_CONTROLS:
            raise MalformedError(f"more than {MAX_CONTROLS} controls")
        start, after = ber.element(data, at, stop, ber.SEQUENCE)
        name_at, name_end = ber.element(data, start, after, ber.OCTETS)
        at = name_end
        if at < after and data[at] == ber.BOOLEAN:
            _, at = ber.element(data, at, after, ber.BOOLEAN)
        value_at, value_end = (
            ber.element(data, at, after, ber.OCTETS) if at < after else (at, at)
        )
        found[_text(data, name_at, name_end)] = data[value_at:value_end]
        at = after
    return found


def page(value: bytes) -> tuple[int, bytes]:
    """The value of a paged results control (RFC 2696): the server's estimate of the whole, and the cookie."""
    start, end = ber.element(value, 0, len(value), ber.SEQUENCE)
    size_at, at = ber.element(value, start, end, ber.INTEGER)
    cookie_at, cookie_end = ber.element(value, at, end, ber.OCTETS)
    return ber.number(value, size_at, at), value[cookie_at:cookie_end]


def _uris(data: bytes, at: int, end: int) -> tuple[str, ...]:
    found: list[str] = []
    while at < end and len(found) < MAX_URIS:
        start, at = ber.element(data, at, end, ber.OCTETS)
        found.append(_text(data, start, at))
    return tuple(found)


def _text(data: bytes, start: int, stop: int) -> str:
    return data[start:stop].decode("utf-8", "replace")


def post_read(value: bytes) -> Frame:
    """The value of a post-read response control (RFC 4527 §3.2): the entry as the update left it, not yet decoded."""
    start, stop = ber.element(value, 0, len(value), ENTRY)
    return Frame(0, ENTRY, value, start, stop, stop)

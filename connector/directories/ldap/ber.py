"""The small part of BER that LDAP uses (RFC 4511 §5.1): definite lengths, one-octet tags, primitive strings.

Nothing here recurses, and nothing is copied but the octets of a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.errors import MalformedError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTETS: Final = 0x04
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31

SHORT: Final = 0x80
"""Lengths from here on take more than one octet."""
_TWO_OCTETS: Final = 0x82
_LENGTH_OCTETS: Final = 4
_INTEGER_OCTETS: Final = 8


# ---------------------------------------------------------------- writing


def tlv(tag: int, content: bytes) -> bytes:
    """One element: tag, length, content."""
    size = len(content)
    if size < SHORT:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, SHORT | len(octets))) + octets + content


def sequence(parts: Iterable[bytes], tag: int = SEQUENCE) -> bytes:
    """A SEQUENCE, or with another tag a SET or whatever else is made of elements."""
    return tlv(tag, b"".join(parts))


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A positive INTEGER, or with another tag an ENUMERATED, in as few octets as it needs."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def boolean(*, value: bool, tag: int = BOOLEAN) -> bytes:
    """A BOOLEAN; RFC 4511 §5.1 wants true to be 0xFF."""
    return bytes((tag, 1, 0xFF if value else 0))


# ---------------------------------------------------------------- reading


def length(data: bytes, at: int) -> tuple[int, int]:
    """The length that is written at `at`, and the place behind it.

    Raises IndexError where `data` ends too early, and MalformedError for a form that LDAP
    does not use. A length may be written in more octets than it needs: Active Directory
    always takes four.
    """
    first = data[at]
    if first < SHORT:
        return first, at + 1
    if (
        first == _TWO_OCTETS
    ):  # nearly every message and the attributes of nearly every user
        return data[at + 1] << 8 | data[at + 2], at + 3
    count = first & 0x7F
    if not 1 <= count <= _LENGTH_OCTETS:
        raise MalformedError("a BER length of a form that LDAP does not use")
    start = at + 1
    stop = start + count
    if stop > len(data):
        raise IndexError
    return int.from_bytes(data[start:stop], "big"), stop


def content(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where content starts and stops whose length is written at `at`. Raises MalformedError."""
    try:
        size = data[at]
        start = at + 1
        if size >= SHORT:
            size, start = length(data, at)
    except IndexError:
        raise MalformedError("a BER element is cut short") from None
    if start + size > end:
        raise MalformedError("a BER element is longer than what it is in")
    return start, start + size


def element(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and stops. Raises MalformedError unless it is one of that tag."""
    try:
        if data[at] != tag:
            raise MalformedError(
                f"a BER element has tag {data[at]:#04x} where {tag:#04x} belongs"
            )
    except IndexError:
        raise MalformedError("a BER element is cut short") from None
    return content(data, at + 1, end)


def number(data: bytes, start: int, stop: int) -> int:
    """The content of an INTEGER or ENUMERATED. Raises MalformedError."""
    if not 1 <= stop - start <= _INTEGER_OCTETS:
        raise MalformedError("a BER integer of no or too many octets")
    return int.from_bytes(data[start:stop], "big", signed=True)

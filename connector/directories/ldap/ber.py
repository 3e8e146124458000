"""Octets on the wire: BER (RFC 4511 §5.1), and messages in a stream (§4.1.1).

LDAP uses a small part of BER: definite lengths, one-octet tags, primitive strings. Nothing
here recurses, and nothing is copied but the octets of a value.

Servers may be broken or hostile. Any octets give messages, "more is needed", or
MalformedError: no other exception, and work that is linear in their number. Framing is
apart from decoding, so that a whole page can be received, and the next one asked for,
before its entries are decoded.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from connector.errors import MalformedError

INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31

SHORT = 0x80
"""Lengths from here on take more than one octet."""
_LENGTH_OCTETS = 4
_INTEGER_OCTETS = 8
MAX_ELEMENTS = 100_000
"""Elements in one, and values of an entry. Users have dozens; without a bound a message's octets
could become as many objects."""


# ---------------------------------------------------------------- writing


def encode_tlv(tag: int, content: bytes) -> bytes:
    """One element: tag, length, content."""
    size = len(content)
    if size < SHORT:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, SHORT | len(octets))) + octets + content


def encode_sequence(parts: Iterable[bytes], tag: int = SEQUENCE) -> bytes:
    """A SEQUENCE, or with another tag a SET or whatever else is made of elements."""
    return encode_tlv(tag, b"".join(parts))


def encode_integer(value: int, tag: int = INTEGER) -> bytes:
    """A positive INTEGER, or with another tag an ENUMERATED, in as few octets as it needs."""
    return encode_tlv(
        tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    )


def encode_attribute(description: bytes, values: Iterable[bytes]) -> bytes:
    """An attribute with its values (RFC 4511 §4.1.7)."""
    held = encode_sequence((encode_tlv(OCTETS, value) for value in values), SET)
    return encode_sequence((encode_tlv(OCTETS, description), held))


# ---------------------------------------------------------------- reading


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """The length that is written at `at`, and the place behind it.

    Raises IndexError where `data` ends too early, and MalformedError for a form that LDAP
    does not use. A length may be written in more octets than it needs: Active Directory
    always takes four.
    """
    first = data[at]
    if first < SHORT:
        return first, at + 1
    count = first & 0x7F
    if not 1 <= count <= _LENGTH_OCTETS:
        raise MalformedError("a BER length of a form that LDAP does not use")
    stop = at + 1 + count
    if stop > len(data):
        raise IndexError
    return int.from_bytes(data[at + 1 : stop], "big"), stop


def find_content(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where content starts and stops whose length is written at `at`. Raises MalformedError."""
    try:
        size, start = read_length(data, at)
    except IndexError:
        raise MalformedError("a BER element is cut short") from None
    if start + size > end:
        raise MalformedError("a BER element is longer than what it is in")
    return start, start + size


def find_element(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and stops. Raises MalformedError unless it is one of that tag."""
    found = data[at : at + 1]
    if found and found[0] != tag:
        raise MalformedError(f"a BER element of tag {found[0]:#04x}, not {tag:#04x}")
    return find_content(data, at + 1, end)


def read_integer(content: bytes) -> int:
    """The content of an INTEGER or ENUMERATED. Raises MalformedError."""
    if not 1 <= len(content) <= _INTEGER_OCTETS:
        raise MalformedError("a BER integer of no or too many octets")
    return int.from_bytes(content, "big", signed=True)


def split_elements(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that these octets are: tags and contents. Raises MalformedError."""
    elements = []
    at = 0
    while at < len(data):
        tag = data[at]
        start, at = find_content(data, at + 1, len(data))
        elements.append((tag, data[start:at]))
        if len(elements) > MAX_ELEMENTS:
            raise MalformedError(f"more than {MAX_ELEMENTS} BER elements")
    return elements


def take_elements(
    data: bytes, *tags: int
) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """The contents of the first elements, which must have these tags, and all behind them. Raises MalformedError."""
    elements = split_elements(data)
    contents = []
    for tag in tags:
        if not elements or elements[0][0] != tag:
            raise MalformedError("BER elements are missing, or of other tags")
        contents.append(elements.pop(0)[1])
    return contents, elements


# ---------------------------------------------------------------- messages

MAX_MESSAGE = 32 << 20
"""Octets of one message; servers bound what they send to a few MiB."""


class Frame(Struct, frozen=True, gc=False):
    """One message, not yet decoded: its id and kind, and where in `data` it is."""

    id: int
    tag: int
    data: bytes
    start: int
    """Where the content of its operation starts."""
    stop: int
    """Where that ends; controls may follow."""
    end: int
    """Where the message ends."""

    @property
    def content(self) -> bytes:
        return self.data[self.start : self.stop]


class MessageFramer:
    """Cuts a stream of octets into messages; a message that comes in many pieces is put together once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 0

    def feed_octets(self, piece: bytes) -> list[Frame]:
        """The messages that are whole now."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held < self._needed:
            return []
        data = b"".join(self._pieces)
        frames = []
        at = 0
        self._needed = 0
        while (extent := _find_extent(data, at)) is not None:
            start, end = extent
            if end > len(data):
                self._needed = end - at
                break
            frames.append(_read_envelope(data, start, end))
            at = end
        self._pieces = [data[at:]]
        self._held = len(data) - at
        return frames


def _find_extent(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the content of the message at `at` starts and ends, which may be behind the data; None: not yet known."""
    try:
        if data[at] != SEQUENCE:
            raise MalformedError("the answer is no LDAP message")
        size, start = read_length(data, at + 1)
    except IndexError:
        return None
    if size > MAX_MESSAGE:
        raise MalformedError(
            f"an LDAP message of {size} octets; the maximum is {MAX_MESSAGE}"
        )
    return start, start + size


def _read_envelope(data: bytes, at: int, end: int) -> Frame:
    """The message whose id is at `at`."""
    start, at = find_element(data, at, end, INTEGER)
    id_ = read_integer(data[start:at])
    if not 0 <= id_ < 1 << 31:
        raise MalformedError(f"an LDAP message with the id {id_}")
    if at >= end:
        raise MalformedError("an LDAP message without an operation")
    start, stop = find_content(data, at + 1, end)
    return Frame(id_, data[at], data, start, stop, end)

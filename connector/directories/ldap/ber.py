"""Octets on the wire: BER (RFC 4511 §5.1), messages in a stream (§4.1.1), and layouts of entries that are alike.

LDAP uses a small part of BER: definite lengths, one-octet tags, primitive strings. Nothing
here recurses, and nothing is copied but the octets of a value.

Servers may be broken or hostile. Any octets give messages, "more is needed", or
MalformedError: no other exception, and work that is linear in their number. Framing is
apart from decoding, so that a whole page can be received, and the next one asked for,
before its entries are decoded.

Layouts: many users have the same attributes, with values of the same lengths. In their
entries all tags, lengths and descriptions are the same octets in the same places. So
whoever has found these octets has checked the entry whole, and cuts out all values at once.
Of the values a layout has only those that many users share (objectClass).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from struct import Struct as Packing, iter_unpack
from typing import Any, Final

from msgspec import Struct

from connector.errors import MalformedError
from connector.model import Held

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


def encode_boolean(*, value: bool, tag: int = BOOLEAN) -> bytes:
    """A BOOLEAN; RFC 4511 §5.1 wants true to be 0xFF."""
    return bytes((tag, 1, 0xFF if value else 0))


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


def find_content(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where content starts and stops whose length is written at `at`. Raises MalformedError."""
    try:
        size = data[at]
        start = at + 1
        if size >= SHORT:
            size, start = read_length(data, at)
    except IndexError:
        raise MalformedError("a BER element is cut short") from None
    if start + size > end:
        raise MalformedError("a BER element is longer than what it is in")
    return start, start + size


def find_element(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and stops. Raises MalformedError unless it is one of that tag."""
    try:
        if data[at] != tag:
            raise MalformedError(
                f"a BER element has tag {data[at]:#04x} where {tag:#04x} belongs"
            )
    except IndexError:
        raise MalformedError("a BER element is cut short") from None
    return find_content(data, at + 1, end)


def read_integer(data: bytes, start: int, stop: int) -> int:
    """The content of an INTEGER or ENUMERATED. Raises MalformedError."""
    if not 1 <= stop - start <= _INTEGER_OCTETS:
        raise MalformedError("a BER integer of no or too many octets")
    return int.from_bytes(data[start:stop], "big", signed=True)


class Cursor(Struct):
    """A place in octets, for what is no hot path. Every method raises MalformedError for what is not there."""

    data: bytes
    at: int
    end: int

    @classmethod
    def over_octets(cls, data: bytes) -> Cursor:
        return cls(data, 0, len(data))

    @property
    def next_tag(self) -> int:
        """The tag of the next element; 0 where there is none."""
        return self.data[self.at] if self.at < self.end else 0

    def enter_element(self, tag: int) -> Cursor:
        """The content of the next element, which has to be of this tag; go on behind it."""
        start, self.at = find_element(self.data, self.at, self.end, tag)
        return Cursor(self.data, start, self.at)

    def take_octets(self, tag: int) -> bytes:
        """The content of the next element as octets."""
        inner = self.enter_element(tag)
        return self.data[inner.at : inner.end]

    def take_text(self) -> str:
        return self.take_octets(OCTETS).decode("utf-8", "replace")

    def take_number(self, tag: int) -> int:
        inner = self.enter_element(tag)
        return read_integer(self.data, inner.at, inner.end)


# ---------------------------------------------------------------- messages

MAX_MESSAGE: Final = 32 << 20
"""Octets of one message; servers bound what they send to a few MiB."""


class Frame(Struct, frozen=True, gc=False):
    """One message, not yet decoded: its id and kind, and in which octets its operation and the whole of it end.

    Messages alike may be one frame: `count` of them, one behind the other, each `whole`
    octets long and with the same octets up to its content. The places are those of the
    first one.
    """

    id: int
    tag: int
    data: bytes
    start: int
    stop: int
    end: int
    whole: int = 1
    count: int = 1

    def split_messages(self) -> Iterator[Frame]:
        """Each message by itself."""
        if self.count == 1:
            return iter((self,))
        shifts = range(0, self.whole * self.count, self.whole)
        return (
            Frame(
                self.id,
                self.tag,
                self.data,
                self.start + n,
                self.stop + n,
                self.end + n,
            )
            for n in shifts
        )


class MessageFramer:
    """Cuts a stream of octets into messages; a message that comes in many pieces is put together once.

    The entries of a search follow one another with the same id and kind, and many are as
    long as the one before. So the octets that say these are compared with those of that
    message, and decoded only where they are others. Messages of the `gathered` kind that
    are alike become one frame.
    """

    def __init__(self, gathered: int | None = None) -> None:
        self._gathered = gathered
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 0
        self._lead = b"\x02\x01\x00\x30"  # as if a message with these had come before
        self._id, self._tag = 0, 0x30

    def feed_octets(self, piece: bytes) -> list[Frame]:
        """The messages that are whole now."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held < self._needed:
            return []
        data = piece if len(self._pieces) == 1 else b"".join(self._pieces)
        frames, at, size = list[Frame](), 0, len(data)
        while (extent := _find_extent(data, at)) is not None and extent[1] <= size:
            first, (lead, end) = at, extent
            start = lead + len(self._lead)
            if data[lead:start] != self._lead:
                start = self._learn_lead(data, lead, end)
            start, stop = find_content(data, start, end)
            whole, at = end - first, end
            if self._tag == self._gathered:
                head, length = data[first:start], start - first
                while data[at : at + length] == head:
                    at += whole
                if at > size:
                    at -= whole
            frames.append(
                Frame(
                    self._id,
                    self._tag,
                    data,
                    start,
                    stop,
                    end,
                    whole,
                    (at - first) // whole,
                )
            )
        rest = data[at:]
        self._pieces = [rest] if rest else []
        self._held = len(rest)
        self._needed = 0 if extent is None else extent[1] - at
        return frames

    def _learn_lead(self, data: bytes, at: int, end: int) -> int:
        """Decode id and kind, the octets of which begin at `at`, and remember them; the place behind them."""
        start, stop = find_element(data, at, end, INTEGER)
        id_ = read_integer(data, start, stop)
        if not 0 <= id_ < 1 << 31:
            raise MalformedError(f"an LDAP message with the id {id_}")
        if stop >= end:
            raise MalformedError("an LDAP message without an operation")
        self._id, self._tag = id_, data[stop]
        self._lead = data[at : stop + 1]
        return stop + 1


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


# ---------------------------------------------------------------- layouts

MOST_LAYOUTS: Final = 1000
LONGEST: Final = 1024
"""Octets of an entry that has a layout."""
TRIAL: Final = 4
"""A layout costs as much as it saves with so many entries."""
TRIALS: Final = 1000
"""What may be spent on layouts before any is of use."""

Decode = Callable[[bytes], Held]
Row = tuple[bytes, ...]
"""The values of one entry, in the order of its layout."""
Shown = dict[str, tuple[Any, ...]]
"""Values by the names that they are shown under."""
Place = tuple[int, int, str, Decode]
"""Where a value starts and stops, which name it is shown under, and how."""


class EntryLayout(Struct, frozen=True):
    """`around`: the octets around the values. `shown`: what all such entries show, and a place for each value."""

    pieces: str
    unpack: Callable[[bytes, int], Row]
    around: Row
    names: tuple[str, ...]
    decoders: tuple[Decode, ...]
    shown: Shown

    @classmethod
    def learn_layout(
        cls,
        entry: bytes,
        start: int,
        values: Sequence[Place],
        shown: Shown,
    ) -> EntryLayout:
        """The layout of an entry that starts at `start` of the octets in which its values have these places."""
        _, _, names, decoders = zip(*values, strict=True)
        cuts = [0]
        for first, behind, *_ in values:
            cuts += first - start, behind - start
        cuts.append(len(entry))
        pieces = "".join(f"{after - before}s" for before, after in pairwise(cuts))
        unpack = Packing(pieces).unpack_from
        return cls(pieces, unpack, unpack(entry, 0)[::2], names, decoders, shown)

    def read_rows(self, frame: Frame) -> list[Row]:
        """The values of each of these entries, which are as long; none where the layout of any is another."""
        if frame.count == 1:
            pieces = self.unpack(frame.data, frame.start)
            return [pieces[1::2]] if pieces[::2] == self.around else []
        first, behind = frame.end - frame.whole, frame.end - frame.stop
        octets = memoryview(frame.data)[first : first + frame.whole * frame.count]
        each = iter_unpack(f"{frame.start - first}x{self.pieces}{behind}x", octets)
        rows = [pieces[1::2] for pieces in each if pieces[::2] == self.around]
        return rows if len(rows) == frame.count else []

    def read_entry(self, data: bytes, start: int) -> Shown | None:
        """What the entry at `start` shows, which is as long; None: its layout is another, or a value is no text."""
        pieces = self.unpack(data, start)
        if pieces[::2] != self.around:
            return None
        found = self.shown.copy()
        try:
            for name, decode, value in zip(
                self.names, self.decoders, pieces[1::2], strict=True
            ):
                found[name] = (decode(value),)
        except UnicodeDecodeError:
            return None
        return found

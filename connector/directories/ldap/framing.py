"""Messages out of a stream of octets (RFC 4511 §4.1.1), for servers that may be broken or hostile.

Any octets give messages, "more is needed", or MalformedError: no other exception, and work
that is linear in their number. Framing is apart from decoding, so that a whole page can be
received, and the next one asked for, before its entries are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from connector.directories.ldap import ber
from connector.errors import MalformedError

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

    def each(self) -> Iterator[Frame]:
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


class Framer:
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

    def feed(self, piece: bytes) -> list[Frame]:
        """The messages that are whole now."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held < self._needed:
            return []
        data = piece if len(self._pieces) == 1 else b"".join(self._pieces)
        frames, at, size = list[Frame](), 0, len(data)
        while (extent := _extent(data, at)) is not None and extent[1] <= size:
            first, (lead, end) = at, extent
            start = lead + len(self._lead)
            if data[lead:start] != self._lead:
                start = self._learn(data, lead, end)
            start, stop = ber.content(data, start, end)
            head, length, whole, at = data[first:start], start - first, end - first, end
            if self._tag == self._gathered:
                while data[at : at + length] == head:
                    at += whole
                at -= whole if at > size else 0
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
        self._pieces, self._held = [rest] if rest else [], len(rest)
        self._needed = 0 if extent is None else extent[1] - at
        return frames

    def _learn(self, data: bytes, at: int, end: int) -> int:
        """Decode id and kind, the octets of which begin at `at`, and remember them; the place behind them."""
        start, stop = ber.element(data, at, end, ber.INTEGER)
        number = ber.number(data, start, stop)
        if not 0 <= number < 1 << 31:
            raise MalformedError(f"an LDAP message with the id {number}")
        if stop >= end:
            raise MalformedError("an LDAP message without an operation")
        self._id, self._tag, self._lead = number, data[stop], data[at : stop + 1]
        return stop + 1


def _extent(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the content of the message at `at` starts and ends, which may be behind the data; None: not yet known."""
    try:
        if data[at] != ber.SEQUENCE:
            raise MalformedError("the answer is no LDAP message")
        size, start = ber.length(data, at + 1)
    except IndexError:
        return None
    if size > MAX_MESSAGE:
        raise MalformedError(
            f"an LDAP message of {size} octets; the maximum is {MAX_MESSAGE}"
        )
    return start, start + size

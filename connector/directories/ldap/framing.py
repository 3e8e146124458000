"""Messages out of a stream of octets (RFC 4511 §4.1.1), for servers that may be broken or hostile.

Any octets give messages, "more is needed", or MalformedError: no other exception, and work that is linear in their
number. Framing is apart from decoding, so that a whole page can be received, and the next one asked for, before its
entries are decoded.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from connector.directories.ldap import ber
from connector.errors import MalformedError

MAX_MESSAGE: Final = 32 << 20
"""Octets of one message; servers bound what they send to a few MiB."""
_LONG: Final = 0x80


class Frame(Struct, frozen=True, gc=False):
    """One message, not yet decoded: its id and kind, and in which octets its operation and the whole of it end."""

    id: int
    tag: int
    data: bytes
    start: int
    stop: int
    end: int


def extent(data: bytes, at: int) -> int | None:
    """Where the message at `at` ends, which may be behind the data; None where its header is not whole yet."""
    try:
        if data[at] != ber.SEQUENCE:
            raise MalformedError("what came is no LDAP message")
        size, start = ber.length(data, at + 1)
    except IndexError:
        return None
    if size > MAX_MESSAGE:
        raise MalformedError(f"an LDAP message of {size} octets; {MAX_MESSAGE} is the most that is taken")
    return start + size


def frame(data: bytes, at: int, end: int) -> Frame:
    """The message between `at` and `end`."""
    at += 2 if data[at + 1] < _LONG else 2 + (data[at + 1] & 0x7F)
    start, stop = ber.element(data, at, end, ber.INTEGER)
    number = ber.number(data, start, stop)
    if not 0 <= number < 1 << 31:
        raise MalformedError(f"an LDAP message with the id {number}")
    if stop >= end:
        raise MalformedError("an LDAP message without an operation")
    tag = data[stop]
    start, stop = ber.element(data, stop, end, tag)
    return Frame(number, tag, data, start, stop, end)


class Framer:
    """Cuts a stream of octets into messages; a message that comes in many pieces is put together once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 0

    def feed(self, piece: bytes) -> list[Frame]:
        """The messages that are whole now."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held < self._needed:
            return []
        data = piece if len(self._pieces) == 1 else b"".join(self._pieces)
        frames, at, size = [], 0, len(data)
        while (end := extent(data, at)) is not None and end <= size:
            frames.append(frame(data, at, end))
            at = end
        rest = data[at:]
        self._pieces, self._held = [rest] if rest else [], len(rest)
        self._needed = 0 if end is None else end - at
        return frames

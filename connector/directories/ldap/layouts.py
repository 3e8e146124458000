"""Layouts of entries: where their values are, and all octets around them.

Many users have the same attributes, with values of the same lengths. In their entries all
tags, lengths and descriptions are the same octets in the same places. So whoever has found
these octets has checked the entry whole, and cuts out all values at once. Of the values a
layout has only those that many users share (objectClass).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from struct import Struct as Packing, iter_unpack
from typing import Any, Final

from msgspec import Struct

from connector.directories.ldap.framing import Frame
from connector.model import Held

MOST_LAYOUTS: Final = 1000
LONGEST: Final = 1024
"""Octets of an entry that has a layout."""
TRIAL: Final = 4
"""A layout costs as much as it saves with so many entries."""
TRIALS: Final = 1000
"""What may be spent on layouts before any is of use."""

Decode = Callable[[bytes], Held]
Place = tuple[int, int, str, Decode]
"""Where a value starts and stops, which name it is shown under, and how."""


class Layout(Struct, frozen=True):
    """`around`: the octets around the values. `shown`: what all such entries show, and a place for each value."""

    pieces: str
    unpack: Callable[[bytes, int], tuple[bytes, ...]]
    around: tuple[bytes, ...]
    names: tuple[str, ...]
    decoders: tuple[Decode, ...]
    shown: dict[str, tuple[Any, ...]]

    @classmethod
    def of(
        cls,
        entry: bytes,
        start: int,
        values: Sequence[Place],
        shown: dict[str, tuple[Any, ...]],
    ) -> Layout:
        """The layout of an entry that starts at `start` of the octets in which its values have these places."""
        _, _, names, decoders = zip(*values, strict=True)
        cuts = [0, *(cut - start for place in values for cut in place[:2]), len(entry)]
        pieces = "".join(f"{after - before}s" for before, after in pairwise(cuts))
        unpack = Packing(pieces).unpack_from
        return cls(pieces, unpack, unpack(entry, 0)[::2], names, decoders, shown)

    def rows(self, frame: Frame) -> list[tuple[bytes, ...]]:
        """The values of each of these entries, which are as long; none where the layout of any is another."""
        if frame.count == 1:
            pieces = self.unpack(frame.data, frame.start)
            return [pieces[1::2]] if pieces[::2] == self.around else []
        first, behind = frame.end - frame.whole, frame.end - frame.stop
        octets = memoryview(frame.data)[first : first + frame.whole * frame.count]
        each = iter_unpack(f"{frame.start - first}x{self.pieces}{behind}x", octets)
        rows = [pieces[1::2] for pieces in each if pieces[::2] == self.around]
        return rows if len(rows) == frame.count else []

    def read(self, data: bytes, start: int) -> dict[str, tuple[Any, ...]] | None:
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

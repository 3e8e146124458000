"""A file that somebody wrote, as plain data with the line of every key and item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from connector.settings.textfile import Fault

Loc = tuple[str | int, ...]
"""The way to a key or an item: keys and indices from the root."""


class Document(Struct, frozen=True):
    """A file as plain data: dicts with `str` keys, lists, and str, int, float, bool or None."""

    path: Path
    data: dict[str, Any]
    lines: dict[Loc, int]
    faults: tuple[Fault, ...] = ()

    def __repr__(self) -> str:
        # the data may hold a secret that somebody wrote in clear
        return f"Document({str(self.path)!r})"

    def line(self, *loc: str | int) -> int:
        """The line of that key or item, or of the nearest one above it that the file has."""
        return self.lines[
            next(
                loc[:size]
                for size in range(len(loc), -1, -1)
                if loc[:size] in self.lines
            )
        ]

    def where(self, *loc: str | int) -> str:
        return f"{self.path}:{self.line(*loc)}"

"""Reads LDIF content records (RFC 2849) one block at a time, keeping every byte, so that what is not changed is copied.

A block is a run of lines up to and including the blank line that ends it; the blocks of a
file joined are the file. Comments, folded lines, CRLF, a byte order mark and raw UTF-8 are
read as the field writes them. Values that stand in other files (`:<`) and change records
are refused: this is a directory's content, and it is all in this one file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from connector.directories.common.changing import Edit
from connector.errors import MalformedError, MalformedFileError
from connector.reports.ldif_lines import line

_DESCRIPTION: Final = re.compile(
    rb"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9_-]+)*"
)
_DN_NAMES: Final = frozenset({b"dn", b"DN", b"Dn", b"dN"})
_CHANGE_NAMES: Final = frozenset({b"changetype", b"control"})
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = 0x20
_COMMENT: Final = 0x23


class Block(Struct, frozen=True):
    """Physical lines, with their line breaks; `number` is the first one's place in the file, from 1."""

    number: int
    lines: list[bytes]


class Attribute(NamedTuple):
    """A logical line of a record: the name, what stands behind its colon, and the physical lines it takes."""

    name: bytes
    rest: bytes
    start: int
    stop: int


class Record(Struct, frozen=True):
    """An entry: its block, the number of its `dn:` line in the file, its DN, and its other attributes in their order.

    `top`: the place in the block behind the DN.
    """

    block: Block
    line: int
    dn: str
    top: int
    attributes: list[Attribute]


class Format:
    """Reading one file once, whose `path` every complaint names with the line.

    `names`: every attribute name that stood in it so far, as it was written.
    """

    def __init__(self, path: str) -> None:
        self.names: set[bytes] = set()
        self._path = path
        self._begun = False

    def blocks(self, file: BinaryIO) -> Iterator[Block]:
        number, lines = 1, list[bytes]()
        for physical in file:
            lines.append(physical)
            if physical in (b"\n", b"\r\n"):
                yield Block(number, lines)
                number += len(lines)
                lines = []
        if lines:
            yield Block(number, lines)

    def record(self, block: Block) -> Record | None:
        """The entry of a block; None for one of comments alone. Raises MalformedError."""
        attributes = self._logical(block)
        if attributes and not self._begun and attributes[0].name.lower() == b"version":
            version = attributes.pop(0)
            if self.value(block, version) != b"1":
                raise self.error(
                    block.number + version.start, "only version 1 of LDIF is known"
                )
        if not attributes:
            return None
        self._begun = True
        first = attributes.pop(0)
        if first.name not in _DN_NAMES:
            raise self.error(block.number + first.start, _no_dn(first.name))
        for attribute in attributes:
            if attribute.name in _DN_NAMES:
                raise self.error(
                    block.number + attribute.start,
                    "a second 'dn:' line; a blank line is missing before it",
                )
        try:
            dn = self.value(block, first).decode()
        except UnicodeDecodeError:
            raise self.error(
                block.number + first.start, "a DN that is not UTF-8"
            ) from None
        return Record(block, block.number + first.start, dn, first.stop, attributes)

    def value(self, block: Block, attribute: Attribute) -> bytes:
        """The value behind a colon, out of its Base64 where it is in one. Raises MalformedError."""
        rest = attribute.rest
        if not rest.startswith(b":"):
            return rest.lstrip(b" ")
        try:
            return base64.b64decode(rest[1:].strip(), validate=True)
        except binascii.Error:
            raise self.error(
                block.number + attribute.start,
                "a value that is no Base64, though '::' says so",
            ) from None

    def error(self, number: int, what: str) -> MalformedError:
        return MalformedFileError(what, where=f"{self._path}:{number}")

    def _logical(self, block: Block) -> list[Attribute]:
        """Unfold, leave comments out, and split at the colon."""
        found: list[Attribute] = []
        lines, count, place = block.lines, len(block.lines), 0
        while place < count:
            logical = lines[place].rstrip(b"\r\n")
            start, place = place, place + 1
            if place < count and lines[place][0] == _SPACE:
                pieces = [logical]
                while place < count and lines[place][0] == _SPACE:
                    pieces.append(lines[place][1:].rstrip(b"\r\n"))
                    place += 1
                logical = b"".join(pieces)
            if block.number == 1 and start == 0:
                logical = logical.removeprefix(_BOM)
            if logical and logical[0] != _COMMENT:
                attribute = self._split(block, logical, start, place)
                if (
                    found
                    and found[-1].name in _DN_NAMES
                    and attribute.name.lower() in _CHANGE_NAMES
                ):
                    raise self.error(
                        block.number + start,
                        "a change record; this file has to hold entries",
                    )
                found.append(attribute)
        return found

    def _split(self, block: Block, logical: bytes, start: int, stop: int) -> Attribute:
        name, colon, rest = logical.partition(b":")
        if name not in self.names:
            if not colon or not _DESCRIPTION.fullmatch(name):
                raise self.error(
                    block.number + start,
                    "no line of LDIF, which is a name, a colon and a value",
                )
            self.names.add(name)
        elif not colon:
            raise self.error(block.number + start, "a name without a colon and a value")
        if rest.startswith(b"<"):
            raise self.error(
                block.number + start,
                "a value that is kept in another file (':<'), which is not read",
            )
        return Attribute(name, rest, start, stop)


def _no_dn(name: bytes) -> str:
    if name in (b"search", b"result", b"ref"):
        return "messages of ldapsearch are between the entries. Export again with -LLL, and check its exit code"
    return "an entry begins with its 'dn:' line"


def edited(
    record: Record, edits: Iterable[tuple[Edit, Collection[int]]], reader: Format
) -> list[bytes]:
    """The lines of a record's block after some edits; all lines that they do not concern are as they were.

    With each edit come the places, among the record's attributes, of those that it is
    about. New values stand behind the attribute's last line, under the name that it has
    there, else at the record's end.
    """
    block = record.block
    break_ = b"\r\n" if block.lines[0].endswith(b"\r\n") else b"\n"
    end = record.attributes[-1].stop if record.attributes else record.top
    dropped: set[int] = set()
    inserted: dict[int, list[bytes]] = {}
    for edit, places in edits:
        attributes = [record.attributes[place] for place in places]
        for attribute in attributes:
            if reader.value(block, attribute) in edit.removed:
                dropped.update(range(attribute.start, attribute.stop))
        name = attributes[-1].name.decode() if attributes else edit.name
        behind = attributes[-1].stop if attributes else end
        text = "".join(line(name, value) for value in edit.added)
        inserted.setdefault(behind, []).extend(
            text.encode().replace(b"\n", break_).splitlines(keepends=True)
        )
    lines: list[bytes] = []
    for place, old in enumerate([*block.lines, b""]):
        new = inserted.get(place, [])
        if new and lines and not lines[-1].endswith(b"\n"):
            lines[-1] += break_
        lines += new
        if old and place not in dropped:
            lines.append(old)
    return lines

"""Reads LDIF content records (RFC 2849) one block at a time, keeping every byte, so that what is not changed is copied.

A block is a run of lines up to and including the blank line that ends it; the blocks of a
file joined are the file. Comments, folded lines, CRLF, a byte order mark and raw UTF-8 are
read as the field writes them. Values that stand in other files (`:<`) and change records
are refused: this is a directory's content, and it is all in this one file.

A pass over the file gives every block with the entry that it holds, and proves that no
entry is there twice.
"""

from __future__ import annotations

import base64
import binascii
import re
from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from connector.directories.common.entries import Entry, ValueEdit, normalise_name
from connector.errors import MalformedError, MalformedFileError
from connector.model import Equality
from connector.model.dn import Rdn, rdn_key, rdn_texts, split_rdns
from connector.reports.ldif_lines import encode_line

_DESCRIPTION: Final = re.compile(
    rb"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9_-]+)*"
)
_DN_NAMES: Final = frozenset({b"dn", b"DN", b"Dn", b"dN"})
_CHANGE_NAMES: Final = frozenset({b"changetype", b"control"})
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = 0x20
_COMMENT: Final = 0x23


class LineBlock(Struct, frozen=True):
    """Physical lines, with their line breaks; `number` is the first one's place in the file, from 1."""

    number: int
    lines: list[bytes]


class RecordAttribute(NamedTuple):
    """A logical line of a record: the name, what stands behind its colon, and the physical lines it takes."""

    name: bytes
    rest: bytes
    start: int
    stop: int


class LdifRecord(Struct, frozen=True):
    """An entry: its block, the number of its `dn:` line in the file, its DN, and its other attributes in their order.

    `top`: the place in the block behind the DN.
    """

    block: LineBlock
    line: int
    dn: str
    top: int
    attributes: list[RecordAttribute]


class LdifFormat:
    """Reading one file once, whose `path` every complaint names with the line.

    `names`: every attribute name that stood in it so far, as it was written.
    """

    def __init__(self, path: str) -> None:
        self.names: set[bytes] = set()
        self._path = path
        self._begun = False

    def read_blocks(self, file: BinaryIO) -> Iterator[LineBlock]:
        number, lines = 1, list[bytes]()
        for physical in file:
            lines.append(physical)
            if physical in (b"\n", b"\r\n"):
                yield LineBlock(number, lines)
                number += len(lines)
                lines = []
        if lines:
            yield LineBlock(number, lines)

    def read_record(self, block: LineBlock) -> LdifRecord | None:
        """The entry of a block; None for one of comments alone. Raises MalformedError."""
        attributes = self._unfold_lines(block)
        if attributes and not self._begun and attributes[0].name.lower() == b"version":
            version = attributes.pop(0)
            if self.read_value(block, version) != b"1":
                raise self.make_error(
                    block.number + version.start, "only version 1 of LDIF is known"
                )
        if not attributes:
            return None
        self._begun = True
        first = attributes.pop(0)
        if first.name not in _DN_NAMES:
            raise self.make_error(block.number + first.start, _no_dn(first.name))
        for attribute in attributes:
            if attribute.name in _DN_NAMES:
                raise self.make_error(
                    block.number + attribute.start,
                    "a second 'dn:' line; a blank line is missing before it",
                )
        try:
            dn = self.read_value(block, first).decode()
        except UnicodeDecodeError:
            raise self.make_error(
                block.number + first.start, "a DN that is not UTF-8"
            ) from None
        return LdifRecord(block, block.number + first.start, dn, first.stop, attributes)

    def read_value(self, block: LineBlock, attribute: RecordAttribute) -> bytes:
        """The value behind a colon, out of its Base64 where it is in one. Raises MalformedError."""
        rest = attribute.rest
        if not rest.startswith(b":"):
            return rest.lstrip(b" ")
        try:
            return base64.b64decode(rest[1:].strip(), validate=True)
        except binascii.Error:
            raise self.make_error(
                block.number + attribute.start,
                "a value that is no Base64, though '::' says so",
            ) from None

    def make_error(self, number: int, what: str) -> MalformedError:
        return MalformedFileError(what, where=f"{self._path}:{number}")

    def _unfold_lines(self, block: LineBlock) -> list[RecordAttribute]:
        """Unfold, leave comments out, and split at the colon."""
        found: list[RecordAttribute] = []
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
                attribute = self._split_line(block, logical, start, place)
                if (
                    found
                    and found[-1].name in _DN_NAMES
                    and attribute.name.lower() in _CHANGE_NAMES
                ):
                    raise self.make_error(
                        block.number + start,
                        "a change record; this file has to hold entries",
                    )
                found.append(attribute)
        return found

    def _split_line(
        self, block: LineBlock, logical: bytes, start: int, stop: int
    ) -> RecordAttribute:
        name, colon, rest = logical.partition(b":")
        if name not in self.names:
            if not colon or not _DESCRIPTION.fullmatch(name):
                raise self.make_error(
                    block.number + start,
                    "no line of LDIF, which is a name, a colon and a value",
                )
            self.names.add(name)
        elif not colon:
            raise self.make_error(
                block.number + start, "a name without a colon and a value"
            )
        if rest.startswith(b"<"):
            raise self.make_error(
                block.number + start,
                "a value that is kept in another file (':<'), which is not read",
            )
        return RecordAttribute(name, rest, start, stop)


def _no_dn(name: bytes) -> str:
    if name in (b"search", b"result", b"ref"):
        return "messages of ldapsearch are between the entries. Export again with -LLL, and check its exit code"
    return "an entry begins with its 'dn:' line"


def edit_record(
    record: LdifRecord,
    edits: Iterable[tuple[ValueEdit, Collection[int]]],
    reader: LdifFormat,
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
            if reader.read_value(block, attribute) in edit.removed:
                dropped.update(range(attribute.start, attribute.stop))
        name = attributes[-1].name.decode() if attributes else edit.name
        behind = attributes[-1].stop if attributes else end
        text = "".join(encode_line(name, value) for value in edit.added)
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


# ---------------------------------------------------------------- one pass over a file

ENTRY_UUID: Final = "entryuuid"

Mark = tuple[str, Hashable]
RuleOf = Callable[[str], Equality]
"""How values of an attribute compare."""
KeyOf = Callable[[str], str | None]
"""The key (`Schema.attribute_key`) under which an attribute is kept; None: nobody needs it."""


class PassedBlock(Struct, frozen=True):
    """A block of the file; `record` and `entry` are None for comments and blank lines.

    `dn`: the entry's DN, each value as its attribute's rule compares it.
    """

    block: LineBlock
    record: LdifRecord | None = None
    entry: Entry | None = None
    dn: tuple[Rdn, ...] = ()


class FilePass:
    """Iterate it once. Raises MalformedError, which names the file and the line.

    Memory: two machine words an entry. They are hashes of the names and ids seen; only
    where two are equal is the file read a second time, to compare what they stand for and
    to name both lines.
    """

    def __init__(
        self, path: Path, file: BinaryIO, key_of: KeyOf, rule_of: RuleOf
    ) -> None:
        self._path = str(path)
        self.format = LdifFormat(self._path)
        self._file = file
        self._key_of = key_of
        self._rule_of = cache(rule_of)
        self._keys: dict[bytes, str | None] = {}
        self._hashes = array("q")

    def __iter__(self) -> Iterator[PassedBlock]:
        for block in self.format.read_blocks(self._file):
            passed = self.read_block(block)
            if passed.entry is not None:
                self._hashes.extend(map(hash, _mark_entry(passed.entry, passed.dn)))
            yield passed
        self._refuse_doubles()

    def find_places(self, record: LdifRecord, key: str) -> list[int]:
        """Where, among a record's attributes, those of this key stand."""
        return [
            place
            for place, attribute in enumerate(record.attributes)
            if self._find_key(attribute.name) == key
        ]

    def _find_key(self, name: bytes) -> str | None:
        if name not in self._keys:
            self._keys[name] = self._key_of(name.decode())
        return self._keys[name]

    def read_block(self, block: LineBlock) -> PassedBlock:
        """What a block holds. Raises MalformedError."""
        record = self.format.read_record(block)
        if record is None:
            return PassedBlock(block)
        values: dict[str, list[bytes]] = {}
        for attribute in record.attributes:
            key = self._find_key(attribute.name)
            if key is not None:
                values.setdefault(key, []).append(
                    self.format.read_value(record.block, attribute)
                )
        try:
            name = split_rdns(record.dn)
            exact = self._compare_exactly(record.dn, name)
        except ValueError as fault:
            raise self.format.make_error(
                record.line, f"not a distinguished name: {fault}"
            ) from None
        uuid = values.get(ENTRY_UUID)
        identity = (
            uuid[0].decode("utf-8", "replace").strip().lower()
            if uuid
            else normalise_name(exact)
        )
        return PassedBlock(
            block, record, Entry(identity, record.dn, name, values), exact
        )

    def _compare_exactly(self, dn: str, name: tuple[Rdn, ...]) -> tuple[Rdn, ...]:
        """The name by the rules of its attributes; it is there already by caseIgnore, which most of them have."""
        if all(
            self._rule_of(kind) is Equality.CASE_IGNORE
            for one in name
            for kind, _ in one
        ):
            return name
        return tuple(rdn_key(text, self._rule_of) for text in rdn_texts(dn))

    def _refuse_doubles(self) -> None:
        doubtful = {
            one for one, other in pairwise(sorted(self._hashes)) if one == other
        }
        if not doubtful:
            return
        self._file.seek(0)
        self.format = LdifFormat(self._path)
        seen: dict[Mark, int] = {}
        for block in self.format.read_blocks(self._file):
            passed = self.read_block(block)
            if passed.record is None or passed.entry is None:
                continue
            for mark in _mark_entry(passed.entry, passed.dn):
                if mark in seen:
                    what = f"two entries with one {mark[0]}, at lines {seen[mark]} and {passed.record.line}"
                    raise self.format.make_error(
                        passed.record.line, f"{what}: {passed.entry.name}"
                    )
                if hash(mark) in doubtful:
                    seen[mark] = passed.record.line


def _mark_entry(entry: Entry, dn: tuple[Rdn, ...]) -> tuple[Mark, Mark]:
    """What no other entry may have."""
    return ("DN", dn), ("entryUUID", entry.id)

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
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec import Struct

from connector.directories.common.entries import Entry, ValueEdit, normalise_name
from connector.errors import MalformedError, MalformedFileError
from connector.model import Equality
from connector.model.dn import Rdn, rdn_key, rdn_texts, split_rdns
from connector.reports.ldif import encode_line

ENTRY_UUID = "entryuuid"
_DESCRIPTION = re.compile(
    rb"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9_-]+)*"
)
_DN_NAMES = frozenset({b"dn", b"DN", b"Dn", b"dN"})
_CHANGE_NAMES = frozenset({b"changetype", b"control"})
_BOM = b"\xef\xbb\xbf"
_SPACE = 0x20
_FOLD = re.compile(rb"\r*\n ")

Mark = tuple[str, Hashable]
"""What no two entries may have in common: its kind, and a value."""


class LogicalLine(NamedTuple):
    """A name with its value, and the physical lines that they take."""

    name: bytes
    rest: bytes
    """What stands behind the colon."""
    number: int
    """The first physical line, from 1 in the file."""
    stop: int
    """The physical line behind the last."""


class LdifRecord(Struct, frozen=True):
    """An entry as it stands in the file."""

    heading: LogicalLine
    """Its `dn:` line."""
    attributes: list[LogicalLine]
    """Its other lines, in their order."""
    entry: Entry
    dn: tuple[Rdn, ...]
    """Its DN, each value as its attribute's rule compares it."""

    @property
    def marks(self) -> tuple[Mark, Mark]:
        """What no other entry may have."""
        return ("DN", self.dn), ("entryUUID", self.entry.id)


class LdifBlock(Struct, frozen=True):
    """A block of the file."""

    number: int
    """The first physical line, from 1 in the file."""
    lines: list[bytes]
    """Physical lines, with their line breaks."""
    record: LdifRecord | None = None
    """None for comments and blank lines."""


class FilePass:
    """One pass over a file. Iterate it once. Raises MalformedError, which names the file and the line.

    Memory: two machine words an entry. They are hashes of the names and ids seen; only
    where two are equal is the file read a second time, to compare what they stand for and
    to name both lines.
    """

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        key_of: Callable[[str], str | None],
        rule_of: Callable[[str], Equality],
    ) -> None:
        """`key_of`: the key (`Schema.attribute_key`) under which an attribute is kept; None: nobody needs it.

        `rule_of`: how values of an attribute compare.
        """
        self._path = path
        self._file = file
        self._key_of = key_of
        self._rule_of = cache(rule_of)
        self.keys: dict[bytes, str | None] = {}
        """By every name that stood in the file so far, as it was written."""
        self._first = 0
        """The line at which the first name stands."""
        self._hashes = array("q")

    def __iter__(self) -> Iterator[LdifBlock]:
        for block in self._read_blocks():
            if block.record is not None:
                self._hashes.extend(map(hash, block.record.marks))
            yield block
        self._refuse_doubles()

    def _refuse_doubles(self) -> None:
        doubtful = {
            one for one, other in pairwise(sorted(self._hashes)) if one == other
        }
        if not doubtful:
            return
        self._file.seek(0)
        seen: dict[Mark, int] = {}
        for block in self._read_blocks():
            if block.record is None:
                continue
            line = block.record.heading.number
            for mark in block.record.marks:
                if mark in seen:
                    both = f"at lines {seen[mark]} and {line}"
                    why = f"two entries with one {mark[0]}, {both}: {block.record.entry.name}"
                    raise self._make_error(line, why)
                if hash(mark) in doubtful:
                    seen[mark] = line

    def _make_error(self, number: int, what: str) -> MalformedError:
        return MalformedFileError(what, where=f"{self._path}:{number}")

    def _read_blocks(self) -> Iterator[LdifBlock]:
        number, lines = 1, list[bytes]()
        for physical in self._file:
            lines.append(physical)
            if physical in (b"\n", b"\r\n"):
                yield self.read_block(number, lines)
                number += len(lines)
                lines = []
        if lines:
            yield self.read_block(number, lines)

    def read_block(self, number: int, lines: list[bytes]) -> LdifBlock:
        """What these lines hold. Raises MalformedError."""
        heading: LogicalLine | None = None
        attributes: list[LogicalLine] = []
        values: dict[str, list[bytes]] = {}
        for line in self._unfold_lines(number, lines):
            if heading is None:
                if self._is_version(line):
                    continue
                if line.name not in _DN_NAMES:
                    raise self._make_error(line.number, _explain_no_dn(line.name))
                heading = line
                continue
            if line.name in _DN_NAMES:
                why = "a second 'dn:' line; a blank line is missing before it"
                raise self._make_error(line.number, why)
            if not attributes and line.name.lower() in _CHANGE_NAMES:
                why = "a change record; this file has to hold entries"
                raise self._make_error(line.number, why)
            attributes.append(line)
            key = self.keys[line.name]
            if key is not None:
                value = self._read_value(line)
                values.setdefault(key, []).append(value)
        if heading is None:
            return LdifBlock(number, lines)
        dn, name, exact = self._read_name(heading)
        if ENTRY_UUID in values:
            uuid = values[ENTRY_UUID][0].decode("utf-8", "replace")
            id_ = uuid.strip().lower()
        else:
            id_ = normalise_name(exact)
        entry = Entry(id_, dn, name, values)
        record = LdifRecord(heading, attributes, entry, exact)
        return LdifBlock(number, lines, record)

    def _is_version(self, line: LogicalLine) -> bool:
        """Whether it is the file's first line, and says the version of LDIF. Raises MalformedError for another."""
        self._first = self._first or line.number
        if line.number != self._first:
            return False
        if line.name.lower() != b"version":
            return False
        if self._read_value(line) != b"1":
            raise self._make_error(line.number, "only version 1 of LDIF is known")
        return True

    def _read_name(
        self, heading: LogicalLine
    ) -> tuple[str, tuple[Rdn, ...], tuple[Rdn, ...]]:
        """The DN as text, by caseIgnore, which most attributes of names have, and by the rules of its attributes."""
        try:
            dn = self._read_value(heading).decode()
        except UnicodeDecodeError:
            raise self._make_error(heading.number, "a DN that is not UTF-8") from None
        try:
            name = exact = split_rdns(dn)
            rules = {self._rule_of(kind) for one in name for kind, _ in one}
            if rules - {Equality.CASE_IGNORE}:
                exact = tuple(rdn_key(text, self._rule_of) for text in rdn_texts(dn))
        except ValueError as fault:
            why = f"not a distinguished name: {fault}"
            raise self._make_error(heading.number, why) from None
        return dn, name, exact

    def _read_value(self, line: LogicalLine) -> bytes:
        """The value behind a colon, out of its Base64 where it is in one. Raises MalformedError."""
        rest = line.rest
        if not rest.startswith(b":"):
            return rest.lstrip(b" ")
        try:
            return base64.b64decode(rest[1:].strip(), validate=True)
        except binascii.Error:
            why = "a value that is no Base64, though '::' says so"
            raise self._make_error(line.number, why) from None

    def _unfold_lines(self, number: int, lines: list[bytes]) -> Iterator[LogicalLine]:
        """Unfold, leave comments out, and split at the colon."""
        stop, count = 0, len(lines)
        while stop < count:
            start = stop
            logical = lines[start]
            stop += 1
            while stop < count and lines[stop][0] == _SPACE:
                stop += 1
            if stop - start > 1:
                folded = b"".join(lines[start:stop])
                logical = _FOLD.sub(b"", folded)
            if number + start == 1:
                logical = logical.removeprefix(_BOM)
            logical = logical.rstrip(b"\r\n")
            if logical and not logical.startswith(b"#"):
                yield self._split_line(logical, number + start, number + stop)

    def _split_line(self, logical: bytes, number: int, stop: int) -> LogicalLine:
        name, colon, rest = logical.partition(b":")
        why = ""
        if name not in self.keys:
            if colon and _DESCRIPTION.fullmatch(name):
                self.keys[name] = self._key_of(name.decode())
            else:
                why = "no line of LDIF, which is a name, a colon and a value"
        elif not colon:
            why = "a name without a colon and a value"
        if rest.startswith(b"<"):
            why = (
                why or "a value that is kept in another file (':<'), which is not read"
            )
        if why:
            raise self._make_error(number, why)
        return LogicalLine(name, rest, number, stop)

    def edit_block(
        self,
        block: LdifBlock,
        record: LdifRecord,
        edits: Iterable[ValueEdit],
    ) -> LdifBlock:
        """The block of a record after some edits; no other line is touched.

        New values stand behind the attribute's last line, under the name that it has there,
        else at the record's end.
        """
        lines = block.lines.copy()
        break_ = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
        end = [record.heading, *record.attributes][-1]
        added = []
        for edit in edits:
            key = self._key_of(edit.name)
            name, last = edit.name, end
            for line in record.attributes:
                if self.keys[line.name] != key:
                    continue
                last = line
                name = line.name.decode()
                if self._read_value(line) in edit.removed:
                    for number in range(line.number, line.stop):
                        lines[number - block.number] = b""
            place = last.stop - block.number - 1
            for value in edit.added:
                text = encode_line(name, value)
                added.append((place, text.encode().replace(b"\n", break_)))
        for place, octets in added:
            before = lines[place]
            if before and not before.endswith(b"\n"):
                before += break_
            lines[place] = before + octets
        octets = b"".join(lines)
        return self.read_block(block.number, BytesIO(octets).readlines())


def _explain_no_dn(name: bytes) -> str:
    if name in (b"search", b"result", b"ref"):
        return "messages of ldapsearch are between the entries. Export again with -LLL, and check its exit code"
    return "an entry begins with its 'dn:' line"

"""One pass over an LDIF file: every block with the entry that it holds, and the proof that no entry is there twice."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from connector.directories.common.scope import Entry, normalised
from connector.directories.ldif.format import Block, Format, Record
from connector.model import Equality
from connector.reconcile.dn import Rdn, rdn, rdn_texts, rdns

ENTRY_UUID: Final = "entryuuid"

Mark = tuple[str, Hashable]
RuleOf = Callable[[str], Equality]
"""How values of an attribute compare."""
KeyOf = Callable[[str], str | None]
"""The key (`Schema.key`) under which an attribute is kept; None: nobody needs it."""


class Passed(Struct, frozen=True):
    """A block of the file; `record` and `entry` are None for comments and blank lines.

    `dn`: the entry's DN, each value as its attribute's rule compares it.
    """

    block: Block
    record: Record | None = None
    entry: Entry | None = None
    dn: tuple[Rdn, ...] = ()


class Passage:
    """Iterate it once. Raises MalformedError, which names the file and the line.

    Memory: two machine words an entry. They are hashes of the names and ids seen; only
    where two are equal is the file read a second time, to compare what they stand for and
    to name both lines.
    """

    def __init__(
        self, path: Path, file: BinaryIO, key_of: KeyOf, rule_of: RuleOf
    ) -> None:
        self._path = str(path)
        self.format = Format(self._path)
        self._file = file
        self._key_of = key_of
        self._rule_of = cache(rule_of)
        self._keys: dict[bytes, str | None] = {}
        self._hashes = array("q")

    def __iter__(self) -> Iterator[Passed]:
        for block in self.format.blocks(self._file):
            passed = self.passed(block)
            if passed.entry is not None:
                self._hashes.extend(map(hash, _marks(passed.entry, passed.dn)))
            yield passed
        self._refuse_doubles()

    def places(self, record: Record, key: str) -> list[int]:
        """Where, among a record's attributes, those of this key stand."""
        return [
            place
            for place, attribute in enumerate(record.attributes)
            if self._key(attribute.name) == key
        ]

    def _key(self, name: bytes) -> str | None:
        if name not in self._keys:
            self._keys[name] = self._key_of(name.decode())
        return self._keys[name]

    def passed(self, block: Block) -> Passed:
        """What a block holds. Raises MalformedError."""
        record = self.format.record(block)
        if record is None:
            return Passed(block)
        values: dict[str, list[bytes]] = {}
        for attribute in record.attributes:
            key = self._key(attribute.name)
            if key is not None:
                values.setdefault(key, []).append(
                    self.format.value(record.block, attribute)
                )
        try:
            name = rdns(record.dn)
            exact = self._exact(record.dn, name)
        except ValueError as fault:
            raise self.format.error(
                record.line, f"not a distinguished name: {fault}"
            ) from None
        uuid = values.get(ENTRY_UUID)
        identity = (
            uuid[0].decode("utf-8", "replace").strip().lower()
            if uuid
            else normalised(exact)
        )
        return Passed(block, record, Entry(identity, record.dn, name, values), exact)

    def _exact(self, dn: str, name: tuple[Rdn, ...]) -> tuple[Rdn, ...]:
        """The name by the rules of its attributes; it is there already by caseIgnore, which most of them have."""
        if all(
            self._rule_of(kind) is Equality.CASE_IGNORE
            for one in name
            for kind, _ in one
        ):
            return name
        return tuple(rdn(text, self._rule_of) for text in rdn_texts(dn))

    def _refuse_doubles(self) -> None:
        doubtful = {
            one for one, other in pairwise(sorted(self._hashes)) if one == other
        }
        if not doubtful:
            return
        self._file.seek(0)
        self.format = Format(self._path)
        seen: dict[Mark, int] = {}
        for block in self.format.blocks(self._file):
            passed = self.passed(block)
            if passed.record is None or passed.entry is None:
                continue
            for mark in _marks(passed.entry, passed.dn):
                if mark in seen:
                    what = f"two entries with one {mark[0]}, at lines {seen[mark]} and {passed.record.line}"
                    raise self.format.error(
                        passed.record.line, f"{what}: {passed.entry.name}"
                    )
                if hash(mark) in doubtful:
                    seen[mark] = passed.record.line


def _marks(entry: Entry, dn: tuple[Rdn, ...]) -> tuple[Mark, Mark]:
    """What no other entry may have."""
    return ("DN", dn), ("entryUUID", entry.id)

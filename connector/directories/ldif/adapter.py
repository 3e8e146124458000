"""An LDIF file (RFC 2849) as a directory: read in a stream, pass by pass, and rewritten whole or not at all.

A user's `id` is its entryUUID (RFC 4530), else its DN in a normal form; its `name` is the
DN as it is written. A file has no schema: the common attributes are known (`known_schema`),
and any other one compares exactly, to the letter, and counts as single-valued, so that a
mapping of it never finds or removes more than what it says.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import (
    ConflictError,
    Entry,
    EntryReader,
    EntryScope,
    ForbiddenError,
    find_filtered,
    plan_edits,
)
from connector.directories.ldif.file_replacement import (
    ChangedError,
    FileReplacement,
    LinkedError,
)
from connector.directories.ldif.format import (
    ENTRY_UUID,
    FilePass,
    LineBlock,
    PassedBlock,
    edit_record,
)
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    IncompleteRead,
    UnreachableError,
)
from connector.model import (
    AttributeInfo,
    Change,
    Description,
    Outcome,
    Result,
    Scope,
    View,
    WriteRules,
)
from connector.model.dn import Rdn, split_rdns
from connector.model.spelling import suggest_name
from connector.settings.ldap import LdifDirectory as LdifSettings
from connector.settings.textfile import open_regular

ATTEMPTS: Final = 3
"""How often a file that is edited while it is being rewritten is read again."""

LINKED: Final = (
    "the file has another hard link, which would keep the old content. "
    "Remove it, or name a copy of the file"
)
_RIGHTS: Final = (
    "Check the rights on the file and its folder, and the free space of its disk"
)
_BATCH: Final = 100_000
"""Changes in one rewriting of the file: it costs as much for one as for all."""
_SAMPLE: Final = 64 << 10
"""Octets of a file from which the number of its entries is estimated."""


class LdifReader(EntryReader):
    """The file, to be read. Raises FileError where base or filter are wrong."""

    def __init__(self, settings: LdifSettings, view: View) -> None:
        super().__init__(view, known_schema())
        self.path = Path(os.path.realpath(settings.path))
        self._bases = tuple(filter(None, settings.base))
        self.scope = EntryScope(settings.base, settings.filter, self.schema)
        self._recognised: frozenset[str] | None = None

    def describe(self) -> Description:
        """What is known of the attributes without a schema; cautions name those that nothing is known of."""
        recognised = self.recognise_attributes()
        infos = {name: self.info(name) for name in self.view.attributes}
        unknown = [name for name, info in infos.items() if not info.definition.known]
        types = [info.name for info in self.schema.types.values()] if unknown else []
        cautions = [
            f"{name} is not a known attribute{suggest_name(name, types)}: "
            "it is taken as case-sensitive and single-valued"
            for name in unknown
        ]
        cautions += [
            f"{name} is not a known object class{near}: check its spelling in the mapping"
            for name in self.view.object_classes
            if name.lower() not in self.schema.classes
            and (near := suggest_name(name, self.schema.class_names()))
        ]
        cautions += [
            f"the filter names {name}, which is no known attribute and is in no entry: it matches no user. Check "
            "the filter"
            for name in sorted(self.scope.unknown_attributes)
            if self.schema.attribute_key(name) not in recognised
        ]
        cautions += [f"an apply would fail: {LINKED}"] if self._is_linked() else []
        filtered = find_filtered(self.scope.filter, self.schema, self.view)
        return Description(
            "LDIF file",
            str(self.path),
            infos,
            cautions=tuple(cautions),
            scope=Scope(bases=self._bases, filtered=filtered),
            writing=WriteRules(batch=_BATCH),
        )

    def _is_linked(self) -> bool:
        with self._open_file() as file:
            return os.fstat(file.fileno()).st_nlink > 1

    def size(self) -> int:
        """About how many entries, from the size of the first ones. Looking up costs one pass as well."""
        with self._open_file() as file:
            sample = file.read(_SAMPLE)
            whole = os.fstat(file.fileno()).st_size
        return whole * max(1, sample.count(b"\ndn:")) // max(1, len(sample))

    def entries(
        self, attributes: Collection[str] = (), *, disabled: bool = False
    ) -> Iterator[Entry]:
        """One pass; raises IncompleteRead (or one of its kinds) unless the whole file was read, and is sound."""
        self.recognise_attributes()
        with self._open_file() as file:
            before = os.fstat(file.fileno())
            for passed in self.begin_pass(file, attributes):
                entry = (
                    self.scope.find_shown(passed.entry, disabled=disabled)
                    if passed.entry
                    else None
                )
                if entry is not None:
                    yield entry
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (
                after.st_size,
                after.st_mtime_ns,
            ):
                raise IncompleteRead(
                    "the file was changed while it was read", where=str(self.path)
                )

    def begin_pass(self, file: BinaryIO, attributes: Collection[str] = ()) -> FilePass:
        wanted = self.keys | set(attributes) | {ENTRY_UUID}

        def key_of(name: str) -> str | None:
            key = self.schema.attribute_key(name)
            return key if key in wanted or self.scope.needs_attribute(name) else None

        return FilePass(
            self.path, file, key_of, lambda name: self.schema.info(name).equality
        )

    def list_held(self, users: int) -> list[AttributeInfo]:
        """What is known of the attributes that so many first users hold; the file is read no further."""
        self.recognise_attributes()
        names: dict[str, str] = {}
        with self._open_file() as file:
            passage = self.begin_pass(file)
            shown = (
                each
                for each in passage
                if each.entry and self.scope.find_shown(each.entry, disabled=False)
            )
            for each in islice(shown, users):
                for attribute in each.record.attributes if each.record else ():
                    name = attribute.name.decode()
                    names.setdefault(self.schema.attribute_key(name), name)
        return [self.info(name) for name in names.values()]

    @contextmanager
    def _open_file(self) -> Iterator[BinaryIO]:
        try:
            with open_regular(self.path) as file:
                yield file
        except OSError as fault:
            kind = (
                DeniedError if isinstance(fault, PermissionError) else UnreachableError
            )
            raise kind(
                f"the file cannot be read: {fault.strerror}", where=str(self.path)
            ) from fault

    def recognise_attributes(self) -> frozenset[str]:
        """Where the filter names attributes that are not known, those count that stand in the file at all: these."""
        if self._recognised is None:
            found: frozenset[str] = frozenset()
            if self.scope.unknown_attributes:
                with self._open_file() as file:
                    passage = self.begin_pass(file)
                    for _ in passage:
                        pass
                found = frozenset(
                    self.schema.attribute_key(name.decode())
                    for name in passage.format.names
                )
                self.scope.recognise_attributes(found)
            self._recognised = found
        return self._recognised


class LdifDirectory(LdifReader):
    """The file, to be read and written. A batch of changes is one rewriting of the file, or none."""

    def describe(self) -> Description:
        """Raises FileError for a file that may not, or cannot, be replaced."""
        if self._is_linked():
            raise FileError(LINKED, where=str(self.path))
        try:
            with self.path.open("r+b"), tempfile.TemporaryFile(dir=self.path.parent):
                return super().describe()
        except OSError as fault:
            why = f"the file cannot be rewritten: {fault.strerror}. {_RIGHTS}"
            raise FileError(why, where=str(self.path)) from None

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Every change of the batch at once: should the file not be replaced, all of them have failed."""
        batch = list(changes)
        if not batch:
            return
        try:
            self.recognise_attributes()
            outcomes = self._try_rewrite(batch)
        except ConnectorError as fault:
            outcomes = _fail_all(batch, str(fault))
        except LinkedError:
            outcomes = _fail_all(batch, LINKED)
        except BlockingIOError:
            outcomes = _fail_all(batch, "another program has locked the file")
        except OSError as fault:
            why = f"the file is unchanged: it could not be rewritten: {fault.strerror}. {_RIGHTS}"
            outcomes = _fail_all(batch, why)
        yield from outcomes

    def _try_rewrite(self, batch: list[Change]) -> list[Outcome]:
        for _ in range(ATTEMPTS):
            with suppress(ChangedError):
                return self._rewrite_file(batch)
        return _fail_all(
            batch,
            f"the file is unchanged: others changed it {ATTEMPTS} times during the rewrite. Rerun",
        )

    def _rewrite_file(self, batch: list[Change]) -> list[Outcome]:
        """One pass from the old file to the new one. Raises OSError and ChangedError: then nothing has happened."""
        waiting: dict[str, list[Change]] = {}
        for change in batch:
            waiting.setdefault(change.user.id, []).append(change)
        attributes = {
            self.schema.attribute_key(each.name)
            for change in batch
            for each in change.attributes
        }
        outcomes: list[Outcome] = []
        with FileReplacement(self.path) as files:
            passage = self.begin_pass(files.old, attributes)
            for passed in passage:
                now = passed
                entry = (
                    passed.entry
                    if passed.entry is not None and passed.entry.id in waiting
                    else None
                )
                entry = (
                    self.scope.find_shown(entry, disabled=self.view.disabled)
                    if entry
                    else None
                )
                for change in waiting.pop(entry.id) if entry else ():
                    if entry and entry.disabled is not change.disabled:
                        waiting.setdefault(entry.id, []).append(change)
                        continue
                    now, outcome = self._apply_change(passage, now, change)
                    outcomes.append(outcome)
                files.new.writelines(now.block.lines)
            outcomes += [
                Outcome(change.user, Result.CONFLICT, "the entry is gone")
                for changes in waiting.values()
                for change in changes
            ]
            if any(outcome.result is Result.WRITTEN for outcome in outcomes):
                try:
                    files.commit_file()
                except OSError as fault:
                    if not files.done:
                        raise
                    return _fail_all(
                        batch,
                        f"the file was rewritten, but a power cut may undo it: {fault.strerror}",
                    )
        return outcomes

    def _apply_change(
        self, passage: FilePass, passed: PassedBlock, change: Change
    ) -> tuple[PassedBlock, Outcome]:
        """The block as the change makes it, and what became of the change."""
        record, entry = passed.record, passed.entry
        if (
            record is None
            or entry is None
            or entry.rdns != _parse_name(change.user.name)
        ):
            return passed, Outcome(
                change.user, Result.CONFLICT, "the entry was renamed"
            )
        try:
            wanted = plan_edits(entry.values, change, self.schema)
        except ConflictError as fault:
            return passed, Outcome(change.user, Result.CONFLICT, str(fault))
        except ForbiddenError as fault:
            return passed, Outcome(change.user, Result.FAILED, str(fault))
        if not wanted:
            return passed, Outcome(
                change.user, Result.UNCHANGED, "the entry already has all values"
            )
        placed = [
            (edit, passage.find_places(record, self.schema.attribute_key(edit.name)))
            for edit in wanted
        ]
        now = passage.read_block(
            LineBlock(passed.block.number, edit_record(record, placed, passage.format))
        )
        return now, Outcome(change.user, Result.WRITTEN)


def _fail_all(batch: list[Change], why: str) -> list[Outcome]:
    return [Outcome(change.user, Result.FAILED, why) for change in batch]


def _parse_name(name: str) -> tuple[Rdn, ...] | None:
    try:
        return split_rdns(name)
    except ValueError:
        return None

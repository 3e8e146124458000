"""An LDIF file (RFC 2849) as a directory: read in a stream, pass by pass, and rewritten whole or not at all.

A user's `id` is its entryUUID (RFC 4530), else its DN in a normal form; its `name` is the
DN as it is written. A file has no schema: the common attributes are known (`known_schema`),
and any other one compares exactly, to the letter, and counts as single-valued, so that a
mapping of it never finds or removes more than what it says.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO

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
    identify_file,
)
from connector.directories.ldif.format import (
    ENTRY_UUID,
    FilePass,
    LdifBlock,
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
    Equality,
    Outcome,
    Result,
    Scope,
    View,
    WriteRules,
)
from connector.model.dn import Rdn, split_rdns
from connector.model.templates import suggest_name
from connector.settings.ldap import LdifDirectory as LdifSettings
from connector.settings.textfile import open_regular

ATTEMPTS = 3
"""How often a file that is edited while it is being rewritten is read again."""

LINKED = (
    "the file has another hard link, which would keep the old content. "
    "Remove it, or name a copy of the file"
)
_RIGHTS = "Check the rights on the file and its folder, and the free space of its disk"
_GONE = "the entry is gone"
_BATCH = 100_000
"""Changes in one rewriting of the file: it costs as much for one as for all."""
_SAMPLE = 64 << 10
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
        infos = {name: self.info(name) for name in self.view.attributes}
        filtered = find_filtered(self.scope.filter, self.schema, self.view)
        return Description(
            "LDIF file",
            str(self.path),
            infos,
            cautions=tuple(self._list_cautions(infos)),
            scope=Scope(bases=self._bases, filtered=filtered),
            writing=WriteRules(batch=_BATCH),
        )

    def _list_cautions(self, infos: Mapping[str, AttributeInfo]) -> Iterator[str]:
        """What nothing is known of, and what an apply would fail on."""
        schema = self.schema
        for name, info in infos.items():
            if not info.definition.known:
                types = [known.name for known in schema.types.values()]
                near = suggest_name(name, types)
                yield f"{name} is not a known attribute{near}: it is taken as case-sensitive and single-valued"
        for name in self.view.object_classes:
            if name.lower() not in schema.classes:
                near = suggest_name(name, schema.class_names())
                if near:
                    yield f"{name} is not a known object class{near}: check its spelling in the mapping"
        recognised = self.recognise_attributes()
        for name in sorted(self.scope.unknown_attributes):
            if schema.attribute_key(name) not in recognised:
                yield (
                    f"the filter names {name}, which is no known attribute and is in no entry: it matches no user. "
                    "Check the filter"
                )
        if self._is_linked():
            yield f"an apply would fail: {LINKED}"

    def _is_linked(self) -> bool:
        with self._open_file() as file:
            return os.fstat(file.fileno()).st_nlink > 1

    def size(self) -> int:
        """About how many entries, from the size of the first ones. Looking up costs one pass as well."""
        with self._open_file() as file:
            sample = file.read(_SAMPLE)
            whole = os.fstat(file.fileno()).st_size
        entries = max(1, sample.count(b"\ndn:"))
        return whole * entries // max(1, len(sample))

    def entries(
        self, attributes: Collection[str] = (), *, disabled: bool = False
    ) -> Iterator[Entry]:
        """One pass; raises IncompleteRead (or one of its kinds) unless the whole file was read, and is sound."""
        self.recognise_attributes()
        with self._open_file() as file:
            before = identify_file(os.fstat(file.fileno()))
            for block in self.begin_pass(file, attributes):
                entry = self._find_user(block, disabled=disabled)
                if entry is not None:
                    yield entry
            after = identify_file(os.fstat(file.fileno()))
        if before != after:
            why = "the file was changed while it was read"
            raise IncompleteRead(why, where=str(self.path))

    def _find_user(self, block: LdifBlock, *, disabled: bool) -> Entry | None:
        """The user that a block holds, if it does; `disabled` as of `entries`."""
        if block.record is None:
            return None
        return self.scope.find_shown(block.record.entry, disabled=disabled)

    def begin_pass(self, file: BinaryIO, attributes: Collection[str] = ()) -> FilePass:
        wanted = self.keys | set(attributes) | {ENTRY_UUID}

        def key_of(name: str) -> str | None:
            key = self.schema.attribute_key(name)
            if key in wanted or self.scope.needs_attribute(name):
                return key
            return None

        def rule_of(name: str) -> Equality:
            return self.schema.info(name).equality

        return FilePass(self.path, file, key_of, rule_of)

    def list_held(self, users: int) -> list[AttributeInfo]:
        """What is known of the attributes that so many first users hold; the file is read no further."""
        self.recognise_attributes()
        names: dict[str, str] = {}
        with self._open_file() as file:
            for block in self.begin_pass(file):
                if block.record is None or not self._find_user(block, disabled=False):
                    continue
                for line in block.record.attributes:
                    name = line.name.decode()
                    names.setdefault(self.schema.attribute_key(name), name)
                users -= 1
                if users <= 0:
                    break
        return [self.info(name) for name in names.values()]

    @contextmanager
    def _open_file(self) -> Iterator[BinaryIO]:
        try:
            with open_regular(self.path) as file:
                yield file
        except OSError as fault:
            is_denied = isinstance(fault, PermissionError)
            kind = DeniedError if is_denied else UnreachableError
            why = f"the file cannot be read: {fault.strerror}"
            raise kind(why, where=str(self.path)) from fault

    def recognise_attributes(self) -> frozenset[str]:
        """Where the filter names attributes that are not known, those count that stand in the file at all: these."""
        if self._recognised is None:
            self._recognised = frozenset()
            if self.scope.unknown_attributes:
                with self._open_file() as file:
                    passage = self.begin_pass(file)
                    deque(passage, maxlen=0)
                names = (name.decode() for name in passage.keys)
                self._recognised = frozenset(map(self.schema.attribute_key, names))
                self.scope.recognise_attributes(self._recognised)
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
        if batch:
            yield from self._try_rewrite(batch)

    def _try_rewrite(self, batch: list[Change]) -> list[Outcome]:
        why = f"the file is unchanged: others changed it {ATTEMPTS} times during the rewrite. Rerun"
        try:
            self.recognise_attributes()
            for _ in range(ATTEMPTS):
                with suppress(ChangedError):
                    return self._rewrite_file(batch)
        except ConnectorError as fault:
            why = str(fault)
        except LinkedError:
            why = LINKED
        except BlockingIOError:
            why = "another program has locked the file"
        except OSError as fault:
            why = f"the file is unchanged: it could not be rewritten: {fault.strerror}. {_RIGHTS}"
        return _fail_all(batch, why)

    def _rewrite_file(self, batch: list[Change]) -> list[Outcome]:
        """One pass from the old file to the new one. Raises OSError and ChangedError: then nothing has happened."""
        waiting: dict[str, list[Change]] = defaultdict(list)
        attributes: set[str] = set()
        for change in batch:
            waiting[change.user.id].append(change)
            names = (each.name for each in change.attributes)
            attributes.update(map(self.schema.attribute_key, names))
        outcomes: list[Outcome] = []
        with FileReplacement(self.path) as files:
            passage = self.begin_pass(files.old, attributes)
            for block in passage:
                now = block
                record = block.record
                if record is not None and record.entry.id in waiting:
                    user = self._find_user(block, disabled=self.view.disabled)
                    for change in waiting.pop(user.id) if user else ():
                        now, outcome = self._apply_change(passage, now, change)
                        outcomes.append(outcome)
                files.new.writelines(now.lines)
            outcomes += [
                Outcome(change.user, Result.CONFLICT, _GONE)
                for change in chain.from_iterable(waiting.values())
            ]
            if any(outcome.result is Result.WRITTEN for outcome in outcomes):
                try:
                    files.commit_file()
                except OSError as fault:
                    if not files.done:
                        raise
                    why = f"the file was rewritten, but a power cut may undo it: {fault.strerror}"
                    return _fail_all(batch, why)
        return outcomes

    def _apply_change(
        self, passage: FilePass, block: LdifBlock, change: Change
    ) -> tuple[LdifBlock, Outcome]:
        """The block as the change makes it, and what became of the change."""
        record = block.record
        user = self._find_user(block, disabled=self.view.disabled)
        try:
            if record is None or user is None or user.disabled is not change.disabled:
                raise ConflictError(_GONE)  # noqa: TRY301
            if user.rdns != _parse_name(change.user.name):
                raise ConflictError("the entry was renamed")  # noqa: TRY301
            edits = plan_edits(user.values, change, self.schema)
        except ConflictError as fault:
            return block, Outcome(change.user, Result.CONFLICT, str(fault))
        except ForbiddenError as fault:
            return block, Outcome(change.user, Result.FAILED, str(fault))
        if not edits:
            why = "the entry already has all values"
            return block, Outcome(change.user, Result.UNCHANGED, why)
        written = passage.edit_block(block, record, edits)
        return written, Outcome(change.user, Result.WRITTEN)


def _fail_all(batch: list[Change], why: str) -> list[Outcome]:
    return [Outcome(change.user, Result.FAILED, why) for change in batch]


def _parse_name(name: str) -> tuple[Rdn, ...] | None:
    try:
        return split_rdns(name)
    except ValueError:
        return None

"""A directory that is nowhere but in memory: for tests of laws, and for trying things out.

It is as strict as a strict server: it holds values to their schema, an attribute to the classes that allow it, and a
change to what it believes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import (
    ConflictError,
    Entry,
    EntryReader,
    EntryScope,
    ForbiddenError,
    ValueEdit,
    plan_edits,
    stored_octets,
    value_of,
)
from connector.directories.common.schema import Schema
from connector.errors import DeniedError
from connector.model import (
    AttributeInfo,
    Change,
    Description,
    DirectorySchema,
    Holds,
    Key,
    Outcome,
    Question,
    Result,
    Scope,
    User,
    Value,
    View,
)
from connector.model.dn import split_rdns

Entries = Mapping[str, tuple[str, Mapping[str, Sequence[Value]]]]
"""id → (DN, values by attribute)."""


class MemoryStore:
    """Entries, and how often they were read (passes) and written (changes that changed something).

    `hidden`: attributes that are never shown, or of the users `veiled` alone, by id; `compares`: whether they can be
    compared unseen (RFC 4511 §4.10), but of the users `mute`. `respells`: attributes whose values are stored with a `~`
    before them, whatever is sent; `shows`: the answer to a write shows the entry as it is stored.
    """

    def __init__(
        self,
        entries: Entries,
        schema: Schema | None = None,
        *,
        hidden: Collection[str] = (),
        veiled: Collection[str] | None = None,
        compares: bool = True,
        mute: Collection[str] = (),
        respells: Collection[str] = (),
        shows: bool = False,
    ) -> None:
        self.schema = schema or known_schema()
        self.hidden = frozenset(self.schema.attribute_key(name) for name in hidden)
        self.veiled = veiled
        self.compares = compares
        self.mute = mute
        self.respells = frozenset(self.schema.attribute_key(name) for name in respells)
        self.shows = shows
        self.reads = 0
        self.writes = 0
        self.entries = {id_: self._entry(id_, dn, values) for id_, (dn, values) in entries.items()}

    def _entry(self, id_: str, dn: str, values: Mapping[str, Sequence[Value]]) -> Entry:
        stored = {
            self.schema.attribute_key(name): [stored_octets(value) for value in some]
            for name, some in values.items()
            if some
        }
        return Entry(id_, dn, split_rdns(dn), stored)

    def put(self, id_: str, dn: str, values: Mapping[str, Sequence[Value]]) -> None:
        """Set an entry whole, as another program would."""
        self.entries[id_] = self._entry(id_, dn, values)

    def remove(self, id_: str) -> None:
        """Delete an entry, as another program would."""
        del self.entries[id_]

    def snapshot(self) -> dict[str, tuple[str, dict[str, tuple[Value, ...]]]]:
        """All that there is, as a value of its own: attributes by their first names, values in their order."""
        return {
            entry.id: (
                entry.name,
                {
                    self.schema.canonical_name(name): tuple(value_of(self.schema.info(name), value) for value in values)
                    for name, values in entry.values.items()
                },
            )
            for entry in self.entries.values()
        }


class MemoryDirectory(EntryReader):
    """A reader and writer of a store, within base and filter. Raises FileError where one of these is wrong."""

    def __init__(self, store: MemoryStore, view: View, *, base: str = "", filter: str = "(&)") -> None:  # noqa: A002  # the job file's word
        self.store = store
        self._unveiled = False
        super().__init__(view, store.schema)
        self._base = base
        self._scope = EntryScope([base], filter, store.schema)

    def describe(self) -> Description:
        """All that the schema says."""
        infos = {name: self.info(name) for name in self.view.attributes}
        identity = f"memory:{id(self.store):x}"
        return Description(
            "memory",
            identity,
            infos,
            schema=DirectorySchema(types=self.schema.types, classes=self.schema.classes),
            scope=Scope(bases=(self._base,) if self._base else ()),
        )

    def size(self) -> int | None:
        """Exactly how many."""
        return sum(self._scope.find_shown(each, disabled=False) is not None for each in self.store.entries.values())

    def entries(self, attributes: Collection[str] = (), *, disabled: bool = False) -> Iterator[Entry]:  # all at hand
        """The store's entries as they are when the pass begins."""
        self.store.reads += 1
        shown = [self._scope.find_shown(entry, disabled=disabled) for entry in self.store.entries.values()]
        found = filter(None, shown)
        return found if self._unveiled or not self.store.hidden else map(self._stripped, found)

    def _stripped(self, entry: Entry) -> Entry:
        if self.store.veiled is not None and entry.id not in self.store.veiled:
            return entry
        shown = {name: values for name, values in entry.values.items() if name not in self.store.hidden}
        return replace(entry, values=shown)

    def info(self, name: str) -> AttributeInfo:
        """What the schema says, and that an attribute may be hidden."""
        info = super().info(name)
        return replace(info, readable=None) if self.schema.attribute_key(name) in self.store.hidden else info

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """Also of what is hidden, where that may be compared."""
        asked = list(questions)
        self._unveiled = True
        answers = list(super().holds(asked))
        self._unveiled = False
        for question, answer in zip(asked, answers, strict=True):
            mute = not self.store.compares or question.user.id in self.store.mute
            unseen = self.schema.attribute_key(question.attribute) in self.store.hidden and mute
            yield Holds.UNKNOWN if unseen else answer

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """One change after the other."""
        return map(self._write, changes)

    def _write(self, change: Change) -> Outcome:
        entry = self.store.entries.get(change.user.id)
        shown = self._scope.find_shown(entry, disabled=self.view.disabled) if entry else None
        if entry is None or shown is None or (shown.name, shown.disabled) != (change.user.name, change.disabled):
            return Outcome(change.user, Result.CONFLICT, "the entry is gone")
        try:
            wanted = plan_edits(entry.values, change, self.schema)
            values = self._edited(entry.values, wanted)
        except ConflictError as fault:
            return Outcome(change.user, Result.CONFLICT, str(fault))
        except ForbiddenError as fault:
            return Outcome(change.user, Result.FAILED, str(fault))
        if not wanted and all(each.seen for each in change.attributes):  # a server does not tell what is hidden
            return Outcome(change.user, Result.UNCHANGED, "the entry already has all values")
        self.store.writes += 1
        self.store.entries[entry.id] = Entry(entry.id, entry.name, entry.rdns, values)
        answer = next(iter(self.read([change.user])), None) if self.store.shows else None
        return Outcome(change.user, Result.WRITTEN, shown=answer, answered=True)

    def _as_stored(self, name: str, value: bytes) -> bytes:
        return b"~" + value if name in self.store.respells and not value.startswith(b"~") else value

    def _edited(self, before: Mapping[str, list[bytes]], wanted: list[ValueEdit]) -> dict[str, list[bytes]]:
        """The values after the edits. Raises ForbiddenError where no class of the entry allows an attribute."""
        values = dict(before)
        for edit in wanted:
            name = self.schema.attribute_key(edit.name)
            kept = [value for value in values.get(name, []) if value not in edit.removed]
            values[name] = [*kept, *(self._as_stored(name, value) for value in edit.added)]
            if not values[name]:
                del values[name]
        classes = [value.decode("utf-8", "replace") for value in values.get("objectclass", ())]
        for edit in wanted if classes else ():
            info, known = self.schema.info(edit.name), all(name.lower() in self.schema.classes for name in classes)
            barred = (
                info.definition.known
                and not info.definition.operational
                and info.definition.classes.isdisjoint(map(str.lower, classes))
            )
            if self.schema.attribute_key(edit.name) in values and known and barred:
                raise ForbiddenError(f"no object class of the entry allows {edit.name}")
        return values


class Closed(MemoryDirectory):
    """One that this account may not look into."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        raise DeniedError("no rights to search", where="a test")

"""Reading entries that stream by, as a file's do: the reading half of the port over passes of entries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import suppress

from msgspec.structs import replace

from connector.directories.common.changing import value_of
from connector.directories.common.disabled import MARKS
from connector.directories.common.filter_matching import matcher
from connector.directories.common.schema import Schema
from connector.directories.common.scope import Entry
from connector.model import (
    ID,
    NAME,
    OBJECT_CLASS,
    AttributeInfo,
    Change,
    Held,
    Holds,
    Key,
    Objection,
    Question,
    Secret,
    User,
    UserRef,
    View,
)
from connector.reconcile.dn import Rdn, rdns
from connector.reconcile.equality import key, whether_held


class EntryReader(ABC):
    """The reading half of the port, over one pass of entries a question."""

    def __init__(self, view: View, schema: Schema) -> None:
        self.schema = schema
        self.view = view = schema.widened(view)
        names = dict.fromkeys([*view.attributes, OBJECT_CLASS])
        self._asked = [(name, schema.key(name), self.info(name)) for name in names]
        self._off = [
            (schema.key(mark.attribute), matcher(mark.says, schema)) for mark in MARKS
        ]
        marks = [attribute for attribute, _ in self._off]
        self.keys = frozenset([*marks, *(attribute for _, attribute, _ in self._asked)])

    @abstractmethod
    def entries(
        self, attributes: Collection[str] = (), *, disabled: bool = False
    ) -> Iterator[Entry]:
        """Every entry within base and filter, once, with the view's attributes and these (by `Schema.key`).

        `disabled`: also whom the filter leaves out since they are disabled.
        """

    def info(self, name: str) -> AttributeInfo:
        return replace(self.schema.info(name), name=name, comparable=True)

    def size(self) -> int | None:
        return None

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        shown = {self.schema.key(name) for name in holding}
        return (
            self._user(entry)
            for entry in self.entries(shown)
            if not holding or any(entry.values.get(name) for name in shown)
        )

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """One pass, with the wanted values in sets by attribute."""
        ids: set[str] = set()
        names: set[tuple[Rdn, ...]] = set()
        wanted: dict[str, set[Hashable]] = {}
        for attribute, value in keys:
            if attribute == ID:
                ids.add(value.lower())
            elif attribute == NAME:
                with suppress(ValueError):  # a text that is no DN names nobody
                    names.add(rdns(value))
            else:
                rule = self.schema.info(attribute).equality
                wanted.setdefault(self.schema.key(attribute), set()).add(
                    key(rule, value)
                )
        if not (ids or names or wanted):
            return
        tests = [
            (name, self.schema.info(name).equality, some)
            for name, some in wanted.items()
        ]
        for entry in self.entries(wanted):
            if (
                entry.id.lower() in ids
                or entry.rdns in names
                or any(
                    key(rule, value) in some
                    for name, rule, some in tests
                    for value in entry.values.get(name, ())
                )
            ):
                yield self._user(entry)

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        """By id, whatever the entry's name is now."""
        ids = {user.id for user in users}
        entries = self.entries(disabled=disabled) if ids else ()
        return (self._user(entry) for entry in entries if entry.id in ids)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        asked = list(questions)
        attributes = {self.schema.key(question.attribute) for question in asked}
        ids = {question.user.id for question in asked}
        held: dict[str, dict[str, list[bytes]]] = {}
        if ids:
            held = {
                entry.id: entry.values
                for entry in self.entries(attributes)
                if entry.id in ids
            }
        return (
            self._answer(question, held.get(question.user.id)) for question in asked
        )

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:  # noqa: ARG002  # the port passes them; a file has no server to ask
        """None: there are no rights, and whoever is outside of base and filter may hold what they like."""
        return iter(())

    def close(self) -> None:  # noqa: B027  # part of the port, and there is nothing to let go of
        """Nothing is kept open between calls."""

    def _answer(
        self, question: Question, values: dict[str, list[bytes]] | None
    ) -> Holds:
        attribute = self.schema.key(question.attribute)
        if values is None:
            return Holds.UNKNOWN
        return whether_held(
            self.schema.info(question.attribute).equality,
            values.get(attribute, ()),
            question.value,
        )

    def _user(self, entry: Entry) -> User:
        values: dict[str, tuple[Held, ...]] = {}
        for name, attribute, info in self._asked:
            stored = entry.values.get(attribute)
            if stored:
                plain_values = [value_of(info, value) for value in stored]
                secret = name in self.view.secrets
                values[name] = tuple(
                    Secret(value) if secret else value for value in plain_values
                )
        held = entry.values
        inactive = any(
            attribute in held and says(held) is True for attribute, says in self._off
        )
        return User(entry.id, entry.name, values, entry.disabled, inactive)

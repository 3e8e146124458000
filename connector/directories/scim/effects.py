"""What a write has come to beside what it was to change.

Servers stamp users, derive values (`name.formatted` from `displayName`), put elements in
another order, and spell values their own way. None of that is damage. A value of others
that is gone is damage, whoever took it away.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import IntEnum, auto
from typing import Final

from msgspec import Struct

from connector.directories.scim.edits import Edit
from connector.directories.scim.paths import (
    VALUE,
    Json,
    Path,
    Resource,
    member,
    something,
    text_of,
)
from connector.directories.scim.view import Attributes
from connector.reconcile.equality import key
from connector.reports.wording import count

NOTE: Final = "written; {names} changed with it, by the server or another program. Noted once an attribute"
_ITS_OWN: Final = frozenset({"meta", "schemas", "id"})
_DERIVED: Final = frozenset({"name.formatted", "displayname"})
"""What servers make of attributes beside it."""
_MADE: Final = "formatted"
"""The sub-attribute that servers make of the others (RFC 7643 §4.1.1)."""


class Effects(Struct, frozen=True):
    """Attributes that are not as they were, by name, but for what was written and what the server alone writes.

    `lost`: a value is gone. `changed`: a value has become another, or has come.
    """

    lost: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.changed)


class Notes:
    """What changed beside writes, counted by attribute; several threads tell."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._users: Counter[str] = Counter()

    def news(self, found: Effects) -> bool:
        """Whether anything is lost, or has changed that no note names yet."""
        return bool(found.lost) or not self._users.keys() >= set(found.changed)

    def of(self, found: Effects) -> str:
        """The note of one user: of each attribute it is said of the first user alone."""
        with self._counting:
            fresh = [name for name in found.changed if name not in self._users]
            self._users.update(found.changed)
        return NOTE.format(names=", ".join(fresh)) if fresh else ""

    def cautions(self) -> Iterator[str]:
        if self._users:
            counted = ", ".join(
                f"{name} of {count(users, 'user')}"
                for name, users in sorted(self._users.items())
            )
            yield f"other values changed with the writes: {counted}. Check whether the server overwrites them"


class _Fate(IntEnum):
    SAME = auto()
    CHANGED = auto()
    LOST = auto()


def effects(
    before: Resource, after: Resource, some: Iterable[Edit], attributes: Attributes
) -> Effects:
    """How a user that was `before` is otherwise than these edits make it.

    Of an attribute of which a part is written, the other parts are compared: what was not
    written of a list, and of a complex value.
    """
    return _Comparison(before, list(some), attributes).with_(after)


def same(path: Path, one: Json, other: Json, attributes: Attributes) -> bool:
    """Whether two values of an attribute say the same: in whatever order, each by the attribute's equality rule."""
    return (
        _Comparison({}, [], attributes).fate(
            Path(path.attribute, path.schema), one, other
        )
        is _Fate.SAME
    )


class _Comparison:
    """What a user was, what was written to it, and how values compare."""

    def __init__(
        self, before: Resource, some: list[Edit], attributes: Attributes
    ) -> None:
        self._before = before
        self._attributes = attributes
        self._edits: dict[str, list[Edit]] = {}
        for edit in some:
            self._edits.setdefault(_name(edit.path), []).append(edit)
        self._gone = {text for edit in some for text in edit.path.values(before)}

    def with_(self, after: Resource) -> Effects:
        was, now = dict(_leaves(self._before)), dict(_leaves(after))
        found: dict[_Fate, list[str]] = {fate: [] for fate in _Fate}
        for name in sorted({*was, *now}):
            path, held = was.get(name) or (now[name][0], None)
            found[self._of(path, held, now[name][1] if name in now else None)].append(
                name
            )
        return Effects(tuple(found[_Fate.LOST]), tuple(found[_Fate.CHANGED]))

    def _of(self, path: Path, was: Json, now: Json) -> _Fate:
        edits = self._edits.get(_name(path))
        if edits is None:
            return self.fate(path, was, now)
        written = {edit.path.sub.lower() for edit in edits}
        if written != {""}:
            return self._complex(
                path, was, now, _members(was).keys() - written - {_MADE}
            )
        held = self._elements(path, was)
        kept = {
            element for edit in edits for element in self._elements(path, edit.value)
        }
        return _of_elements(
            held & kept, self._elements(path, now) - (kept - held), may_come=True
        )

    def fate(self, path: Path, was: Json, now: Json) -> _Fate:
        """What became of a value, or of all values, that nobody here has written."""
        if self._is_the_servers(path):
            return _Fate.SAME
        if isinstance(was, dict):
            return self._complex(
                path, was, now, _members(was).keys() | _members(now).keys()
            )
        if not something(was):
            return _Fate.CHANGED if something(now) else _Fate.SAME
        if isinstance(was, list) or isinstance(now, list):
            return _of_elements(
                self._elements(path, was), self._elements(path, now), may_come=False
            )
        if not something(now):
            made = _name(path) in self._edits or str(path).lower() in _DERIVED
            # made of what was written over
            return _Fate.CHANGED if made and text_of(was) in self._gone else _Fate.LOST
        return (
            _Fate.SAME
            if self._key(path, was) == self._key(path, now)
            else _Fate.CHANGED
        )

    def _is_the_servers(self, path: Path) -> bool:
        found = self._attributes.at(path).found
        levels = (
            ()
            if found is None
            else (found.attribute, found.meant)
            if path.sub
            else (found.attribute,)
        )
        return any(each.read_only for each in levels)

    def _complex(self, path: Path, was: Json, now: Json, names: Iterable[str]) -> _Fate:
        """What became of these sub-attributes of a complex value."""
        subs, then = _members(was), _members(now)
        paths = ((name, Path(path.attribute, path.schema, sub=name)) for name in names)
        return max(
            (self.fate(each, subs.get(name), then.get(name)) for name, each in paths),
            default=_Fate.SAME,
        )

    def _elements(self, path: Path, held: Json) -> set[tuple[str, object]]:
        """Elements by what they are and what they say; servers may add to them."""
        some = held if isinstance(held, list) else [held] if something(held) else []
        return {
            (text_of(member(each, "type")).lower(), self._key(path, member(each, VALUE))) if isinstance(each, dict)
            else ("", self._key(path, each))
            for each in some
        }  # fmt: skip

    def _key(self, path: Path, value: Json) -> object:
        return key(self._attributes.at(path).info.equality, text_of(value))


def _of_elements(
    was: set[tuple[str, object]], now: set[tuple[str, object]], *, may_come: bool
) -> _Fate:
    """An element that is gone was changed if another of its type has come, else it is lost."""
    come = [kind for kind, _ in now - was]
    gone = [kind for kind, _ in was - now]
    for kind in gone:
        if kind not in come:
            return _Fate.LOST
        come.remove(kind)
    return _Fate.CHANGED if gone or (come and not may_come) else _Fate.SAME


def _leaves(resource: Resource) -> Iterator[tuple[str, tuple[Path, Json]]]:
    """Attributes by their names in lower case, those of extensions with their schema."""
    for name, value in resource.items():
        if name.lower().startswith("urn:") and isinstance(value, dict):
            some = [(Path(inner, name), held) for inner, held in value.items()]
        else:
            some = [] if name.lower() in _ITS_OWN else [(Path(name), value)]
        yield from ((_name(path), (path, held)) for path, held in some)


def _name(path: Path) -> str:
    return path.whole.lower()


def _members(held: Json) -> dict[str, Json]:
    some = held.items() if isinstance(held, dict) else ()
    return {name.lower(): value for name, value in some if something(value)}

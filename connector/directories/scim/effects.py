"""What a write has come to beside what it was to change.

Servers stamp users, derive values (`name.formatted` from `displayName`), put elements in another
order, and spell values their own way. None of that is damage. A value of others that is gone is
damage, whoever took it away.
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
    find_member,
    has_content,
    to_text,
)
from connector.directories.scim.schemas import Attributes
from connector.model.equality import key
from connector.reports.wording import count

NOTE: Final = "written; {names} changed with it, by the server or another program. Noted once an attribute"
_SERVERS_OWN: Final = frozenset({"meta", "schemas", "id"})
_DERIVED: Final = frozenset({"name.formatted", "displayname"})
"""What servers make of attributes beside it."""
_FORMATTED: Final = "formatted"
"""The sub-attribute that servers make of the others (RFC 7643 §4.1.1)."""

Elements = set[tuple[str, object]]
"""Elements by what they are and what they say; servers may add to them."""


class Effects(Struct, frozen=True):
    """Attributes that are not as they were, but for what was written and what the server alone writes."""

    lost: tuple[str, ...] = ()
    """Those of which a value is gone, by name."""
    changed: tuple[str, ...] = ()
    """Those of which a value has become another, or has come."""


class Notes:
    """What changed beside writes, counted by attribute; several threads tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()

    def add_user(self, changed: tuple[str, ...]) -> str:
        """The note of one user: of each attribute it is said of the first user alone."""
        with self._lock:
            fresh = [name for name in changed if name not in self._users]
            self._users.update(changed)
        return NOTE.format(names=", ".join(fresh)) if fresh else ""

    def list_cautions(self) -> Iterator[str]:
        """What a run's end is to say of it."""
        if self._users:
            users = sorted(self._users.items())
            counted = ", ".join(
                f"{name} of {count(many, 'user')}" for name, many in users
            )
            yield f"other values changed with the writes: {counted}. Check whether the server overwrites them"


class _Fate(IntEnum):
    """What became of a value, the worse the higher."""

    SAME = auto()
    CHANGED = auto()
    LOST = auto()


def find_effects(
    before: Resource,
    after: Resource,
    edits: Iterable[Edit],
    attributes: Attributes,
) -> Effects:
    """How a user that was `before` is otherwise than these edits make it.

    Of an attribute of which a part is written, the other parts are compared: what was not written
    of a list, and of a complex value.
    """
    comparison = _Comparison(before, list(edits), attributes)
    was, now = _list_attributes(before), _list_attributes(after)
    fates: dict[str, _Fate] = {}
    for name in sorted(was.keys() | now.keys()):
        path, held = was.get(name) or (now[name][0], None)
        holds = now[name][1] if name in now else None
        fates[name] = comparison.judge_attribute(path, held, holds)
    return Effects(
        tuple(name for name, fate in fates.items() if fate is _Fate.LOST),
        tuple(name for name, fate in fates.items() if fate is _Fate.CHANGED),
    )


def is_same(
    path: Path,
    one: Resource,
    other: Resource,
    attributes: Attributes,
) -> bool:
    """Whether two users say the same in an attribute: in any order, each by its equality rule."""
    target = path.whole_attribute
    comparison = _Comparison({}, [], attributes)
    fate = comparison.judge_unwritten(
        target, target.read_attribute(one), target.read_attribute(other)
    )
    return fate is _Fate.SAME


class _Comparison:
    """What a user was, what was written to it, and how values compare."""

    def __init__(
        self,
        before: Resource,
        edits: list[Edit],
        attributes: Attributes,
    ) -> None:
        self._attributes = attributes
        self._edits: dict[str, list[Edit]] = {}
        for edit in edits:
            self._edits.setdefault(_name_of(edit.path), []).append(edit)
        self._overwritten = {
            text for edit in edits for text in edit.path.find_values(before)
        }

    def judge_attribute(
        self,
        path: Path,
        was: Json,
        now: Json,
    ) -> _Fate:
        """What became of one attribute."""
        edits = self._edits.get(_name_of(path))
        if edits is None:
            return self.judge_unwritten(path, was, now)
        written = {edit.path.sub.lower() for edit in edits}
        if written != {""}:
            others = _list_members(was).keys() - written - {_FORMATTED}
            return self._judge_parts(
                path,
                was,
                now,
                others,
            )
        held, kept = (
            self._elements_of(path, was),
            self._elements_of(path, edits[0].value),
        )
        holds = self._elements_of(path, now)
        if held & kept <= holds:
            return _Fate.SAME
        come_by_us = kept - held
        return _judge_elements(held & kept, holds - come_by_us)

    def judge_unwritten(
        self,
        path: Path,
        was: Json,
        now: Json,
    ) -> _Fate:
        """What became of a value, or of all values, that nobody here has written."""
        if self._attributes.is_read_only(path):
            return _Fate.SAME
        if isinstance(was, dict):
            names = _list_members(was).keys() | _list_members(now).keys()
            return self._judge_parts(
                path,
                was,
                now,
                names,
            )
        if (
            not has_content(now)
            and to_text(was) in self._overwritten
            and self._is_derived(path)
        ):
            return _Fate.CHANGED
        return _judge_elements(
            self._elements_of(path, was), self._elements_of(path, now)
        )

    def _judge_parts(
        self,
        path: Path,
        was: Json,
        now: Json,
        names: Iterable[str],
    ) -> _Fate:
        """What became of these sub-attributes of a complex value."""
        held, holds = _list_members(was), _list_members(now)
        fates = (
            self.judge_unwritten(
                Path(path.attribute, path.schema, sub=name),
                held.get(name),
                holds.get(name),
            )
            for name in names
        )
        return max(fates, default=_Fate.SAME)

    def _is_derived(self, path: Path) -> bool:
        return _name_of(path) in self._edits or str(path).lower() in _DERIVED

    def _elements_of(self, path: Path, held: Json) -> Elements:
        rule = self._attributes.locate_path(path).info.equality
        elements = held if isinstance(held, list) else [held]
        found = set()
        for each in elements if has_content(held) else ():
            kind, value = "", each
            if isinstance(each, dict):
                kind = to_text(find_member(each, "type")).lower()
                value = find_member(each, VALUE)
            found.add((kind, key(rule, to_text(value))))
        return found


def _judge_elements(was: Elements, now: Elements) -> _Fate:
    """An element that is gone was changed if another of its type has come, else it is lost."""
    come = Counter(kind for kind, _ in now - was)
    gone = Counter(kind for kind, _ in was - now)
    if gone - come:
        return _Fate.LOST
    return _Fate.CHANGED if come else _Fate.SAME


def _list_attributes(resource: Resource) -> dict[str, tuple[Path, Json]]:
    """Attributes by lower-case name, those of extensions with their schema; not what is the server's own."""
    found: dict[Path, Json] = {}
    for name, value in resource.items():
        if name.lower().startswith("urn:") and isinstance(value, dict):
            found |= {Path(inner, name): held for inner, held in value.items()}
        elif name.lower() not in _SERVERS_OWN:
            found[Path(name)] = value
    return {_name_of(path): (path, value) for path, value in found.items()}


def _name_of(path: Path) -> str:
    return str(path.whole_attribute).lower()


def _list_members(held: Json) -> dict[str, Json]:
    """What a complex value holds, by lower-case name."""
    members = held.items() if isinstance(held, dict) else ()
    return {name.lower(): value for name, value in members if has_content(value)}

"""What a write has come to beside what it was to change.

Servers stamp users, derive values (`name.formatted` from `displayName`), put elements in another
order, and spell values their own way. None of that is damage. A value of others that is gone is
damage, whoever took it away.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from connector.directories.scim.edits import AttributeEdit, build_put
from connector.directories.scim.paths import (
    AttributePath,
    Json,
    Resource,
    find_member,
    has_content,
    list_elements,
    to_text,
)
from connector.directories.scim.schemas import ViewAttributes
from connector.model.equality import equality_key
from connector.reports.wording import count_noun

NOTE: Final = "written; {names} changed with it, by the server or another program. Noted once an attribute"
_SERVERS_OWN: Final = frozenset({"meta", "schemas", "id"})
_FORMATTED: Final = "formatted"
"""The sub-attribute that servers make of the others (RFC 7643 §4.1.1)."""
_DERIVED: Final = frozenset(
    {AttributePath("name", sub=_FORMATTED), AttributePath("displayname")}
)
"""What servers make of attributes beside it."""

Elements = set[tuple[str, object]]
"""Values of an attribute by their `type` and what they say; servers may add to them."""


class SideEffects(Struct, frozen=True):
    """Attributes that are not as they were, but for what was written and what the server alone writes."""

    lost: list[str]
    """Those of which a value is gone, by name."""
    changed: list[str]
    """Those of which a value has become another, or has come."""


class SideEffectNotes:
    """What changed beside writes, counted by attribute; several threads tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()

    def add_user(self, changed: list[str]) -> str:
        """The note of one user: of each attribute it is said of the first user alone."""
        with self._lock:
            fresh = [name for name in changed if name not in self._users]
            self._users.update(changed)
        return NOTE.format(names=", ".join(fresh)) if fresh else ""

    def list_cautions(self) -> Iterator[str]:
        """What a run's end is to say of it."""
        counted = ", ".join(
            f"{name} of {count_noun(users, 'user')}"
            for name, users in sorted(self._users.items())
        )
        if counted:
            yield f"other values changed with the writes: {counted}. Check whether the server overwrites them"


def find_effects(
    before: Resource,
    after: Resource,
    edits: list[AttributeEdit],
    attributes: ViewAttributes,
) -> SideEffects:
    """How a user that was `before` is otherwise than these edits make it.

    A value that is gone has changed if another one of its type has come, or if a server derived
    it from a value that was overwritten; else it is lost.
    """
    was = _list_elements(before, attributes)
    now = _list_elements(after, attributes)
    planned = _list_elements(build_put(before, edits), attributes)
    paths = sorted(was.keys() | now.keys(), key=str)
    written = {_fold_path(edit.path) for edit in edits}
    touched = {path.whole_attribute for path in written}
    overwritten: set[object] = set()
    for path in written:
        overwritten |= {said for _, said in was[path] - planned[path]}
    effects = SideEffects([], [])
    for path in paths:
        held, holds = was[path], now[path]
        gone, come = (held & planned[path]) - holds, holds - planned[path]
        is_touched = path.whole_attribute in touched
        if is_touched and (path.sub == _FORMATTED or not gone):
            continue  # what servers make of what they were told
        is_derived = is_touched or path in _DERIVED
        is_copied = overwritten.issuperset(said for _, said in held)
        is_emptied_with_source = is_derived and is_copied and not holds
        if _count_types(gone) - _count_types(come) and not is_emptied_with_source:
            effects.lost.append(str(path))
        elif gone or come:
            effects.changed.append(str(path))
    return effects


def is_same(
    path: AttributePath,
    one: Resource,
    other: Resource,
    attributes: ViewAttributes,
) -> bool:
    """Whether two users say the same in an attribute: in any order, each by its equality rule."""
    target = path.whole_attribute
    first, second = (
        _list_parts(target, target.read_attribute(user), attributes)
        for user in (one, other)
    )
    return dict(first) == dict(second)


def _list_elements(
    resource: Resource, attributes: ViewAttributes
) -> defaultdict[AttributePath, Elements]:
    """What a user says by path in lower case; not what the server alone writes."""
    found = defaultdict[AttributePath, Elements](set)
    for name, value in resource.items():
        if name.lower().startswith("urn:") and isinstance(value, dict):
            for inner, held in value.items():
                found.update(_list_parts(AttributePath(inner, name), held, attributes))
        elif name.lower() not in _SERVERS_OWN:
            found.update(_list_parts(AttributePath(name), value, attributes))
    return found


def _list_parts(
    path: AttributePath,
    held: Json,
    attributes: ViewAttributes,
) -> Iterator[tuple[AttributePath, Elements]]:
    """An attribute, or the sub-attributes of a complex one, as far as they hold any value."""
    parts = held if isinstance(held, dict) else {"": held}
    for sub, value in parts.items():
        part = _fold_path(AttributePath(path.attribute, path.schema, sub=sub))
        if has_content(value) and not attributes.is_read_only(part):
            rule = attributes.locate_path(part).info.equality
            yield (
                part,
                {
                    (_type_of(each), equality_key(rule, path.read_element(each)))
                    for each in list_elements(value)
                },
            )


def _type_of(element: Json) -> str:
    return to_text(find_member(element, "type")).lower()


def _count_types(elements: Elements) -> Counter[str]:
    return Counter(kind for kind, _ in elements)


def _fold_path(path: AttributePath) -> AttributePath:
    """The path in lower case, without what tells its elements apart."""
    schema = path.schema.lower()
    return AttributePath(path.attribute.lower(), schema, sub=path.sub.lower())

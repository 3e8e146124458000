"""Classes of entries: which attributes they allow, and which of them users can be given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set as AbstractSet

from connector.model import (
    OBJECT_CLASS,
    AttributeInfo,
    ClassInfo,
    DirectorySchema,
    User,
)
from connector.planning.schema_checks import classes_of


def list_allowed(
    schema: DirectorySchema, class_names: Iterable[str]
) -> dict[str, AttributeInfo]:
    """List the attributes that these classes allow, by the schema's own names in lower case."""
    allowed = {}
    for class_name in class_names:
        item = schema.classes.get(class_name)
        names = item.must | item.may if item else ()
        for name in names:
            info = schema.types.get(name)
            if info:
                allowed[info.name.lower()] = info
    return allowed


def list_siblings(names: AbstractSet[str], schema: DirectorySchema) -> frozenset[str]:
    """List these attributes, and those that no other class than theirs allows."""
    classes: set[str] = set()
    for name in names:
        info = schema.types.get(name.lower())
        if info:
            classes |= list_classes(info, schema)
    related = set(names)
    for info in schema.types.values():
        allowing = list_classes(info, schema)
        if allowing and allowing <= classes:
            related.add(info.name)
    return frozenset(related)


def list_classes(info: AttributeInfo, schema: DirectorySchema) -> frozenset[str]:
    """List the classes that allow an attribute, but for those that allow any."""
    names = set()
    for name in info.definition.classes:
        item = schema.classes.get(name)
        if item and not item.anything:
            names.add(item.name)
    return frozenset(names)


def list_auxiliary(schema: DirectorySchema) -> list[ClassInfo]:
    """List the classes that a user can be given, each once."""
    classes = {item.name: item for item in schema.classes.values()}
    auxiliary = []
    for item in classes.values():
        if item.kind == "auxiliary" and not item.obsolete:
            auxiliary.append(item)
    return auxiliary


def spell_classes(
    classes: Iterable[ClassInfo], names: AbstractSet[str], schema: DirectorySchema
) -> list[str]:
    """Spell those of the classes that allow one of these attributes, which are in lower case."""
    spellings = []
    for item in classes:
        if not names.isdisjoint(list_allowed(schema, [item.name])):
            spellings.append(item.spelling)
    return spellings


def list_everywhere(users: Iterable[User], schema: DirectorySchema) -> set[str]:
    """List the attributes that the classes of every user allow, by own names in lower case."""
    shares = []
    for classes in set(map(classes_of, users)):
        if classes:
            shares.append(set(list_allowed(schema, classes)))
    return set.intersection(*shares) if shares else set()


def choose_classes(
    names: Iterable[str],
    users: Sequence[User],
    schema: DirectorySchema,
) -> list[ClassInfo]:
    """Choose auxiliary classes that allow what the classes of some users do not.

    Each is the one that allows most of the rest. Of classes that allow as much, it is the one
    that most users have.
    """
    left = {name.lower() for name in names} - list_everywhere(users, schema)
    had: Counter[str] = Counter()
    for user in users:
        had.update(classes_of(user))
    auxiliary = list_auxiliary(schema)
    allowed_by = {item.name: list_allowed(schema, [item.name]) for item in auxiliary}

    def order(item: ClassInfo) -> tuple[object, ...]:
        count = len(left & allowed_by[item.name].keys())
        return -count, -had[item.name], len(item.must), item.name

    chosen: list[ClassInfo] = []
    while left and auxiliary:
        best = min(auxiliary, key=order)
        if left.isdisjoint(allowed_by[best.name]):
            break
        left -= allowed_by[best.name].keys()
        chosen.append(best)
    return chosen


def list_common_classes(attributes: Iterable[str], users: Sequence[User]) -> list[str]:
    """List the classes that come with these attributes.

    Without them, other users are of the same classes.
    """
    names = set(attributes)
    spelling: dict[str, str] = {}
    having: set[frozenset[str]] = set()
    lacking: set[frozenset[str]] = set()
    for user in users:
        for value in user.values.get(OBJECT_CLASS, ()):
            spelling[str(value).lower()] = str(value)
        shapes = lacking if names.isdisjoint(user.values) else having
        shapes.add(classes_of(user))
    common = frozenset[str]().union(*having).intersection(*having)
    if common not in having:
        return []
    added = [sorted(common - shape) for shape in lacking if shape < common]
    smallest = min(
        added,
        key=lambda some: (len(some), some),
        default=[],
    )
    return sorted(spelling[name] for name in smallest)

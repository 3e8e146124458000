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


def list_attributes(schema: DirectorySchema, users: Iterable[User]) -> list[str]:
    """List the attributes that these users' classes allow, by the schema's own names.

    There are none where no schema is shown.
    """
    names: set[str] = set()
    for user in users:
        for class_name in classes_of(user):
            item = schema.classes.get(class_name)
            if item:
                names |= item.must | item.may
    own_names = set()
    for name in names:
        info = schema.types.get(name)
        if info and not info.definition.operational:
            own_names.add(info.name)
    return sorted(own_names, key=str.lower)


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


def list_allowed(schema: DirectorySchema, item: ClassInfo) -> frozenset[str]:
    """List the attributes that a class allows, by the schema's own names in lower case."""
    names = set()
    for name in item.must | item.may:
        info = schema.types.get(name)
        if info:
            names.add(info.name.lower())
    return frozenset(names)


def list_everywhere(users: Iterable[User], schema: DirectorySchema) -> set[str]:
    """List the attributes that the classes of every user allow, by own names in lower case."""
    examples = {classes_of(user): user for user in users}
    shares = []
    for classes, user in examples.items():
        if classes:
            names = list_attributes(schema, [user])
            shares.append({name.lower() for name in names})
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
    allowed_by = {item.name: list_allowed(schema, item) for item in auxiliary}

    def order(item: ClassInfo) -> tuple[object, ...]:
        count = len(left & allowed_by[item.name])
        return -count, -had[item.name], len(item.must), item.name

    chosen: list[ClassInfo] = []
    while left and auxiliary:
        best = min(auxiliary, key=order)
        if left.isdisjoint(allowed_by[best.name]):
            break
        left -= allowed_by[best.name]
        chosen.append(best)
    return chosen


def list_common_classes(attributes: Iterable[str], users: Sequence[User]) -> list[str]:
    """List the classes that come with these attributes.

    Without them, other users are of the same classes.
    """
    names = set(attributes)
    spelling: dict[str, str] = {}
    with_them: set[frozenset[str]] = set()
    without: set[frozenset[str]] = set()
    for user in users:
        for value in user.values.get(OBJECT_CLASS, ()):
            spelling[str(value).lower()] = str(value)
        shapes = without if names.isdisjoint(user.values) else with_them
        shapes.add(classes_of(user))
    if not with_them:
        return []
    common = frozenset[str].intersection(*with_them)
    if common not in with_them:
        return []
    added = []
    for shape in without:
        if shape < common:
            added.append(sorted(common - shape))
    smallest = min(added, key=lambda some: (len(some), some), default=[])
    return sorted(spelling[name] for name in smallest)

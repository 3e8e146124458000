"""What the directory's schema would refuse of one user's change, found out without sending it.

A server holds an entry as a whole to its object classes and their content rules (RFC 4512
§2.4, §4.1.6) once the change is made. What is held to here is what the change touches: the
attributes that it sets, those that it empties, and the classes that it adds. Which classes
an entry has decides everything, and users share few such sets, so that each is worked out
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Final

from msgspec import Struct

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    AttributeDefinition,
    ClassInfo,
    ContentRule,
    Description,
    Held,
    User,
)

_NO_RULE: Final = ContentRule()
_FEW: Final = 3
"""So many object classes are named at the most of those that allow an attribute."""
_SPREAD: Final = 500
"""Users of a survey that are kept at the most, evenly spread over all."""

Refused = Mapping[str, str]
"""Attributes of a change that would be refused, each with the reason."""
_Shape = tuple[
    tuple[Held, ...], tuple[str, ...], tuple[tuple[str, bool], ...], frozenset[str]
]
"""The classes that a user shows, the attributes that are set, and of each other one whether
it is emptied; and what the user holds, where that matters."""


class SchemaChecks:
    """One directory's schema, and the auxiliary classes that a mapping adds, against changes.

    `blind`: some user did not show its object classes, so that nobody can say what they allow.
    """

    def __init__(self, added: Iterable[str], description: Description) -> None:
        self._schema = description.schema
        self._infos = description.attributes
        known = self._schema.classes
        self._added = [known[name.lower()] for name in added if name.lower() in known]
        self._relying = any(item.must - {OBJECT_CLASS.lower()} for item in self._added)
        self._entry = cache(self._entry_of)
        self._known: dict[_Shape, Refused] = {}
        self.blind = False

    def find_refused(self, user: User, changes: Collection[AttributeChange]) -> Refused:
        """What of these changes the user's entry would not take.

        Users of the same classes whose changes are of the same shape are judged alike; so the
        first of them speaks for all. What else they hold is part of it where a class that is
        added requires attributes.
        """
        if not self._schema.classes:  # nothing to hold anything to
            return {}
        shape = (
            user.values.get(OBJECT_CLASS, ()),
            tuple([each.name for each in changes if each.new]),
            tuple(
                [
                    (each.name, is_emptied(user, each))
                    for each in changes
                    if not each.new
                ]
            ),
            frozenset(user.values if self._relying else ()),
        )
        known = self._known.get(shape)
        if known is None:
            known = self._known[shape] = self._judge_changes(user, changes)
        return known

    def _judge_changes(
        self, user: User, changes: Collection[AttributeChange]
    ) -> Refused:
        names = classes_of(user)
        if not names:
            self.blind = True
            return {}
        entry = self._entry(names)
        if entry.obstacle:
            return {change.name: entry.obstacle for change in changes}
        refused: dict[str, str] = {}
        while True:  # an attribute that falls away may be one that a class which is to be added must have
            left = [change for change in changes if change.name not in refused]
            found = dict(
                self._list_refused(
                    entry,
                    user,
                    left,
                )
            )
            if not found:
                return refused
            refused |= found

    def relied_on(
        self, user: User, changes: Collection[AttributeChange]
    ) -> frozenset[str]:
        """Those of the changes without which a class that comes with them could not be added."""
        names = classes_of(user) if self._relying else ()
        if not names:  # nobody knows which class would come
            return frozenset()
        entry = self._entry(names)
        shown = {name.lower() for name in user.values}
        lacking = {
            name
            for change in changes
            for item in self._find_coming(entry, change)
            for name in item.must - entry.required
            if self._names_of(name).isdisjoint(shown)
        }
        return frozenset(
            change.name
            for change in changes
            if not lacking.isdisjoint(self._spellings_of(change))
        )

    def needing_classes(
        self, classes: frozenset[str], changes: Iterable[AttributeChange]
    ) -> frozenset[str]:
        """Those of the changes to an entry of these classes for which a class has to be added, by name."""
        entry = self._entry(classes)
        return frozenset(
            change.name for change in changes if self._find_coming(entry, change)
        )

    def _entry_of(self, names: frozenset[str]) -> _EntryClasses:
        known = self._schema.classes
        classes = [known[name] for name in names if name in known]
        unknown = sorted(name for name in names if name not in known)
        obstacle = ""
        if unknown and self._schema.closed:
            obstacle = f"the entry has the object class {unknown[0]}, which the directory's schema lacks"
        for item in classes:
            if item.obsolete:
                obstacle = f"the entry has the object class {item.name}, which is obsolete in the directory's schema"
        structural = {item.name: item for item in classes if item.kind == "structural"}
        above = {
            name for item in structural.values() for name in item.above - {item.name}
        }
        lowest = [item for name, item in structural.items() if name not in above]
        rule = (lowest[0].rule if lowest else None) or _NO_RULE
        required = rule.must.union(*(item.must for item in classes))
        return _EntryClasses(
            obstacle,
            lowest[0].name if lowest else "the entry's class",
            rule,
            required,
            required.union(rule.may, *(item.may for item in classes)),
            allows_anything=any(item.anything for item in classes),
            is_known=not unknown,
        )

    def _list_refused(
        self,
        entry: _EntryClasses,
        user: User,
        changes: Iterable[AttributeChange],
    ) -> Iterator[tuple[str, str]]:
        set_ = [change for change in changes if change.new]
        emptied = [change for change in changes if is_emptied(user, change)]
        there = {name.lower() for name in user.values} | {
            name for change in set_ for name in self._spellings_of(change)
        }
        coming: dict[str, ClassInfo] = {}
        for change in set_:
            why = self._why_barred(
                entry,
                change,
                there,
            )
            if why:
                yield change.name, why
            coming |= {item.name: item for item in self._find_coming(entry, change)}
        required = entry.required.union(*(item.must for item in coming.values()))
        for change in emptied:
            if not required.isdisjoint(self._spellings_of(change)):
                yield (
                    change.name,
                    f"the entry must have {change.name}: one of its object classes requires it",
                )

    def _why_barred(
        self,
        entry: _EntryClasses,
        change: AttributeChange,
        there: Collection[str],
    ) -> str:
        definition = self._infos[change.name].definition
        if definition.obsolete:
            return f"{change.name} is obsolete in the directory's schema and takes no new values"
        if entry.content_rule.never & definition.aliases:
            return (
                f"the content rule of {entry.structural_name} precludes {change.name}"
            )
        if self._is_allowed(entry, definition):
            return ""
        coming = self._find_coming(entry, change)
        if not coming and entry.is_known:
            return (
                f"no object class of the entry allows {change.name}. "
                f"Add {self._find_addable(definition)} under `object_classes` of the mapping"
            )
        barred = (
            self._class_barred(
                entry,
                item,
                there,
            )
            for item in coming
        )
        return next(filter(None, barred), "")

    def _find_addable(self, definition: AttributeDefinition) -> str:
        """The classes that would allow an attribute, where these are few."""
        names = {
            each.spelling or each.name
            for each in self._schema.classes.values()
            if each.kind == "auxiliary"
            and not each.obsolete
            and not definition.aliases.isdisjoint(each.must | each.may)
        }
        if not 0 < len(names) <= _FEW:
            return "one"
        return ("one of " if len(names) > 1 else "") + ", ".join(sorted(names))

    def _is_allowed(
        self, entry: _EntryClasses, definition: AttributeDefinition
    ) -> bool:
        return (
            definition.operational
            or not definition.known
            or entry.allows_anything
            or not entry.allowed.isdisjoint(definition.aliases)
        )

    def _find_coming(
        self, entry: _EntryClasses, change: AttributeChange
    ) -> list[ClassInfo]:
        """The classes that have to be added for a change to an entry."""
        definition = self._infos[change.name].definition
        if not change.new or self._is_allowed(entry, definition):
            return []
        return [
            item
            for item in self._added
            if item.anything or (item.must | item.may) & definition.aliases
        ]

    def _class_barred(
        self,
        entry: _EntryClasses,
        item: ClassInfo,
        there: Collection[str],
    ) -> str:
        if item.obsolete:
            return f"the object class {item.name} is obsolete in the directory's schema"
        if item.kind != "auxiliary":
            return f"the object class {item.name} is {item.kind}. Only auxiliary classes can be added to an entry"
        allowed = entry.content_rule.auxiliary
        if allowed is not None and item.name not in allowed:
            return f"the content rule of {entry.structural_name} forbids the class {item.name}"
        for name in sorted(item.must - entry.required):
            if self._names_of(name).isdisjoint(there):
                return f"the object class {item.name} requires {name}, which the entry lacks"
        return ""

    def _names_of(self, attribute: str) -> frozenset[str]:
        info = self._schema.types.get(attribute)
        return info.definition.aliases if info else frozenset({attribute})

    def _spellings_of(self, change: AttributeChange) -> frozenset[str]:
        return self._infos[change.name].definition.aliases | {change.name.lower()}


def is_emptied(user: User, change: AttributeChange) -> bool:
    """Whether a change leaves no value of an attribute."""
    return not change.new and len(user.values.get(change.name, ())) <= len(change.old)


def classes_of(user: User) -> frozenset[str]:
    """The object classes that a user shows, in lower case and as they are spelt."""
    return lower_classes(user.values.get(OBJECT_CLASS, ()))


def lower_classes(shown: Iterable[Held]) -> frozenset[str]:
    """Object classes in lower case."""
    return frozenset(str(value).lower() for value in shown)


class _EntryClasses(Struct, frozen=True):
    """What entries of one set of object classes are held to."""

    obstacle: str
    """Why no change at all can be made to such an entry: a server holds it whole to the schema as it is now."""
    structural_name: str
    content_rule: ContentRule
    """That of its structural class alone."""
    required: frozenset[str]
    allowed: frozenset[str]
    allows_anything: bool
    is_known: bool
    """The schema has all of the classes."""


class ClassSurvey:
    """Which users could take which attributes: users by their object classes, of which there are few sets.

    One user stands for all of its set. What a class requires besides may differ between
    these; a plan looks at each user that it changes. `spread`: some of all users, of whom
    more can be asked.
    """

    def __init__(
        self, attributes: Collection[str], schema_checks: SchemaChecks
    ) -> None:
        self._changes = tuple(
            AttributeChange(
                name,
                (),
                ("some value",),
            )
            for name in attributes
        )
        self._schema_checks = schema_checks
        self._examples: dict[frozenset[str], User] = {}
        self._counts: Counter[frozenset[str]] = Counter()
        self.spread: list[User] = []

    def count_users(self, users: Iterable[User]) -> None:
        step = 1
        for number, user in enumerate(users):
            if number % step == 0:
                self.spread.append(user)
            if len(self.spread) > _SPREAD:
                del self.spread[1::2]
                step *= 2
            classes = classes_of(user)
            self._examples.setdefault(classes, user)
            self._counts[classes] += 1

    @property
    def user_count(self) -> int:
        return self._counts.total()

    def count_barred(self) -> dict[str, Counter[str]]:
        """By attribute why users could not take it, with how many these are."""
        found: dict[str, Counter[str]] = {
            change.name: Counter() for change in self._changes
        }
        for classes, user in self._examples.items():
            for name, why in self._schema_checks.find_refused(
                user, self._changes
            ).items():
                found[name][why] += self._counts[classes]
        return found

"""Entries of directories without a server, such as a file: who is a user, how users are read, what a change does.

Entries stream by, one pass a question. A user is whoever is below the job's base and in its
filter. A change is held to the values that an entry has now: compare-and-set.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from functools import cached_property
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.filter_matching import Matcher, make_matcher
from connector.directories.common.ldap_filters import (
    DISABLED_MARKS,
    Equal,
    Filter,
    Present,
    attributes_of,
    list_items,
    parse_filter,
    select_left_out,
)
from connector.directories.common.schema import Schema
from connector.errors import FileError
from connector.model import (
    ID,
    NAME,
    OBJECT_CLASS,
    AttributeChange,
    AttributeInfo,
    Change,
    Equality,
    Held,
    Holds,
    Key,
    Objection,
    Question,
    Secret,
    User,
    UserRef,
    Value,
    View,
)
from connector.model.dn import Rdn, split_rdns
from connector.model.equality import (
    choose_rule,
    keys_of,
    reveal_value,
    whether_held,
)
from connector.model.patterns import owned_values
from connector.planning.conversion import UnfitError, fit_text

# ---------------------------------------------------------------- who is a user


class Entry(Struct, frozen=True):
    """An entry: its id and DN, the DN's RDNs, and its values by `Schema.attribute_key`. `disabled`: as of a user."""

    id: str
    name: str
    rdns: tuple[Rdn, ...]
    values: dict[str, list[bytes]]
    disabled: bool = False

    @property
    def ref(self) -> UserRef:
        return UserRef(self.id, self.name)


def normalise_name(name: tuple[Rdn, ...]) -> str:
    """A DN as text that is equal for equal DNs."""
    return ",".join(
        "+".join(sorted(f"{kind}={_escape_value(str(value))}" for kind, value in rdn))
        for rdn in name
    )


def _escape_value(value: str) -> str:
    """Octets that are no UTF-8 become hexadecimal digits (RFC 4514 §2.4): a text with them in it cannot be encoded."""
    special = re.sub(r'([\\,+"=;<>#])', r"\\\1", value)
    return re.sub(
        r"[\udc80-\udcff]", lambda octet: f"\\{ord(octet[0]) - 0xDC00:02x}", special
    )


def split_bases(bases: Iterable[str]) -> list[tuple[Rdn, ...]]:
    """The bases of a job, ready to compare. Raises FileError for what is no DN."""
    try:
        return [split_rdns(base) for base in bases]
    except ValueError as fault:
        why = f"not a distinguished name: {fault}"
        raise FileError(why, where="directory.base") from None


class EntryScope:
    """Base and filter of a job: who is a user here. Raises FileError where one of them is wrong."""

    def __init__(self, bases: Iterable[str], filter_text: str, schema: Schema) -> None:
        self._schema = schema
        self._recognised: Collection[str] = ()
        self.bases = split_bases(bases)
        try:
            self.filter: Filter = parse_filter(filter_text)
            self._matches: Matcher = make_matcher(self.filter, schema)
        except ValueError as fault:
            raise FileError(str(fault), where="directory.filter") from None

    @cached_property
    def unknown_attributes(self) -> frozenset[str]:
        """The attributes that the filter names and the schema does not know."""
        return frozenset(
            name
            for name in attributes_of(self.filter)
            if not self._schema.info(name).definition.known
        )

    def recognise_attributes(self, attributes: Collection[str]) -> None:
        """Take these attributes, by their `Schema.attribute_key`, for known, since entries hold them."""
        self._recognised = attributes
        self._matches = make_matcher(self.filter, self._schema, attributes)

    def needs_attribute(self, name: str) -> bool:
        return any(
            self._schema.falls_under(name, wanted)
            for wanted in attributes_of(self.filter)
        )

    def find_shown(self, entry: Entry, *, disabled: bool) -> Entry | None:
        """The entry where it is a user: below the base, and in the filter; None where it is not.

        `disabled`: also one below the base that the filter leaves out since it is disabled, and which says so.
        """
        depth = len(entry.rdns)
        is_below = any(
            entry.rdns[max(depth - len(base), 0) :] == base for base in self.bases
        )
        if is_below and self._matches(entry.values) is True:
            return entry
        if is_below and disabled:
            for matches in self._match_disabled:
                if matches(entry.values) is True:
                    return replace(entry, disabled=True)
        return None

    @cached_property
    def _match_disabled(self) -> list[Matcher]:
        """By each mark of disabled users that the filter looks at."""
        filters = [select_left_out(self.filter, mark) for mark in DISABLED_MARKS]
        return [
            make_matcher(each, self._schema, self._recognised)
            for each in filters
            if each is not None
        ]


def find_filtered(filter_: Filter, schema: Schema, view: View) -> dict[str, bool]:
    """As of `Scope.filtered`. Object classes are only added, so that a filter which asks for one stays true.

    An item that asks for a value is left out: whether a write makes it false is seen when
    its user is written.
    """
    found: dict[str, bool] = {}
    for item, negated in list_items(filter_):
        wanted = item.attribute or ""
        if schema.falls_under(wanted, OBJECT_CLASS):
            # an item without a class to compare with may be about any class
            low = item.value.decode(errors="replace") if isinstance(item, Equal) else ""
            for name in view.object_classes if negated else ():
                if low.lower() in {"", *schema.list_superclasses(name)}:
                    found[name] = True
        elif isinstance(item, Present):
            for name in view.attributes:
                if schema.falls_under(name, wanted):
                    found[name] = found.get(name, False) or negated
    return found


def nobody_within(counted: str, where: str, filter_: str | None, check: str) -> str:
    """That the job's filter leaves everybody out. `counted`: of how many; `check`: what to look at beside it."""
    return f"0 of {counted} in {where} match `filter` {filter_}. Check the filter, and {check}"


# ---------------------------------------------------------------- reading


class EntryReader(ABC):
    """The reading half of the port, over one pass of entries a question."""

    def __init__(self, view: View, schema: Schema) -> None:
        self.schema = schema
        self.view = view = schema.widen_view(view)
        names = dict.fromkeys([*view.attributes, OBJECT_CLASS])
        self._asked = [
            (name, schema.attribute_key(name), self.info(name)) for name in names
        ]
        self._off = {
            schema.attribute_key(mark.attribute): make_matcher(mark.says, schema)
            for mark in DISABLED_MARKS
        }
        self.keys = frozenset(self._off).union(map(schema.attribute_key, names))

    @abstractmethod
    def entries(
        self, attributes: Collection[str] = (), *, disabled: bool = False
    ) -> Iterator[Entry]:
        """Every entry within base and filter, once, with the view's attributes and these (by `Schema.attribute_key`).

        `disabled`: also whom the filter leaves out since they are disabled.
        """

    def info(self, name: str) -> AttributeInfo:
        return replace(self.schema.info(name), name=name, comparable=True)

    def size(self) -> int | None:
        return None

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        shown = {self.schema.attribute_key(name) for name in holding}
        for entry in self.entries(shown):
            if not shown or any(entry.values.get(name) for name in shown):
                yield self._make_user(entry)

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """One pass, with the wanted values in sets by attribute."""
        wanted: dict[str, set[Hashable]] = defaultdict(set)
        keys_by: dict[str, Callable[[Value], Hashable]] = {}
        for name, value in keys:
            if name == ID:
                wanted[ID].add(value.lower())
            elif name == NAME:
                with suppress(ValueError):  # a text that is no DN names nobody
                    wanted[NAME].add(split_rdns(value))
            else:
                attribute, rule = self._find_rule(name)
                keys_by[attribute] = keys_of(rule)
                wanted[attribute].add(keys_by[attribute](value))
        if not wanted:
            return
        for entry in self.entries(keys_by):
            is_wanted = entry.id.lower() in wanted[ID] or entry.rdns in wanted[NAME]
            for attribute, key_of in keys_by.items():
                held = map(key_of, entry.values.get(attribute, ()))
                is_wanted = is_wanted or not wanted[attribute].isdisjoint(held)
            if is_wanted:
                yield self._make_user(entry)

    def _find_rule(self, name: str) -> tuple[str, Equality]:
        """An attribute's `Schema.attribute_key`, and how its values compare."""
        return self.schema.attribute_key(name), self.schema.info(name).equality

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        """By id, whatever the entry's name is now."""
        ids = {user.id for user in users}
        entries = self.entries(disabled=disabled) if ids else ()
        return (self._make_user(entry) for entry in entries if entry.id in ids)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        asked = list(questions)
        attributes = {self._find_rule(question.attribute)[0] for question in asked}
        ids = {question.user.id for question in asked}
        entries = self.entries(attributes) if ids else ()
        held = {entry.id: entry.values for entry in entries if entry.id in ids}
        for question in asked:
            answer = Holds.UNKNOWN
            if question.user.id in held:
                attribute, rule = self._find_rule(question.attribute)
                values = held[question.user.id].get(attribute, ())
                answer = whether_held(rule, values, question.value)
            yield answer

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:  # noqa: ARG002  # the port passes them; a file has no server to ask
        """None: there are no rights, and whoever is outside of base and filter may hold what they like."""
        return iter(())

    def close(self) -> None:  # noqa: B027  # part of the port, and there is nothing to let go of
        """Nothing is kept open between calls."""

    def _make_user(self, entry: Entry) -> User:
        values: dict[str, tuple[Held, ...]] = {}
        for name, attribute, info in self._asked:
            stored = entry.values.get(attribute, ())
            held = tuple(value_of(info, value) for value in stored)
            if held:
                is_secret = name in self.view.secrets
                values[name] = tuple(map(Secret, held)) if is_secret else held
        inactive = any(
            attribute in entry.values and says(entry.values) is True
            for attribute, says in self._off.items()
        )
        return User(entry.id, entry.name, values, entry.disabled, inactive)


# ---------------------------------------------------------------- changes

S = TypeVar("S", str, bytes)


class ConflictError(Exception):
    """The entry is not what the change believes; the message says where, without a value."""


class ForbiddenError(Exception):
    """What the schema forbids, or cannot be written without touching what is not ours; the message tells no value."""


class ValueEdit(Struct, frozen=True):
    """Values to take out of one attribute, as they are stored, and values to put in."""

    name: str
    removed: tuple[bytes, ...]
    added: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<edit of {self.name}>"  # its values may be passwords


def stored_octets(value: Held) -> bytes:
    """A value as it is stored."""
    bare = value if type(value) is str else reveal_value(value)
    return bare if isinstance(bare, bytes) else bare.encode("utf-8", "surrogateescape")


def value_of(info: AttributeInfo, stored: bytes) -> Value:
    """A stored value as the model has it: text, but for octet strings and for what is no UTF-8."""
    return stored if info.octets else decode_text(stored)


def decode_text(stored: bytes) -> Value:
    """A value of a text syntax; octets where it is no UTF-8, whatever the server may say."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def plan_edits(
    values: Mapping[str, Sequence[bytes]], change: Change, schema: Schema
) -> list[ValueEdit]:
    """What to do to an entry with these values (by `Schema.attribute_key`); nothing where it says all of it already.

    A value that stays is left as it is spelt. Raises ConflictError and ForbiddenError,
    before anything is done.
    """
    found = []
    for attribute in change.attributes:
        held = values.get(schema.attribute_key(attribute.name), ())
        if schema.attribute_key(attribute.name) == "objectclass":
            edit = _plan_classes(held, attribute)
        else:
            edit = _plan_edit(held, attribute, schema.info(attribute.name))
        if edit.removed or edit.added:
            found.append(edit)
    return found


class ComparedValues(Struct, Generic[S], frozen=True):
    """What of an attribute's values goes, what comes, what is others', and all that is to be there of ours."""

    removed: tuple[S, ...]
    added: tuple[S, ...]
    others: tuple[S, ...]
    wanted: tuple[S, ...]

    def refuse_several(self, name: str) -> None:
        """Raises ForbiddenError where an attribute of one value would have more."""
        if len(self.others) + len(self.wanted) > 1:
            raise ForbiddenError(f"{name} can hold one value only")


def compare_and_set(
    held: Sequence[S],
    change: AttributeChange,
    rule: Equality,
    stored: Callable[[Held], S],
) -> ComparedValues[S]:
    """Compare and set: the values that are there against those that the plan saw. `stored`: a value as they are.

    Raises ConflictError.
    """
    key = keys_of(choose_rule(rule, secret=change.secret))
    mine = owned_values(change.pattern, held)
    keys = set(map(key, mine))
    if change.seen and keys != {key(reveal_value(value)) for value in change.old}:
        raise ConflictError(f"{change.name} changed since the plan")
    wanted = {key(reveal_value(value)): stored(value) for value in change.new}
    others = tuple(value for value in held if value not in mine)
    if not wanted.keys().isdisjoint(map(key, others)):
        raise ConflictError(
            f"{change.name} already holds the new value among those that are not this job's"
        )
    removed = tuple(value for value in mine if key(value) not in wanted)
    added = tuple(value for name, value in wanted.items() if name not in keys)
    return ComparedValues(removed, added, others, tuple(wanted.values()))


def _plan_edit(
    held: Sequence[bytes], change: AttributeChange, info: AttributeInfo
) -> ValueEdit:
    found = compare_and_set(held, change, info.equality, stored_octets)
    if info.single and found.added:
        found.refuse_several(change.name)
    for value in found.added:
        _check_value(info, value)
    return ValueEdit(change.name, found.removed, found.added)


def _plan_classes(held: Sequence[bytes], change: AttributeChange) -> ValueEdit:
    """Object classes: those of `old` have to be there, those of `new` may be already; no other is looked at."""
    present, old, new = map(_fold_classes, (held, change.old, change.new))
    if not old.keys() <= present.keys():
        raise ConflictError(f"{change.name} changed since the plan")
    removed = [present[name] for name in old if name not in new]
    added = [new[name] for name in new if name not in present]
    return ValueEdit(change.name, tuple(removed), tuple(added))


def _fold_classes(values: Iterable[Held]) -> dict[bytes, bytes]:
    """Names of classes as they are stored, in lower case."""
    stored = map(stored_octets, values)
    return {value.strip().lower(): value for value in stored}


def _check_value(info: AttributeInfo, stored: bytes) -> None:
    """What every server checks of a value: that there is one, that its syntax and its length fit."""
    if not stored:
        raise ForbiddenError(f"{info.name} cannot hold an empty value")
    value = value_of(info, stored)
    try:
        if isinstance(value, str):
            fit_text(info, value)
        elif not info.octets:
            raise ForbiddenError(f"{info.name} cannot hold octets that are no text")
        elif info.bounds.max_length is not None and len(value) > info.bounds.max_length:
            raise ForbiddenError(
                f"{info.name} holds at most {info.bounds.max_length} octets"
            )
    except UnfitError as fault:
        raise ForbiddenError(f"{info.name}: {fault}") from None

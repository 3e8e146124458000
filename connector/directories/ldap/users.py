"""Entries as they come off the wire into users: the attributes asked for, under the names they were asked by."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from connector.directories.changing import OBJECT_CLASS
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import Entry
from connector.errors import DeniedError, MalformedError
from connector.model import Held, Secret, Syntax, User, Value, View

_MOST_SPELLINGS = 10_000
Decode = Callable[[bytes], Held]


class _Column(Struct, frozen=True):
    """The names that one attribute was asked by, each with how its values are shown; none for what was not asked.

    `plain`: the name, where there is one alone and its values are text that anybody may see.
    """

    names: tuple[tuple[str, Decode], ...] = ()
    is_id: bool = False
    plain: str | None = None


def text(value: bytes) -> Value:
    """A value of a text syntax; octets where it is no UTF-8, whatever the server may say."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _octets(value: bytes) -> Value:
    return value


def _secret(decode: Callable[[bytes], Value]) -> Decode:
    return lambda value: Secret(decode(value))


class Users:
    """What a view wants of each entry.

    An attribute description is matched whole: `cn;lang-de` is not `cn` (RFC 4512 §2.5), while `commonName` and a
    number are, since a server may answer by another name than it was asked by.
    """

    def __init__(self, view: View, inspection: Inspection, where: str) -> None:
        schema = inspection.schema
        self._key = schema.key
        self._where = where
        self._dialect = inspection.dialect
        names = dict.fromkeys([*view.attributes, *([OBJECT_CLASS] if view.object_classes else [])])
        self.attributes = (*names, self._dialect.id_attribute)
        self._columns: dict[str, _Column] = {}
        id_key = self._key(self._dialect.id_attribute)
        for name in names:
            decode = _octets if inspection.info(name).syntax is Syntax.OCTETS else text
            shown: tuple[str, Decode] = (name, _secret(decode) if name in view.secrets else decode)
            key = self._key(name)
            before = self._columns.get(key, _Column()).names
            plain = name if not before and shown[1] is text and key != id_key else None
            self._columns[key] = _Column((*before, shown), key == id_key, plain)
        self._columns.setdefault(id_key, _Column(is_id=True))
        self._by_spelling: dict[bytes, _Column] = {}

    def user(self, entry: Entry) -> User:
        """The user. Raises DeniedError for an entry without an id, MalformedError for a name that is no text."""
        id_ = None
        values: dict[str, tuple[Held, ...]] = {}
        spellings = self._by_spelling
        for spelling, octets in entry.attributes:
            column = spellings.get(spelling) or self._column(spelling)
            plain = column.plain
            if plain is not None and len(octets) == 1:  # nearly every attribute, so without a call
                try:
                    values[plain] = (octets[0].decode(),)
                except UnicodeDecodeError:
                    values[plain] = (octets[0],)
                continue
            if not octets:
                continue
            for name, decode in column.names:
                values[name] = tuple(map(decode, octets))
            if column.is_id:
                id_ = self._dialect.show_id(octets[0])
        try:
            name = entry.name.decode()
        except UnicodeDecodeError:
            raise MalformedError("the name of an entry is no text", where=self._where) from None
        if id_ is None:
            raise DeniedError(f"{name} does not show us its {self._dialect.id_attribute}", where=self._where)
        return User(id_, name, values)

    def _column(self, spelling: bytes) -> _Column:
        column = self._columns.get(self._key(spelling.decode("utf-8", "replace")), _Column())
        if len(self._by_spelling) < _MOST_SPELLINGS:
            self._by_spelling[spelling] = column
        return column

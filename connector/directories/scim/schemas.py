"""What a server's schemas (RFC 7643 §7) say of attribute paths, and of those of one view.

Where a server publishes no schema, `assumed_schemas.json` stands in for it: what RFC 7643 says of
users (§3.1, §4.1, §4.3), and the shipped extension, under whatever URN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path as File
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connector.directories.scim.paths import (
    CORE,
    ENTERPRISE,
    USER_NAME,
    VALUE,
    AttributePath,
    Json,
    Resource,
    find_member,
    read_id,
    read_name,
)
from connector.errors import FileError
from connector.model import (
    NAME,
    AttributeDefinition,
    AttributeInfo,
    Equality,
    Held,
    Secret,
    Syntax,
    User,
    View,
)
from connector.settings.scim import EXTENSION

ACTIVE: Final = "active"
"""The attribute that says whether a user is enabled (RFC 7643 §4.1.1)."""
_SYNTAXES: Final = {
    "boolean": (Syntax.BOOLEAN, Equality.BOOLEAN),
    "integer": (Syntax.INTEGER, Equality.INTEGER),
    "decimal": (Syntax.DECIMAL, Equality.DECIMAL),
    "datetime": (Syntax.DATE_TIME, Equality.DATE_TIME),
}
_NUMBERS: Final = {"integer": int, "decimal": float}
_CASE_EXACT_TYPES: Final = ("binary", "reference")
"""Types whose values are told apart by case, whatever the schema says (RFC 7643 §2.3.6, §2.3.7)."""

ASSUMED_DOCUMENT: Final[Json] = msgspec.json.decode(
    File(__file__).with_name("assumed_schemas.json").read_bytes()
)


class Attribute(Struct, frozen=True, rename="camel"):
    """An attribute's definition, words in lower case; what a server leaves out is RFC 7643 §7's default."""

    name: str
    type: str = "string"
    multi_valued: bool = False
    case_exact: bool = False
    mutability: str = "readwrite"
    returned: str = "default"
    uniqueness: str = "none"
    sub_attributes: tuple[Attribute, ...] = ()

    @property
    def is_complex(self) -> bool:
        """Whether its values are objects."""
        return self.type == "complex"

    @property
    def is_read_only(self) -> bool:
        """Whether only the server sets it."""
        return self.mutability == "readonly"

    @property
    def is_write_only(self) -> bool:
        """Whether it is a secret."""
        return self.mutability == "writeonly"

    @property
    def is_writable(self) -> bool:
        """Whether a client may set it again and again."""
        return self.mutability in ("", "readwrite", "writeonly")

    @property
    def is_shown(self) -> bool:
        """Whether every answer has it; not so if never, or only to who asks for it by name."""
        return self.returned in ("", "default", "always")

    def find_part(self, name: str) -> Attribute | None:
        """The sub-attribute of this name, whatever the case."""
        wanted = name.lower()
        parts = self.sub_attributes
        return next((each for each in parts if each.name.lower() == wanted), None)


class LocatedAttribute(Struct, frozen=True, dict=True):
    """One attribute of a view: where it is, and what is known of it."""

    name: str
    """The name it was asked by."""
    path: AttributePath
    """The path as the schema spells it."""
    attribute: Attribute
    meant: Attribute
    """The sub-attribute that the path means; the attribute itself where it means all of it."""
    is_known: bool = True
    """It is published, or assumed."""
    is_secret: bool = False
    """Its values are secrets of the job."""

    @cached_property
    def is_shown(self) -> bool:
        """Whether what an answer holds there is to be believed, and what it lacks is not there.

        A server may show stars in the place of a secret.
        """
        return self.attribute.is_shown and self.meant.is_shown

    @property
    def is_writable(self) -> bool:
        """Whether a client may set it again and again."""
        # another part of one of several elements would need an element of which nobody knows
        # what it is
        is_element = self.attribute.multi_valued and self.attribute.is_complex
        is_other_part = is_element and self.meant.name.lower() != VALUE
        if self.meant.is_complex or is_other_part:
            return False
        return self.attribute.is_writable and self.meant.is_writable

    @property
    def is_searchable_text(self) -> bool:
        """Whether it is a text that answers and filters may have."""
        is_text = self.meant.type == "string" and not self.meant.is_write_only
        return is_text and self.is_shown

    @cached_property
    def info(self) -> AttributeInfo:
        """What the rest of the program is told of it."""
        path, meant = self.path, self.meant
        is_exact = meant.case_exact or meant.type in _CASE_EXACT_TYPES
        text = (Syntax.TEXT, Equality.OCTETS if is_exact else Equality.CASE_ALONE)
        syntax, equality = _SYNTAXES.get(meant.type, text)
        full = replace(path, schema=path.schema or CORE)
        is_readable = self.is_shown and (self.is_known or not self.is_secret)
        return AttributeInfo(
            self.name,
            syntax=syntax,
            equality=equality,
            single=not (self.attribute.multi_valued or meant.multi_valued),
            writable=self.is_writable,
            readable=is_readable or None,
            unique=meant.uniqueness in ("server", "global"),
            definition=AttributeDefinition(
                known=self.is_known,
                aliases=frozenset({str(path).lower(), str(full).lower()}),
            ),
        )

    def to_json(self, text: str) -> Json:
        """The text as a value of the attribute's type (RFC 7643 §2.3). Raises ValueError where it is none."""
        if self.meant.type == "boolean":
            return text.strip().upper() == "TRUE"
        return _NUMBERS.get(self.meant.type, str)(text)


class Schemas:
    """Schemas by URN, whatever the case of URNs and names."""

    def __init__(self, documents: Iterable[Json] = ()) -> None:
        self._by_urn: dict[str, tuple[str, dict[str, Attribute]]] = {}
        self.unread = 0
        """How many definitions could not be read."""
        for document in documents:
            urn = find_member(document, "id")
            if isinstance(urn, str):
                attributes = self._read_attributes(find_member(document, "attributes"))
                self._by_urn[urn.lower()] = (urn, attributes)
            else:
                self.unread += 1

    def _read_attributes(self, definitions: Json) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {}
        for each in definitions if isinstance(definitions, list) else ():
            try:
                attribute = msgspec.convert(
                    _normalise_definition(each), Attribute, strict=False
                )
            except msgspec.ValidationError:
                self.unread += 1
            else:
                attributes[attribute.name.lower()] = attribute
        return attributes

    def find_schema(self, schema: str) -> tuple[str, dict[str, Attribute]]:
        """The URN as it is spelt, and the schema's attributes by name; the empty URN is the core's."""
        return self._by_urn.get((schema or CORE).lower(), (schema, {}))

    def is_published(self, schema: str) -> bool:
        """Whether the server describes anything of this schema."""
        return bool(self.find_schema(schema)[1])

    def hides_nothing(self) -> bool:
        """Whether users are described, and all of them is shown to whoever asks for all of it."""
        users = [
            attribute
            for urn, (_, attributes) in self._by_urn.items()
            if urn.endswith(":user")
            for attribute in attributes.values()
        ]
        return bool(users) and all(
            part.is_shown
            for attribute in users
            for part in (attribute, *attribute.sub_attributes)
        )

    def list_leaves(self, urns: Iterable[str] | None = None) -> Iterator[AttributePath]:
        """What users of these schemas have, or of all: each attribute, or each of its sub-attributes."""
        for wanted in self._by_urn if urns is None else urns:
            urn, attributes = self.find_schema(wanted)
            schema = "" if urn == CORE else urn
            for each in attributes.values():
                parts = each.sub_attributes if each.is_complex else ()
                for sub in [part.name for part in parts] or [""]:
                    yield AttributePath(each.name, schema, sub=sub)


def _normalise_definition(held: Json) -> Json:
    """A definition with its words in lower case, without members that are null: they say as little as absent ones."""
    if isinstance(held, list):
        return [_normalise_definition(each) for each in held]
    if not isinstance(held, dict):
        return held.lower() if isinstance(held, str) else held
    found = {
        key: _normalise_definition(value)
        for key, value in held.items()
        if value is not None
    }
    return found | {"name": held.get("name")}


_ASSUMED: Final = Schemas(ASSUMED_DOCUMENT["schemas"])
_COMMON: Final = Schemas([{"id": CORE, "attributes": ASSUMED_DOCUMENT["common"]}])
"""What every server has and none publishes (RFC 7643 §3.1)."""


# ---------------------------------------------------------------- the attributes of a view


class ViewAttributes:
    """Attributes of a view by the mapping's names, as a server's schemas have them.

    Raises FileError for a name that is no path.
    """

    def __init__(
        self,
        view: View,
        schemas: Schemas,
        urn: str,
    ) -> None:
        """`urn`: what the server calls the shipped extension."""
        self._schemas = schemas
        self._urn = urn
        self._secrets = view.secrets
        self.locate_name: Callable[[str], LocatedAttribute] = cache(self._locate_name)
        self.locate_path: Callable[[AttributePath], LocatedAttribute] = cache(
            self._locate_path
        )
        self.view = [self.locate_name(name) for name in view.attributes]
        self._shown = [each for each in self.view if each.is_shown]

    def _locate_name(self, name: str) -> LocatedAttribute:
        """What a mapping calls so."""
        path = USER_NAME if name == NAME else AttributePath.parse_text(name)
        return self._locate_attribute(name, path)

    def _locate_path(self, path: AttributePath) -> LocatedAttribute:
        """What stands at a path, also at one that no mapping could name."""
        return self._locate_attribute(str(path), path)

    def _locate_attribute(self, name: str, path: AttributePath) -> LocatedAttribute:
        if path.schema.lower() == EXTENSION.lower():
            path = replace(path, schema=self._urn)
        urn, published = self._schemas.find_schema(path.schema)
        wanted = path.attribute.lower()
        attribute = published.get(wanted) or self._assume_attributes(path.schema).get(
            wanted
        )
        part = attribute.find_part(path.sub or VALUE) if attribute else None
        is_secret = name in self._secrets
        if (
            attribute is None
            or (path.sub and part is None)
            or not all(map(attribute.find_part, dict(path.tests)))
        ):
            unknown = Attribute(path.attribute, case_exact=True)
            return LocatedAttribute(
                name, path, unknown, unknown, is_known=False, is_secret=is_secret
            )
        schema, sub = urn if path.schema else "", part.name if part else ""
        spelt = AttributePath(
            attribute.name,
            schema,
            path.tests,
            sub,
        )
        return LocatedAttribute(
            name, spelt, attribute, part or attribute, is_secret=is_secret
        )

    def _assume_attributes(self, schema: str) -> dict[str, Attribute]:
        """What every server has and none publishes; all of a schema that is not published."""
        common = {} if schema else _COMMON.find_schema("")[1]
        if self._schemas.is_published(schema):
            return common
        known = schema if schema.lower() in ("", ENTERPRISE.lower()) else EXTENSION
        return {**common, **_ASSUMED.find_schema(known)[1]}

    def list_assumed(self) -> list[str]:
        """The schemas that are looked at and not published."""
        schemas = {each.path.schema for each in self.view}
        missing = (each for each in schemas if not self._schemas.is_published(each))
        return sorted(schema or CORE for schema in missing)

    def is_read_only(self, path: AttributePath) -> bool:
        """Whether only the server sets what is there."""
        located = self.locate_path(path)
        is_part = bool(path.sub) and located.meant.is_read_only
        return located.attribute.is_read_only or is_part

    def check_paths(self, paths: Iterable[AttributePath], where: str) -> None:
        """Raises FileError for a path that no published schema has, or that is never shown."""
        for path in paths:
            located = self.locate_path(path)
            if not located.is_known and self._schemas.is_published(path.schema):
                what = f"the server's schema has no attribute {path}"
                raise FileError(what, where=where)
            if not located.is_shown:
                what = f"the server never shows {path}, so it identifies no user"
                raise FileError(what, where=where)

    def to_user(self, resource: Resource) -> User:
        """The user of this view that a resource is."""
        values: dict[str, tuple[Held, ...]] = {}
        for each in self._shown:
            held = tuple(each.path.find_values(resource))
            if held:
                values[each.name] = tuple(map(Secret, held)) if each.is_secret else held
        return User(
            read_id(resource),
            read_name(resource),
            values,
            inactive=find_member(resource, ACTIVE) is False,
        )

"""What a server's schemas (RFC 7643 §7) say of attribute paths, and of those of one view.

Where a server publishes no schema, `assumed_schemas.json` stands in for it: what RFC 7643 says of
users (§3.1, §4.1, §4.3), and the shipped extension, under whatever URN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    Json,
    Path,
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
    """An attribute's definition; what a server leaves out is RFC 7643 §7's default."""

    name: str
    type: str = "string"
    multi_valued: bool | None = False
    case_exact: bool | None = False
    mutability: str | None = "readWrite"
    returned: str | None = "default"
    uniqueness: str | None = "none"
    sub_attributes: tuple[Attribute, ...] | None = ()

    @property
    def kind(self) -> str:
        """The type, whatever its case."""
        return self.type.lower()

    @property
    def is_complex(self) -> bool:
        """Whether its values are objects."""
        return self.kind == "complex"

    @property
    def is_read_only(self) -> bool:
        """Whether only the server sets it."""
        return (self.mutability or "").lower() == "readonly"

    @property
    def is_write_only(self) -> bool:
        """Whether it is a secret."""
        return (self.mutability or "").lower() == "writeonly"

    @property
    def is_writable(self) -> bool:
        """Whether a client may set it again and again."""
        return (self.mutability or "readWrite").lower() in ("readwrite", "writeonly")

    @property
    def is_shown(self) -> bool:
        """Whether every answer has it; not so if never, or only to who asks for it by name."""
        return (self.returned or "default").lower() in ("default", "always")

    @property
    def parts(self) -> tuple[Attribute, ...]:
        """The sub-attributes."""
        return self.sub_attributes or ()

    def find_part(self, name: str) -> Attribute | None:
        """The sub-attribute of this name, whatever the case."""
        wanted = name.lower()
        return next((each for each in self.parts if each.name.lower() == wanted), None)


class Definition(Struct, frozen=True):
    """The definition of what a path leads to."""

    path: Path
    """The path as the schema spells it."""
    attribute: Attribute
    meant: Attribute
    """The sub-attribute that the path means; the attribute itself where it means all of it."""

    @property
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
        return (
            self.meant.kind == "string"
            and self.is_shown
            and not self.meant.is_write_only
        )

    def to_json(self, text: str) -> Json:
        """The text as a value of the attribute's type (RFC 7643 §2.3). Raises ValueError where it is none."""
        if self.meant.kind == "boolean":
            return text.strip().upper() == "TRUE"
        return _NUMBERS.get(self.meant.kind, str)(text)


class LocatedAttribute(Definition, frozen=True):
    """One attribute of a view: where it is, and what is known of it."""

    name: str
    """The name it was asked by."""
    info: AttributeInfo


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
                attribute = msgspec.convert(each, Attribute, strict=False)
            except msgspec.ValidationError:
                self.unread += 1
            else:
                attributes[attribute.name.lower()] = attribute
        return attributes

    def attributes_of(self, schema: str) -> dict[str, Attribute]:
        """The attributes of the schema of this URN, by name; the empty URN is the core's."""
        return self._by_urn.get((schema or CORE).lower(), ("", {}))[1]

    def hides_nothing(self) -> bool:
        """Whether users are described, and all of them is shown to whoever asks for all of it."""
        users = [
            attribute
            for urn, (_, attributes) in self._by_urn.items()
            if urn.endswith(":user")
            for attribute in attributes.values()
        ]
        return bool(users) and all(
            each.is_shown
            for attribute in users
            for each in (attribute, *attribute.parts)
        )

    def list_paths(self) -> tuple[str, ...]:
        """Every attribute of every schema, as a mapping names it."""
        return tuple(
            str(_path_in(urn, attribute.name))
            for urn, attributes in self._by_urn.values()
            for attribute in attributes.values()
        )

    def list_leaves(self, urns: Iterable[str]) -> Iterator[Path]:
        """What users of these schemas have: each attribute, or each of its sub-attributes."""
        for wanted in urns:
            urn, attributes = self._by_urn.get(wanted.lower(), ("", {}))
            for each in attributes.values():
                subs = [part.name for part in each.parts] if each.is_complex else [""]
                yield from (_path_in(urn, each.name, sub) for sub in subs)

    def find_definition(
        self, path: Path, assumed: Mapping[str, Attribute] | None = None
    ) -> Definition | None:
        """What the path leads to: as it is published, else as it is `assumed` by lower-case name."""
        urn, published = self._by_urn.get(
            (path.schema or CORE).lower(), (path.schema, {})
        )
        name = path.attribute.lower()
        attribute = published.get(name) or (assumed or {}).get(name)
        if attribute is None:
            return None
        part = None
        if path.sub or attribute.is_complex:
            part = attribute.find_part(path.sub or VALUE)
        if path.sub and part is None:
            return None
        tests = []
        for sub, value in path.tests:
            tested = attribute.find_part(sub)
            if tested is None:
                return None
            tests.append((tested.name, value))
        spelt = Path(
            attribute.name,
            urn if path.schema else "",
            tuple(tests),
            part.name if part else "",
        )
        return Definition(spelt, attribute, part or attribute)


def _path_in(
    urn: str,
    name: str,
    sub: str = "",
) -> Path:
    return Path(name, "" if urn == CORE else urn, sub=sub)


_ASSUMED: Final = Schemas(ASSUMED_DOCUMENT["schemas"])
_COMMON: Final = Schemas([{"id": CORE, "attributes": ASSUMED_DOCUMENT["common"]}])
"""What every server has and none publishes (RFC 7643 §3.1)."""


# ---------------------------------------------------------------- the attributes of a view


class Attributes:
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
        self._known: dict[str, LocatedAttribute] = {}
        self.view = [self.locate_name(name) for name in view.attributes]
        self._shown = [each for each in self.view if each.is_shown]

    def locate_name(self, name: str) -> LocatedAttribute:
        """What a mapping calls so."""
        known = self._known.get(name)
        if known is None:
            path = USER_NAME if name == NAME else Path.parse_text(name)
            known = self._known[name] = self._locate(name, path)
        return known

    def locate_path(self, path: Path) -> LocatedAttribute:
        """What stands at a path, also at one that no mapping could name."""
        name = str(path)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._locate(name, path)
        return known

    def _locate(self, name: str, path: Path) -> LocatedAttribute:
        if path.schema.lower() == EXTENSION.lower():
            path = replace(path, schema=self._urn)
        assumed = self._assume_attributes(path.schema)
        found = self._schemas.find_definition(path, assumed)
        if found is None:
            unknown = Attribute(path.attribute, case_exact=True)
            info = _describe(Definition(path, unknown, unknown), name)
            readable = None if name in self._secrets else True
            info = replace(
                info,
                definition=replace(info.definition, known=False, aliases=frozenset()),
                readable=readable,
            )
            return LocatedAttribute(
                path,
                unknown,
                unknown,
                name,
                info,
            )
        info = _describe(found, name)
        return LocatedAttribute(
            found.path,
            found.attribute,
            found.meant,
            name,
            info,
        )

    def _assume_attributes(self, schema: str) -> Mapping[str, Attribute]:
        """What every server has and none publishes; all of a schema that is not published."""
        common = {} if schema else _COMMON.attributes_of(CORE)
        if self._schemas.attributes_of(schema):
            return common
        known = schema if schema.lower() in ("", ENTERPRISE.lower()) else EXTENSION
        return {**common, **_ASSUMED.attributes_of(known)}

    def list_assumed(self) -> list[str]:
        """The schemas that are looked at and not published."""
        schemas = {each.path.schema for each in self.view}
        return sorted(
            schema or CORE
            for schema in schemas
            if not self._schemas.attributes_of(schema)
        )

    def is_case_exact(self, path: Path) -> bool:
        """Whether values at a path are told apart by case."""
        return self.locate_path(path).info.equality is Equality.OCTETS

    def is_read_only(self, path: Path) -> bool:
        """Whether only the server sets what is there."""
        located = self.locate_path(path)
        is_part = path.sub and located.meant.is_read_only
        return bool(located.attribute.is_read_only or is_part)

    def check_paths(self, paths: Iterable[Path], where: str) -> None:
        """Raises FileError for a path that no published schema has, or that is never shown."""
        for path in paths:
            located = self.locate_path(path)
            if not located.info.definition.known and self._schemas.attributes_of(
                path.schema
            ):
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
                is_secret = each.name in self._secrets
                values[each.name] = tuple(map(Secret, held)) if is_secret else held
        return User(
            read_id(resource),
            read_name(resource),
            values,
            inactive=find_member(resource, ACTIVE) is False,
        )


def _describe(found: Definition, name: str) -> AttributeInfo:
    path, meant = found.path, found.meant
    is_exact = meant.case_exact or meant.kind in _CASE_EXACT_TYPES
    text = (Syntax.TEXT, Equality.OCTETS if is_exact else Equality.CASE_ALONE)
    syntax, equality = _SYNTAXES.get(meant.kind, text)
    full = replace(path, schema=path.schema or CORE)
    return AttributeInfo(
        name,
        syntax=syntax,
        equality=equality,
        single=not (found.attribute.multi_valued or meant.multi_valued),
        writable=found.is_writable,
        readable=True if found.is_shown else None,
        unique=(meant.uniqueness or "none").lower() in ("server", "global"),
        definition=AttributeDefinition(
            aliases=frozenset({str(path).lower(), str(full).lower()})
        ),
    )

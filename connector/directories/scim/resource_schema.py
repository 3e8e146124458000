"""What a server's published schemas (RFC 7643 §7) say of attribute paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from connector.directories.scim.paths import CORE, VALUE, Json, Path, member
from connector.model import AttributeInfo, Equality, Syntax

_SYNTAX: Final = {
    "boolean": (Syntax.BOOLEAN, Equality.BOOLEAN),
    "integer": (Syntax.INTEGER, Equality.INTEGER),
    "decimal": (Syntax.DECIMAL, Equality.DECIMAL),
    "datetime": (Syntax.DATE_TIME, Equality.DATE_TIME),
}
_EXACT: Final = frozenset({"binary", "reference"})
"""Types whose values are told apart by case, whatever the schema says (RFC 7643 §2.3.6, §2.3.7)."""
_WRITABLE: Final = frozenset({"readwrite", "writeonly"})


class Attribute(Struct, frozen=True, rename="camel"):
    """An attribute's definition; what a server leaves out is as RFC 7643 §7 says it is by default."""

    name: str
    type: str = "string"
    multi_valued: bool | None = False
    case_exact: bool | None = False
    mutability: str | None = "readWrite"
    returned: str | None = "default"
    uniqueness: str | None = "none"
    sub_attributes: tuple[Attribute, ...] | None = ()
    required: bool | None = False
    canonical_values: Json = None

    @property
    def complex(self) -> bool:
        """Whether its values are objects; a type is compared whatever its case."""
        return self.type.lower() == "complex"

    @property
    def read_only(self) -> bool:
        return (self.mutability or "").lower() == "readonly"

    def sub(self, name: str) -> Attribute | None:
        return next(
            (
                each
                for each in self.sub_attributes or ()
                if each.name.lower() == name.lower()
            ),
            None,
        )


class Found(Struct, frozen=True):
    """The definition of what a path leads to: the attribute, what is meant of it, and both as they are spelt there."""

    path: Path
    attribute: Attribute
    meant: Attribute

    @property
    def readable(self) -> bool | None:
        """True: what is not shown is not there; None: it is never shown, or only to who asks for it by name."""
        shown = {
            (each.returned or "default").lower()
            for each in (self.attribute, self.meant)
        }
        return True if shown <= {"default", "always"} else None

    @property
    def writable(self) -> bool:
        """Whether a client may set it again and again."""
        # to write one of several complex values would need an element of which nobody knows
        # what it is
        element = (
            self.attribute.multi_valued
            and self.attribute.complex
            and self.meant.name.lower() != VALUE
        )
        if self.meant.complex or element:
            return False
        return all(
            (each.mutability or "readWrite").lower() in _WRITABLE
            for each in (self.attribute, self.meant)
        )

    @property
    def text(self) -> bool:
        """Whether it is a text that answers and filters may have."""
        kept = {
            (each.mutability or "").lower() for each in (self.attribute, self.meant)
        } & {"writeonly"}
        return (
            self.meant.type.lower() == "string" and self.readable is True and not kept
        )


class Schemas:
    """Schemas by URN, whatever the case of URNs and names. `unread`: how many could not be read."""

    def __init__(self, documents: Iterable[Json] = ()) -> None:
        self._schemas: dict[str, tuple[str, dict[str, Attribute]]] = {}
        self.unread = 0
        for document in documents:
            if not isinstance(document, dict) or not isinstance(
                urn := member(document, "id"), str
            ):
                self.unread += 1
                continue
            self._schemas[urn.lower()] = (
                urn,
                dict(self._attributes(member(document, "attributes"))),
            )

    def _attributes(self, definitions: Json) -> Iterator[tuple[str, Attribute]]:
        for each in definitions if isinstance(definitions, list) else ():
            try:
                attribute = msgspec.convert(each, Attribute, strict=False)
            except msgspec.ValidationError:
                self.unread += 1
            else:
                yield attribute.name.lower(), attribute

    def publishes(self, schema: str) -> bool:
        """Whether there is a schema of this URN; the empty one is the core's."""
        return bool(self._schemas.get((schema or CORE).lower(), ("", {}))[1])

    def required(self, schema: str) -> list[Attribute]:
        """What a user of this schema has to have, of what a client can set."""
        attributes = self._schemas.get(schema.lower(), ("", {}))[1].values()
        return [each for each in attributes if each.required and not each.read_only]

    @property
    def open(self) -> bool:
        """Whether users are described, and nothing of them is kept from whoever asks for all of it."""
        shown = {
            (each.returned or "default").lower()
            for urn, (_, attributes) in self._schemas.items()
            if urn.endswith(":user")
            for attribute in attributes.values()
            for each in (attribute, *(attribute.sub_attributes or ()))
        }
        return bool(shown) and shown <= {"default", "always"}

    @property
    def paths(self) -> tuple[str, ...]:
        """Every attribute of every schema, as a mapping names it."""
        return tuple(
            str(Path(attribute.name, "" if urn == CORE else urn))
            for urn, attributes in self._schemas.values()
            for attribute in attributes.values()
        )

    def all_of(self, urns: Iterable[str]) -> Iterator[Found]:
        """What users of these schemas have, each attribute or its sub-attributes (RFC 7643 §7)."""
        for urn, attributes in (
            self._schemas.get(each.lower(), ("", {})) for each in urns
        ):
            for attribute in attributes.values():
                subs = (
                    [each.name for each in attribute.sub_attributes or ()]
                    if attribute.complex
                    else [""]
                )
                paths = (
                    Path(attribute.name, "" if urn == CORE else urn, sub=sub)
                    for sub in subs
                )
                yield from filter(None, map(self.find, paths))

    def find(
        self, path: Path, assumed: Mapping[str, Attribute] | None = None
    ) -> Found | None:
        """What the path leads to: as it is published, else as it is `assumed` by names in lower case."""
        urn, published = self._schemas.get(
            (path.schema or CORE).lower(), (path.schema, {})
        )
        attribute = published.get(path.attribute.lower()) or (assumed or {}).get(
            path.attribute.lower()
        )
        if attribute is None:
            return None
        meant = attribute
        if path.sub or attribute.complex:
            meant = attribute.sub(path.sub or VALUE) or attribute
            if meant is attribute and path.sub:
                return None
        subs = [(attribute.sub(name), value) for name, value in path.tests]
        tests = tuple((sub.name, value) for sub, value in subs if sub is not None)
        if len(tests) < len(path.tests):
            return None
        meant_name = meant.name if meant is not attribute else ""
        spelt = Path(attribute.name, urn if path.schema else "", tests, meant_name)
        return Found(spelt, attribute, meant)


def info(name: str, found: Found | None, *, secret: bool) -> AttributeInfo:
    """What the model wants to know of a path; `secret`: as far as it is assumed only, its values may be hidden."""
    if found is None:
        return AttributeInfo(
            name,
            equality=Equality.OCTETS,
            readable=None if secret else True,
            known=False,
        )
    path, meant = found.path, found.meant
    exact = (
        Equality.OCTETS
        if meant.case_exact or meant.type.lower() in _EXACT
        else Equality.CASE_ALONE
    )
    syntax, equality = _SYNTAX.get(meant.type.lower(), (Syntax.TEXT, exact))
    whole = str(Path(path.attribute, path.schema or CORE, path.tests, path.sub)).lower()
    return AttributeInfo(
        name,
        syntax=syntax,
        equality=equality,
        single=not (found.attribute.multi_valued or meant.multi_valued),
        writable=found.writable,
        readable=found.readable,
        unique=(meant.uniqueness or "none").lower() in {"server", "global"},
        aliases=frozenset({str(path).lower(), whole}),
    )

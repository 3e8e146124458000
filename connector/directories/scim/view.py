"""The attributes of one view on one server: by the mapping's names, where they are, and what may be known of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.scim import core_schema
from connector.directories.scim.answers import id_of
from connector.directories.scim.paths import (
    CORE,
    ENTERPRISE,
    Json,
    Path,
    Resource,
    member,
)
from connector.directories.scim.resource_schema import Attribute, Found, Schemas, info
from connector.errors import FileError
from connector.model import NAME, AttributeInfo, Equality, Held, Secret, User, View
from connector.settings.scim import EXTENSION

USER_NAME: Final = Path("userName")
ACTIVE: Final = "active"
_NUMBERS: Final = {"integer": int, "decimal": float}


class Located(Struct, frozen=True):
    """One attribute: the name it was asked by, its path as the server spells it, and what is known of it."""

    name: str
    path: Path
    info: AttributeInfo
    found: Found | None = None

    @property
    def shown(self) -> bool:
        """Whether what an answer holds there is to be believed; a server may well show stars for a secret."""
        return self.found is None or self.found.readable is True

    def json(self, text: str) -> Json:
        """The text as a value of the attribute's type (RFC 7643 §2.3). Raises ValueError where it is none."""
        kind = self.found.meant.type.lower() if self.found else "string"
        if kind == "boolean":
            return text.strip().upper() == "TRUE"
        return _NUMBERS[kind](text) if kind in _NUMBERS else text


class Attributes:
    """Paths and what they lead to, by the server's `schemas`. `urn`: what the server calls the shipped extension.

    Raises FileError for a name that is no path.
    """

    def __init__(self, view: View, schemas: Schemas, urn: str) -> None:
        self._view, self._schemas, self._urn = view, schemas, urn
        self._known: dict[str, Located] = {}
        self.view = [self.located(name) for name in view.attributes]
        self._shown = [
            (each.name, each.path, each.name in view.secrets)
            for each in self.view
            if each.shown
        ]

    def located(self, name: str) -> Located:
        return self._known.get(name) or self._locate(
            name, USER_NAME if name == NAME else Path.parse(name)
        )

    def at(self, path: Path) -> Located:
        """What stands at a path, also at one that no mapping could name."""
        return self._known.get(str(path)) or self._locate(str(path), path)

    def _locate(self, name: str, path: Path) -> Located:
        if path.schema.lower() == EXTENSION.lower():
            path = replace(path, schema=self._urn)
        found = self._schemas.find(path, self._assumed(path.schema))
        said = info(name, found, secret=name in self._view.secrets)
        self._known[name] = located = Located(
            name, found.path if found else path, said, found
        )
        return located

    def _assumed(self, schema: str) -> dict[str, Attribute]:
        """What every server has and none publishes, and where one publishes nothing, what is usual."""
        usual: tuple[Attribute, ...] = () if schema else core_schema.COMMON
        if not self._schemas.publishes(schema):
            by_schema = {
                "": core_schema.USER,
                ENTERPRISE.lower(): core_schema.ENTERPRISE_USER,
            }
            usual += by_schema.get(schema.lower(), core_schema.CEC)
        return {attribute.name.lower(): attribute for attribute in usual}

    def assumed(self) -> list[str]:
        """The schemas that are looked at and not published."""
        schemas = {each.path.schema for each in self.view}
        return sorted(
            schema or CORE for schema in schemas if not self._schemas.publishes(schema)
        )

    def exact(self, path: Path) -> bool:
        return self.at(path).info.equality is Equality.OCTETS

    def checked(self, paths: Iterable[Path], where: str) -> None:
        """Raises FileError for a path that no published schema has, or that is never shown."""
        for path in paths:
            located = self.at(path)
            if located.found is None and self._schemas.publishes(path.schema):
                raise FileError(
                    f"the server's schema has no attribute {path}", where=where
                )
            if located.found is not None and not located.shown:
                raise FileError(
                    f"the server never shows {path}, so it identifies no user",
                    where=where,
                )

    def user(self, resource: Resource) -> User:
        """The user of this view that a resource is."""
        values: dict[str, tuple[Held, ...]] = {}
        for name, path, secret in self._shown:
            held = tuple(path.values(resource))
            if held:
                values[name] = tuple(map(Secret, held)) if secret else held
        return User(
            id_of(resource),
            name_of(resource),
            values,
            inactive=member(resource, ACTIVE) is False,
        )


def name_of(resource: Resource) -> str:
    """What a resource is called; by its id where it has no userName."""
    return next(USER_NAME.values(resource), id_of(resource))

"""Attributes that may hold account codes beyond the usual ones, those first that are likely and cheap to ask."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from connector.directories.port import Reader
from connector.init.words import is_secret, words
from connector.model import AttributeInfo, Description, Syntax, User
from connector.reconcile.checks.schema_checks import classes_of
from connector.settings.attribute_names import fault_of_name, why_not_matched

USERS: Final = 200
"""So many users show what the directory's values look like."""
MOST: Final = 200
"""So many attributes beyond the usual ones are asked at most."""
_TEXTS: Final = frozenset(
    {
        Syntax.TEXT,
        Syntax.IA5,
        Syntax.PRINTABLE,
        Syntax.NUMERIC,
        Syntax.INTEGER,
        Syntax.TELEPHONE,
    }
)
_LIKELY: Final = frozenset(
    {
        "account",
        "agent",
        "code",
        "employee",
        "id",
        "login",
        "number",
        "personnel",
        "staff",
        "user",
    }
)
"""Words in the name of an attribute that is asked first."""


class Further(Struct, frozen=True):
    """The attributes; `indexed`: by all names in lower case those with an equality index, None where that is not shown.

    `at_once`: the directory is read whole for each question, so that all are asked in one. `or_all`: a look-up may be
    answered with everybody, and those who were not asked for tell that it was. `schema`:
    all that users may hold; of a file, what they do hold and no schema that this program
    knows has.
    """

    infos: Sequence[AttributeInfo]
    schema: Collection[AttributeInfo]
    indexed: frozenset[str] | None = None
    at_once: bool = False
    or_all: bool = False

    def slow(self, name: str) -> bool:
        """Whether the directory says that it has no index for the attribute."""
        return self.indexed is not None and name.lower() not in self.indexed

    def ordered(self, looks: Iterable[User], description: Description) -> list[str]:
        """What may be asked for: first indexed attributes, then those in use, of these first the likely ones."""
        used = {name for user in looks for name in user.values}
        names = [
            info.name
            for info in self.infos
            if description.attributes[info.name].comparable
        ]
        return sorted(
            names,
            key=lambda name: (
                self.slow(name),
                name not in used,
                _LIKELY.isdisjoint(words(name)),
            ),
        )


def further(
    reader: Reader,
    looks: Sequence[User],
    description: Description,
    usual: Iterable[str],
) -> Further:
    """What an LDAP server's schema and indexes name, a file's first entries hold, and a SCIM server's schemas have."""
    from connector.directories.ldap.reader import LdapReader
    from connector.directories.ldif.adapter import LdifReader
    from connector.directories.scim.adapter import ScimReader

    known = frozenset(usual)
    if isinstance(reader, LdifReader):
        held = reader.list_held(USERS)
        return Further(
            _fit(held, known), [info for info in held if not info.known], at_once=True
        )
    if isinstance(reader, ScimReader):
        return Further(
            _fit(reader.known(shown_texts=True), known), reader.known(), or_all=True
        )
    own = [description.types[name.lower()] for name in allowed(description, looks)]
    indexed = reader.indexed() if isinstance(reader, LdapReader) else None
    names = (
        None
        if indexed is None
        else frozenset[str]().union(*(info.aliases for info in indexed))
    )
    asked = [*own, *(info for info in indexed or () if not info.operational)]
    return Further(_fit(asked, known), description.types.values(), names)


def allowed(description: Description, users: Iterable[User]) -> list[str]:
    """The attributes that these users' classes allow, by the schema's own names; none where no schema is shown."""
    classes = [
        description.classes.get(name)
        for name in frozenset[str]().union(*map(classes_of, users))
    ]
    names = frozenset[str]().union(*(item.must | item.may for item in classes if item))
    infos = (description.types.get(name) for name in names)
    return sorted(
        {info.name for info in infos if info and not info.operational}, key=str.lower
    )


def _fit(infos: Iterable[AttributeInfo], usual: frozenset[str]) -> list[AttributeInfo]:
    """Those that somebody may be looked up by, each once; what holds secrets is not even read."""
    known = {each.lower() for each in usual}
    found = {
        info.name: info
        for info in infos
        if info.syntax in _TEXTS and not info.constructed
    }
    unfit = {
        name
        for name in found
        if fault_of_name(name) or why_not_matched(name) or is_secret(name)
    }
    return [
        info
        for name, info in found.items()
        if name not in unfit and known.isdisjoint({name.lower(), *info.aliases})
    ]

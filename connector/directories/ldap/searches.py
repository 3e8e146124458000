"""What a job may ask an LDAP server for: searches that never leave its bases, scope and filter. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self
from unicodedata import normalize

from msgspec import Struct

from connector.directories.common.ldap_filters import And, Equal, Filter, Or, parse
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.requests import Scope, Search
from connector.errors import FileError
from connector.model import ID, NAME, Key
from connector.reconcile.dn import Rdn, covers, rdns, tidied
from connector.settings.ldap import LdapDirectory


class Realm(Struct, frozen=True):
    """Bases, scope and filter of a job: whoever is outside does not exist."""

    bases: Sequence[str]
    rdns: Sequence[tuple[Rdn, ...]]
    scope: Scope
    filter: Filter

    @classmethod
    def of(cls, settings: LdapDirectory) -> Self:
        """Raises FileError where the base or the filter is none."""
        try:
            bases = [rdns(base) for base in settings.base]
        except ValueError as fault:
            raise FileError(
                f"not a distinguished name: {fault}", where="directory.base"
            ) from None
        try:
            return cls(
                settings.base,
                bases,
                Scope[settings.scope.upper()],
                parse(settings.filter),
            )
        except ValueError as fault:
            raise FileError(str(fault), where="directory.filter") from None

    def covers(self, name: str) -> bool:
        """Whether a DN is in base and scope; a text that is no DN is the name of nobody."""
        return covers(name, *self.rdns, one_level=self.scope is Scope.ONELEVEL)

    def all(self, attributes: tuple[str, ...]) -> list[Search]:
        return [
            Search(base, self.scope, self.filter, attributes) for base in self.bases
        ]

    def named(self, name: str, attributes: tuple[str, ...]) -> Search:
        """The user of this DN, which has to be covered."""
        return Search(name, Scope.BASE, self.filter, attributes)

    def holding(self, term: Filter, attributes: tuple[str, ...]) -> list[Search]:
        """Everybody for whom this is true as well."""
        return [
            Search(base, self.scope, And((self.filter, term)), attributes)
            for base in self.bases
        ]


def lookups(
    keys: Iterable[Key], realm: Realm, dialect: Dialect, attributes: tuple[str, ...]
) -> Iterator[Search]:
    """Searches that find whoever holds any of the keys: `Dialect.terms` of one attribute at a time, names one by one.

    Terms of several attributes are not put together, for one that has no index would spoil
    the search for all.
    """
    waiting: dict[str, list[Equal]] = {}
    for attribute, value in keys:
        if attribute == NAME:
            if realm.covers(value):
                yield realm.named(tidied(value), attributes)
            continue
        terms = waiting.setdefault(attribute.lower(), [])
        terms += _terms(attribute, value, dialect)
        if len(terms) >= dialect.terms:
            yield from realm.holding(_any(terms), attributes)
            waiting[attribute.lower()] = []
    for terms in filter(None, waiting.values()):
        yield from realm.holding(_any(terms), attributes)


def _any(terms: list[Equal]) -> Filter:
    return Or(tuple(terms)) if len(terms) > 1 else terms[0]


def _terms(attribute: str, value: str, dialect: Dialect) -> list[Equal]:
    """What to look for; nothing for an id that nobody can have."""
    if attribute == ID:
        wired = dialect.identity.wire(value)
        return [] if wired is None else [Equal(dialect.identity.attribute, wired)]
    if dialect.prepares or value.isascii():
        return [Equal(attribute, value.encode("utf-8", "surrogateescape"))]
    spellings = dict.fromkeys((value, normalize("NFC", value), normalize("NFD", value)))
    return [
        Equal(attribute, spelling.encode("utf-8", "surrogateescape"))
        for spelling in spellings
    ]

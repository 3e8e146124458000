"""What a job may ask an LDAP server for: searches that never leave its bases, scope and filter; values compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Self
from unicodedata import normalize

from msgspec import Struct

from connector.directories.common.entries import (
    split_bases,
    stored_octets,
    value_of,
)
from connector.directories.common.ldap_filters import (
    And,
    Equal,
    Filter,
    Not,
    Or,
    Present,
    parse_filter,
)
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.requests import (
    NOTHING,
    Search,
    SearchScope,
    assertion_control,
    encode_compare,
    search_entry,
)
from connector.directories.ldap.responses import (
    COMPARE_FALSE,
    COMPARE_TRUE,
    NO_SUCH_ATTRIBUTE,
    ResultEntry,
)
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from connector.errors import FileError
from connector.model import ID, NAME, AttributeInfo, Holds, Key, Question, Secret
from connector.model.dn import Rdn, is_below, tidy_dn
from connector.model.equality import whether_held
from connector.settings.ldap import LdapDirectory

_TERMS = 64
"""Equality terms in one search."""

UserFilter = Callable[[str], Filter]
"""A filter that is true for the user of this id alone."""

_COMPARED = {
    COMPARE_TRUE: Holds.SAME,
    COMPARE_FALSE: Holds.OTHER,
    NO_SUCH_ATTRIBUTE: Holds.ABSENT,
}


class JobRealm(Struct, frozen=True, dict=True):
    """Bases, scope and filter of a job: whoever is outside does not exist."""

    bases: Sequence[str]
    scope: SearchScope
    filter: Filter

    @classmethod
    def from_settings(cls, settings: LdapDirectory) -> Self:
        """Raises FileError where the base or the filter is none."""
        split_bases(settings.base)
        try:
            filter_ = parse_filter(settings.filter)
        except ValueError as fault:
            raise FileError(str(fault), where="directory.filter") from None
        return cls(settings.base, SearchScope[settings.scope.upper()], filter_)

    @cached_property
    def _rdns(self) -> list[tuple[Rdn, ...]]:
        """The bases, ready to compare."""
        return split_bases(self.bases)

    def covers_name(self, name: str) -> bool:
        """Whether a DN is in base and scope; a text that is no DN is the name of nobody."""
        is_one_level = self.scope is SearchScope.ONELEVEL
        return is_below(name, *self._rdns, one_level=is_one_level)

    def search_all(self, attributes: tuple[str, ...]) -> list[Search]:
        return [
            Search(base, self.scope, self.filter, attributes) for base in self.bases
        ]

    def search_named(self, name: str, attributes: tuple[str, ...]) -> Search:
        """The user of this DN, which has to be covered."""
        return search_entry(name, attributes, self.filter)

    def search_holding(self, term: Filter, attributes: tuple[str, ...]) -> list[Search]:
        """Everybody for whom this is true as well."""
        both = And((self.filter, term))
        return [Search(base, self.scope, both, attributes) for base in self.bases]


def plan_lookups(
    keys: Iterable[Key],
    realm: JobRealm,
    dialect: Dialect,
    attributes: tuple[str, ...],
) -> Iterator[Search]:
    """Searches that find whoever holds any of the keys: many terms of one attribute at a time, names one by one.

    Terms of several attributes are not put together, for one that has no index would spoil
    the search for all.
    """
    waiting: dict[str, list[Filter]] = {}
    for attribute, value in keys:
        if attribute == NAME:
            if realm.covers_name(value):
                yield realm.search_named(tidy_dn(value), attributes)
            continue
        terms = waiting.setdefault(attribute.lower(), [])
        terms += _spell_terms(attribute, value, dialect)
        if len(terms) >= _TERMS:
            yield from realm.search_holding(Or(tuple(terms)), attributes)
            del waiting[attribute.lower()]
    for terms in filter(None, waiting.values()):
        yield from realm.search_holding(Or(tuple(terms)), attributes)


def _spell_terms(
    attribute: str,
    value: str,
    dialect: Dialect,
) -> list[Equal]:
    """What to look for; nothing for an id that nobody can have."""
    if attribute == ID:
        is_user = dialect.user_filter(value)
        return [is_user] if isinstance(is_user, Equal) else []
    spellings = [value]
    if not (dialect.searches.prepares_text or value.isascii()):
        spellings += normalize("NFC", value), normalize("NFD", value)
    return [
        Equal(attribute, spelling.encode("utf-8", "surrogateescape"))
        for spelling in dict.fromkeys(spellings)
    ]


# ---------------------------------------------------------------- values that users did not show


def compare_values(
    wire: Wire,
    questions: Iterable[Question],
    window: int,
    is_user: UserFilter,
    key: Callable[[str], str],
    *,
    asserted: bool,
) -> Iterator[Holds]:
    """The answers of comparing (RFC 4511 §4.10), in order; of what is no secret, of searching too.

    `key`: what all spellings of an attribute description have in common. Where `asserted`,
    the entry has to be that user still, not just one of that name.

    Measured on OpenLDAP 2.6: with the right to compare, an attribute without a value
    answers noSuchAttribute (16). Without it the answer is insufficientAccessRights (50),
    whether there is a value or not; so 16 is never a hidden value.

    No value can be compared without an equality rule (result 18), nor without the right to
    compare. A search for whoever has no value of the attribute finds the user if it has
    none. Measured on OpenLDAP 2.6 and 389-DS 3.1: it finds nobody where we may not search
    by the attribute. And both compare, and search for, values of subtypes
    (`employeeNumber;lang-de`, RFC 4512 §2.5) as well, which are not the attribute's own;
    those they show as such.
    """
    asked = dict(enumerate(questions))
    comparisons = []
    for place, each in asked.items():
        value = stored_octets(each.value)
        request = encode_compare(each.user.name, each.attribute, value)
        assertion = assertion_control(is_user(each.user.id))
        controls = (assertion,) if asserted else ()
        comparisons.append(Operation(place, request, controls))
    answers = dict.fromkeys(asked, Holds.UNKNOWN)
    searched = {}
    for place, end in wire.exchange_results(comparisons, window):
        answers[place] = _COMPARED.get(end.code, Holds.UNKNOWN)
        is_secret = isinstance(asked[place].value, Secret)
        if answers[place] is not Holds.ABSENT and not is_secret:
            searched[place] = asked[place]
    for place, found in _find_shown(wire, searched, window, is_user):
        kinds = {key(name) for name in found.decode_texts()}
        if kinds and key(asked[place].attribute) not in kinds:
            answers[place] = Holds.ABSENT
    without = []
    for place, each in searched.items():
        if answers[place] is Holds.UNKNOWN:
            both = And((is_user(each.user.id), Not(Present(each.attribute))))
            without.append((place, search_entry(each.user.name, NOTHING, both)))
    for place, _ in wire.find_entries(without, window):
        answers[place] = Holds.ABSENT
    return iter(answers.values())


def _find_shown(
    wire: Wire,
    asked: Mapping[int, Question],
    window: int,
    is_user: UserFilter,
) -> Iterator[tuple[int, ResultEntry]]:
    """What users show of the attributes in question, subtypes too."""
    searches = []
    for place, each in asked.items():
        user = is_user(each.user.id)
        search = search_entry(each.user.name, (each.attribute,), user)
        searches.append((place, search))
    return wire.find_entries(searches, window)


def read_values(
    wire: Wire,
    questions: Iterable[Question],
    window: int,
    is_user: UserFilter,
    info: Callable[[str], AttributeInfo],
) -> Iterator[Holds]:
    """The answers of searching, for Active Directory: there a hidden value compares as one that is not there.

    (Measured on Samba 4.22: compareFalse, with and without a value; and so it is for every
    filter.) What is not shown is absent where the attribute can be read, and unknown where
    it is confidential.
    """
    asked = dict(enumerate(questions))
    answers = dict.fromkeys(asked, Holds.UNKNOWN)
    for place, found in _find_shown(wire, asked, window, is_user):
        described = info(asked[place].attribute)
        held = [
            value_of(described, value)
            for _, values in found.attributes
            for value in values
        ]
        if held:
            answers[place] = whether_held(described.equality, held, asked[place].value)
        elif described.readable:
            answers[place] = Holds.ABSENT
    return iter(answers.values())

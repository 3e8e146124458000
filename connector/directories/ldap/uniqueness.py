"""Which values a server lets one entry hold at a time, as far as its own configuration may be read.

OpenLDAP: the overlay `unique` (slapo-unique(5)) in `cn=config`. 389-DS: the plugin
"attribute uniqueness", likewise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from connector.directories.common.ldap_filters import (
    ANYTHING,
    And,
    Equal,
    Filter,
    Or,
    parse,
)
from connector.directories.ldap.requests import NOTHING, Scope, Search
from connector.model import OBJECT_CLASS
from connector.reconcile.dn import covers, rdns

Entry = Mapping[str, list[str]]
"""An entry of a server's configuration as text, by attribute names in lower case; `dn` is
its name."""

_OVERLAYS: Final = (b"olcDatabaseConfig", b"olcUniqueConfig", b"olcConstraintConfig")
OPENLDAP: Final = Search("cn=config", Scope.SUBTREE, Or(tuple(Equal(OBJECT_CLASS, name) for name in _OVERLAYS)), (
    OBJECT_CLASS, "olcSuffix", "olcUniqueURI", "olcUniqueBase", "olcUniqueAttribute", "olcUniqueIgnore",
    "olcConstraintAttribute",
))  # fmt: skip
_URI: Final = re.compile(
    r"ldap:///(?P<base>[^?]*)(?:\?(?P<names>[^?]*)(?:\?(?P<scope>[^?]*)(?:\?(?P<filter>.*))?)?)?"
)
_SCOPES: Final = {"base": Scope.BASE, "one": Scope.ONELEVEL, "onelevel": Scope.ONELEVEL}
_PLUGINS: Final = Or(
    (Equal("nsslapd-pluginInitfunc", b"NSUniqueAttr_Init"), Equal("cn", b"plugins"))
)
DS389: Final = Search("cn=plugins,cn=config", Scope.SUBTREE, _PLUGINS, (
    "cn", "nsslapd-pluginEnabled", "uniqueness-attribute-name", "uniqueness-subtrees", "uniqueness-top-entry-oc",
    "uniqueness-across-all-subtrees", "uniqueness-exclude-subtrees", "nsslapd-pluginarg0", "nsslapd-pluginarg1",
))  # fmt: skip


class Domain(Struct, frozen=True):
    """A part of the tree in which no two entries hold one value, whichever of `names` (`Schema.key`) holds it.

    `names` None: every attribute, each for itself.
    """

    names: frozenset[str] | None
    base: str
    scope: Scope = Scope.SUBTREE
    filter: Filter = ANYTHING

    def minds(self, attribute: str) -> bool:
        """Whether it is about this attribute, by its `Schema.key`."""
        return self.names is None or attribute in self.names

    def alone(self, attribute: str) -> bool:
        """Whether it is about this attribute, and no other beside it."""
        return self.names is None or self.names == frozenset({attribute})

    def over(self, base: str) -> bool:
        """Whether everybody below this base is in it."""
        return (
            self.scope is Scope.SUBTREE
            and self.filter == ANYTHING
            and covers(base, rdns(self.base))
        )

    def holders(self, attribute: str, value: bytes) -> Search:
        names = sorted(self.names) if self.names is not None else [attribute]
        anybody = Or(tuple(Equal(name, value) for name in names))
        return Search(self.base, self.scope, And((self.filter, anybody)), NOTHING)


# ---------------------------------------------------------------- OpenLDAP


def of_openldap(
    entries: Iterable[Entry], key: Callable[[str], str]
) -> list[Domain] | None:
    """The domains in the entries of `cn=config`; None where no database is shown, so that nothing is known.

    Raises ValueError for an overlay that is not understood.
    """
    found = list(entries)
    suffixes = {
        _place(entry): entry["olcsuffix"][0]
        for entry in found
        if entry.get("olcsuffix")
    }
    if not suffixes:
        return None
    domains: list[Domain] = []
    for entry in found:
        above = suffixes.get(_place(entry)[1:], "")
        for text in entry.get("olcuniqueuri", ()):
            domains += _uris(text, above, key)
        base = next(iter(entry.get("olcuniquebase", ())), above)
        old, ignored = (
            entry.get(name, ()) for name in ("olcuniqueattribute", "olcuniqueignore")
        )
        if ignored:
            raise ValueError("unique_ignore")
        if old:
            domains.append(
                Domain(
                    frozenset(key(name) for some in old for name in some.split()), base
                )
            )
    return domains


def _place(entry: Entry) -> tuple[object, ...]:
    return rdns(entry["dn"][0])


def _uris(text: str, suffix: str, key: Callable[[str], str]) -> Iterator[Domain]:
    """A value of olcUniqueURI: `[strict ][ignore ][serialize ]ldap:///[base]?[attributes]?scope[?filter] …`."""
    words = re.sub(r"^\{\d+\}", "", text).split(" ")
    while words and words[0] in {"strict", "serialize"}:
        words.pop(0)
    if not words or words[0] == "ignore":
        raise ValueError(text)
    for word in re.findall(r"ldap:///\S*(?: (?!ldap:///)\S+)*", " ".join(words)):
        match = _URI.fullmatch(word)
        if match is None:
            raise ValueError(text)
        names = frozenset(
            key(unquote(name)) for name in (match["names"] or "").split(",") if name
        )
        yield Domain(
            names or None,
            unquote(match["base"]) or suffix,
            _SCOPES.get((match["scope"] or "sub").lower(), Scope.SUBTREE),
            parse(unquote(match["filter"])) if match["filter"] else ANYTHING,
        )


def constrained(entries: Iterable[Entry], key: Callable[[str], str]) -> frozenset[str]:
    """The attributes that the overlay `constraint` (slapo-constraint(5)) has rules for: not checked in advance."""
    rules = [
        rule for entry in entries for rule in entry.get("olcconstraintattribute", ())
    ]
    return frozenset(
        key(name)
        for rule in rules
        for name in re.sub(r"^\{\d+\}", "", rule).split(" ")[0].split(",")
    )


# ---------------------------------------------------------------- 389-DS


def of_389ds(
    entries: Iterable[Entry], key: Callable[[str], str]
) -> list[Domain] | None:
    """The domains in the entries of `cn=config`; None where no plugins are shown, so that nothing is known.

    Raises ValueError for a plugin that is not understood.
    """
    found = list(entries)
    if not found:
        return None
    domains = []
    for entry in found:
        if entry.get("nsslapd-pluginenabled", ["off"])[0].lower() != "on":
            continue
        names = [
            *entry.get("uniqueness-attribute-name", ()),
            *entry.get("nsslapd-pluginarg0", ()),
        ]
        bases = [
            *entry.get("uniqueness-subtrees", ()),
            *entry.get("nsslapd-pluginarg1", ()),
        ]
        if not (names and bases) or "=" in names[0]:
            raise ValueError(", ".join([*names, *bases]))
        domains += [Domain(frozenset(map(key, names)), base) for base in bases]
    return domains

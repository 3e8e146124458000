"""Which attributes lack an equality index, as far as this account may read the server's configuration.

Without one, a look-up by the attribute reads the whole database: slow at OpenLDAP and
Active Directory, refused by 389-DS beyond its look-through limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final

from connector.directories.common.ldap_filters import Equal, Or, Present
from connector.directories.ldap import dialect
from connector.directories.ldap.active_directory import number_in
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import Scope, Search
from connector.directories.ldap.responses import entry
from connector.directories.ldap.wire import Wire
from connector.errors import IncompleteRead, MalformedError, UnreachableError
from connector.reconcile.dn import covers, rdns

OPENLDAP: Final = Search(
    "cn=config", Scope.SUBTREE, Present("olcSuffix"), ("olcSuffix", "olcDbIndex")
)
"""slapd-config(5), slapd-mdb(5)."""
DS389: Final = Search(
    "cn=ldbm database,cn=plugins,cn=config",
    Scope.SUBTREE,
    Or((Equal("objectClass", b"nsIndex"), Present("nsslapd-suffix"))),
    ("cn", "nsIndexType", "nsslapd-suffix"),
)
_ADDED: Final = {
    dialect.OPENLDAP.kind: "add to the database's entry in cn=config: olcDbIndex: {name} eq",
    dialect.DS389.kind: "run: dsconf INSTANCE backend index add --attr {name} --index-type eq --reindex BACKEND",
}
Told = tuple[str, Mapping[str, list[str]]]
"""An entry of the configuration: its name and what it says."""
_INDEXED: Final = 1
"""fATTINDEX of searchFlags ([MS-ADTS] 2.2.9)."""


def missing(
    wire: Wire, inspection: Inspection, bases: Sequence[str], names: Iterable[str]
) -> Iterator[str]:
    """A sentence on each attribute without an equality index, or on why that is not known."""
    key, found = inspection.schema.key, indexed(wire, inspection, bases)
    if found is None:
        yield "indexes: the server does not show this account which there are"
        return
    ids = (
        [inspection.dialect.identity.attribute]
        if inspection.native.kind == dialect.OPENLDAP.kind
        else []
    )
    for name in dict.fromkeys(
        (*names, *ids)
    ):  # other servers have an index of their own ids by themselves
        if key(name.partition(";")[0]) not in found:
            how = _ADDED.get(
                inspection.native.kind, "set bit 1 of searchFlags in its schema entry"
            ).format(name=name)
            yield f"no equality index for {name}: each look-up by it reads the whole database. To add one, {how}"


def database(entries: Iterable[Told], base: str, key: str = "olcsuffix") -> Told | None:
    """The configuration entry of the database with this base; `key`: where it names its suffix, in lower case."""
    found = [
        (len(suffix), dn, told)
        for dn, told in entries
        for suffix in told.get(key, ())
        if covers(base, rdns(suffix))
    ]
    return max(found, key=itemgetter(0))[1:] if found else None


def configured(wire: Wire, search: Search) -> list[Told]:
    """Entries of the server's configuration; none where this account may not read it."""
    return [(each.dn, each.texts()) for each in wire.seen(search)]


def indexed(
    wire: Wire, inspection: Inspection, bases: Sequence[str]
) -> frozenset[str] | None:
    """The attributes with an equality index, by `Schema.key`, below each base; None where that is not shown."""
    told = [_indexed(wire, inspection, base) for base in bases]
    found = [
        frozenset(map(inspection.schema.key, each)) for each in told if each is not None
    ]
    return frozenset.intersection(*found) if found and len(found) == len(told) else None


def _indexed(wire: Wire, inspection: Inspection, base: str) -> set[str] | None:
    """The attributes that have one in the database with this base, in lower case; None where nothing is shown."""
    if inspection.native.microsoft:
        return _of_the_schema(wire, inspection)
    search = {dialect.OPENLDAP.kind: OPENLDAP, dialect.DS389.kind: DS389}.get(
        inspection.native.kind
    )
    entries = configured(wire, search) if search else []
    found = database(
        entries, base, "olcsuffix" if search is OPENLDAP else "nsslapd-suffix"
    )
    if found is None:
        return None
    name, told = found
    if search is OPENLDAP:
        return _equal(told.get("olcdbindex", ()))
    below = (each for dn, each in entries if dn != name and covers(dn, rdns(name)))
    kinds = ((each.get("cn", ()), each.get("nsindextype", ())) for each in below)
    return {
        name.lower()
        for names, some in kinds
        for name in names
        if "eq" in map(str.lower, some)
    }


def _equal(lines: Iterable[str]) -> set[str]:
    """Whom lines of olcDbIndex give an equality index: `{0}uid,mail pres,eq`. `default eq`: who names no kind."""
    kinds: dict[str, str] = {}
    for line in lines:
        names, _, some = re.sub(r"^\{\d+\}", "", line).strip().lower().partition(" ")
        kinds |= dict.fromkeys(names.split(","), some.replace(" ", ""))
    default = kinds.pop("default", "")
    return {
        name for name, some in kinds.items() if "eq" in (some or default).split(",")
    }


def _of_the_schema(wire: Wire, inspection: Inspection) -> set[str] | None:
    for name in inspection.root.get("schemanamingcontext", ())[:1]:
        flagged = Search(
            name,
            Scope.ONELEVEL,
            Present("searchFlags"),
            ("lDAPDisplayName", "searchFlags"),
        )
        try:
            entries = [
                each.texts()
                for each in wire.paged(
                    flagged, 1000 if inspection.native.pages else 0, entry
                )
            ]
        except (UnreachableError, MalformedError):
            raise
        except IncompleteRead:
            return None
        return {
            each["ldapdisplayname"][0].lower()
            for each in entries
            if (number_in(each, "searchflags") or 0) & _INDEXED
            and each.get("ldapdisplayname")
        } or None
    return None

"""What an administrator has to arrange: rights that a change lacks, access rules for a mapping, equality indexes.

All of it as far as the server tells. Nothing here is asked for users that stay as they are,
and nothing is written to find out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.ldap_filters import (
    Equal,
    Filter,
    Or,
    Present,
    attributes_of,
)
from connector.directories.common.schema import base_of
from connector.directories.ldap import dialect
from connector.directories.ldap.active_directory import read_number
from connector.directories.ldap.dialect import AccessRight
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import (
    Search,
    SearchScope,
    effective_rights_control,
    search_entry,
)
from connector.directories.ldap.responses import SUCCESS, ResultEntry
from connector.errors import IncompleteRead, MalformedError, UnreachableError
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Objection,
    View,
)
from connector.model.dn import is_below, split_rdns
from connector.reports.ldif import encode_line

# ---------------------------------------------------------------- rights that changes lack

_ALLOWED = "allowedAttributes"
_EFFECTIVE = "allowedAttributesEffective"
_TEMPLATE = re.compile("objectclass=template_(?P<class>.*?)_objectclass,")
_LEVEL = re.compile(r"([^\s,:]+):([a-zA-Z]+)")
_CLASSES = OBJECT_CLASS.lower()
_DENIED = "the job's account may not write this attribute of this entry"

Levels = Mapping[str, str]
"""The letters of each attribute, by its name in lower case: w, values may be added; o, they may be taken out."""


class RightsCheck(Struct, frozen=True, dict=True):
    """Asks one server, in one run, which changes the account lacks rights for."""

    inspection: Inspection
    account: str | None
    """The DN that we are bound as, where there is one."""
    window: int

    @cached_property
    def rights_source(self) -> Literal["", "effective", "allowed"]:
        """How rights are told: not at all, by 389-DS's control, by Active Directory's attribute."""
        server = self.inspection.dialect
        if server.microsoft:
            return "allowed"
        if not (server.controls.effective_rights and self.account):
            return ""
        control = effective_rights_control(self.account)
        entry = search_entry(self.inspection.bases[0])
        code = self.inspection.wire.result_code(entry, control)
        return "effective" if code == SUCCESS else ""

    def note_checks(self, description: Description) -> Description:
        """The description with what is checked in advance, and what is not."""
        known: list[str] = []
        unknown: list[str] = []
        for name, is_checked in (
            ("schema", description.schema.closed),
            ("write rights", self.rights_source),
            # Active Directory has no rules of this kind for what a mapping may write
            ("uniqueness", self.inspection.dialect.microsoft),
        ):
            (known if is_checked else unknown).append(name)
        said = [", ".join(known)] if known else []
        if unknown:
            names = ", ".join(unknown)
            said.append(f"not checked (the server does not tell): {names}")
        writing = replace(description.writing, checked="; ".join(said))
        return replace(description, writing=writing)

    def find_objections(self, changes: Iterable[Change]) -> Iterator[Objection]:
        """The rights to make these changes that we lack, where the server tells."""
        # where it does not tell, nobody need work the changes out
        if self.rights_source == "allowed":
            yield from self._ask_active_directory(list(changes))
        elif self.rights_source == "effective" and self.account:
            yield from self._ask_389ds(list(changes), self.account)

    def _ask_active_directory(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """Active Directory works out which attributes we may write ([MS-ADTS] 3.1.1.4.5.9).

        It lists those that the entry's classes allow now, so that of one whose class comes
        with the change nothing is known.
        """
        shown = (_ALLOWED, _EFFECTIVE)
        searches = (
            (change, search_entry(change.user.name, shown)) for change in changes
        )
        for change, found in self.inspection.wire.find_entries(searches, self.window):
            texts = found.decode_texts()
            allowed, effective = (
                set(map(str.lower, texts.get(name.lower(), ()))) for name in shown
            )
            for each in _written_attributes(change):
                aliases = self.inspection.info(each.name).definition.aliases
                names = aliases | {_lower_base(each)}
                if names & (allowed - effective):
                    yield self._object_to(change, each)

    def _ask_389ds(
        self, changes: Sequence[Change], account: str
    ) -> Iterator[Objection]:
        """389-DS tells the rights of whoever is named, to themselves at least (draft-ietf-ldapext-acl-model).

        Of an attribute that the entry's classes do not allow it says none; so of one whose
        class comes with the change the rights are asked for in an entry of that class
        (`name@class`), which the server makes up below the user's. A rule for entries like
        the user's may not hold for the made-up one: what is denied there counts only where
        both are alike in what may be done with objectClass.
        """
        control = (effective_rights_control(account),)
        searches = ((each, self._search_rights(each)) for each in changes)
        found = self.inspection.wire.find_entries(searches, self.window, control)
        levels: dict[tuple[str, str], Levels] = {}
        for change, entry in found:
            template = _TEMPLATE.match(entry.dn.lower())
            made_up = template["class"] if template else ""
            levels[change.user.id, made_up] = _read_levels(entry)
        for change in changes:
            own = levels.get((change.user.id, ""), {})
            for each in _written_attributes(change):
                made_up = self._find_coming_class(change, each).lower()
                there = levels.get((change.user.id, made_up), {})
                letters = there.get(_lower_base(each))
                if letters is None or there.get(_CLASSES) != own.get(_CLASSES):
                    continue
                needed = "w" if each.new else ""
                if each.old or not each.seen:
                    needed += "o"
                if not set(letters).issuperset(needed):
                    yield self._object_to(change, each)

    def _search_rights(self, change: Change) -> Search:
        names = [OBJECT_CLASS]
        for each in _written_attributes(change):
            coming = self._find_coming_class(change, each)
            if coming:
                names.append(f"{OBJECT_CLASS}@{coming}")
                names.append(f"{base_of(each.name)}@{coming}")
            else:
                names.append(base_of(each.name))
        return search_entry(change.user.name, tuple(dict.fromkeys(names)))

    def _find_coming_class(self, change: Change, written: AttributeChange) -> str:
        """The class that comes with the change and allows the attribute; empty if there is none."""
        allowing = self.inspection.info(written.name).definition.classes
        for each in change.attributes:
            if each.name == OBJECT_CLASS:
                for name in map(str, each.new):
                    if name.lower() in allowing:
                        return name
        return ""

    def _object_to(self, change: Change, each: AttributeChange) -> Objection:
        names = [base_of(each.name)]
        grant = self.inspection.wire.rights.advise_grant(
            f"write {each.name}",
            names,
            AccessRight.WRITE,
            names if each.secret else (),
        )
        return Objection(change.user.id, each.name, "rights", f"{_DENIED}. {grant}")


def _written_attributes(change: Change) -> Iterator[AttributeChange]:
    """The attributes of a change, but for object classes, of which no server tells enough.

    389-DS shows no right to write them where the values decide (targattrfilters), and
    Active Directory none at all.
    """
    return (each for each in change.attributes if each.name != OBJECT_CLASS)


def _lower_base(each: AttributeChange) -> str:
    return base_of(each.name).lower()


def _read_levels(found: ResultEntry) -> Levels:
    levels = {}
    for value in found.decode_texts().get("attributelevelrights", ()):
        for attribute, letters in _LEVEL.findall(value):
            levels[attribute.lower()] = "" if letters == "none" else letters
    return levels


# ---------------------------------------------------------------- access rules for a mapping

_NO_NUMBER = "olcDatabase={N}mdb,cn=config"
_UNREAD = """\
# This account may not read cn=config. Put the number of your database in the place of N:
#   ldapsearch -Q -Y EXTERNAL -H ldapi:/// -b cn=config '(olcSuffix=*)' olcSuffix
"""
_FOR_OPENLDAP = """\
# What cec-connector needs. Load it as the administrator of cn=config, for instance:
#   ldapmodify -Q -Y EXTERNAL -H ldapi:/// -f FILE
# Look-ups want equality indexes. Add those that are missing: olcDbIndex: {names} eq
"""
_FOR_389DS = """\
# What cec-connector needs. Load it as the Directory Manager, for instance:
#   ldapmodify -x -H ldaps://HOST -D "cn=Directory Manager" -W -f FILE
# Look-ups want equality indexes. Add those that are missing:
"""
_INDEX_389DS = (
    "dsconf INSTANCE backend index add --attr {name} --index-type eq --reindex BACKEND"
)


def write_access_rules(
    inspection: Inspection,
    view: View,
    filter_: Filter,
    written: Sequence[str],
    sought: Sequence[str],
) -> Iterator[str]:
    """What an account needs to show a view and to write a mapping: LDIF for ldapmodify, or commands of Windows.

    Nothing where that is not known: of an unknown kind of server, or without a bind DN.
    """
    server, rights = inspection.dialect, inspection.wire.rights
    id_ = server.identity.attribute
    named = [id_, OBJECT_CLASS, *view.attributes, *sorted(attributes_of(filter_))]
    if server.writes.mark:
        named.append(server.writes.mark)
    reads: dict[str, str] = {}
    for name in named:
        if name not in view.secrets:
            reads.setdefault(name.lower(), name)
    writes = [OBJECT_CLASS] if view.object_classes else []
    writes += [name for name in written if name not in view.secrets]
    # in this order no rule takes from another; the account is told the directory's identity
    # by the first two that it reads, an id and a class
    wanted = [
        (sorted(view.secrets), AccessRight.BLIND),
        (writes, AccessRight.WRITE),
        ([*reads.values()], AccessRight.READ),
    ]
    some = [each for each in wanted if each[0]]
    rules: dict[str, list[str]] = defaultdict(list)
    for base, rule in rights.write_rules(some, inspection.naming_context):
        rules[base].append(rule)
    if not rules:
        return
    sought = [*dict.fromkeys(sought)]
    if server.kind == dialect.OPENLDAP.kind:
        yield _FOR_OPENLDAP.format(names=",".join(dict.fromkeys([*sought, id_])))
        yield from _write_openldap_records(inspection, rules)
    elif server.kind == dialect.DS389.kind:
        yield _FOR_389DS
        for name in sought:
            yield f"#   {_INDEX_389DS.format(name=name)}\n"
        for base, values in rules.items():
            yield from _write_record(base, "aci", values)
    else:
        yield from (f"{rule}\n" for rule in chain.from_iterable(rules.values()))


def _write_openldap_records(
    inspection: Inspection, rules: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Numbered from 0, so that the first that decides is the first as printed, before those that are there."""
    entries = _read_configuration(inspection, _OPENLDAP_INDEXES)
    databases: dict[str, list[str]] = defaultdict(list)
    for base, values in rules.items():
        database = _find_database(entries, base, "olcsuffix")
        databases[database[0] if database else _NO_NUMBER] += values
    if _NO_NUMBER in databases:
        yield _UNREAD
    for name, held in databases.items():
        numbered = [f"{{{number}}}{rule}" for number, rule in enumerate(held)]
        yield from _write_record(name, "olcAccess", numbered)


def _write_record(
    name: str,
    attribute: str,
    values: Sequence[str],
) -> Iterator[str]:
    yield encode_line("dn", name) + f"changetype: modify\nadd: {attribute}\n"
    yield from (encode_line(attribute, value) for value in values)
    yield "\n"


# ---------------------------------------------------------------- equality indexes
#
# Without one, a look-up by the attribute reads the whole database: slow at OpenLDAP and
# Active Directory, refused by 389-DS beyond its look-through limit.

_OPENLDAP_INDEXES = Search(
    "cn=config", SearchScope.SUBTREE, Present("olcSuffix"), ("olcSuffix", "olcDbIndex")
)
"""slapd-config(5), slapd-mdb(5)."""
_DS389_INDEXES = Search(
    "cn=ldbm database,cn=plugins,cn=config",
    SearchScope.SUBTREE,
    Or((Equal("objectClass", b"nsIndex"), Present("nsslapd-suffix"))),
    ("cn", "nsIndexType", "nsslapd-suffix"),
)
_HOW_TO_ADD = {
    dialect.OPENLDAP.kind: "add to the database's entry in cn=config: olcDbIndex: {name} eq",
    dialect.DS389.kind: f"run: {_INDEX_389DS}",
}
_SET_A_FLAG = "set bit 1 of searchFlags in its schema entry"
Texts = Mapping[str, list[str]]
ConfigurationEntry = tuple[str, Texts]
"""Its name and what it says."""
_INDEXED = 1
"""fATTINDEX of searchFlags ([MS-ADTS] 2.2.9)."""


def describe_missing_indexes(
    inspection: Inspection, names: Iterable[str]
) -> Iterator[str]:
    """A sentence on each attribute without an equality index, or on why that is not known."""
    indexed = find_indexed(inspection)
    if indexed is None:
        yield "indexes: the server does not show this account which there are"
        return
    kind = inspection.native_dialect.kind
    sought = [*names]
    if kind == dialect.OPENLDAP.kind:  # others have an index of their own ids
        sought.append(inspection.dialect.identity.attribute)
    for name in dict.fromkeys(sought):
        if inspection.schema.attribute_key(base_of(name)) not in indexed:
            how = _HOW_TO_ADD.get(kind, _SET_A_FLAG).format(name=name)
            yield f"no equality index for {name}: each look-up by it reads the whole database. To add one, {how}"


def find_indexed(inspection: Inspection) -> frozenset[str] | None:
    """The attributes with an equality index, by `Schema.attribute_key`, below each base; None if that is not shown."""
    key = inspection.schema.attribute_key
    kind = inspection.native_dialect.kind
    if inspection.native_dialect.microsoft:
        flagged = _read_search_flags(inspection)
        return frozenset(map(key, flagged)) if flagged else None
    if kind not in _INDEXES:
        return None
    search, suffix, read_indexes = _INDEXES[kind]
    entries = _read_configuration(inspection, search)
    found = []
    for base in inspection.bases:
        database = _find_database(entries, base, suffix)
        if database is None:
            return None
        found.append(frozenset(map(key, read_indexes(entries, database))))
    return frozenset.intersection(*found)


def _read_configuration(
    inspection: Inspection, search: Search
) -> list[ConfigurationEntry]:
    """Entries of the server's configuration; none where this account may not read it."""
    return [
        (each.dn, each.decode_texts())
        for each in inspection.wire.search_visible(search)
    ]


def _find_database(
    entries: Iterable[ConfigurationEntry],
    base: str,
    key: str,
) -> ConfigurationEntry | None:
    """The entry of the database with this base; `key`: where it names its suffix, in lower case."""
    found: ConfigurationEntry | None = None
    longest = -1
    for each in entries:
        for suffix in each[1].get(key, ()):
            if len(suffix) > longest and is_below(base, split_rdns(suffix)):
                found, longest = each, len(suffix)
    return found


def _read_openldap_indexes(
    entries: Iterable[ConfigurationEntry],  # noqa: ARG001  # one signature for both kinds; OpenLDAP lists them in the database
    database: ConfigurationEntry,
) -> set[str]:
    """Lines of olcDbIndex such as `{0}uid,mail pres,eq`; `default eq` is for those who name no kind."""
    kinds: dict[str, str] = {}
    for text in database[1].get("olcdbindex", ()):
        unnumbered = re.sub(r"^\{\d+\}", "", text).strip().lower()
        names, _, listed = unnumbered.partition(" ")
        kinds |= dict.fromkeys(names.split(","), listed.replace(" ", ""))
    default = kinds.pop("default", "")
    return {
        name for name, some in kinds.items() if "eq" in (some or default).split(",")
    }


def _read_389ds_indexes(
    entries: Iterable[ConfigurationEntry], database: ConfigurationEntry
) -> set[str]:
    found: set[str] = set()
    for dn, told in entries:
        kinds = map(str.lower, told.get("nsindextype", ()))
        is_inside = dn != database[0] and is_below(dn, split_rdns(database[0]))
        if "eq" in kinds and is_inside:
            found |= {name.lower() for name in told.get("cn", ())}
    return found


_INDEXES = {
    dialect.OPENLDAP.kind: (_OPENLDAP_INDEXES, "olcsuffix", _read_openldap_indexes),
    dialect.DS389.kind: (_DS389_INDEXES, "nsslapd-suffix", _read_389ds_indexes),
}
"""What to search for, where a database names its suffix, and how its indexes are read."""


def _read_search_flags(inspection: Inspection) -> set[str]:
    """The attributes that Active Directory indexes, in lower case; none where it does not show that."""
    shown = ("lDAPDisplayName", "searchFlags")
    found: set[str] = set()
    try:
        for told in inspection.read_schema_partition(Present("searchFlags"), shown):
            if (read_number(told, "searchflags") or 0) & _INDEXED:
                found |= {name.lower() for name in told.get("ldapdisplayname", ())}
    except (UnreachableError, MalformedError):
        raise
    except IncompleteRead:
        return set()
    return found

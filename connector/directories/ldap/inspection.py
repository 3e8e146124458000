"""What a server says of itself: root DSE, schema, and the identity of the tree that holds the job's base."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache, cached_property

from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.ldap_filters import Equal, Extensible, Filter, Or
from connector.directories.common.schema import Schema
from connector.directories.ldap import active_directory, dialect
from connector.directories.ldap.dialect import Dialect, IdAttribute
from connector.directories.ldap.requests import (
    NOTHING,
    Search,
    SearchScope,
    encode_compare,
    search_entry,
)
from connector.directories.ldap.responses import UNDEFINED_ATTRIBUTE_TYPE, decode_entry
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from connector.errors import (
    DeniedError,
    FileError,
    IncompleteRead,
    MalformedError,
    TruncatedError,
    UnreachableError,
)
from connector.model import (
    OBJECT_CLASS,
    AttributeInfo,
    Description,
    DirectorySchema,
    Equality,
    ReadRules,
    Scope,
    UserNaming,
    WriteRules,
)
from connector.model.dn import is_below, split_rdns

_ROOT = ("*", "+")  # RFC 3673: all user and all operational attributes
_SCHEMA = ("attributeTypes", "objectClasses", "dITContentRules")
_SCHEMA_ENTRIES = Or(
    (Equal(OBJECT_CLASS, b"attributeSchema"), Equal(OBJECT_CLASS, b"classSchema"))
)
_PAGE = 1000
_NO_SCHEMA = (
    "the server shows no schema. Syntaxes and equality rules are assumed. Grant the account the right to read the "
    "schema"
)
_NO_ASSERTIONS = (
    "the server has no assertion control (RFC 4528). Entries are read again just before each write. Another "
    "program's change in between may go unnoticed"
)
_SWAPPED = ". If two entries swap names in between, the wrong one is written"
_UNROOTED = (
    "no control is used, and only the entry of `base` identifies the directory. Grant the account the right to "
    "read the root DSE"
)
_IDS = ("nsUniqueId", "ibm-entryUuid", "orclguid", "GUID")
"""What servers without entryUUID name their ids."""
BATCH = 2000
"""Changes that are written before what no answer shows of them is read back, for which the
server has to be waited."""
BATCH_READ_BEFORE = 500
"""The same where entries are read before they are written, which should not be long before."""
_DOMAINS = Extensible("1.2.840.113556.1.4.803", "systemFlags", b"2", dn=False)
"""True of the references to a forest's domains (FLAG_CR_NTDS_DOMAIN, [MS-ADTS] 2.2.11)."""
_EVERY_DOMAIN = Search(
    "", SearchScope.SUBTREE, Equal(OBJECT_CLASS, b"domainDNS"), NOTHING
)
"""A Global Catalog has the root DSE of the domain controller which it is, and its port may be any. It alone finds
entries below no base at all. It has a part of every attribute's values, and nobody can write it."""
_CATALOG = (
    "this is a Global Catalog: it holds only some attributes and is read-only. Name the domain controller itself: "
    "ldaps://host (port 636), or ldap://host (389) with start_tls"
)


class Inspection:
    """A server, looked at once. Raises one of the kinds of IncompleteRead, at first use."""

    def __init__(
        self,
        wire: Wire,
        bases: Sequence[str],
        id_: str | None = None,
        *,
        unread: bool = False,
    ) -> None:
        """`id_`: the attribute of users' ids that the job chooses; else it is the server's own.

        `unread`: the schema is not read; attributes are as this program knows them.
        """
        self.wire = wire
        self.bases = bases
        self._id = id_
        self._unread = unread
        self.info: Callable[[str], AttributeInfo] = cache(self._find_info)
        self._unrooted = ""

    @cached_property
    def root_dse(self) -> dict[str, list[str]]:
        """The root DSE (RFC 4512 §5.1), by attribute names in lower case; empty where the server shows none."""
        try:
            return self._read_entry("", _ROOT)
        except (UnreachableError, MalformedError, TruncatedError):
            raise
        except IncompleteRead as fault:
            self._unrooted = f"the server shows no root DSE ({fault.what}): {_UNROOTED}"
            return {}

    @cached_property
    def dialect(self) -> Dialect:
        """How this kind of server is spoken to, with the ids that the job chooses. Raises FileError."""
        if self._id is None:
            return self.native_dialect
        info = self.info(self._id)
        self._refuse_as_id(info)
        chosen = dialect.choose_identity(self._id, info.equality, octets=info.octets)
        return replace(self.native_dialect, identity=chosen)

    def _refuse_as_id(self, info: AttributeInfo) -> None:
        """Raises FileError for an attribute that cannot hold ids."""
        if not info.definition.known:
            why = "has no such attribute" if self._published_schema else ""
        elif not info.single:
            why = "lets it hold several values"
        elif not info.comparable:
            why = "has no equality rule for it, so no look-up finds it"
        else:
            why = ""
        if why:
            said = f"{info.name}: the server's schema {why}: name another attribute"
            raise FileError(said, where="directory.id")

    @cached_property
    def native_dialect(self) -> Dialect:
        """How this kind of server is spoken to, with the ids that it gives. Raises FileError for a Global Catalog."""
        found = dialect.recognise_server(self.root_dse)
        wire, rules = self.wire, found.writes.rules
        wire.traits = found.searches
        wire.rights = replace(wire.rights, language=rules, bases=self.bases)
        if found.microsoft:
            unpeopled = active_directory.list_unpeopled(self.root_dse)
            wire.unpeopled = frozenset(map(split_rdns, unpeopled))
            if wire.search_visible(_EVERY_DOMAIN):
                raise FileError(_CATALOG, where=f"directory.urls, {wire.where}")
        return found

    @cached_property
    def _published_schema(self) -> Schema | None:
        """The schema as it is published; None where we may not see it, or do not look."""
        if self._unread:
            return None
        try:
            microsoft = self.native_dialect.microsoft
            read = self._read_schema_entries if microsoft else self._read_subschema
            found = read()
        except (UnreachableError, MalformedError):
            raise
        except IncompleteRead:
            return None
        lax = self.native_dialect.schema.is_lax
        return Schema(*found, lax=lax) if any(found[:1]) else None

    def _read_subschema(self) -> tuple[list[str], ...]:
        """RFC 4512 §4.2."""
        names = self.root_dse.get("subschemasubentry")
        found = self._read_entry(names[0], _SCHEMA) if names else {}
        return tuple(found.get(each.lower(), []) for each in _SCHEMA)

    def _read_schema_entries(self) -> tuple[list[str], ...]:
        """[MS-ADTS] 3.1.1.2."""
        found = list(
            self.read_schema_partition(_SCHEMA_ENTRIES, active_directory.ATTRIBUTES)
        )
        if any(";range=" in attribute for texts in found for attribute in texts):
            why = "a part of the schema does not fit into one answer"
            raise TruncatedError(why, where=self.wire.where)
        return active_directory.define_schema(found)

    def read_schema_partition(
        self, wanted: Filter, attributes: tuple[str, ...]
    ) -> Iterator[dict[str, list[str]]]:
        """Entries of Active Directory's schema as text, by attribute names in lower case."""
        size = _PAGE if self.native_dialect.controls.pages else 0
        for name in self.root_dse.get("schemanamingcontext", ())[:1]:
            search = Search(name, SearchScope.ONELEVEL, wanted, attributes)
            for each in self.wire.search_paged(search, size, decode_entry):
                yield each.decode_texts()

    @property
    def schema(self) -> Schema:
        """The server's schema, or where it shows none what this program knows of common attributes."""
        return self._published_schema or known_schema()

    def has_substrings(self, name: str) -> bool:
        """Whether filters can ask for pieces of an attribute's values."""
        published = self._published_schema or Schema(())
        return published.has_rule(name, "SUBSTR")

    def _find_info(self, name: str) -> AttributeInfo:
        """What is known of an attribute. None of it says whether we may read it: a hidden one is just not returned."""
        info, native = self.schema.info(name), self.native_dialect
        if not info.definition.known and not self._published_schema:
            return AttributeInfo(name, readable=None)
        by_syntax = native.schema.compares_by_syntax and info.definition.known
        bounds = info.bounds
        if not native.schema.enforces_lengths:
            bounds = replace(bounds, max_length=None)
        return replace(
            info,
            name=name,
            readable=info.readable if native.microsoft else None,
            bounds=bounds,
            comparable=by_syntax or info.comparable,
        )

    def describe_server(
        self, attributes: tuple[str, ...], classes: tuple[str, ...] = ()
    ) -> Description:
        """All of it, for these attributes and objectClass, and for the classes that the mapping adds."""
        identity, id_caution = self._find_identity()
        described = self._describe_attributes((*attributes, OBJECT_CLASS))
        cautions = [
            id_caution,
            self._unrooted,
            *self.wire.cautions,
            "" if self._published_schema else _NO_SCHEMA,
            self._caution_of_writes(described.values()),
        ]
        server, published = self.dialect, self._published_schema or Schema(())
        asserts = server.controls.assertions
        chosen = self.info(self._id) if self._id else None
        ids = Equality.CASE_IGNORE
        if chosen is not None and not chosen.octets:  # those are in hexadecimal
            ids = chosen.equality
        unknown = [name for name in classes if name.lower() not in self.schema.classes]
        return Description(
            kind=server.kind,
            identity=identity,
            naming=UserNaming(
                chosen_id=chosen,
                unidentified=explain_missing_id(
                    server.identity, published.types, is_chosen=self._id is not None
                ),
                names=Equality.DN,
                ids=ids,
            ),
            attributes=described,
            reading=ReadRules(hides=server.microsoft),
            server=self._name_server(),
            writing=WriteRules(
                classes_first=server.writes.classes_first,
                batch=BATCH if asserts else BATCH_READ_BEFORE,
            ),
            schema=DirectorySchema(
                closed=self._published_schema is not None,
                types=published.types,
                classes=published.classes,
                unknown_classes=tuple(unknown),
            ),
            scope=Scope(sees_past=self._sees_past()),
            cautions=tuple(caution for caution in cautions if caution),
        )

    def _describe_attributes(self, names: tuple[str, ...]) -> dict[str, AttributeInfo]:
        """What is known of these attributes; of one with options also whether the server takes them.

        No schema says which options (RFC 4512 §2.5) there are, but a server that is asked
        to compare tells: measured, OpenLDAP answers undefinedAttributeType for `;x-cec`,
        before it looks at rights or at the entry. Active Directory has none for values of
        their own, and Samba takes one for another value of the attribute itself.
        """
        infos = {name: self.info(name) for name in names}
        refused = [name for name in names if ";" in name]
        if not self.dialect.microsoft:
            asked = [
                Operation(name, encode_compare(self.bases[0], name, b"?"))
                for name in refused
            ]
            refused = [
                name
                for name, answer in self.wire.exchange_results(asked, len(asked))
                if answer.code == UNDEFINED_ATTRIBUTE_TYPE
            ]
        for name in refused:
            definition = replace(infos[name].definition, known=False)
            infos[name] = replace(infos[name], definition=definition)
        return infos

    def _name_server(self) -> str:
        """Which server this is: its address, and its own name where it tells one, for an address may be of several."""
        name = "".join(self.root_dse.get("dnshostname", ())[:1]).lower()
        return f"{self.wire.where} ({name})" if name else self.wire.where

    def _find_identity(self) -> tuple[str, str]:
        """The id of the naming context above base, with a caution where it shows none.

        It stays what it is, whatever address the server is reached by.
        """
        context = self.naming_context or self.bases[0]
        for identity in dict.fromkeys(
            (self.native_dialect.identity, self.dialect.identity)
        ):
            values = self._read_values(context, identity.attribute)
            if values:
                return f"ldap:{identity.show(values[0])}", ""
        caution = (
            f"{context} does not show its {self.native_dialect.identity.attribute}. Identity falls back to the DN; "
            "trees of the same name share a lease"
        )
        return f"ldap:{self.dialect.kind}:{context.lower()}", caution

    def _caution_of_writes(self, infos: Iterable[AttributeInfo]) -> str:
        """What of other programs' changes may go unnoticed."""
        if not self.dialect.controls.assertions:
            return _NO_ASSERTIONS + ("" if self.dialect.microsoft else _SWAPPED)
        blind = [
            info.name
            for info in infos
            if info.definition.known and info.writable and not info.comparable
        ]
        if not blind:
            return ""
        mark = self.dialect.writes.mark
        if mark and any(self._read_values(base, mark) for base in self.bases):
            return ""
        return (
            f"no equality rule for {', '.join(blind)}, and entries show no mark of their last change. Users are read "
            "before and after each write of them. Another program's change in between may go unnoticed"
        )

    def _read_values(self, name: str, attribute: str) -> list[bytes]:
        """The values that one entry shows of an attribute; none where the entry is hidden."""
        values = []
        for each in self.wire.search_visible(search_entry(name, (attribute,))):
            for _, some in each.attributes:
                values += some
        return values

    @cached_property
    def naming_context(self) -> str:
        """The longest naming context that all bases are in; empty where the root DSE names none. Raises FileError."""
        first = self.bases[0]
        context = self._find_context(first)
        for base in self.bases:
            other = self._find_context(base)
            if other != context:
                why = (
                    f"{base} is in {other or 'no naming context'}, and {first} in {context or 'none'}. "
                    "Give each a job of its own"
                )
                raise FileError(why, where="directory.base")
        return context

    def _find_context(self, base: str) -> str:
        found = ""
        for name in self.root_dse.get("namingcontexts", ()):
            with contextlib.suppress(ValueError):  # what is no DN is above nothing
                if len(name) > len(found) and is_below(base, split_rdns(name)):
                    found = name
        return found

    def _sees_past(self) -> bool:
        """Whether nobody can leave the naming context and keep its id: in a forest of several domains users can."""
        if not (self.naming_context and self.native_dialect.microsoft):
            return bool(self.naming_context)
        for configuration in self.root_dse.get("configurationnamingcontext", ())[:1]:
            partitions = f"CN=Partitions,{configuration}"
            search = Search(partitions, SearchScope.ONELEVEL, _DOMAINS, NOTHING)
            with contextlib.suppress(DeniedError, TruncatedError, MalformedError):
                return len(self.wire.search_whole(search)) == 1
        return False

    def _read_entry(
        self, name: str, attributes: tuple[str, ...]
    ) -> dict[str, list[str]]:
        """One entry's attributes as text, by their names in lower case."""
        entries = self.wire.search_whole(search_entry(name, attributes))
        if entries:
            return entries[0].decode_texts()
        why = f"this account may not read the entry {name!r}"
        raise DeniedError(why, where=self.wire.where)


def explain_missing_id(
    identity: IdAttribute,
    types: Collection[str],
    *,
    is_chosen: bool,
) -> str:
    """Why a user may show no id, and what to do. `types`: what the schema defines, `is_chosen`: by the job."""
    name = identity.attribute
    if is_chosen:
        return (
            f"the user shows no value of {name}, the job's `directory.id`. Not written. Give it a value, or grant "
            f"the account the right to read {name}"
        )
    if name.lower() in types:
        return ""
    there = [each for each in _IDS if each.lower() in types]
    return (
        f"the user shows no {name}. Not written. If the server has {name}, grant the account the right to read it and "
        "the schema. If not, set `directory.id` to an attribute that never changes and is unique, such as "
        f"{', '.join(there or _IDS)}. The mapping must not write it"
    )

"""What a server says of itself: root DSE, schema, and the identity of the tree that holds the job's base."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.changing import OBJECT_CLASS
from connector.directories.definitions import Index
from connector.directories.filters import Equal, Or, Present
from connector.directories.known_schema import known_schema
from connector.directories.ldap import active_directory, dialect, requests, results
from connector.directories.ldap.active_directory import Published
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.requests import Scope, Search
from connector.directories.ldap.responses import Entry, entry
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from connector.directories.schema import Schema
from connector.errors import DeniedError, FileError, IncompleteRead, TruncatedError, UnreachableError
from connector.model import AttributeInfo, Description, Equality
from connector.reconcile.dn import below, rdns

_ANY = Present(OBJECT_CLASS)
_ROOT = ("*", "+")  # RFC 3673: all user and all operational attributes
_SCHEMA = ("attributeTypes", "objectClasses", "dITContentRules")
_SCHEMA_ENTRIES: Final = Or((Equal(OBJECT_CLASS, b"attributeSchema"), Equal(OBJECT_CLASS, b"classSchema")))
_PAGE: Final = 1000
BATCH: Final = 2000
"""Changes that are written before what no answer shows of them is read back, for which the server has to be waited."""
BATCH_READ_BEFORE: Final = 500
"""The same where entries are read before they are written, which should not be long before."""
_GLOBAL_CATALOG: Final = frozenset({3268, 3269})
_EVERY_DOMAIN: Final = Search("", Scope.SUBTREE, Equal(OBJECT_CLASS, b"domainDNS"), ("1.1",))


class Rules(Struct, frozen=True):
    """What can be asked of an attribute's values: whether one is equal, whether one has a piece."""

    equality: bool = True
    substrings: bool = False


class Inspection:
    """A server, looked at once. Raises one of the kinds of IncompleteRead, at first use."""

    def __init__(self, wire: Wire, base: str) -> None:
        self._wire = wire
        self._base = base
        self._rules: dict[str, Rules] = {}
        self._infos: dict[str, AttributeInfo] = {}

    @cached_property
    def root(self) -> dict[str, list[str]]:
        """The root DSE (RFC 4512 §5.1), by attribute names in lower case."""
        return self._read("", _ROOT)

    @cached_property
    def dialect(self) -> Dialect:
        """How this kind of server is spoken to."""
        found = dialect.of(self.root)
        self._wire.advice, self._wire.sticky = found.advice, found.sticky
        if found.microsoft:
            self._wire.unpeopled = frozenset(map(rdns, active_directory.unpeopled(self.root)))
            self._refuse_a_global_catalog()
        return found

    def _refuse_a_global_catalog(self) -> None:
        """Raises FileError for one, which has a part of every attribute's values and can be written by nobody.

        Its root DSE is that of the domain controller which it is. It has ports of its own; and where another port leads
        there, it is known by this: it alone finds entries below no base at all.
        """
        known = urlsplit(self._wire.where).port in _GLOBAL_CATALOG
        try:
            known = known or bool(self._wire.search(_EVERY_DOMAIN))
        except UnreachableError:
            raise
        except IncompleteRead:
            known = False
        if known:
            why = (
                "this is a Global Catalog, which holds some attributes only and cannot be written: name the domain "
                "controller itself, ldaps://host without a port (636), or ldap://host (389) with start_tls"
            )
            raise FileError(why, where=f"directory.urls, {self._wire.where}")

    @cached_property
    def _published(self) -> Published:
        """The schema as it is published; empty where we may not see it."""
        try:
            return self._schema_entries() if self.dialect.microsoft else self._subschema()
        except UnreachableError:
            raise
        except IncompleteRead:
            return Published()

    def _subschema(self) -> Published:
        """RFC 4512 §4.2."""
        for name in self.root.get("subschemasubentry", ())[:1]:
            found = self._read(name, _SCHEMA)
            return Published(*(found.get(name.lower(), []) for name in _SCHEMA))
        return Published()

    def _schema_entries(self) -> Published:
        """[MS-ADTS] 3.1.1.2."""
        for name in self.root.get("schemanamingcontext", ())[:1]:
            search = Search(name, Scope.ONELEVEL, _SCHEMA_ENTRIES, active_directory.ATTRIBUTES)
            found = [_as_text(each) for each in self._wire.paged(search, _PAGE if self.dialect.pages else 0, entry)]
            if any(";range=" in attribute for each in found for attribute in each):
                raise TruncatedError("a part of the schema does not fit into one answer", where=self._wire.where)
            return active_directory.definitions(found)
        return Published()

    @cached_property
    def schema(self) -> Schema:
        """The server's schema, or where it shows none what this program knows of common attributes."""
        found = self._published
        return Schema(found.types, found.classes, found.rules, lax=self.dialect.lax) if found.types else known_schema()

    @cached_property
    def _types(self) -> Index:
        return Index(self._published.types)

    def rules(self, name: str) -> Rules:
        """What can be asked of the values of an attribute."""
        if name not in self._rules:
            self._rules[name] = self._rules_of(name)
        return self._rules[name]

    def _rules_of(self, name: str) -> Rules:
        schema = self.schema
        lineage = self._types.lineage(schema.canonical(name).partition(";")[0])
        known = schema.info(name).known
        return Rules(
            equality=self.dialect.by_syntax or schema.has_equality(name) if known else schema is known_schema(),
            substrings=any(definition.first("SUBSTR") for definition in lineage),
        )

    def info(self, name: str) -> AttributeInfo:
        """What is known of an attribute. None of it says whether we may read it: a hidden one is just not returned."""
        if name not in self._infos:
            self._infos[name] = self._info_of(name)
        return self._infos[name]

    def _info_of(self, name: str) -> AttributeInfo:
        info = self.schema.info(name)
        comparable = self.rules(name).equality
        if not info.known and not self._published.types:
            return AttributeInfo(name, readable=None, comparable=comparable)
        readable = info.readable if self.dialect.microsoft else None
        length = info.max_length if self.dialect.lengths else None
        return replace(info, name=name, readable=readable, max_length=length, comparable=comparable)

    def describe(self, attributes: tuple[str, ...], classes: tuple[str, ...] = ()) -> Description:
        """All of it, for these attributes and objectClass, and for the classes that the mapping adds."""
        identity, cautions = self._identity()
        cautions += self._wire.cautions
        described = self._described((*attributes, OBJECT_CLASS))
        if not self._published.types:
            cautions.append(
                "the server shows no schema: what its attributes may hold, and how their values compare, is assumed"
            )
        if not self.dialect.assertions:
            cautions.append(
                "the server has no assertion control (RFC 4528): entries are read again just before they are written, "
                "and a change made by somebody else in between may go unnoticed"
                + ("" if self.dialect.microsoft else "; if two entries swap names in between, the wrong one is written")
            )
        else:
            cautions += self._unmarked(described.values())
        return Description(
            kind=self.dialect.kind,
            identity=identity,
            attributes=described,
            names=Equality.DN,
            atomic=self.dialect.assertions,
            compares=not self.dialect.microsoft,
            hides=self.dialect.microsoft,
            server=self._server(),
            classes_first=self.dialect.classes_first,
            closed=bool(self._published.types),
            batch=BATCH if self.dialect.assertions else BATCH_READ_BEFORE,
            types=self.schema.types if self._published.types else {},
            classes=self.schema.classes if self._published.types else {},
            unknown_classes=tuple(name for name in classes if self.schema.kind(name) is None),
            cautions=tuple(cautions),
        )

    def _described(self, names: tuple[str, ...]) -> dict[str, AttributeInfo]:
        """What is known of these attributes; of one with options also whether the server takes them.

        No schema says which options (RFC 4512 §2.5) there are, but a server that is asked to compare tells: measured,
        OpenLDAP answers undefinedAttributeType for `;x-cec`, before it looks at rights or at the entry. Active
        Directory has none for values of their own, and Samba takes one for another value of the attribute itself.
        """
        infos = {name: self.info(name) for name in names}
        optional = [name for name in names if ";" in name]
        if self.dialect.microsoft:
            return infos | {name: replace(infos[name], known=False) for name in optional}
        asked = [Operation(name, requests.compare(self._base, name, b"?")) for name in optional]
        for name, answer in self._wire.answers(asked, len(asked)):
            if answer.code == results.UNDEFINED_ATTRIBUTE_TYPE:
                infos[name] = replace(infos[name], known=False)
        return infos

    def _server(self) -> str:
        """Which server this is: its address, and its own name where it tells one, for an address may be of several."""
        name = next(iter(self.root.get("dnshostname", ())), "").lower()
        return f"{self._wire.where} ({name})" if name else self._wire.where

    def _identity(self) -> tuple[str, list[str]]:
        """The id of the naming context above base: it stays what it is, whatever address the server is reached by."""
        context = self._context()
        identity = self.dialect.identity
        values = self._shown(context, identity.attribute)
        if values:
            return f"ldap:{identity.show(values[0])}", []
        hidden = f"{context} does not show its {identity.attribute}"
        return f"ldap:{self.dialect.kind}:{context.lower()}", [
            f"{hidden}, so that two servers with a tree of this name are taken for one"
        ]

    def _unmarked(self, infos: Iterable[AttributeInfo]) -> list[str]:
        """That neither the values of these attributes nor their entries' marks can be asserted, where it is so."""
        blind = [info.name for info in infos if info.known and info.writable and not info.comparable]
        mark = self.dialect.mark
        if not blind or (mark and self._shown(self._base, mark)):
            return []
        names = f"{', '.join(blind)} {'has' if len(blind) == 1 else 'have'} no equality rule"
        shown = f"and entries show no {mark}" if mark else "and the server keeps no mark of an entry's last change"
        why = (
            f"{names}, {shown}: a user is read before the value is written and after it, and a change made by somebody "
            "else in between may go unnoticed"
        )
        return [why]

    def _shown(self, name: str, attribute: str) -> list[bytes]:
        """The values that one entry shows of an attribute; none where the entry is hidden."""
        try:
            found = self._wire.search(Search(name, Scope.BASE, _ANY, (attribute,)))
        except UnreachableError:
            raise
        except IncompleteRead:
            return []
        return [value for each in found for _, some in each.attributes for value in some]

    def _context(self) -> str:
        """The longest naming context that base is in; base itself where the root DSE names none."""
        contexts = []
        for name in filter(None, self.root.get("namingcontexts", ())):
            with contextlib.suppress(ValueError):  # what is no DN is above nothing
                contexts += [name] if below(self._base, name) else []
        return max(contexts, key=len, default=self._base)

    def _read(self, name: str, attributes: tuple[str, ...]) -> dict[str, list[str]]:
        """One entry's attributes as text, by their names in lower case."""
        entries = self._wire.search(Search(name, Scope.BASE, _ANY, attributes))
        if not entries:
            raise DeniedError(f"the entry {name!r} is hidden from us", where=self._wire.where)
        return _as_text(entries[0])


def _as_text(found: Entry) -> dict[str, list[str]]:
    return {
        attribute.decode("utf-8", "replace").lower(): [value.decode("utf-8", "replace") for value in values]
        for attribute, values in found.attributes
    }

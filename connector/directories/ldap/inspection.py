"""What a server says of itself: root DSE, schema, and the identity of the tree that holds the job's base."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.ldap_filters import Equal, Extensible, Or
from connector.directories.common.schema import Schema
from connector.directories.ldap import active_directory, dialect, requests, results
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.requests import NOTHING, Scope, Search, one
from connector.directories.ldap.responses import entry
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
from connector.model import OBJECT_CLASS, AttributeInfo, Description, Equality
from connector.reconcile.dn import covers, rdns

_ROOT = ("*", "+")  # RFC 3673: all user and all operational attributes
_SCHEMA = ("attributeTypes", "objectClasses", "dITContentRules")
_SCHEMA_ENTRIES: Final = Or(
    (Equal(OBJECT_CLASS, b"attributeSchema"), Equal(OBJECT_CLASS, b"classSchema"))
)
_PAGE: Final = 1000
_PARENT: Final = re.compile(r"^(?:[^,\\]|\\.)*,?")
"""The first RDN of a DN, with its comma."""
_UNROOTED: Final = (
    "no control is used, and only the entry of `base` identifies the directory. Grant the account the right to "
    "read the root DSE"
)
BATCH: Final = 2000
"""Changes that are written before what no answer shows of them is read back, for which the
server has to be waited."""
BATCH_READ_BEFORE: Final = 500
"""The same where entries are read before they are written, which should not be long before."""
_GLOBAL_CATALOG: Final = frozenset({3268, 3269})
_DOMAINS: Final = Extensible("1.2.840.113556.1.4.803", "systemFlags", b"2", dn=False)
"""True of the references to a forest's domains (FLAG_CR_NTDS_DOMAIN, [MS-ADTS] 2.2.11)."""
_EVERY_DOMAIN: Final = Search(
    "", Scope.SUBTREE, Equal(OBJECT_CLASS, b"domainDNS"), NOTHING
)


class Rules(Struct, frozen=True):
    """What can be asked of an attribute's values: whether one is equal, whether one has a piece."""

    equality: bool = True
    substrings: bool = False


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
        self._wire = wire
        self._bases = bases
        self._id = id_
        self._unread = unread
        self.rules: Callable[[str], Rules] = cache(self._rules)
        self.info: Callable[[str], AttributeInfo] = cache(self._info)
        self._unrooted = ""

    @cached_property
    def root(self) -> dict[str, list[str]]:
        """The root DSE (RFC 4512 §5.1), by attribute names in lower case; empty where the server shows none."""
        try:
            return self._read("", _ROOT)
        except (UnreachableError, MalformedError, TruncatedError):
            raise
        except IncompleteRead as fault:
            self._unrooted = f"the server shows no root DSE ({fault.what}): {_UNROOTED}"
            return {}

    @cached_property
    def dialect(self) -> Dialect:
        """How this kind of server is spoken to, with the ids that the job chooses. Raises FileError."""
        if self._id is None:
            return self.native
        info = self.info(self._id)
        self._refuse_no_id(info)
        return replace(
            self.native,
            identity=dialect.chosen(self._id, info.equality, octets=info.octets),
        )

    def _refuse_no_id(self, info: AttributeInfo) -> None:
        """Raises FileError for an attribute that cannot hold ids."""
        why = (
            "has no such attribute"
            if not info.known
            else "lets it hold several values"
            if not info.single
            else ""
        )
        why = why or (
            "has no equality rule for it, so no look-up finds it"
            if not info.comparable
            else ""
        )
        if why and (info.known or self._published):
            raise FileError(
                f"{info.name}: the server's schema {why}: name another attribute",
                where="directory.id",
            )

    @cached_property
    def native(self) -> Dialect:
        """How this kind of server is spoken to, with the ids that it gives."""
        found = dialect.of(self.root)
        self._wire.advice, self._wire.sticky = found.advice, found.sticky
        self._wire.rights = replace(
            self._wire.rights, language=found.language, bases=self._bases
        )
        if found.microsoft:
            self._wire.unpeopled = frozenset(
                map(rdns, active_directory.unpeopled(self.root))
            )
            self._refuse_a_global_catalog()
        return found

    def _refuse_a_global_catalog(self) -> None:
        """Raises FileError for one, which has a part of every attribute's values and can be written by nobody.

        Its root DSE is that of the domain controller which it is. It has ports of its own;
        and where another port leads there, it is known by this: it alone finds entries
        below no base at all.
        """
        if urlsplit(self._wire.where).port in _GLOBAL_CATALOG or self._wire.seen(
            _EVERY_DOMAIN
        ):
            why = (
                "this is a Global Catalog: it holds only some attributes and is read-only. Name the domain "
                "controller itself: ldaps://host (port 636), or ldap://host (389) with start_tls"
            )
            raise FileError(why, where=f"directory.urls, {self._wire.where}")

    def _refuse_a_view(self) -> None:
        """Raises FileError for a view of 389-DS as base: it shows entries whose DNs are below other entries.

        The topmost view shows what is below the entry that it is in.
        """
        for base in self._bases if self.dialect.views else ():
            above = base
            while b"nsview" in map(bytes.lower, self._shown(above, OBJECT_CLASS)):
                above = _PARENT.sub("", above)
            if above == base:
                continue
            filters = self._shown(base, "nsViewFilter")
            also = (
                f", and include the view's own in `filter`: {filters[0].decode('utf-8', 'replace')}"
                if filters
                else ""
            )
            why = (
                f"{base} is a view (nsView). The DNs of its users are not below it, so none can be written. Set "
                f"`base` to {above}, or to the parent of the users{also}"
            )
            raise FileError(why, where="directory.base")

    @cached_property
    def _published(self) -> Schema | None:
        """The schema as it is published; None where we may not see it, or do not look."""
        if self._unread:
            return None
        try:
            found = (
                self._schema_entries() if self.native.microsoft else self._subschema()
            )
        except (UnreachableError, MalformedError):
            raise
        except IncompleteRead:
            return None
        return Schema(*found, lax=self.native.lax) if any(found[:1]) else None

    def _subschema(self) -> tuple[list[str], ...]:
        """RFC 4512 §4.2."""
        for name in self.root.get("subschemasubentry", ())[:1]:
            found = self._read(name, _SCHEMA)
            return tuple(found.get(each.lower(), []) for each in _SCHEMA)
        return ()

    def _schema_entries(self) -> tuple[list[str], ...]:
        """[MS-ADTS] 3.1.1.2."""
        for name in self.root.get("schemanamingcontext", ())[:1]:
            search = Search(
                name, Scope.ONELEVEL, _SCHEMA_ENTRIES, active_directory.ATTRIBUTES
            )
            found = [
                each.texts()
                for each in self._wire.paged(
                    search, _PAGE if self.native.pages else 0, entry
                )
            ]
            if any(";range=" in attribute for each in found for attribute in each):
                raise TruncatedError(
                    "a part of the schema does not fit into one answer",
                    where=self._wire.where,
                )
            return active_directory.definitions(found)
        return ()

    @property
    def schema(self) -> Schema:
        """The server's schema, or where it shows none what this program knows of common attributes."""
        return self._published or known_schema()

    def _rules(self, name: str) -> Rules:
        schema, published = self.schema, bool(self._published)
        known = schema.info(name).known
        return Rules(
            equality=self.native.by_syntax or schema.has(name, "EQUALITY")
            if known
            else not published,
            substrings=published and schema.has(name, "SUBSTR"),
        )

    def _info(self, name: str) -> AttributeInfo:
        """What is known of an attribute. None of it says whether we may read it: a hidden one is just not returned."""
        info = self.schema.info(name)
        comparable = self.rules(name).equality
        if not info.known and not self._published:
            return AttributeInfo(name, readable=None, comparable=comparable)
        readable = info.readable if self.native.microsoft else None
        length = info.max_length if self.native.lengths else None
        return replace(
            info, name=name, readable=readable, max_length=length, comparable=comparable
        )

    def describe(
        self, attributes: tuple[str, ...], classes: tuple[str, ...] = ()
    ) -> Description:
        """All of it, for these attributes and objectClass, and for the classes that the mapping adds."""
        identity, cautions = self._identity()
        cautions += [*filter(None, [self._unrooted]), *self._wire.cautions]
        self._refuse_a_view()
        described = self._described((*attributes, OBJECT_CLASS))
        if not self._published:
            cautions.append(
                "the server shows no schema. Syntaxes and equality rules are assumed. Grant the account the right "
                "to read the schema"
            )
        if not self.dialect.assertions:
            cautions.append(
                "the server has no assertion control (RFC 4528). Entries are read again just before each write. "
                "Another program's change in between may go unnoticed"
                + (
                    ""
                    if self.dialect.microsoft
                    else ". If two entries swap names in between, the wrong one is written"
                )
            )
        else:
            cautions += self._unmarked(described.values())
        chosen = self.info(self._id) if self._id else None
        return Description(
            kind=self.dialect.kind,
            identity=identity,
            chosen_id=chosen,
            unidentified=dialect.unidentified(
                self.dialect.identity, self._types, chosen=self._id is not None
            ),
            attributes=described,
            names=Equality.DN,
            ids=Equality.CASE_IGNORE
            if chosen is None or chosen.octets
            else chosen.equality,  # octets: in hexadecimal
            hides=self.dialect.microsoft,
            server=self._server(),
            classes_first=self.dialect.classes_first,
            closed=bool(self._published),
            batch=BATCH if self.dialect.assertions else BATCH_READ_BEFORE,
            types=self._types,
            classes=self._published.classes if self._published else {},
            unknown_classes=tuple(
                name for name in classes if name.lower() not in self.schema.classes
            ),
            sees_past=self._sees_past(),
            cautions=tuple(cautions),
        )

    def _described(self, names: tuple[str, ...]) -> dict[str, AttributeInfo]:
        """What is known of these attributes; of one with options also whether the server takes them.

        No schema says which options (RFC 4512 §2.5) there are, but a server that is asked
        to compare tells: measured, OpenLDAP answers undefinedAttributeType for `;x-cec`,
        before it looks at rights or at the entry. Active Directory has none for values of
        their own, and Samba takes one for another value of the attribute itself.
        """
        infos = {name: self.info(name) for name in names}
        optional = [name for name in names if ";" in name]
        if self.dialect.microsoft:
            return infos | {
                name: replace(infos[name], known=False) for name in optional
            }
        asked = [
            Operation(name, requests.compare(self._bases[0], name, b"?"))
            for name in optional
        ]
        for name, answer in self._wire.answers(asked, len(asked)):
            if answer.code == results.UNDEFINED_ATTRIBUTE_TYPE:
                infos[name] = replace(infos[name], known=False)
        return infos

    @property
    def _types(self) -> Mapping[str, AttributeInfo]:
        return self._published.types if self._published else {}

    def _server(self) -> str:
        """Which server this is: its address, and its own name where it tells one, for an address may be of several."""
        name = next(iter(self.root.get("dnshostname", ())), "").lower()
        return f"{self._wire.where} ({name})" if name else self._wire.where

    def _identity(self) -> tuple[str, list[str]]:
        """The id of the naming context above base: it stays what it is, whatever address the server is reached by."""
        context = self.context or self._bases[0]
        for identity in dict.fromkeys((self.native.identity, self.dialect.identity)):
            values = self._shown(context, identity.attribute)
            if values:
                return f"ldap:{identity.show(values[0])}", []
        hidden = f"{context} does not show its {self.native.identity.attribute}"
        return f"ldap:{self.dialect.kind}:{context.lower()}", [
            f"{hidden}. Identity falls back to the DN; trees of the same name share a lease"
        ]

    def _unmarked(self, infos: Iterable[AttributeInfo]) -> list[str]:
        """That neither the values of these attributes nor their entries' marks can be asserted, where it is so."""
        blind = [
            info.name
            for info in infos
            if info.known and info.writable and not info.comparable
        ]
        mark = self.dialect.mark
        if not blind or (mark and any(self._shown(base, mark) for base in self._bases)):
            return []
        names = f"{', '.join(blind)} {'has' if len(blind) == 1 else 'have'} no equality rule"
        shown = (
            f"and entries show no {mark}"
            if mark
            else "and the server has no mark of an entry's last change"
        )
        why = (
            f"{names}, {shown}. Users are read before and after each write of them. Another program's change in "
            "between may go unnoticed"
        )
        return [why]

    def _shown(self, name: str, attribute: str) -> list[bytes]:
        """The values that one entry shows of an attribute; none where the entry is hidden."""
        found = self._wire.seen(one(name, (attribute,)))
        return [
            value for each in found for _, some in each.attributes for value in some
        ]

    @cached_property
    def context(self) -> str:
        """The longest naming context that all bases are in; empty where the root DSE names none. Raises FileError."""
        first, *more = {self._context_of(base): base for base in self._bases}.items()
        for context, base in more:
            why = f"{base} is in {context or 'no naming context'}, and {first[1]} in {first[0] or 'none'}"
            why += ". Give each a job of its own"
            raise FileError(why, where="directory.base")
        return first[0]

    def _context_of(self, base: str) -> str:
        contexts = []
        for name in filter(None, self.root.get("namingcontexts", ())):
            with contextlib.suppress(ValueError):  # what is no DN is above nothing
                contexts += [name] if covers(base, rdns(name)) else []
        return max(contexts, key=len, default="")

    def _sees_past(self) -> bool:
        """Whether nobody can leave the naming context and keep its id: in a forest of several domains users can."""
        if not (self.context and self.native.microsoft):
            return bool(self.context)
        for configuration in self.root.get("configurationnamingcontext", ())[:1]:
            domains = Search(
                f"CN=Partitions,{configuration}", Scope.ONELEVEL, _DOMAINS, NOTHING
            )
            with contextlib.suppress(DeniedError, TruncatedError, MalformedError):
                return len(self._wire.search(domains)) == 1
        return False

    def _read(self, name: str, attributes: tuple[str, ...]) -> dict[str, list[str]]:
        """One entry's attributes as text, by their names in lower case."""
        entries = self._wire.search(one(name, attributes))
        if not entries:
            raise DeniedError(
                f"this account may not read the entry {name!r}", where=self._wire.where
            )
        return entries[0].texts()

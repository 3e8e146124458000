"""SCIM servers as directories: the port's questions as requests for resources, its changes as PATCH or PUT."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, partial
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from connector.directories.common.entries import nobody_within
from connector.directories.scim import dialect as dialects
from connector.directories.scim.answers import id_of
from connector.directories.scim.dialect import Dialect
from connector.directories.scim.discovery import Discovery
from connector.directories.scim.filters import Filter
from connector.directories.scim.finding import Finder
from connector.directories.scim.paths import Path, Resource
from connector.directories.scim.protocol import Transport
from connector.directories.scim.reading import Recollection, Resources
from connector.directories.scim.view import USER_NAME, Attributes
from connector.directories.scim.writing import Writer
from connector.errors import FileError
from connector.model import (
    AttributeInfo,
    Change,
    Description,
    Holds,
    Key,
    Objection,
    Outcome,
    Question,
    Result,
    User,
    UserRef,
    View,
)
from connector.reconcile.equality import whether_held
from connector.reports.wording import count
from connector.settings.scim import ScimDirectory as Settings

_AT_ONCE: Final = 500
"""So many questions are answered at once."""
_UNTOLD: Final = "not checked (the server does not tell): schema, write rights"
_TOLD: Final = "schema, uniqueness; not checked (no server tells): write rights"
PUT = (
    "no PATCH: users are replaced whole (PUT). PUT may erase attributes that the server hides, such as a password "
    "(RFC 7644 §3.5.1)"
)
SINGLY = (
    "the server takes one operation a request (dialect file). A user's attributes are written one by one, the SIP "
    "number last. An interrupted run may leave users half written"
)
NO_PUT = (
    "no PATCH; PUT could erase hidden attributes, such as a password (RFC 7644 §3.5.1). Nothing was written. If "
    'the server keeps them, set "writes": "put" in a dialect file'
)


class ScimReader:
    """A SCIM server, for reading; it is asked nothing before first use.

    Every method raises one of the kinds of IncompleteRead; the constructor and `describe`
    raise FileError for a filter, a mapping or a dialect that is of no use.
    """

    writes = False

    def __init__(self, settings: Settings, transport: Transport, view: View) -> None:
        self._settings = settings
        self._transport = transport
        self._view = view
        try:
            self._filter = Filter(settings.filter or "")
        except FileError as fault:
            raise FileError(fault.what, where="directory.filter") from None
        for name in view.attributes:
            Path.parse(name)
        if view.object_classes:
            raise FileError(
                "object_classes: SCIM has none; take them out of the mapping"
            )

    @cached_property
    def _discovery(self) -> Discovery:
        return Discovery(self._transport, self._settings.url)

    @cached_property
    def dialect(self) -> Dialect:
        """How the server is spoken to: as the job's file says, else as the server announces."""
        if self._settings.dialect is not None:
            return dialects.load(self._settings.dialect)
        return dialects.announced(self._discovery.features, self._discovery.schemas)

    @cached_property
    def _attributes(self) -> Attributes:
        attributes = Attributes(self._view, self._discovery.schemas, self._settings.urn)
        attributes.checked(self._filter.paths, "directory.filter")
        self._filter.judge_by(attributes.exact)
        return attributes

    @cached_property
    def _resources(self) -> Resources:
        _ = self._attributes  # the filter has to know them
        return Resources(
            self._transport,
            self._discovery.users,
            self._filter,
            page_size=self._settings.page_size,
            cursor=self.dialect.cursor,
            seen=Recollection() if self.writes and self.dialect.versions else None,
        )

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self._resources, self._attributes)

    def describe(self) -> Description:
        """What the server's own pages say, and what had to be assumed; that all were outside of the filter, if so."""
        described = self._description
        return replace(described, cautions=(*described.cautions, *self._noticed()))

    def _noticed(self) -> Iterator[str]:
        if self._resources.all_outside:
            counted = count(self._resources.shown, "user")
            names = "its attributes and values"
            yield nobody_within(
                counted, self._settings.url, self._settings.filter, names
            )

    @cached_property
    def _description(self) -> Description:
        attributes, dialect = self._attributes, self.dialect
        assumed = attributes.assumed()
        # asked for now, so that what has to be assumed of it is among the cautions
        _ = self._discovery.users
        cautions = list(self._discovery.cautions)
        if assumed:
            cautions.append(
                f"the server publishes no schema {' and no '.join(assumed)}. Syntaxes and equality rules are assumed"
            )
        if not dialect.versions:
            cautions.append(
                "the server supports no versions (RFC 7644 §3.14). Users are read again just before each write. "
                "Another program's change in between may go unnoticed"
            )
        if not dialect.at_once:
            cautions.append(SINGLY)
        if dialect.writes != "patch":
            cautions.append(PUT if dialect.writes == "put" else NO_PUT)
        return Description(
            decides=False,
            kind="SCIM 2.0 server",
            identity=identity_of(self._settings.url),
            attributes={each.name: each.info for each in attributes.view},
            names=attributes.located(str(USER_NAME)).info.equality,
            ids=attributes.located("id").info.equality,
            closed=not assumed,
            replaces=dialect.writes == "put",
            singly=not dialect.at_once and dialect.writes == "patch",
            checked=_UNTOLD if assumed else _TOLD,
            cautions=tuple(cautions),
            paths=self._discovery.schemas.paths,
            filtered=self._filter.looks_at(self._view.attributes),
        )

    def known(self, *, shown_texts: bool = False) -> list[AttributeInfo]:
        """What the server's schemas say of users, extensions included; `shown_texts`: of texts that are shown."""
        found = self._discovery.schemas.all_of(self._discovery.of_users)
        return [
            self._attributes.at(each.path).info
            for each in found
            if each.text or not shown_texts
        ]

    def size(self) -> int | None:
        """`totalResults` of a first page; whom the job's filter leaves out is among them."""
        return self._resources.first[1]

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """Filters, many keys to each, and a few in flight; or all users, where filters cannot be trusted."""
        return map(self._attributes.user, self._finder.find(keys))

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        users = map(self._attributes.user, self._resources.all())
        return (
            (user for user in users if any(name in user.values for name in holding))
            if holding
            else users
        )

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        ids = dict.fromkeys(ref.id for ref in users)
        for found, _ in filter(
            None,
            self._transport.each(partial(self._resources.get, disabled=disabled), ids),
        ):
            user = self._attributes.user(found)
            yield (
                replace(user, disabled=True)
                if disabled and self._resources.disables(found)
                else user
            )

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """By reading; of what is never shown nobody can say."""
        asked = iter(questions)
        while some := list(islice(asked, _AT_ONCE)):
            ids = dict.fromkeys(
                each.user.id
                for each in some
                if self._attributes.located(each.attribute).shown
            )
            shown = {
                id_of(found): found
                for found, _ in filter(
                    None, self._transport.each(self._resources.get, ids)
                )
            }
            yield from (self._held(each, shown.get(each.user.id)) for each in some)

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:  # noqa: ARG002  # the port passes them; SCIM has no request that asks without writing
        """None: what schemas say of uniqueness is in `describe`, and nothing tells of our rights."""
        return iter(())

    def _held(self, asked: Question, resource: Resource | None) -> Holds:
        located = self._attributes.located(asked.attribute)
        if resource is None or not located.shown:
            return Holds.UNKNOWN
        return whether_held(
            located.info.equality, located.path.values(resource), asked.value
        )

    def close(self) -> None:
        self._transport.close()


class ScimDirectory(ScimReader):
    """A SCIM server, for reading and writing."""

    writes = True

    def _noticed(self) -> Iterator[str]:
        yield from super()._noticed()
        yield from self._writer.notes.cautions()

    @cached_property
    def _writer(self) -> Writer:
        return Writer(
            self._resources,
            self._attributes,
            self.dialect,
            settle_time=self._settings.settle_time,
            disabled=self._view.disabled,
        )

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        if self.dialect.writes == "no":
            return (
                Outcome(change.user, Result.SKIPPED, f"not sent: {NO_PUT}")
                for change in changes
            )
        return self._writer.write(changes)


def identity_of(url: str) -> str:
    """The base address, spelt one way."""
    parts = urlsplit(url)
    port = (
        parts.port
        if parts.port not in {None, {"https": 443, "http": 80}[parts.scheme]}
        else None
    )
    host = f"{(parts.hostname or '').lower()}{f':{port}' if port else ''}"
    return f"scim:{parts.scheme}://{host}{parts.path.rstrip('/')}"

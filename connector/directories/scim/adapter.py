"""SCIM servers as directories: the port's questions as requests for resources, its changes as PATCH or PUT."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from connector.directories.common.entries import nobody_within
from connector.directories.scim.discovery import Dialect, ServerDiscovery, load_dialect
from connector.directories.scim.paths import (
    USER_NAME,
    AttributePath,
    UserFilter,
    read_id,
)
from connector.directories.scim.protocol import Transport
from connector.directories.scim.reading import KeyFinder, UserResources
from connector.directories.scim.schemas import ViewAttributes
from connector.directories.scim.writing import ChangeWriter
from connector.errors import FileError
from connector.model import (
    AttributeInfo,
    Change,
    Description,
    DirectorySchema,
    Equality,
    Holds,
    Key,
    Objection,
    Outcome,
    Question,
    ReadRules,
    Result,
    Scope,
    User,
    UserNaming,
    UserRef,
    View,
    WriteRules,
)
from connector.model.equality import whether_held
from connector.reports.wording import count_noun
from connector.settings.scim import ScimDirectory as Settings

_UNCHECKED: Final = "not checked (the server does not tell): schema, write rights"
_CHECKED: Final = "schema, uniqueness; not checked (no server tells): write rights"
NO_VERSIONS: Final = (
    "the server supports no versions (RFC 7644 §3.14). Users are read again just before each write. "
    "Another program's change in between may go unnoticed"
)
PUT: Final = (
    "no PATCH: users are replaced whole (PUT). PUT may erase attributes that the server hides, such as a password "
    "(RFC 7644 §3.5.1)"
)
SINGLY: Final = (
    "the server takes one operation a request (dialect file). A user's attributes are written one by one, the SIP "
    "number last. An interrupted run may leave users half written"
)
NO_PUT: Final = (
    "no PATCH; PUT could erase hidden attributes, such as a password (RFC 7644 §3.5.1). Nothing was written. If "
    'the server keeps them, set "writes": "put" in a dialect file'
)


class ScimReader:
    """A SCIM server, for reading; it is asked nothing before first use.

    Every method raises one of the kinds of IncompleteRead; the constructor and `describe` raise
    FileError for a filter, a mapping or a dialect that is of no use.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        view: View,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._view = view
        try:
            self._filter = UserFilter(settings.filter or "", self._is_case_exact)
        except FileError as fault:
            raise FileError(fault.what, where="directory.filter") from None
        for name in view.attributes:
            AttributePath.parse_text(name)
        if view.object_classes:
            what = "object_classes: SCIM has none; take them out of the mapping"
            raise FileError(what)

    @cached_property
    def _discovery(self) -> ServerDiscovery:
        return ServerDiscovery(self._transport, self._settings.url)

    @cached_property
    def dialect(self) -> Dialect:
        """How the server is spoken to: as the job's file says, else as the server announces."""
        path = self._settings.dialect
        return self._discovery.dialect if path is None else load_dialect(path)

    @cached_property
    def _attributes(self) -> ViewAttributes:
        attributes = ViewAttributes(
            self._view, self._discovery.schemas, self._settings.urn
        )
        attributes.check_paths(self._filter.paths, "directory.filter")
        return attributes

    def _is_case_exact(self, path: AttributePath) -> bool:
        return self._attributes.locate_path(path).info.equality is Equality.OCTETS

    @cached_property
    def _resources(self) -> UserResources:
        _ = self._attributes  # the filter needs them, and several threads ask it
        return UserResources(
            self._transport,
            self._discovery.users_path,
            self._filter,
            page_size=self._settings.page_size,
            by_cursor=self.dialect.cursor,
        )

    @cached_property
    def _finder(self) -> KeyFinder:
        return KeyFinder(self._resources, self._attributes)

    def describe(self) -> Description:
        """What the server's own pages say, what had to be assumed, and what reading and writing have shown."""
        described = self._description
        return replace(described, cautions=(*described.cautions, *self._list_noticed()))

    def _list_noticed(self) -> Iterator[str]:
        if self._resources.is_all_outside:
            counted = count_noun(self._resources.shown_count, "user")
            names = "its attributes and values"
            yield nobody_within(
                counted, self._settings.url, self._settings.filter, names
            )

    @cached_property
    def _description(self) -> Description:
        attributes, dialect = self._attributes, self.dialect
        assumed = attributes.list_assumed()
        return Description(
            reading=ReadRules(decides=False),
            kind="SCIM 2.0 server",
            identity=normalize_address(self._settings.url),
            attributes={each.name: each.info for each in attributes.view},
            naming=UserNaming(
                names=attributes.locate_name(str(USER_NAME)).info.equality,
                ids=attributes.locate_name("id").info.equality,
            ),
            schema=DirectorySchema(
                closed=not assumed,
                paths=tuple(map(str, self._discovery.schemas.list_leaves())),
            ),
            writing=WriteRules(
                replaces=dialect.writes == "put",
                singly=not dialect.at_once and dialect.writes == "patch",
                checked=_UNCHECKED if assumed else _CHECKED,
            ),
            cautions=tuple(self._list_cautions(assumed)),
            scope=Scope(filtered=self._filter.find_affected(self._view.attributes)),
        )

    def _list_cautions(self, assumed: list[str]) -> Iterator[str]:
        # asked for now, so that what has to be assumed of it is among the cautions
        _ = self._discovery.users_path
        yield from self._discovery.cautions
        if assumed:
            missing = " and no ".join(assumed)
            yield f"the server publishes no schema {missing}. Syntaxes and equality rules are assumed"
        if not self.dialect.versions:
            yield NO_VERSIONS
        if not self.dialect.at_once:
            yield SINGLY
        if self.dialect.writes != "patch":
            yield PUT if self.dialect.writes == "put" else NO_PUT

    def list_known_attributes(
        self, *, shown_texts: bool = False
    ) -> list[AttributeInfo]:
        """What the server's schemas say of users, extensions included; `shown_texts`: of texts that are shown."""
        paths = self._discovery.schemas.list_leaves(self._discovery.user_schemas)
        found = map(self._attributes.locate_path, paths)
        return [
            each.info for each in found if each.is_searchable_text or not shown_texts
        ]

    def size(self) -> int | None:
        """`totalResults` of a first page; whom the job's filter leaves out is among them."""
        return self._resources.sample[1]

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """Filters, many keys to each, and a few in flight; or all users, where filters cannot be trusted."""
        return map(self._attributes.to_user, self._finder.find_users(keys))

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        users = map(self._attributes.to_user, self._resources.read_all())
        if not holding:
            return users
        return (user for user in users if not user.values.keys().isdisjoint(holding))

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        ids = dict.fromkeys(ref.id for ref in users)
        for found in self._resources.read_users(ids, disabled=disabled):
            user = self._attributes.to_user(found)
            is_disabled = disabled and self._resources.is_disabled(found)
            yield replace(user, disabled=True) if is_disabled else user

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """By reading; of what is never shown nobody can say."""
        asked = list(questions)
        locate = self._attributes.locate_name
        shown = [each for each in asked if locate(each.attribute).is_shown]
        ids = dict.fromkeys(each.user.id for each in shown)
        users = {read_id(user): user for user in self._resources.read_users(ids)}
        for each in asked:
            located, user = locate(each.attribute), users.get(each.user.id)
            if user is None or not located.is_shown:
                yield Holds.UNKNOWN
            else:
                held = located.path.find_values(user)
                yield whether_held(located.info.equality, held, each.value)

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:  # noqa: ARG002  # the port passes them; SCIM has no request that asks without writing
        """None: what schemas say of uniqueness is in `describe`, and nothing tells of our rights."""
        return iter(())

    def close(self) -> None:
        self._transport.close()


class ScimDirectory(ScimReader):
    """A SCIM server, for reading and writing."""

    def _list_noticed(self) -> Iterator[str]:
        yield from super()._list_noticed()
        yield from self._writer.notes.list_cautions()

    @cached_property
    def _writer(self) -> ChangeWriter:
        return ChangeWriter(
            self._resources,
            self._attributes,
            self.dialect,
            settle_time=self._settings.settle_time,
            disabled=self._view.disabled,
        )

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        if self.dialect.writes == "no":
            why = f"not sent: {NO_PUT}"
            return (Outcome(change.user, Result.SKIPPED, why) for change in changes)
        return self._writer.write_changes(changes)


def normalize_address(url: str) -> str:
    """The base address, spelt one way."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.port not in (None, {"https": 443, "http": 80}[parts.scheme]):
        host += f":{parts.port}"
    return f"scim:{parts.scheme}://{host}{parts.path.rstrip('/')}"

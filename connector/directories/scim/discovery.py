"""What a server says of itself (RFC 7644 §4): what it can, its schemas, where users are.

All of it may be missing or wrong. What is missing or cannot be read is assumed, and said as a
caution; nothing of it ends a run. Measured: no such pages at all, an *s* too many (Salesforce),
lists without numbers, endpoints with the path of the base in front of them.

How servers differ is a value, the dialect: what a server announces, or what a job's dialect file
says of it. A refusal tells more where it can mean one thing only: 415 that another content type
is wanted, 428 a version.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from connector.directories.scim.paths import CORE, Json, find_member, list_elements
from connector.directories.scim.protocol import (
    MEDIA_TYPE,
    ImpatientError,
    Request,
    Transport,
    advise_right,
    describe_kind,
    read_document,
    refusal_error,
)
from connector.directories.scim.schemas import Schemas
from connector.errors import NOT_JSON, FileError, MalformedError, TruncatedError
from connector.settings.textfile import read_octets

USERS: Final = "/Users"
"""Where users are, unless the server says otherwise."""
MOST: Final = 10_000
"""So many schemas, or kinds of resources, are read at most."""
_CONFIG_PAGES: Final = ("/ServiceProviderConfig", "/ServiceProviderConfigs")
"""The second is Salesforce's."""
DIALECT_SCHEMA: Final = "cec-connector/scim-dialect/1"


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """What one server does its own way, as it announces or as a job's dialect file says."""

    writes: Literal["patch", "put", "no"] = "patch"
    """By PATCH, or by PUT where there is no PATCH; "no": there is none, and a PUT could erase what
    is never shown."""
    clearing: Literal["remove", "null"] | None = None
    """How PATCH empties an attribute: as RFC 7644 §3.5.2.2 has it, or as a server that knows
    `replace` alone; None: as the first answer shows."""
    versions: bool = False
    """The server heeds If-Match (RFC 7644 §3.14)."""
    cursor: bool = False
    """The server pages by cursor (RFC 9865)."""
    capitals: bool = False
    """Operations are `Replace` and `Remove`. Only a file says so."""
    arrays: bool = False
    """A single value goes in an array. Only a file says so."""
    paths: bool = True
    """Operations name the path of what they set; else one operation has all of it, and some servers
    wipe what stands beside it. Only a file says no."""
    at_once: bool = True
    """A request may have several operations. Only a file says no."""
    media: Literal["application/scim+json", "application/json"] = MEDIA_TYPE
    """The content type of what is sent."""
    found: dict[str, str] = field(default_factory=dict)
    """What `check --probe` of earlier versions saw; read and not used."""
    schema: str = DIALECT_SCHEMA


def load_dialect(path: Path) -> Dialect:
    """A dialect file, as a job names it. Raises FileError."""
    try:
        found = msgspec.json.decode(read_octets(path), type=Dialect)
    except OSError as fault:
        raise FileError(
            fault.strerror or "it cannot be read", where=str(path)
        ) from None
    except NOT_JSON as fault:
        raise FileError(f"not a dialect file: {fault}", where=str(path)) from None
    if found.schema != DIALECT_SCHEMA:
        raise FileError(f"this is not of the kind {DIALECT_SCHEMA}", where=str(path))
    return found


class ServerDiscovery:
    """A server's own pages, each read once, at first use.

    Raises the kinds of IncompleteRead where the server does not answer at all.
    """

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._base = base.rstrip("/")
        self.cautions: list[str] = []
        """What had to be assumed."""

    @cached_property
    def dialect(self) -> Dialect:
        """As far as the server says (RFC 7643 §5, RFC 9865 §4); without a page, PATCH is assumed."""
        config = self._read_first(*_CONFIG_PAGES)
        writes: Literal["patch", "put", "no"] = "patch"
        if find_member(config, "patch", "supported") is False:
            writes = "put" if self.schemas.hides_nothing() else "no"
        return Dialect(
            writes=writes,
            versions=find_member(config, "etag", "supported") is True,
            cursor=find_member(config, "pagination", "cursor") is True,
        )

    @cached_property
    def schemas(self) -> Schemas:
        """All schemas that the server publishes."""
        found = Schemas(self._read_all("/Schemas"))
        if found.unread:
            self.cautions.append(
                f"{found.unread} of the server's schema definitions are invalid and left out"
            )
        return found

    @cached_property
    def users_path(self) -> str:
        """The path below the base at which users are (RFC 7643 §6)."""
        endpoint = str(find_member(self._user_type, "endpoint") or USERS)
        path = urlsplit(endpoint).path.removeprefix(urlsplit(self._base).path)
        return f"/{path.strip('/')}"

    @property
    def user_schemas(self) -> tuple[str, ...]:
        """The core's schema, and those that a user may have beside it."""
        extensions = find_member(self._user_type, "schemaExtensions")
        listed = extensions if isinstance(extensions, list) else []
        return CORE, *(str(find_member(each, "schema")) for each in listed)

    @cached_property
    def _user_type(self) -> Json:
        """What the server says of the resource type of users; None where it does not."""
        for each in self._read_all("/ResourceTypes"):
            if str(find_member(each, "schema")).lower() == CORE.lower():
                return each
        return None

    def _read_first(self, *paths: str) -> Json:
        """The first of the pages that is JSON, and None, said as a caution, where none is."""
        whys = []
        for path in paths:
            try:
                answer = self._transport.send(Request.get(path))
            except (MalformedError, TruncatedError) as fault:
                # patience that is used up, or a token endpoint that gives no token, is no
                # matter of this page
                is_here = fault.where == self._base + path
                if isinstance(fault, ImpatientError) or not is_here:
                    raise
                whys.append(f"what cannot be read ({fault.what})")
                continue
            found = read_document(answer)
            if answer.is_success and isinstance(found, dict | list):
                return found
            # a caution is in the plan's digest, and is to be the same each time
            right = f"read it (GET {path})"
            no = " and no JSON" if answer.is_success else advise_right(answer, right)
            whys.append(describe_kind(answer) + no)
        self.cautions.append(
            f"the server answers {paths[0]} with {whys[0]}; its content is assumed"
        )
        return None

    def _read_all(self, path: str) -> list[Json]:
        """All that a list holds, on however many pages (RFC 7644 §3.4.2.4, RFC 9865 §2).

        Raises TruncatedError where the server speaks of more than it shows: what is left out
        cannot be assumed.
        """
        page = self._read_first(path)
        found = _index_resources(page)
        while next_page := _next_page(page, len(found)):
            answer = self._transport.send(Request.get(path, (next_page,)))
            if not answer.is_success:
                right = f"read it (GET {path})"
                raise refusal_error(answer, f"a further page of {path}", right)
            shown = len(found)
            total = find_member(page, "totalResults")
            page = read_document(answer)
            found |= _index_resources(page)
            if not shown < len(found) <= MOST:
                what = f"the server reports {total or 'more'} and shows {shown}"
                why = f"{what}, page after page; have its paging fixed"
                raise TruncatedError(why, where=answer.where)
        return list(found.values())


def _next_page(page: Json, shown: int) -> tuple[str, str] | None:
    """The parameter that asks for the page behind this one; None where it is the last."""
    if not isinstance(find_member(page, "Resources"), list):
        return None
    cursor = find_member(page, "nextCursor")
    if isinstance(cursor, str) and cursor:
        return "cursor", cursor
    total = find_member(page, "totalResults")
    if isinstance(total, int) and shown < total:
        return "startIndex", str(shown + 1)
    return None


def _index_resources(page: Json) -> dict[str, Json]:
    """What a list holds, by what tells it apart: as RFC 7644 §3.4.2 has it, a bare list, or one thing."""
    listed = find_member(page, "Resources")
    if not isinstance(listed, list):
        listed = list_elements(page)
    return {
        str(find_member(each, "id") or find_member(each, "name") or each): each
        for each in listed
    }

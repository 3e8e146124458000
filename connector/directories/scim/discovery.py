"""What a server says of itself (RFC 7644 §4): features, schemas, where users are. All of it may be missing or wrong.

What is missing or cannot be read is assumed, and said as a caution; nothing of it ends a
run. Measured: no such pages at all, an *s* too many (Salesforce), lists without numbers,
endpoints with the path of the base in front of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from connector.directories.scim.answers import document, failure, good, kind, lacking
from connector.directories.scim.paths import CORE, Json, inner, member
from connector.directories.scim.protocol import ImpatientError, Request, Transport
from connector.directories.scim.resource_schema import Schemas
from connector.errors import MalformedError, TruncatedError

USERS: Final = "/Users"
MOST: Final = 10_000
"""So many schemas, or kinds of resources, are read at most."""
# the second: Salesforce
_CONFIGS: Final = ("/ServiceProviderConfig", "/ServiceProviderConfigs")


class Features(Struct, frozen=True):
    """What a server says it can (RFC 7643 §5, RFC 9865 §4), as far as it matters here."""

    patch: bool = True
    etag: bool = False
    cursor: bool = False
    bulk: bool = False
    bulk_operations: int | None = None
    bulk_octets: int | None = None


class Discovery:
    """A server, looked at once, at first use. Raises the kinds of IncompleteRead where it does not answer at all."""

    def __init__(self, transport: Transport, base: str) -> None:
        self._transport = transport
        self._base = base.rstrip("/")
        self.cautions: list[str] = []

    def _document(self, *paths: str) -> Any:
        """The first of the pages that is JSON, and None, said as a caution, where none is."""
        whys = []
        for path in paths:
            found, why = self._page(path)
            if found is not None:
                return found
            whys.append(why)
        self.cautions.append(
            f"the server answers {paths[0]} with {whys[0]}; its content is assumed"
        )
        return None

    def _page(self, path: str) -> tuple[Any, str]:
        """A page that is JSON, or what stands in its place."""
        try:
            answer = self._transport.send(Request("GET", path, repeatable=True))
        except (MalformedError, TruncatedError) as fault:
            # patience that is used up, or a token endpoint that gives no token, is no
            # matter of this page
            if isinstance(fault, ImpatientError) or fault.where != self._base + path:
                raise
            return None, f"what cannot be read ({fault.what})"
        if not good(answer):
            # a caution is in the plan's digest, and is to be the same each time
            return None, kind(answer) + lacking(answer, f"read it (GET {path})")
        found = document(answer)
        return (
            (found, "")
            if isinstance(found, dict | list)
            else (None, "something that is no JSON")
        )

    def _all(self, path: str) -> list[Json]:
        """All that a list holds, on however many pages (RFC 7644 §3.4.2.4, RFC 9865 §2).

        Raises TruncatedError where the server speaks of more than it shows: what is left
        out cannot be assumed.
        """
        page = self._document(path)
        found = {_mark(each): each for each in _resources(page)}
        while isinstance(page, dict) and isinstance(member(page, "Resources"), list):
            total, cursor = member(page, "totalResults"), member(page, "nextCursor")
            if not (isinstance(cursor, str) and cursor) and not (
                isinstance(total, int) and len(found) < total
            ):
                break
            params = (
                ("cursor", cursor) if cursor else ("startIndex", str(len(found) + 1))
            )
            answer = self._transport.send(
                Request("GET", path, (params,), repeatable=True)
            )
            if not good(answer):
                raise failure(
                    answer, f"a further page of {path}", f"read it (GET {path})"
                )
            shown = len(found)
            page = document(answer)
            found |= {
                _mark(each): each
                for each in _resources(page if isinstance(page, dict) else None)
            }
            if len(found) == shown or len(found) > MOST:
                what = f"the server reports {total if isinstance(total, int) else 'more'} and shows {shown}"
                raise TruncatedError(
                    f"{what}, page after page; have its paging fixed",
                    where=answer.where,
                )
        return list(found.values())

    @cached_property
    def features(self) -> Features:
        """ServiceProviderConfig; without one, PATCH is assumed and nothing else."""
        found = self._document(*_CONFIGS)
        if not isinstance(found, dict):
            return Features()
        return Features(
            patch=inner(found, "patch", "supported") is not False,
            etag=inner(found, "etag", "supported") is True,
            cursor=inner(found, "pagination", "cursor") is True,
            bulk=inner(found, "bulk", "supported") is True,
            bulk_operations=_number(inner(found, "bulk", "maxOperations")),
            bulk_octets=_number(inner(found, "bulk", "maxPayloadSize")),
        )

    @cached_property
    def schemas(self) -> Schemas:
        found = Schemas(self._all("/Schemas"))
        if found.unread:
            self.cautions.append(
                f"{found.unread} of the server's schema definitions are invalid and left out"
            )
        return found

    @cached_property
    def _user_type(self) -> dict[str, Json]:
        """What the server says of the resource type of users; nothing where it does not."""
        kinds = self._all("/ResourceTypes")
        return next(
            (
                each
                for each in kinds
                if str(inner(each, "schema")).lower() == CORE.lower()
            ),
            {},
        )

    @cached_property
    def users(self) -> str:
        """The path below the base at which users are (RFC 7643 §6)."""
        endpoint = urlsplit(str(member(self._user_type, "endpoint") or USERS)).path
        return f"/{endpoint.removeprefix(urlsplit(self._base).path).strip('/')}"

    @cached_property
    def extensions(self) -> tuple[str, ...]:
        """The schemas that every user has to have beside the core's."""
        return tuple(
            str(inner(each, "schema"))
            for each in self._extensions
            if inner(each, "required") is True
        )

    @property
    def of_users(self) -> tuple[str, ...]:
        """The core's schema, and those that a user may have beside it."""
        return CORE, *(str(inner(each, "schema")) for each in self._extensions)

    @property
    def _extensions(self) -> list[Json]:
        listed = member(self._user_type, "schemaExtensions")
        return listed if isinstance(listed, list) else []


def _resources(found: Json) -> Iterator[Json]:
    """What a list holds: as RFC 7644 §3.4.2 has it, as a bare list, or as the one thing itself."""
    if isinstance(found, dict):
        listed = member(found, "Resources")
        found = listed if isinstance(listed, list) else [found]
    yield from found or ()


def _mark(resource: Json) -> str:
    """What a resource is told from others by."""
    return (
        str(member(resource, "id") or member(resource, "name"))
        if isinstance(resource, dict)
        else repr(resource)
    )


def _number(found: Json) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) else None

"""Users read from a server: one by one, by what they hold, and all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec

from connector.directories.scim import filters
from connector.directories.scim.answers import (
    GONE,
    failure,
    good,
    id_of,
    lacking,
    listing,
    resource,
    said,
)
from connector.directories.scim.filters import Filter
from connector.directories.scim.paging import Pager, Params
from connector.directories.scim.paths import Path, Resource, key_of, member
from connector.directories.scim.protocol import Answer, Request, Transport
from connector.directories.scim.view import ACTIVE
from connector.errors import MalformedError, TruncatedError

_ODD: Final = (400, 500)
"""How some servers answer to an id that is none of theirs."""
SAMPLE: Final = 25
SEARCHING: Final = "search for users (GET /Users?filter=…)"
OCTETS: Final = 8 << 20
"""So much of it is kept; of more, that which was read last: users are many, and those that
are written few."""


class Recollection:
    """What was last seen of users while they were read, so that writing need not read them again: up to a bound.

    It is good for one thing only: a write that says which version it is meant for
    (If-Match, RFC 7644 §3.14), since the server then refuses it where the user has changed
    in the meantime. Several threads may use it at once.
    """

    def __init__(self, octets: int = OCTETS) -> None:
        self._free = octets
        self._held: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def keep(self, found: Resource) -> None:
        id_, octets = id_of(found), msgspec.json.encode(found)
        with self._lock:
            self._drop(id_)
            self._held[id_] = octets
            self._free -= len(octets)
            while self._free < 0:
                self._drop(next(iter(self._held)))

    def take(self, id_: str) -> Resource | None:
        """The resource as it was last seen; it is forgotten with that."""
        with self._lock:
            octets = self._drop(id_)
        if octets is None:
            return None
        found: Resource = msgspec.json.decode(octets)
        return found

    def _drop(self, id_: str) -> bytes | None:
        octets = self._held.pop(id_, None)
        if octets is not None:
            self._free += len(octets)
        return octets


class Resources:
    """The resources at one endpoint that match the job's filter; others do not exist.

    `seen`: where what is read for plans is remembered, for writing. `shown`: how many the server has shown. `refusal`:
    its words, where it refuses filters. Raises the kinds of IncompleteRead.
    """

    def __init__(
        self,
        transport: Transport,
        endpoint: str,
        filter_: Filter,
        *,
        page_size: int,
        cursor: bool,
        seen: Recollection | None = None,
    ) -> None:
        self.transport = transport
        self.endpoint = endpoint
        self._filter = filter_
        self._page_size = page_size
        self._cursor = cursor
        self._within = 0
        self.seen = seen
        self.shown = 0
        self.refusal = ""

    def address(self, id_: str) -> str:
        """Where one resource is; `meta.location` is not to be trusted (measured)."""
        return f"{self.endpoint}/{quote(id_, safe='')}"

    def exists(self, found: Resource) -> bool:
        return self._filter.holds(found)

    def disables(self, found: Resource) -> bool:
        """Whether the job's filter leaves the resource out since it is not active (RFC 7643 §4.1.1)."""
        if member(found, ACTIVE) is not False or self.exists(found):
            return False
        return self._filter.holds({**found, key_of(found, ACTIVE): True})

    def _ask(self, params: Params) -> Answer:
        return self.transport.send(
            Request("GET", self.endpoint, params, repeatable=True)
        )

    def all(self) -> Iterator[Resource]:
        pager = Pager(self._ask, self._page_size)
        return self.existing(pager.by_cursor() if self._cursor else pager.by_index())

    def existing(self, found: Iterable[Resource]) -> Iterator[Resource]:
        for each in found:
            self.shown += 1
            if not self.exists(each):
                continue
            self._within += 1
            seen = self.seen  # others may let go of it meanwhile
            if seen is not None:
                seen.keep(each)
            yield each

    @property
    def all_outside(self) -> bool:
        """Whether the server has shown users, and the filter leaves every one of them out."""
        return bool(self.shown) and not self._within

    @cached_property
    def first(self) -> tuple[list[Resource], int | None]:
        """Some resources, whatever the job's filter says, and how many there are, if the server tells."""
        answer = self._ask((("startIndex", "1"), ("count", str(SAMPLE))))
        if not good(answer):
            answer = self._ask(())
        found = listing(answer)
        return [resource(answer, raw) for raw in found.resources[:SAMPLE]], found.total

    def get(
        self, id_: str, *, disabled: bool = False
    ) -> tuple[Resource, Answer] | None:
        """One resource by its id, as it is now; None where it is gone, or outside of the filter.

        `disabled`: also one that the filter leaves out since it is not active.
        """
        answer = self.transport.send(Request("GET", self.address(id_), repeatable=True))
        if answer.status in GONE:
            return None
        if not good(answer):
            if answer.status in _ODD and self._knows_nobody(id_):
                return None
            raise failure(answer, "a user, asked for by id,")
        found = resource(answer)
        if id_of(found) != id_:
            raise MalformedError(
                "another user was answered than was asked for by id", where=answer.where
            )
        return (
            (found, answer)
            if self.exists(found) or (disabled and self.disables(found))
            else None
        )

    def _knows_nobody(self, id_: str) -> bool:
        """Whether the server says by another way that it has no such id: none at all is like the id it knows."""
        known = next(iter(self.first[0]), None)
        if known is None:
            return True
        other = self.transport.send(
            Request("GET", self.address(id_of(known)), repeatable=True)
        )
        by_filter = self.matching(
            filters.equal(Path("id"), id_), lambda found: id_of(found) == id_
        )
        return good(other) and by_filter == []

    def matching(
        self, text: str, expects: Callable[[Resource], bool]
    ) -> list[Resource] | None:
        """Whom the server finds by a filter; None where it refuses to look, or finds others than it is to expect."""
        found: dict[str, Resource] = {}
        while True:
            start: Params = (("startIndex", str(len(found) + 1)),) if found else ()
            answer = self._ask((("filter", text), *start))
            if not good(answer):
                if found or answer.status == HTTPStatus.UNAUTHORIZED:
                    raise failure(answer, "a search for users", SEARCHING)
                # also 403: some let an account read, and not search (measured)
                self.refusal = said(answer) + lacking(answer, SEARCHING)
                return None
            page = listing(answer)
            users = [resource(answer, raw) for raw in page.resources]
            if not all(map(expects, users)):
                return None
            before = len(found)
            found.update((id_of(user), user) for user in users)
            if page.total is not None and len(found) >= page.total:
                return list(found.values())
            if len(found) == before:
                if (
                    page.total is None
                ):  # it does not say how many, so it is asked until it shows no more
                    return list(found.values())
                why = f"the server reports {page.total} users and shows {len(found)}"
                raise TruncatedError(why, where=answer.where)

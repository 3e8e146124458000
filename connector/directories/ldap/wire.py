"""Searches and comparisons on a bound connection, and groups of writes. Octets leave in `session.py`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from connector.directories.common.ldap_filters import Or, attributes_of
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.dialect import AccessRight, RightsAdvice, SearchTraits
from connector.directories.ldap.requests import (
    PAGED,
    Search,
    SearchScope,
    encode_search,
    paging_control,
)
from connector.directories.ldap.responses import (
    DENIED,
    DONE,
    ENTRY,
    INVALID_DN_SYNTAX,
    NO_SUCH_OBJECT,
    PAGES_REFUSED,
    REFERENCE,
    SIZE_LIMIT_EXCEEDED,
    SUCCESS,
    UNSEEN,
    Response,
    ResultEntry,
    decode_entry,
    decode_page,
    decode_reference,
    decode_response,
    referral_error,
    search_failure,
)
from connector.directories.ldap.session import (
    MORE,
    Operation,
    OperationGroup,
    Session,
)
from connector.errors import (
    IncompleteRead,
    MalformedError,
    TruncatedError,
    UnreachableError,
)
from connector.model.dn import Rdn, split_rdns
from connector.net import counters
from connector.runtime.log import log

T = TypeVar("T")
Decode = Callable[[Frame], T]

_LEAST_PAGE = 8
"""Entries: a size limit that allows no more than these is told, for pages as small would
take for ever."""
_EMPTY_PAGES = 1000
"""So many pages without an entry, one after the other, are a pager that stands still."""


class Wire(Session):
    """The operations of a session."""

    cautions: tuple[str, ...] = ()
    """What the server said at the bind, and somebody should see to."""
    most: int | None = None
    """Entries a page, where the server's size limit has cut a larger one short."""
    unpeopled: frozenset[tuple[Rdn, ...]] = frozenset()
    """Parts of the tree, by their names, in which nobody is looked for: a search goes on where the server refers
    to them. A reference to anything else is an incomplete read."""
    traits: SearchTraits = SearchTraits()
    rights: RightsAdvice = RightsAdvice()
    """What to do where this account lacks a right."""
    _last_paged: Search | None = None

    def search_whole(self, request: Search) -> list[ResultEntry]:
        """A search with a small answer, whole."""
        return list(self.search_many([request], 1, decode_entry))

    def search_visible(self, request: Search) -> list[ResultEntry]:
        """The same of what may be hidden; nothing where it is. Raises UnreachableError, MalformedError."""
        try:
            return self.search_whole(request)
        except (UnreachableError, MalformedError):
            raise
        except IncompleteRead:
            return []

    def search_many(
        self,
        wanted: Iterable[Search],
        window: int,
        decode: Decode[T],
        *,
        or_gone: bool = False,
        pages: int = 0,
    ) -> Iterator[T]:
        """The entries of many searches, so many in flight, in any order, as `decode` has them.

        `or_gone`: the one entry that a search of scope base is about may be gone; else that is an error. `pages`: what
        a size limit cuts short is asked for again in pages of so many, and some of its
        entries come twice; 0: it is an error.
        """
        operations = (Operation(each, encode_search(each)) for each in wanted)
        for search, frame in self.exchange_messages(operations, window):
            if frame.tag == ENTRY:
                yield self.decode_located(decode, frame)
            elif frame.tag == REFERENCE:
                self._judge_reference(search, frame)
            elif pages and self._end_code(frame) == SIZE_LIMIT_EXCEEDED:
                yield from self.search_paged(search, pages, decode)
            else:
                may_be_gone = or_gone and search.scope is SearchScope.BASE
                self._finish_search(search, frame, or_gone=may_be_gone)

    def search_paged(
        self,
        search: Search,
        size: int,
        decode: Decode[T],
    ) -> Generator[T]:
        """The entries of one search, in pages (RFC 2696), as `decode` has them.

        `size` 0: in one answer, which the server's size limit may cut short. So too where a server lists the control
        and refuses it, as some databases do behind another server.
        """
        size = size if self.most is None else min(size, self.most)
        if not size:
            yield from self.search_many([search], 1, decode)
            return
        if self.traits.spoils_next_page:
            self._begin_anew(search)
        flight: OperationGroup[None] = OperationGroup(self)
        try:
            yield from self._in_pages(search, size, decode, flight)
        finally:
            # given up, a page may be at work when the next search begins
            with contextlib.suppress(IncompleteRead):
                while self.traits.spoils_next_page and flight:
                    flight.receive_messages()
            flight.close()

    def _in_pages(
        self,
        search: Search,
        size: int,
        decode: Decode[T],
        flight: OperationGroup[None],
    ) -> Generator[T]:
        """The next page is asked for before one is decoded.

        No page may come twice: it is told by its first and its last entry. Nor may pages be empty again and again. A
        cookie tells nothing: 389-DS sends the same one behind every page.
        """
        size, frames = self._take_first_page(search, size, flight)
        if not size:
            yield from self.search_many([search], 1, decode)
            return
        seen: set[int] = set()
        first = last = b""
        empty = 0
        while frames:
            entries, cookie = self._open_page(search, frames)
            if entries:
                first = first or entries[0].content
                last = entries[-1].content
            if cookie:
                mark = hash((first, last))
                empty = 0 if first else empty + 1
                if mark in seen or empty == _EMPTY_PAGES:
                    why = "the server's pager stands still"
                    raise TruncatedError(why, where=self.where)
                if first:
                    seen.add(mark)
                first = last = b""
                self._ask_page(search, size, flight, cookie)
                self.flush_requests()  # so that the server works while we decode
            try:
                yield from map(decode, entries)
            except MalformedError as fault:
                raise self.break_off(fault.what) from None
            del frames, entries  # not held while the next page comes
            frames = [] if cookie == b"" else self._receive_page(flight, size)

    def _ask_page(
        self,
        search: Search,
        size: int,
        flight: OperationGroup[None],
        cookie: bytes = b"",
    ) -> None:
        controls = (paging_control(size, cookie),)
        flight.send_operation(Operation(None, encode_search(search), controls))

    def _receive_page(self, flight: OperationGroup[None], size: int) -> list[Frame]:
        """A page up to its end, or a part of one that is longer than was asked for."""
        frames: list[Frame] = []
        while not frames or (frames[-1].tag in MORE and len(frames) <= size):
            frames += [frame for _, frame in flight.receive_messages()]
        return frames

    def _take_first_page(
        self,
        search: Search,
        size: int,
        flight: OperationGroup[None],
    ) -> tuple[int, list[Frame]]:
        """How many entries a page may have, and the first page, asked for again as long as it was cut short.

        0 entries: the server refuses pages.
        """
        while True:
            self._ask_page(search, size, flight)
            frames = self._receive_page(flight, size)
            code = self._end_code(frames[-1])
            came = len(frames) - 1
            if came == 0 and code in PAGES_REFUSED:
                why = "the server lists paging and refuses it"
                log.warning("not paged", why=why, url=self.where)
                return 0, frames
            # 389-DS wants fewer than its limit
            fewer = min(came - 1, size - 1) if came > 1 else size // 2
            if code != SIZE_LIMIT_EXCEEDED or fewer < _LEAST_PAGE:
                return size, frames
            about = {"page_size": size, "entries": fewer, "url": self.where}
            log.warning("page made smaller", why="the server's size limit", **about)
            self.most = size = fewer

    def _open_page(
        self, search: Search, frames: list[Frame]
    ) -> tuple[list[Frame], bytes | None]:
        """The entries of a page and the cookie behind it: empty where no page follows, None where more of it does."""
        is_whole = frames[-1].tag not in MORE
        end = self._finish_search(search, frames[-1]) if is_whole else None
        for frame in frames:
            if frame.tag == REFERENCE:
                self._judge_reference(search, frame)
        entries = [frame for frame in frames if frame.tag == ENTRY]
        if end is None:
            return entries, None
        value = end.controls.get(PAGED)
        if value is None:  # a server without the control has sent all there is
            return entries, b""
        return entries, self.decode_located(decode_page, value)[1]

    def _begin_anew(self, search: Search) -> None:
        """Bring an earlier paged search to its end: one that matches nothing runs through whatever that one left."""
        if self._last_paged is not None:
            nobody = replace(self._last_paged, filter=Or(()))
            self._exchange_one(encode_search(nobody), paging_control(1))
        self._last_paged = search

    def count_entries(self, search: Search, most: int) -> tuple[int, bool]:
        """How many entries a search shows, up to so many or the server's own limit, and whether there are more."""
        frames = self._exchange_one(encode_search(search, most))
        is_cut = self._end_code(frames[-1]) == SIZE_LIMIT_EXCEEDED
        return sum(frame.tag == ENTRY for frame in frames), is_cut

    def find_entries(
        self,
        wanted: Iterable[tuple[T, Search]],
        window: int,
        controls: tuple[bytes, ...] = (),
    ) -> Iterator[tuple[T, ResultEntry]]:
        """What many searches show, so many in flight, in any order. What they do not show is not known."""
        operations = (
            Operation(about, encode_search(each), controls) for about, each in wanted
        )
        for about, frame in self.exchange_messages(operations, window):
            if frame.tag == ENTRY:
                yield about, self.decode_located(decode_entry, frame)

    def result_code(self, search: Search, control: bytes) -> int | None:
        """The result of one search under a control; None where what answers it is no result of a search."""
        return self._end_code(self._exchange_one(encode_search(search), control)[-1])

    def _exchange_one(self, request: bytes, *controls: bytes) -> list[Frame]:
        """The messages that answer one operation."""
        operation = Operation(None, request, controls)
        return [frame for _, frame in self.exchange_messages([operation], 1)]

    def exchange_results(
        self, wanted: Iterable[Operation[T]], window: int
    ) -> Iterator[tuple[T, Response]]:
        """The results of many operations that are no searches, so many in flight, in any order."""
        for about, frame in self.exchange_messages(wanted, window):
            yield about, self.decode_result(frame)

    def exchange_messages(
        self, wanted: Iterable[Operation[T]], window: int
    ) -> Iterator[tuple[T, Frame]]:
        """Every message that answers any of these operations, so many of which are in flight at once."""
        flight: OperationGroup[T] = OperationGroup(self)
        waiting = iter(wanted)
        came: list[tuple[T, Frame]] = []
        try:
            while True:
                for operation in islice(waiting, window - len(flight)):
                    flight.send_operation(operation)
                if not (flight or came):
                    return
                self.flush_requests()  # so that the server works while we decode
                yield from came
                came = flight.receive_messages() if flight else []
        finally:
            flight.close()

    def _judge_reference(self, search: Search, frame: Frame) -> None:
        """Pass over a reference to where nobody is looked for. Raises TruncatedError for any other."""
        uris = self.decode_located(decode_reference, frame)
        if not uris or any(part_of(uri) not in self.unpeopled for uri in uris):
            counters.count_error("directory")
            raise referral_error(uris, search.base, self.where)

    def _end_code(self, frame: Frame) -> int | None:
        """The result code at the end of a search; None: this is no end of one."""
        if frame.tag != DONE:
            return None
        return self.decode_located(decode_response, frame).code

    def _finish_search(
        self,
        search: Search,
        frame: Frame,
        *,
        or_gone: bool = False,
    ) -> Response:
        """The end of a search. Raises IncompleteRead unless all is well."""
        if frame.tag != DONE:
            raise self.break_off(
                f"a search is answered by a message of kind {frame.tag:#04x}"
            )
        end = self.decode_located(decode_response, frame)
        is_gone = end.code in (NO_SUCH_OBJECT, INVALID_DN_SYNTAX)
        if end.code == SUCCESS or (or_gone and is_gone):
            return end
        if end.code not in UNSEEN:
            counters.count_error("directory")
        sought = sorted(attributes_of(search.filter))
        advice = self.traits.limit_advice.get(end.code, "")
        if end.code == DENIED:
            what = f"search and read {', '.join(sought) or 'entries'} there"
            rights = replace(self.rights, bases=(search.base,))
            told = rights.advise_grant(what, sought, AccessRight.READ)
            advice = told[0].lower() + told[1:]
        raise search_failure(end, search.base, self.where, sought, advice)


def part_of(uri: str) -> tuple[Rdn, ...] | None:
    """The part of the tree that an LDAP URL names (RFC 4516), ready to compare; None where it names none."""
    try:
        return split_rdns(unquote(urlsplit(uri).path.removeprefix("/"))) or None
    except ValueError:
        return None

"""Search, modify and compare on a bound connection: the only place where LDAP operations meet the network.

Operations are told apart by their message ids, so several may be under way at once, one inside another's loop. Each
group of them has an inbox, and whoever waits for one fills the others as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from msgspec import Struct

from connector.directories.ldap import requests, results
from connector.directories.ldap.requests import Scope, Search
from connector.directories.ldap.responses import (
    DONE,
    ENTRY,
    EXTENDED,
    REFERENCE,
    Entry,
    Frame,
    Framer,
    Response,
    entry,
    page,
    reference,
    response,
)
from connector.directories.ldap.stream import Stream
from connector.errors import IncompleteRead, MalformedError, TruncatedError, UnreachableError

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")

NOTICE_OF_DISCONNECTION: Final = "1.3.6.1.4.1.1466.20036"  # RFC 4511 §4.4.1
_EMPTY_PAGES: Final = 1000
"""So many pages without an entry, one after the other, are a pager that stands still."""
_MOST_IDS: Final = (1 << 31) - 1
_SEARCH_ANSWERS: Final = frozenset({ENTRY, REFERENCE, DONE})


class Operation(Struct, Generic[T], frozen=True):
    """A request, its controls, and what it is about."""

    about: T
    request: bytes
    controls: tuple[bytes, ...] = ()


class Flight(Generic[T]):
    """A group of operations in flight, whose answers come in any order."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._flying: dict[int, T] = {}
        self.inbox: list[Frame] = []

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def flying(self) -> list[T]:
        """What is still unanswered."""
        return list(self._flying.values())

    def send(self, operation: Operation[T]) -> None:
        """Send it, with the next `receive` of anybody."""
        number = self._wire.submit(operation.request, operation.controls, self.inbox)
        self._flying[number] = operation.about

    def receive(self) -> list[tuple[T, Frame]]:
        """Wait for messages. Raises IncompleteRead when none can come any more."""
        about = self._flying.copy()
        return [(about[frame.id], frame) for frame in self.frames()]

    def responses(self) -> list[tuple[T, Response]]:
        """Wait for results. Where one of them is nonsense, all that came with it stay unanswered."""
        answers = [(frame.id, self._wire.response(frame)) for frame in self._wait()]
        return [(self._flying.pop(number), answer) for number, answer in answers]

    def frames(self) -> list[Frame]:
        """Wait for messages of whatever operation."""
        frames = self._wait()
        for frame in frames:
            if frame.tag not in (ENTRY, REFERENCE):
                del self._flying[frame.id]
        return frames

    def _wait(self) -> list[Frame]:
        while not self.inbox:
            self._wire.pump()
        frames = self.inbox.copy()
        self.inbox.clear()
        return frames

    def close(self) -> None:
        """Give up what is still in flight."""
        for number in self._flying:
            self._wire.forget(number)
        self._flying.clear()


class Wire:
    """A bound connection. `first_id` is the first message id that nobody has used on it."""

    def __init__(self, connected: socket.socket, where: str, timeout: float, first_id: int = 1) -> None:
        self.where = where
        self._stream = Stream(connected, where, timeout)
        self._framer = Framer()
        self._next = first_id
        self._inboxes: dict[int, list[Frame] | None] = {}
        self._fault: IncompleteRead | None = None

    # ------------------------------------------------------------ operations

    def search(self, request: Search) -> list[Entry]:
        """A search with a small answer, whole."""
        return list(self.searches([request], 1))

    def searches(self, wanted: Iterable[Search], window: int, *, or_gone: bool = False) -> Iterator[Entry]:
        """The entries of many searches, so many in flight, in any order.

        `or_gone`: the one entry that a search of scope base is about may be gone; else that is an error.
        """
        operations = (Operation(search, requests.search(search)) for search in wanted)
        for search, frame in self.exchange(operations, window):
            if frame.tag == ENTRY:
                yield self._located(entry, frame)
            else:
                self._finish(search, frame, or_gone=or_gone and search.scope is Scope.BASE)

    def paged(self, search: Search, size: int) -> Iterator[Entry]:
        """The entries of one search, in pages (RFC 2696). The next page is asked for before one is decoded."""
        request = requests.search(search)
        flight: Flight[None] = Flight(self)
        flight.send(Operation(None, request, (requests.paged(size),)))
        cookie, empty = b"", 0
        try:
            while flight:
                frames = self._page(flight, size)
                following = b""
                if frames[-1].tag == DONE:
                    _, following = self._cookie(self._finish(search, frames.pop()))
                empty = 0 if frames else empty + 1
                if following and ((not frames and following == cookie) or empty == _EMPTY_PAGES):
                    raise TruncatedError("the server's pager stands still", where=self.where)
                if following:
                    flight.send(Operation(None, request, (requests.paged(size, following),)))
                    self._stream.flush()  # so that the server works while we decode
                    cookie = following
                for frame in frames:
                    if frame.tag == ENTRY:
                        yield self._located(entry, frame)
                    else:
                        self._finish(search, frame)
        finally:
            flight.close()

    def _page(self, flight: Flight[None], size: int) -> list[Frame]:
        """A page up to its end, or a part of one that is longer than was asked for."""
        inbox = flight.inbox
        while not inbox or (inbox[-1].tag != DONE and len(inbox) <= size):
            self.pump()
        return flight.frames()

    def estimate(self, search: Search) -> int | None:
        """How many entries the server believes a search has (RFC 2696 §3), where it says so."""
        request = requests.search(search)
        ends = [
            self._finish(search, frame)
            for _, frame in self.exchange([Operation(None, request, (requests.paged(1),))], 1)
            if frame.tag == DONE
        ]
        count, cookie = self._cookie(ends[0])
        if cookie:
            give_up = Operation(None, request, (requests.paged(0, cookie),))
            list(self.exchange([give_up], 1))
        return count or None

    def answers(self, wanted: Iterable[Operation[T]], window: int) -> Iterator[tuple[T, Response]]:
        """The results of many operations that are no searches, so many in flight, in any order."""
        for about, frame in self.exchange(wanted, window):
            yield about, self.response(frame)

    def exchange(self, wanted: Iterable[Operation[T]], window: int) -> Iterator[tuple[T, Frame]]:
        """Every message that answers any of these operations, so many of which are in flight at once."""
        flight: Flight[T] = Flight(self)
        waiting = iter(wanted)
        try:
            while True:
                while len(flight) < window and (operation := next(waiting, None)) is not None:
                    flight.send(operation)
                if not flight:
                    return
                yield from flight.receive()
        finally:
            flight.close()

    def response(self, frame: Frame) -> Response:
        """The result of an operation that is no search."""
        if frame.tag in _SEARCH_ANSWERS:
            raise self._broken("a search's answer to something that is no search")
        return self._located(response, frame)

    def close(self) -> None:
        """End the session. Never raises."""
        self._stream.close(requests.unbind(self._next))

    # ------------------------------------------------------------ messages

    def submit(self, request: bytes, controls: Iterable[bytes], inbox: list[Frame]) -> int:
        """Queue a request, whose answers will be put into the inbox; its message id."""
        number = self._number()
        self._inboxes[number] = inbox
        self._stream.queue(requests.message(number, request, controls))
        return number

    def forget(self, number: int) -> None:
        """Abandon an operation; what still comes of it is dropped."""
        if self._inboxes.get(number) is not None:
            self._inboxes[number] = None
            self._stream.queue(requests.abandon(self._number(), number))

    def _number(self) -> int:
        number = self._next
        self._next = number + 1 if number < _MOST_IDS else 1
        return number

    def pump(self) -> None:
        """Send what is queued, wait for messages, and put them where they belong.

        Raises IncompleteRead where none can come any more; what came before that has been put in its place.
        """
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._framer.feed(self._stream.receive())
        except MalformedError as fault:
            raise self._broken(fault.what) from None
        inboxes = self._inboxes
        for frame in frames:
            if frame.id not in inboxes:
                self._fault = self._unsolicited(frame)
                if self._fault is not None:
                    break
                continue
            inbox = inboxes[frame.id]
            if inbox is not None:
                inbox.append(frame)
            if frame.tag not in (ENTRY, REFERENCE):
                del inboxes[frame.id]

    def _unsolicited(self, frame: Frame) -> IncompleteRead | None:
        """A message that answers nothing: the server's farewell, a notice that we do not know, or nonsense."""
        if frame.id or frame.tag != EXTENDED:
            return self._broken(f"an answer to message {frame.id}, which asked nothing")
        notice = self._located(response, frame)
        if notice.name != NOTICE_OF_DISCONNECTION:
            return None
        self._stream.close()
        said = f"{results.name(notice.code)}{results.diagnostic(notice)}"
        return UnreachableError(f"the server has ended the connection: {said}", where=self.where)

    def _finish(self, search: Search, frame: Frame, *, or_gone: bool = False) -> Response:
        """The end of a search, or a reference in the midst of it. Raises IncompleteRead unless all is well."""
        if frame.tag == REFERENCE:
            raise results.referral(self._located(reference, frame).uris, search.base, self.where)
        if frame.tag != DONE:
            raise self._broken(f"a search is answered by a message of kind {frame.tag:#04x}")
        end = self._located(response, frame)
        if or_gone and end.code in (results.NO_SUCH_OBJECT, results.INVALID_DN_SYNTAX):
            return end
        fault = results.failure(end, search.base, self.where)
        if fault is not None:
            raise fault
        return end

    def _cookie(self, end: Response) -> tuple[int, bytes]:
        """Estimate and cookie at the end of a page; a server without either has sent all there is."""
        value = end.controls.get(requests.PAGED)
        return (0, b"") if value is None else self._located(page, value)

    def _located(self, decode: Callable[[S], R], octets: S) -> R:
        """Decode; what cannot be decoded is an error of this server's."""
        try:
            return decode(octets)
        except MalformedError as fault:
            raise self._broken(fault.what) from None

    def _broken(self, what: str) -> MalformedError:
        """After nonsense nothing that follows can be trusted."""
        self._stream.close()
        return MalformedError(what, where=self.where)

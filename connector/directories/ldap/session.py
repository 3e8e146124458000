"""Messages to and from one server: requests with their ids, and answers into the inboxes that wait for them.

Several operations may be under way at once, one inside another's loop: each group of them
has an inbox, and whoever waits for one fills the others as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from msgspec import Struct

from connector.directories.ldap import requests, results
from connector.directories.ldap.framing import Frame, Framer
from connector.directories.ldap.responses import (
    DONE,
    ENTRY,
    EXTENDED,
    REFERENCE,
    Response,
    response,
)
from connector.directories.ldap.stream import Stream
from connector.errors import IncompleteRead, MalformedError, UnreachableError
from connector.net import counters

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")

NOTICE_OF_DISCONNECTION: Final = "1.3.6.1.4.1.1466.20036"  # RFC 4511 §4.4.1
_MOST_IDS: Final = (1 << 31) - 1
_SEARCH_ANSWERS: Final = frozenset({ENTRY, REFERENCE, DONE})


class Operation(Struct, Generic[T], frozen=True, gc=False):
    """A request, its controls, and what it is about."""

    about: T
    request: bytes
    controls: tuple[bytes, ...] = ()


class Flight(Generic[T]):
    """A group of operations in flight, whose answers come in any order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._flying: dict[int, T] = {}
        self.inbox: list[Frame] = []

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def flying(self) -> list[T]:
        return list(self._flying.values())

    def send(self, operation: Operation[T]) -> None:
        """Send it, with the next `receive` of anybody."""
        number = self._session.submit(operation.request, operation.controls, self.inbox)
        self._flying[number] = operation.about

    def receive(self) -> list[tuple[T, Frame]]:
        """Wait for messages. Raises IncompleteRead when none can come any more."""
        about = self._flying.copy()
        return [
            (about[frame.id], frame)
            for alike in self.frames()
            for frame in alike.each()
        ]

    def responses(self) -> list[tuple[T, Response]]:
        """Wait for results. Where one of them is nonsense, all that came with it stay unanswered."""
        answers = [(frame.id, self._session.response(frame)) for frame in self._wait()]
        return [(self._flying.pop(number), answer) for number, answer in answers]

    def frames(self) -> list[Frame]:
        """Wait for messages; entries that are alike are one frame."""
        frames = self._wait()
        for frame in frames:
            if frame.tag not in (ENTRY, REFERENCE):
                del self._flying[frame.id]
        return frames

    def _wait(self) -> list[Frame]:
        while not self.inbox:
            self._session.pump()
        frames = self.inbox.copy()
        self.inbox.clear()
        return frames

    def close(self) -> None:
        for number in self._flying:
            self._session.forget(number)
        self._flying.clear()


class Session:
    """A connection. `first_id` is the first message id that nobody has used on it."""

    def __init__(
        self, connected: socket.socket, where: str, timeout: float, first_id: int = 1
    ) -> None:
        self.where = where
        self._stream = Stream(connected, where, timeout)
        self._framer = Framer(gathered=ENTRY)
        self._next = first_id
        self._inboxes: dict[int, list[Frame] | None] = {}
        self._fault: IncompleteRead | None = None

    def flush(self) -> None:
        """Send what has been submitted, as far as that is possible at once."""
        self._stream.flush()

    def submit(
        self, request: bytes, controls: Iterable[bytes], inbox: list[Frame]
    ) -> int:
        """Queue a request, whose answers will be put into the inbox; its message id."""
        counters.asked("directory")
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

        Raises IncompleteRead where none can come any more; what came before that has been
        put in its place.
        """
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._framer.feed(self._stream.receive())
        except MalformedError as fault:
            raise self.broken(fault.what) from None
        except UnreachableError:
            counters.failed("directory")
            raise
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
                self._stream.gets_on()
                del inboxes[frame.id]

    def _unsolicited(self, frame: Frame) -> IncompleteRead | None:
        """A message that answers nothing: the server's farewell, a notice that we do not know, or nonsense."""
        if frame.id or frame.tag != EXTENDED:
            return self.broken(f"an answer to message {frame.id}, which was never sent")
        notice = self.located(response, frame)
        if notice.name != NOTICE_OF_DISCONNECTION:
            return None
        self._stream.close()
        said = f"{results.name(notice.code)}{results.diagnostic(notice)}"
        return UnreachableError(
            f"the server has ended the connection: {said}", where=self.where
        )

    def response(self, frame: Frame) -> Response:
        if frame.tag in _SEARCH_ANSWERS:
            raise self.broken("a search's answer to something that is no search")
        result = self.located(response, frame)
        if result.code not in results.ANSWERS:
            counters.failed("directory")
        return result

    def located(self, decode: Callable[[S], R], octets: S) -> R:
        """Decode; what cannot be decoded is an error of this server's."""
        try:
            return decode(octets)
        except MalformedError as fault:
            raise self.broken(fault.what) from None

    def broken(self, what: str) -> MalformedError:
        """After nonsense nothing that follows can be trusted."""
        counters.failed("directory")
        self._stream.close()
        self._fault = fault = MalformedError(what, where=self.where)
        return fault

    def close(self) -> None:
        """End the session. Never raises."""
        self._stream.close(requests.unbind(self._next))

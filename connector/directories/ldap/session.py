"""Messages to and from one server: requests with their ids, and answers into the inboxes that wait for them.

Several operations may be under way at once, one inside another's loop: each group of them
has an inbox, and whoever waits for one fills the others as well.

Below that, the socket never blocks: both sides may have full buffers, and nobody waits for
ever. One wait is bounded by the timeout. All waits together are bounded by ten of these,
from one sign of getting on to the next: the end of an operation, or so many octets that a
large search may well go on.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.requests import (
    encode_abandon,
    encode_message,
    encode_unbind,
)
from connector.directories.ldap.responses import (
    ANSWERS,
    DONE,
    ENTRY,
    EXTENDED,
    REFERENCE,
    Response,
    decode_response,
    name_result,
    show_diagnostic,
)
from connector.errors import IncompleteRead, MalformedError, UnreachableError
from connector.net import counters
from connector.net.time_limit import TIMEOUTS

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")

NOTICE_OF_DISCONNECTION = "1.3.6.1.4.1.1466.20036"  # RFC 4511 §4.4.1
_MOST_IDS = (1 << 31) - 1
MORE = (ENTRY, REFERENCE)
"""Messages that are not the last of an operation."""
_SEARCH_ANSWERS = (*MORE, DONE)

RECEIVE = 64 << 10
"""Octets asked for at once. Asking for more costs more than it saves: the buffer is allocated
for each receive, and from 128 KiB on by a system call of its own (measured: 14 us instead
of 2, when a few entries have come)."""
SEND = 64 << 10
WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that never blocks raises where it cannot go on at once."""
DECENT = 64 << 10
"""Octets in ten timeouts that a search goes on by; an entry has a few hundred."""


class OctetStream:
    """Queue what is to be sent; `receive` sends it while it waits for what comes.

    `where` names the server in errors.
    """

    def __init__(
        self,
        connected: socket.socket,
        where: str,
        timeout: float,
    ) -> None:
        self.where = where
        self._socket = connected
        self._socket.setblocking(False)
        self._timeout = timeout
        self._has_records = isinstance(connected, ssl.SSLSocket)
        """Whether each record of TLS comes by itself; a server may send small ones."""
        self._waited = 0.0
        self._came = 0
        self._outgoing = bytearray()
        self._fault: str | None = None
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)

    def queue_octets(self, data: bytes) -> None:
        """Send this with the next `receive`, or `flush`."""
        self._outgoing += data

    def receive_octets(self) -> bytes:
        """What has come, at least one octet. Raises UnreachableError when nothing comes or goes within the timeout."""
        while True:
            self.flush_queue()
            data = self._take_octets()
            if data:
                self._came += len(data)
                if self._came >= DECENT:
                    self.note_progress()
                return data
            if self._fault is not None:
                raise UnreachableError(self._fault, where=self.where)
            self._wait_for_socket()

    def note_progress(self) -> None:
        """The server has done something that was asked of it."""
        self._waited, self._came = 0.0, 0

    def close(self, farewell: bytes = b"") -> None:
        """Send a last message if that is possible at once, and close. Never raises."""
        with contextlib.suppress(OSError, ValueError):
            if self._fault is None:
                self._outgoing += farewell
                self.flush_queue()
        self._fault = self._fault or "the connection has been closed"
        self._socket.close()

    def flush_queue(self) -> None:
        """Send what is queued, as far as that is possible at once."""
        try:
            while self._outgoing and self._fault is None:
                sent = self._socket.send(self._outgoing[:SEND])
                del self._outgoing[:sent]
        except WAIT:
            return
        except OSError as fault:
            # not raised yet: the server may have sent why it hung up
            self._fault = _describe_cut(fault)

    def _take_octets(self) -> bytes:
        """What is there already. A fault is raised once nothing is: the server may have sent why it hung up."""
        pieces: list[bytes] = []
        size = 0
        try:
            while size < RECEIVE:
                data = self._socket.recv(RECEIVE)
                if not data:
                    self._fault = self._fault or "the server has closed the connection"
                    break
                pieces.append(data)
                size += len(data)
                if not self._has_records:
                    break
        except WAIT:
            pass
        except OSError as fault:
            self._fault = self._fault or _describe_cut(fault)
        return b"".join(pieces)

    def _wait_for_socket(self) -> None:
        events = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        self._poll.modify(self._socket, events)
        allowed = TIMEOUTS * self._timeout
        start = time.monotonic()
        came = self._poll.poll(min(self._timeout, allowed - self._waited) * 1000)
        self._waited += time.monotonic() - start
        if self._waited >= allowed:
            self._fault = f"no operation ended within {allowed:g} seconds ({TIMEOUTS} times directory.timeout)"
        elif not came:
            self._fault = f"no answer for {self._timeout:g} seconds"


def _describe_cut(fault: OSError) -> str:
    """What happened; a fault of TLS may have no name in this Python."""
    why = fault.strerror or type(fault).__name__
    if isinstance(fault, ssl.SSLError):
        why = fault.reason or "TLS ended without notice"
    return f"the connection was cut: {why}"


class Operation(Struct, Generic[T], frozen=True, gc=False):
    """A request, its controls, and what it is about."""

    about: T
    request: bytes
    controls: tuple[bytes, ...] = ()


class OperationGroup(Generic[T]):
    """A group of operations in flight, whose answers come in any order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._flying: dict[int, T] = {}
        self.inbox: list[Frame] = []

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def list_unanswered(self) -> list[T]:
        return list(self._flying.values())

    def send_operation(self, operation: Operation[T]) -> None:
        """Send it, with the next `receive` of anybody."""
        number = self._session.submit_request(
            operation.request, operation.controls, self.inbox
        )
        self._flying[number] = operation.about

    def receive_messages(self) -> list[tuple[T, Frame]]:
        """Wait for messages. Raises IncompleteRead when none can come any more."""
        frames = self._wait_for_frames()
        found = [(self._flying[frame.id], frame) for frame in frames]
        for frame in frames:
            if frame.tag not in MORE:
                del self._flying[frame.id]
        return found

    def receive_results(self) -> list[tuple[T, Response]]:
        """Wait for results. Where one of them is nonsense, all that came with it stay unanswered."""
        answers = [
            (frame.id, self._session.decode_result(frame))
            for frame in self._wait_for_frames()
        ]
        return [(self._flying.pop(number), answer) for number, answer in answers]

    def _wait_for_frames(self) -> list[Frame]:
        while not self.inbox:
            self._session.pump_messages()
        frames = self.inbox.copy()
        self.inbox.clear()
        return frames

    def close(self) -> None:
        for number in self._flying:
            self._session.abandon_request(number)
        self._flying.clear()


class Session:
    """A connection. `first_id` is the first message id that nobody has used on it."""

    def __init__(
        self,
        connected: socket.socket,
        where: str,
        timeout: float,
        first_id: int = 1,
    ) -> None:
        self.where = where
        self._stream = OctetStream(connected, where, timeout)
        self._framer = MessageFramer()
        self._next = first_id
        self._inboxes: dict[int, list[Frame] | None] = {}
        self._fault: IncompleteRead | None = None

    def flush_requests(self) -> None:
        """Send what has been submitted, as far as that is possible at once."""
        self._stream.flush_queue()

    def submit_request(
        self,
        request: bytes,
        controls: Iterable[bytes],
        inbox: list[Frame],
    ) -> int:
        """Queue a request, whose answers will be put into the inbox; its message id."""
        counters.count_request("directory")
        number = self._next_number()
        self._inboxes[number] = inbox
        self._stream.queue_octets(encode_message(number, request, controls))
        return number

    def abandon_request(self, number: int) -> None:
        """Abandon an operation; what still comes of it is dropped."""
        if self._inboxes.get(number) is not None:
            self._inboxes[number] = None
            self._stream.queue_octets(encode_abandon(self._next_number(), number))

    def _next_number(self) -> int:
        number = self._next
        self._next = number + 1 if number < _MOST_IDS else 1
        return number

    def pump_messages(self) -> None:
        """Send what is queued, wait for messages, and put them where they belong.

        Raises IncompleteRead where none can come any more; what came before that has been
        put in its place.
        """
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._framer.feed_octets(self._stream.receive_octets())
        except MalformedError as fault:
            raise self.break_off(fault.what) from None
        except UnreachableError:
            counters.count_error("directory")
            raise
        inboxes = self._inboxes
        for frame in frames:
            if frame.id not in inboxes:
                self._fault = self._judge_unsolicited(frame)
                if self._fault is not None:
                    break
                continue
            inbox = inboxes[frame.id]
            if inbox is not None:
                inbox.append(frame)
            if frame.tag not in MORE:
                self._stream.note_progress()
                del inboxes[frame.id]

    def _judge_unsolicited(self, frame: Frame) -> IncompleteRead | None:
        """A message that answers nothing: the server's farewell, a notice that we do not know, or nonsense."""
        if frame.id or frame.tag != EXTENDED:
            return self.break_off(
                f"an answer to message {frame.id}, which was never sent"
            )
        notice = self.decode_located(decode_response, frame)
        if notice.name != NOTICE_OF_DISCONNECTION:
            return None
        self._stream.close()
        said = f"{name_result(notice.code)}{show_diagnostic(notice)}"
        return UnreachableError(
            f"the server has ended the connection: {said}", where=self.where
        )

    def decode_result(self, frame: Frame) -> Response:
        if frame.tag in _SEARCH_ANSWERS:
            raise self.break_off("a search's answer to something that is no search")
        result = self.decode_located(decode_response, frame)
        if result.code not in ANSWERS:
            counters.count_error("directory")
        return result

    def decode_located(self, decode: Callable[[S], R], octets: S) -> R:
        """Decode; what cannot be decoded is an error of this server's."""
        try:
            return decode(octets)
        except MalformedError as fault:
            raise self.break_off(fault.what) from None

    def break_off(self, what: str) -> MalformedError:
        """After nonsense nothing that follows can be trusted."""
        counters.count_error("directory")
        self._stream.close()
        self._fault = fault = MalformedError(what, where=self.where)
        return fault

    def close(self) -> None:
        """End the session. Never raises."""
        self._stream.close(encode_unbind(self._next))

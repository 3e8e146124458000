"""A connected socket as a stream that never blocks: both sides may have full buffers, and nobody waits for ever.

One wait is bounded by the timeout. All waits together are bounded by ten of these, from one
sign of getting on to the next: the end of an operation, or so many octets that a large
search may well go on.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import Final

from connector.errors import UnreachableError
from connector.net.time_limit import TIMEOUTS

RECEIVE: Final = 64 << 10
"""Octets asked for at once. Asking for more costs more than it saves: the buffer is allocated
for each receive, and from 128 KiB on by a system call of its own (measured: 14 us instead
of 2, when a few entries have come)."""
SEND: Final = 64 << 10
WAIT: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that never blocks raises where it cannot go on at once."""
DECENT: Final = 64 << 10
"""Octets in ten timeouts that a search goes on by; an entry has a few hundred."""


class Stream:
    """Queue what is to be sent; `receive` sends it while it waits for what comes.

    `where` names the server in errors.
    """

    def __init__(self, connected: socket.socket, where: str, timeout: float) -> None:
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

    def queue(self, data: bytes) -> None:
        """Send this with the next `receive`, or `flush`."""
        self._outgoing += data

    def receive(self) -> bytes:
        """What has come, at least one octet. Raises UnreachableError when nothing comes or goes within the timeout."""
        while True:
            before = len(self._outgoing)
            self.flush()
            data = self._take()
            if data:
                self._came += len(data)
                if self._came >= DECENT:
                    self.gets_on()
                return data
            if self._fault is not None:
                raise UnreachableError(self._fault, where=self.where)
            if len(self._outgoing) < before:
                continue
            self._wait()

    def gets_on(self) -> None:
        """The server has done something that was asked of it."""
        self._waited, self._came = 0.0, 0

    def close(self, farewell: bytes = b"") -> None:
        """Send a last message if that is possible at once, and close. Never raises."""
        with contextlib.suppress(OSError, ValueError):
            if self._fault is None:
                self._outgoing += farewell
                self.flush()
        self._fault = self._fault or "the connection has been closed"
        self._socket.close()

    def flush(self) -> None:
        """Send what is queued, as far as that is possible at once."""
        try:
            while self._outgoing and self._fault is None:
                sent = self._socket.send(self._outgoing[:SEND])
                del self._outgoing[:sent]
        except WAIT:
            return
        except OSError as fault:
            # not raised yet: the server may have sent why it hung up
            self._fault = _cut(fault)

    def _take(self) -> bytes:
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
            self._fault = self._fault or _cut(fault)
        return b"".join(pieces)

    def _wait(self) -> None:
        self._poll.modify(
            self._socket, select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        )
        allowed = TIMEOUTS * self._timeout
        start = time.monotonic()
        came = self._poll.poll(min(self._timeout, allowed - self._waited) * 1000)
        self._waited += time.monotonic() - start
        if self._waited >= allowed:
            self._fault = f"no operation ended within {allowed:g} seconds ({TIMEOUTS} times directory.timeout)"
        elif not came:
            self._fault = f"no answer for {self._timeout:g} seconds"
        else:
            return
        raise UnreachableError(self._fault, where=self.where)


def _cut(fault: OSError) -> str:
    """What happened. Only errors of `ssl` have a `reason`; it is empty where this Python has no name for it."""
    in_tls = getattr(fault, "reason", fault)
    why = (
        fault.strerror or type(fault).__name__
        if in_tls is fault
        else in_tls or "TLS ended without notice"
    )
    return f"the connection was cut: {why}"

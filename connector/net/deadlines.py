"""One bound for a whole exchange: a connection on which it has not ended by then is shut down, whoever waits on it.

Time-outs of sockets are for a single wait: a server that sends an octet now and then would be waited for without end.
One thread watches all that is under way in the process. It is woken as seldom as can be: an exchange that ends in time,
as nearly all do, costs a look at the clock and an entry in a table.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from typing import Final, Self

TIMEOUTS: Final = 10
"""So many time-outs of a single wait are the bound of an exchange as a whole."""


class Line:
    """A connected socket, to be shut down by another thread; it stays that connection while TLS is put around it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connected: socket.socket | None = None

    def hold(self, connected: socket.socket) -> None:
        again = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            before, self._connected = self._connected, again
        if before is not None:
            before.close()

    def cut(self) -> None:
        """End the connection, so that whoever waits on it hears so at once."""
        with self._lock, contextlib.suppress(OSError):
            if self._connected is not None:
                self._connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            if self._connected is not None:
                self._connected.close()
                self._connected = None


class Bound:
    """Seconds that an exchange on a line may take, from when it is entered; `passed` says that it took longer."""

    def __init__(self, line: Line, seconds: float) -> None:
        self._line = line
        self._seconds = seconds
        self._due = math.inf

    def __enter__(self) -> Self:
        self._due = time.monotonic() + self._seconds
        _watching.add(self, self._due)
        return self

    def __exit__(self, *_: object) -> None:
        _watching.drop(self)

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._due

    def hold(self, connected: socket.socket) -> None:
        """The line is this connection; it is ended at once where the time has passed before there was one."""
        self._line.hold(connected)
        if self.passed:
            self._line.cut()

    def cut(self) -> None:
        self._line.cut()


class _Watching:
    """The bounds that are under way, each with when it is due."""

    def __init__(self) -> None:
        self._due: dict[Bound, float] = {}
        self._changed = threading.Condition()
        self._next = math.inf
        self._thread: threading.Thread | None = None

    def add(self, bound: Bound, due: float) -> None:
        with self._changed:
            self._due[bound] = due
            if self._thread is None or not self._thread.is_alive():  # not in a process that was forked off meanwhile
                self._thread = threading.Thread(target=self._watch, name="overdue", daemon=True)
                self._thread.start()
            elif due < self._next:
                self._changed.notify()

    def drop(self, bound: Bound) -> None:
        with self._changed:
            self._due.pop(bound, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for bound in [bound for bound, due in self._due.items() if due <= now]:
                    del self._due[bound]
                    bound.cut()
                self._next = min(self._due.values(), default=math.inf)
                self._changed.wait(None if self._next == math.inf else self._next - now)


_watching: Final = _Watching()

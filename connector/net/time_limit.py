"""A limit of time for a whole exchange: when it has passed, the connection is shut down, whoever waits on it.

A socket's own timeout bounds a single wait. A server that sends an octet now and then would
be waited for without end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Final, Self

TIMEOUTS: Final = 10
"""The limit of a whole exchange, in timeouts of a single wait."""


class TimeLimit:
    """Seconds that an exchange may take; a context manager, entered again for each exchange on the connection."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadline = 0.0
        self._connected: socket.socket | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._deadline = time.monotonic() + self.seconds
        self._timer = threading.Timer(self.seconds, self._shut_down)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def has_passed(self) -> bool:
        """Whether the exchange has taken longer than it may."""
        return time.monotonic() >= self._deadline

    def watch_connection(self, connected: socket.socket) -> None:
        """Name the connection to shut down. It stays the same one while TLS is put around it."""
        with self._lock:
            self._release_connection()
            # TLS sockets have no dup
            self._connected = socket.socket(fileno=os.dup(connected.fileno()))
        if self.has_passed:
            self._shut_down()

    def close(self) -> None:
        """Let the connection go."""
        with self._lock:
            self._release_connection()

    def _release_connection(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _shut_down(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._connected is not None:
                self._connected.shutdown(socket.SHUT_RDWR)

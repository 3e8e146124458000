"""Messages to a syslog receiver (RFC 5424): UDP (RFC 5426), TCP (RFC 6587 §3.4.1), TLS (RFC 5425), a local socket.

The message is ASCII, so that it needs no byte order mark (RFC 5424 §6.4); structured data would need an enterprise
number of its owner's, so that what is structured is JSON in the message.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

FACILITY: Final = 10
"""Security and authorization messages (RFC 5424 table 1)."""
NOTICE: Final = 5
WARNING: Final = 4
APP_NAME: Final = "cec-connector"
SECONDS: Final = 10.0
"""How long a receiver is waited for."""


class Syslog:
    """A connection to one receiver. A stream that broke is connected once more before that is an error (OSError).

    `clock` is there for tests.
    """

    def __init__(
        self, url: str, ca_file: Path | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._parts = urlsplit(url)
        self._ca_file = ca_file
        self._clock = clock
        self._stream = self._parts.scheme in ("tcp", "tls")
        self._head = f"{_name(socket.getfqdn(), 255)} {APP_NAME} {os.getpid()}"
        self._socket = self._connected()

    def send(self, kind: str, severity: int, message: str) -> None:
        """Send one message, of ASCII characters. Raises OSError; EMSGSIZE where a datagram cannot hold it."""
        time = self._clock().isoformat(timespec="microseconds").replace("+00:00", "Z")
        octets = f"<{FACILITY * 8 + severity}>1 {time} {self._head} {_name(kind, 32)} - {message}".encode("ascii")
        if not self._stream:
            self._socket.send(octets)
            return
        framed = b"%d %b" % (len(octets), octets)
        try:
            self._is_there()
            self._socket.sendall(framed)
        except OSError:
            self.close()
            self._socket = self._connected()
            self._socket.sendall(framed)

    def _is_there(self) -> None:
        """Raises OSError where the receiver has hung up: what is sent to it then is lost, and nobody is told."""
        self._socket.settimeout(0)
        try:
            if not self._socket.recv(1 << 12):
                raise ConnectionResetError
        except (BlockingIOError, ssl.SSLWantReadError):
            pass  # it says nothing, as it should
        finally:
            self._socket.settimeout(SECONDS)

    def close(self) -> None:
        """Let go of it, once all was received. Never raises."""
        with suppress(OSError):
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()  # else what the server sent and nobody read would reset the connection
        with suppress(OSError):
            self._socket.close()

    def _connected(self) -> socket.socket:
        if self._parts.scheme == "unix":
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            return _connect(local, self._parts.path)
        host, port = self._parts.hostname or "", self._parts.port or 0
        if self._parts.scheme == "udp":
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            return _connect(socket.socket(family, kind), address)
        connected = socket.create_connection((host, port), timeout=SECONDS)
        if self._parts.scheme == "tcp":
            return connected
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
            return context.wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise


def _connect(made: socket.socket, address: object) -> socket.socket:
    try:
        made.settimeout(SECONDS)
        made.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gives it, or a path
    except BaseException:
        made.close()
        raise
    return made


def _name(text: str, longest: int) -> str:
    """As a header takes it: visible ASCII characters, so many at most (RFC 5424 §6)."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"

"""Messages to a syslog receiver (RFC 5424): UDP (RFC 5426), TCP (RFC 6587 §3.4.1), TLS (RFC 5425), a local socket.

The message is ASCII, so that it needs no byte order mark (RFC 5424 §6.4); structured data
would need an enterprise number of its owner's, so that what is structured is JSON in the
message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import ssl
import struct
import termios
import time
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
"""How long a receiver is waited for: to take a message; to be connected to, handshake
included; to close in the end."""


class Syslog:
    """A connection to one receiver; a stream is connected when there is something to send, and again once it ended.

    A receiver acknowledges nothing (RFC 5425, RFC 6587). A stream has been read whole where
    the receiver closes it after our end: a receiver that dies with octets unread has its
    system reset the connection.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self._parts = urlsplit(url)
        self._ca_file = ca_file
        self.stream = self._parts.scheme in ("tcp", "tls")
        self._head = f"{_name(socket.getfqdn(), 255)} {APP_NAME} {os.getpid()}"
        self._socket: socket.socket | None = self._connected()

    def send(self, kind: str, severity: int, message: str) -> None:
        """Send one message, of ASCII characters. Raises OSError; EMSGSIZE where a datagram cannot hold it.

        Of a stream that ended in order, where all was read, nobody is told: it is connected again.
        """
        time = (
            datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        )
        octets = f"<{FACILITY * 8 + severity}>1 {time} {self._head} {_name(kind, 32)} - {message}".encode(
            "ascii"
        )
        if self._socket is not None and self._hung_up(self._socket):
            self.close()
        self._socket = self._socket or self._connected()
        if self.stream:
            self._socket.sendall(b"%d %b" % (len(octets), octets))
        else:
            self._socket.send(octets)

    def _hung_up(self, connected: socket.socket) -> bool:
        """Whether the receiver has ended the stream in order: what is sent to it from now on is lost, unsaid.

        Raises OSError where it may have left something unread.
        """
        if not self.stream:
            return False
        connected.settimeout(0)
        try:
            if connected.recv(1 << 12):
                return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return False  # it says nothing, as it should
        finally:
            connected.settimeout(SECONDS)
        if _state_of(connected) not in (_CLOSE_WAIT, None) or _unacknowledged(
            connected
        ):
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return True

    def end(self) -> bool:
        """End a stream; whether the receiver has closed it after that, as one does that has read all.

        Raises OSError where it may have left something unread; TimeoutError where its
        system has not taken all. False: its system has taken all, and it does not close in
        time, whatever it sends meanwhile.
        """
        connected = self._socket
        if not self.stream or connected is None:
            return True
        try:
            if self._hung_up(connected):
                return True
            if isinstance(connected, ssl.SSLSocket):
                _farewell(connected)
            connected.shutdown(socket.SHUT_WR)
            return _closed_by_the_other_side(connected)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of it. Never raises."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket = None

    def _connected(self) -> socket.socket:
        if self._parts.scheme == "unix":
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            return _connect(local, self._parts.path)
        host, port = self._parts.hostname or "", self._parts.port or 0
        if self._parts.scheme == "udp":
            family, kind, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM
            )[0]
            return _connect(socket.socket(family, kind), address)
        until = time.monotonic() + SECONDS
        connected = socket.create_connection((host, port), timeout=SECONDS)
        if self._parts.scheme == "tcp":
            return connected
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
            # an end without farewell is an end: nothing is read from there, and an alert
            # would hide how it ended
            context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
            # of the handshake in all (ssl, `SSLSocket.do_handshake`)
            connected.settimeout(_left(until))
            secured = context.wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise
        secured.settimeout(SECONDS)
        return secured


def _connect(made: socket.socket, address: object) -> socket.socket:
    try:
        made.settimeout(SECONDS)
        made.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gives it, or a path
    except BaseException:
        made.close()
        raise
    return made


def _farewell(connected: ssl.SSLSocket) -> None:
    """Say that nothing more comes (RFC 5425 §4.4); what the other side says to that is not waited for."""
    connected.settimeout(0)
    with suppress(ssl.SSLError, BlockingIOError):
        connected.unwrap()
    connected.settimeout(SECONDS)


def _closed_by_the_other_side(connected: socket.socket) -> bool:
    """Whether the other side closes too, in time, after it has read all. Raises OSError where it left something."""
    with socket.socket(
        fileno=os.dup(connected.fileno())
    ) as plain:  # past TLS, of which nothing more comes
        until = time.monotonic() + SECONDS
        try:
            while True:
                plain.settimeout(_left(until))
                if not plain.recv(1 << 12):
                    break
        except TimeoutError:
            if _unacknowledged(plain):
                raise
            return False
        fault = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if fault or _state_of(plain) in (
            _LAST_ACK,
            _CLOSING,
        ):  # it had closed before it could read all
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return True


def _left(until: float) -> float:
    """The seconds that are left until then. Raises TimeoutError where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return left


_CLOSE_WAIT, _LAST_ACK, _CLOSING = 8, 9, 11
"""States of a connection, as Linux numbers them (tcp(7), TCP_INFO)."""


def _state_of(connected: socket.socket) -> int | None:
    """The state of a connection; None where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    return connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _unacknowledged(connected: socket.socket) -> int:
    """Octets that the other side's system has not taken (tcp(7), SIOCOUTQ); 0 where the system does not tell."""
    try:
        return int(
            struct.unpack(
                "i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            )[0]
        )
    except OSError:
        return 0


def _name(text: str, longest: int) -> str:
    """As a header takes it: visible ASCII characters, so many at most (RFC 5424 §6)."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"

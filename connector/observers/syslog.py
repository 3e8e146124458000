"""Messages to a syslog receiver (RFC 5424): UDP (RFC 5426), TCP (RFC 6587 §3.4.1), TLS (RFC 5425), a local socket.

The message is ASCII, so that it needs no byte order mark (RFC 5424 §6.4); structured data
would need an enterprise number of its owner's, so that what is structured is JSON in the
message. A receiver acknowledges nothing (RFC 5425, RFC 6587): what it had not read when it
died is lost, and what is sent again after a broken connection may come twice.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connector.model import Result
from connector.state.audit_lines import digest_line

FACILITY: Final = 10
"""Security and authorization messages (RFC 5424 table 1)."""
NOTICE: Final = 5
WARNING: Final = 4
APP_NAME: Final = "cec-connector"
SECONDS: Final = 10.0
"""How long a receiver is waited for: to be connected to, handshake included; to take a message."""
LINGER: Final = 2.0
"""Seconds in which a receiver may close a stream after our end, so that nothing on its way is dropped."""
_AS_PLANNED: Final = (None, Result.WRITTEN, Result.UNCHANGED)
"""Results of records that are no warning; None: of those that tell of no write."""


class Syslog:
    """One receiver. It is connected to when there is something to send. Methods but `close` raise OSError."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self.where = url
        self._parts = urlsplit(url)
        self._ca_file = ca_file
        self._is_stream = self._parts.scheme in ("tcp", "tls")
        self._host = _make_name(socket.getfqdn(), 255)
        self._socket: socket.socket | None = None

    def send_line(self, line: str) -> None:
        """Send a line of the audit; where no datagram can hold it, without its values."""
        record = json.loads(line)
        try:
            self._send_message(record, line)
        except OSError as fault:
            if fault.errno != errno.EMSGSIZE:
                raise
            self._send_message(record, _cut_line(record, line))

    def _send_message(self, record: dict[str, Any], message: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="microseconds")
        head = (
            f"<{FACILITY * 8 + _severity_of(record)}>1 {moment.replace('+00:00', 'Z')} {self._host} {APP_NAME} "
            f"{os.getpid()} {_make_name(record['event'], 32)} -"
        )
        octets = f"{head} {message}".encode("ascii")
        if not self._is_stream:
            self._connected().send(octets)
            return
        octets = b"%d %b" % (len(octets), octets)
        if self._socket is not None and _has_hung_up(self._socket):
            self.close()
        try:
            self._connected().sendall(octets)
        except OSError:
            if self._socket is None:  # it could not be connected to
                raise
            self.close()
            self._connected().sendall(octets)

    def close(self) -> None:
        """End the stream, and let go of it. Never raises."""
        connected, self._socket = self._socket, None
        if connected is not None:
            with suppress(OSError), connected:
                if self._is_stream:
                    _end_stream(connected)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        if self._parts.scheme == "unix":
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            return _connect_datagrams(local, self._parts.path)
        host, port = self._parts.hostname or "", self._parts.port or 0
        if self._parts.scheme == "udp":
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, kind, _, _, address = found[0]
            return _connect_datagrams(socket.socket(family, kind), address)
        until = time.monotonic() + SECONDS
        connected = socket.create_connection((host, port), timeout=SECONDS)
        if self._parts.scheme == "tcp":
            return connected
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
            # of the handshake in all (ssl, `SSLSocket.do_handshake`)
            connected.settimeout(_seconds_until(until))
            secured = context.wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise
        secured.settimeout(SECONDS)
        return secured


def _connect_datagrams(made: socket.socket, address: object) -> socket.socket:
    try:
        made.settimeout(SECONDS)
        made.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gives it, or a path
    except BaseException:
        made.close()
        raise
    return made


def _has_hung_up(connected: socket.socket) -> bool:
    """Whether the receiver has ended the stream: what is sent to it from now on is lost, unsaid."""
    connected.settimeout(0)
    try:
        return not connected.recv(1 << 12)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False  # it says nothing, as it should
    except OSError:
        return True
    finally:
        connected.settimeout(SECONDS)


def _end_stream(connected: socket.socket) -> None:
    """Say that nothing more comes, and wait a little for the receiver to close too.

    A socket that is closed while something from the other side is unread, as TLS has it, resets the connection.
    """
    if isinstance(connected, ssl.SSLSocket):  # RFC 5425 §4.4
        connected.settimeout(0)
        with suppress(OSError):
            connected.unwrap()
    connected.shutdown(socket.SHUT_WR)
    until = time.monotonic() + LINGER
    with socket.socket(fileno=os.dup(connected.fileno())) as plain:  # past TLS
        while True:
            plain.settimeout(_seconds_until(until))
            if not plain.recv(1 << 12):
                return


def _seconds_until(until: float) -> float:
    """The seconds that are left until then. Raises TimeoutError where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return left


def _severity_of(record: dict[str, Any]) -> int:
    as_planned = record.get("result") in _AS_PLANNED and not record.get("fault")
    return NOTICE if as_planned else WARNING


def _cut_line(record: dict[str, Any], line: str) -> str:
    """The line without values, marked so, with the digest of the whole."""
    kept = {key: value for key, value in record.items() if key != "attributes"}
    kept |= {"cut": True, "whole": f"sha256:{digest_line(line)}"}
    return json.dumps(kept, ensure_ascii=True, separators=(",", ":"))


def _make_name(text: str, longest: int) -> str:
    """As a header takes it: visible ASCII characters, so many at most (RFC 5424 §6)."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"

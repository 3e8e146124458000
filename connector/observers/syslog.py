"""Messages to a syslog receiver (RFC 5424): UDP (RFC 5426), TCP (RFC 6587 §3.4.1), TLS (RFC 5425), a local socket.

The message is ASCII, so that it needs no byte order mark (RFC 5424 §6.4); structured data
would need an enterprise number of its owner's, so that what is structured is JSON in the
message. A receiver acknowledges nothing (RFC 5425, RFC 6587): what it had not read when it
died is lost.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from connector.model import Result
from connector.net.time_limit import TimeLimit

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
        """Send a line of the audit, over a new connection where the last one has ended."""
        record = json.loads(line)
        priority = FACILITY * 8 + _severity_of(record)
        moment = datetime.now(UTC).replace(tzinfo=None)
        time = moment.isoformat(timespec="microseconds")
        event = _make_name(record["event"], 32)
        sender = f"{self._host} {APP_NAME} {os.getpid()} {event}"
        octets = f"<{priority}>1 {time}Z {sender} - {line}".encode("ascii")
        if self._is_stream:
            octets = b"%d %b" % (len(octets), octets)
        if self._socket is not None:
            try:
                self._socket.sendall(octets)
            except OSError as fault:
                if fault.errno == errno.EMSGSIZE:
                    raise  # it is the record's fault
            else:
                return
            self.close()
        self._socket = self._connect()
        self._socket.sendall(octets)

    def close(self) -> None:
        """End the stream, and let go of it. Never raises."""
        connected, self._socket = self._socket, None
        if connected is not None:
            with suppress(OSError), connected:
                if self._is_stream:
                    _end_stream(connected)

    def _connect(self) -> socket.socket:
        parts = self._parts
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        with ExitStack() as stack:
            if self._is_stream:
                made = socket.create_connection((host, port), timeout=SECONDS)
                stack.callback(made.close)
            else:
                family: int = socket.AF_UNIX
                address: Any = parts.path
                if scheme == "udp":
                    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
                    family, *_, address = found[0]
                made = socket.socket(family, socket.SOCK_DGRAM)
                stack.callback(made.close)
                made.settimeout(SECONDS)
                made.connect(address)
            if scheme == "tls":
                context = ssl.create_default_context(cafile=self._ca_file)
                # the time-out bounds the handshake in all (ssl, `SSLSocket.do_handshake`)
                made = context.wrap_socket(made, server_hostname=host)
            stack.pop_all()
        return made


def _end_stream(connected: socket.socket) -> None:
    """Say that nothing more comes, and wait a little for the receiver to close too.

    A socket that is closed while something from the other side is unread, as TLS has it, resets the connection.
    """
    connected.settimeout(LINGER)
    with closing(TimeLimit(LINGER)) as limit, limit:
        limit.watch_connection(connected)
        if isinstance(connected, ssl.SSLSocket):  # RFC 5425 §4.4
            connected.unwrap()
        connected.shutdown(socket.SHUT_WR)
        while connected.recv(1 << 12):
            pass


def _severity_of(record: dict[str, Any]) -> int:
    as_planned = record.get("result") in _AS_PLANNED and not record.get("fault")
    return NOTICE if as_planned else WARNING


def _make_name(text: str, longest: int) -> str:
    """As a header takes it: visible ASCII characters, so many at most (RFC 5424 §6)."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"

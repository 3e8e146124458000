"""A syslog receiver on loopback, over datagrams or streams: what it was sent, message by message."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Self

from tests.support.slapd import server_context


class Syslogd:
    """Listens as a context manager; `scheme`: udp, tcp, tls or unix. After `most` messages it is gone for good.

    `each`: a stream is closed after each message, and another one is taken; `hung_up` waits for that.
    """

    def __init__(self, scheme: str, folder: Path, most: int | None = None, *, each: bool = False) -> None:
        self._scheme = scheme
        self._most, self._each = most, each
        self.messages: queue.Queue[str] = queue.Queue()
        if scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(folder / "log"))
            self.url = f"unix://{folder / 'log'}"
        else:
            kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
            self._socket = socket.socket(socket.AF_INET, kind)
            self._socket.bind(("127.0.0.1", 0))
            host = "localhost" if scheme == "tls" else "127.0.0.1"
            self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}"
        self._ends = threading.Semaphore(0)
        self._socket.settimeout(60)
        self._thread = threading.Thread(target=self._streams if scheme in ("tcp", "tls") else self._datagrams)

    def __enter__(self) -> Self:
        if self._scheme in ("tcp", "tls"):
            self._socket.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._scheme in ("tcp", "tls"):
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            with socket.socket(self._socket.family, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def next(self) -> str:
        """The next message, once it is here."""
        return self.messages.get(timeout=20)

    def hung_up(self) -> bool:
        """Whether another stream has been closed, and its sender's system knows; waits for that."""
        return self._ends.acquire(timeout=20)

    def _datagrams(self) -> None:
        while octets := self._socket.recv(1 << 16):
            self.messages.put(octets.decode("ascii"))

    def _streams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._socket.accept()
                with self._secured(connected) as peer:
                    self._read(peer)
                    if self._each:
                        _end(peer)
                        self._ends.release()
                if self._most == 0:
                    self._socket.close()
                    return

    def _secured(self, peer: socket.socket) -> socket.socket | ssl.SSLSocket:
        return server_context().wrap_socket(peer, server_side=True) if self._scheme == "tls" else peer

    def _read(self, peer: socket.socket) -> None:
        """Messages by octet counting (RFC 6587 §3.4.1)."""
        with peer.makefile("rb") as stream:
            while length := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                self.messages.put(stream.read(int(length)).decode("ascii"))
                if self._each:
                    return
                if self._most is not None:
                    self._most -= 1
                    if self._most == 0:
                        return


def _end(peer: socket.socket) -> None:
    """Send nothing more, and wait until that has come to the other side (tcp(7), TCP_INFO)."""
    peer.shutdown(socket.SHUT_WR)
    while peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _FIN_WAIT_1:
        time.sleep(0.001)


_FIN_WAIT_1 = 4

"""A connection to an HTTP server, straight or through a proxy. h11 speaks HTTP/1.1 on it."""

from __future__ import annotations

import math
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

import h11
from msgspec import Struct

if TYPE_CHECKING:
    import ssl

    from connector.net.tls import Inner

IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut under a request."""
_PORTS: Final = {"http": 80, "https": 443}
_PIECE: Final = 1 << 16
_HEAD: Final = 100 << 10
"""Octets that the head of an answer may have."""


class Url(Struct, frozen=True):
    """An address, as ASCII; `target` is its path and query (RFC 9112 §3.2)."""

    scheme: str
    host: bytes
    port: int | None
    target: bytes = b"/"

    @property
    def place(self) -> tuple[str, int]:
        return self.host.decode(), self.port or _PORTS[self.scheme]


class Proxy(Struct, frozen=True):
    """A proxy, and the headers that it wants."""

    url: Url
    headers: Sequence[tuple[bytes, bytes]] = ()


class ProxyError(Exception):
    """The proxy does not connect us with the server. It has the status of the proxy's answer, or what went wrong."""


@contextmanager
def _through(proxy: Proxy | None) -> Iterator[None]:
    """What goes wrong on the way to a proxy is the proxy's."""
    try:
        yield
    except (OSError, h11.RemoteProtocolError) as fault:
        if proxy is None:
            raise
        raise ProxyError(fault) from None


class Connection:
    """An open connection. With each request it is entered, and left when the answer has been read.

    `context`: of TLS with the server, asked for where there is some; a proxy is trusted by the system's authorities.
    `connected` is told the TCP connection, before TLS. `timeout` bounds each wait, and the TLS handshake.
    Raises OSError, ProxyError, h11.ProtocolError, ValueError.
    """

    def __init__(
        self,
        url: Url,
        proxy: Proxy | None,
        context: Callable[[], ssl.SSLContext],
        timeout: float,
        connected: Callable[[socket.socket], None],
    ) -> None:
        first = proxy.url if proxy else url
        self._rested = -math.inf
        self._cut: type[OSError] | tuple[()] = ()
        self._fine = False
        with _through(proxy):
            connecting = socket.create_connection(first.place, timeout)
        self._stream: socket.socket | Inner = connecting
        try:
            with _through(proxy):
                connected(connecting)
                connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._begin()
                if first.scheme == "https":
                    self._secure(first, None if proxy else context())
                if proxy and url.scheme == "https":
                    self._tunnel(url, proxy)
            if proxy and url.scheme == "https":
                self._secure(url, context())
        except BaseException:
            self.close()
            raise
        self._headers = proxy.headers if proxy and url.scheme == "http" else None

    def _begin(self) -> None:
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)

    def _secure(self, url: Url, context: ssl.SSLContext | None) -> None:
        from connector.net import tls  # noqa: PLC0415  # loads OpenSSL, four tenths of an empty Python's start: a connection in clear needs none

        self._cut = tls.CUT
        self._stream = tls.secured(self._stream, context or tls.context(None), url.place[0])

    def _tunnel(self, url: Url, proxy: Proxy) -> None:
        """Let the proxy connect us (RFC 9110 §9.3.6)."""
        host, port = url.place
        there = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        answer = self._asked(h11.Request(method="CONNECT", target=there, headers=[(b"Host", there), *proxy.headers]))
        if not 200 <= answer.status_code < 300:
            raise ProxyError(answer.status_code)
        if self._protocol.trailing_data[0]:  # the server's own would be in TLS
            raise h11.RemoteProtocolError("octets behind the answer")
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        whole = self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE
        if not whole or any(self._protocol.trailing_data):  # octets that nobody asked for, or the end of TLS
            self.close()
            return
        self._protocol.start_next_cycle()
        self._rested = time.monotonic()

    def close(self) -> None:
        self._rested = -math.inf
        self._stream.close()

    @property
    def ready(self) -> bool:
        """Whether another request may be sent: the server has neither closed the connection nor said anything since."""
        if time.monotonic() - self._rested >= IDLE_SECONDS or getattr(self._stream, "waiting", False):
            return False
        waiting = select.poll()
        waiting.register(self._stream, select.POLLIN)
        return not waiting.poll(0)

    def ask(
        self, method: str, host: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes | None
    ) -> h11.Response:
        """The head of the answer to a request. `host`: as it is named in the address, with its port."""
        if self._headers is not None:  # the proxy is told the whole address (RFC 9112 §3.2.2)
            target, headers = b"http://" + host.encode() + target, [*headers, *self._headers]
        if body is not None:
            headers = [*headers, (b"Content-Length", b"%d" % len(body))]
        answer = self._asked(h11.Request(method=method, target=target, headers=headers), body)
        if answer.status_code == 407 and self._headers is not None:  # the proxy's own (RFC 9110 §15.5.8)
            raise ProxyError(answer.status_code)
        return answer

    def _asked(self, request: h11.Request, body: bytes | None = None) -> h11.Response:
        whole: list[h11.Event] = [request, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
        octets = b"".join(self._protocol.send(event) or b"" for event in whole)
        try:
            for at in range(0, len(octets), _PIECE):  # of a socket, the time-out bounds all that is sent at once
                self._stream.sendall(octets[at : at + _PIECE])
        except OSError as fault:
            if isinstance(fault, TimeoutError):
                raise
            # else it has closed before it heard all; what it said before that is read
        while not isinstance(event := self._next(), h11.Response):
            if event is h11.PAUSED:  # 101: a protocol that a header of the job asked for
                raise h11.RemoteProtocolError("another protocol")
        self._fine = 200 <= event.status_code < 300
        return event

    def body(self) -> Iterator[bytes]:
        while isinstance(event := self._next(), h11.Data):
            yield bytes(event.data)

    def _next(self) -> object:
        """What h11 makes of the octets that come next: an event, or that there is none before the next request."""
        cut = False
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            try:
                octets = self._stream.recv(_PIECE)
            except self._cut:
                octets, cut = b"", True
            if not octets and self._protocol.their_state is h11.SEND_RESPONSE:
                raise h11.RemoteProtocolError("peer closed connection without an answer")
            self._protocol.receive_data(octets)
        if cut and self._fine and isinstance(event, h11.EndOfMessage):
            # without a length, only the end of TLS tells (RFC 9112 §9.8); of a refusal the status says enough
            raise h11.RemoteProtocolError("peer closed connection without close_notify")
        return event

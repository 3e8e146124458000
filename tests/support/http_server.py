"""An HTTP server on loopback that answers as a test says, request by request, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Act = Callable[[Any], None]
"""Answers one request, as the faults of `faulty_cec` do; its `body` has been read."""


@dataclass(frozen=True)
class Seen:
    """A request. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class HttpServer:
    """A context manager that answers at `url`: `acts` in their order, then `otherwise`, which is 200 and `{}`.

    An act among them that is None is `otherwise` too. `seen` lists the requests, and `most` is how many of them were
    being answered at one time.
    """

    def __init__(
        self, acts: Iterable[Act | None] = (), *, otherwise: Act | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self.seen: list[Seen] = []
        self.connections = self.most = 0
        self._acts: Iterator[Act | None] = iter(acts)
        self._otherwise = otherwise or said(200, {})
        self._lock = threading.Lock()
        self._active = 0
        self._server = _Server(self, context)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, method: str) -> int:
        return sum(1 for each in self.seen if each.method == method)

    def handle(self, handler: Handler) -> None:
        with self._lock:
            self.seen.append(
                Seen(handler.command, handler.path, {k.lower(): v for k, v in handler.headers.items()}, handler.body)
            )
            act = next(self._acts, None) or self._otherwise
            self._active += 1
            self.most = max(self.most, self._active)
        try:
            act(handler)
        finally:
            with self._lock:
                self._active -= 1


class Handler(BaseHTTPRequestHandler):
    """One connection's requests."""

    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds that an idle connection is kept
    disable_nagle_algorithm = True
    server: _Server
    body: bytes

    def setup(self) -> None:
        self.server.owner.connections += 1
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(self.timeout)
            self.request.do_handshake()
        super().setup()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.owner.handle(self)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, owner: HttpServer, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.owner = owner
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about a client that hangs up; let every other fault be seen."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def said(code: int, document: Any = None, **headers: str) -> Act:
    """An answer, in JSON unless it is octets; underscores in the names of headers are hyphens."""

    def act(handler: Any) -> None:
        body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        handler.send_response_only(code)
        kind = "application/octet-stream" if isinstance(document, bytes) else "application/scim+json"
        for name, value in ({"Content_Type": kind, "Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return act

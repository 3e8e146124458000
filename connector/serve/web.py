"""/healthz, /readyz and /metrics over HTTP, for whoever watches the process; nothing that it says is about a person."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any, Protocol, Self

from msgspec import Struct

from connector.errors import UsageError

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Health(Protocol):
    """What is asked, from other threads."""

    def ill(self) -> list[str]:
        """Why the process does not do its work; empty: it does."""

    def unready(self) -> list[str]:
        """What waits, or is too old, each with a sentence."""

    def metrics(self) -> str:
        """Its metrics in Prometheus' text format."""


class Address(Struct, frozen=True):
    """A host (a name or an address, IPv6 without brackets) and a TCP port; 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`127.0.0.1:9467`, `[::1]:9467`, `localhost:9467`. Raises ValueError."""
        found = re.fullmatch(
            r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", text
        )
        if not found or int(found[3]) > 65535:
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:9467 or [::1]:9467")
        return cls(found[1] or found[2], int(found[3]))

    def __str__(self) -> str:
        return (
            f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )


class Web:
    """Answers while it is open. Raises UsageError where the address cannot be had."""

    def __init__(self, address: Address, health: Health) -> None:
        try:
            self._server = _Server(address, health)
        except OSError as fault:
            raise UsageError(
                f"cannot listen at {address}: {fault.strerror}", where="--listen"
            ) from None
        self.address = Address(address.host, self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="web", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: Address, health: Health) -> None:
        if ":" in address.host:
            self.address_family = AF_INET6
        super().__init__((address.host, address.port), _Request)
        self.health = health

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is no concern of ours."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that an idle connection is kept
    server: _Server

    def do_GET(self) -> None:  # the library's name
        path, health = self.path.partition("?")[0], self.server.health
        if path == "/metrics":
            self._say(200, health.metrics(), _METRICS)
        elif path in ("/healthz", "/readyz"):
            wrong = (
                health.ill() if path == "/healthz" else health.ill() + health.unready()
            )
            self._say(
                503 if wrong else 200,
                "".join(f"{line}\n" for line in wrong) or "ok\n",
                _TEXT,
            )
        else:
            self._say(404, "there are /healthz, /readyz and /metrics\n", _TEXT)

    do_HEAD = do_GET  # noqa: N815  # the library's name

    def version_string(self) -> str:
        """Who answers, and not what it is made of."""
        return "cec-connector"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: it is asked every few seconds."""

    def _say(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

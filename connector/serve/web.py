"""A status page, /healthz, /readyz and /metrics over HTTP, for whoever watches the process; they name no person."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from types import MappingProxyType
from typing import Any, Protocol, Self
from urllib.parse import unquote

from connector.errors import UsageError
from connector.serve.hook import NOT_FOUND, HookAnswer
from connector.serve.status_page import POLICY

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = "text/html; charset=utf-8"
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class HealthSource(Protocol):
    """What is asked, from other threads."""

    def ill(self) -> list[str]:
        """Why the process does not do its work; empty: it does."""

    def unready(self) -> list[str]:
        """What waits, or is too old, each with a sentence."""

    def metrics(self) -> str:
        """Its metrics in Prometheus' text format."""

    def status_page(self) -> str:
        """How its jobs stand, in HTML."""


RequestRun = Callable[[str, str], HookAnswer]
"""Starts a run of the job of this name for whoever has this bearer token; called in threads of its own."""


class WebServer(ThreadingHTTPServer):
    """Answers while it is open. Raises UsageError where the address cannot be had."""

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        health: HealthSource,
        request_run: RequestRun | None = None,
    ) -> None:
        """`host`: a name or an address, IPv6 without brackets. `port`: 0 is any that is free.

        `request_run`: answers POST /run/JOB; None: nobody does.
        """
        shown = host
        if ":" in host:
            shown = f"[{host}]"
            self.address_family = AF_INET6
        try:
            super().__init__((host, port), _RequestHandler)
        except OSError as fault:
            why = f"cannot listen at {shown}:{port}: {fault.strerror}"
            raise UsageError(why, where="--listen") from None
        self.health = health
        self.request_run = request_run
        self.address = f"{shown}:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self.serve_forever,
            name="web",
            daemon=True,
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is no concern of ours."""


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that an idle connection is kept
    server: WebServer

    def do_GET(self) -> None:  # the library's name
        path, _, _ = self.path.partition("?")
        health = self.server.health
        if path == "/":
            self._send_answer(200, health.status_page(), _PAGE)
        elif path == "/metrics":
            self._send_answer(200, health.metrics(), _METRICS)
        elif path == "/healthz":
            self._answer_health(health.ill())
        elif path == "/readyz":
            self._answer_health(health.ill() + health.unready())
        else:
            self._send_answer(
                404, "there are /, /healthz, /readyz and /metrics\n", _TEXT
            )

    def do_POST(self) -> None:  # the library's name
        """Start a run; a body is not read, so the connection ends."""
        self.close_connection = True
        path, _, _ = self.path.partition("?")
        job, request_run = path.removeprefix("/run/"), self.server.request_run
        answer = NOT_FOUND
        if request_run is not None and path.startswith("/run/"):
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            is_bearer = scheme.lower() == "bearer"
            answer = request_run(unquote(job), token.strip() if is_bearer else "")
        self._send_answer(answer.status, answer.text, answer.media_type, answer.headers)

    do_HEAD = do_GET  # noqa: N815  # the library's name

    def version_string(self) -> str:
        """Who answers, and not what it is made of."""
        return "cec-connector"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: it is asked every few seconds."""

    def _answer_health(self, faults: list[str]) -> None:
        if faults:
            self._send_answer(503, "\n".join([*faults, ""]), _TEXT)
        else:
            self._send_answer(200, "ok\n", _TEXT)

    def _send_answer(
        self,
        status: int,
        text: str,
        kind: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

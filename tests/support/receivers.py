"""Whom notices go to: receivers of webhooks that check signatures, mail servers with a log-in, servers that drip."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.serving import PATIENCE
from tests.support.slapd import free_port, server_context

SECRET = "canary-webhook-secret"
PASSWORD = "canary-mail-password"


class Hook:
    """What came, once its signature was checked; `answer(n)` is the status for the n-th request."""

    def __init__(self, answer: Callable[[int], int]) -> None:
        self.answer = answer
        self.ids: list[str] = []
        self.asked: queue.Queue[str] = queue.Queue()
        self.coming: queue.Queue[dict[str, Any]] = queue.Queue()
        self.url = ""

    def next(self) -> dict[str, Any]:
        """The next body that was taken."""
        return self.coming.get(timeout=PATIENCE)

    def empty(self) -> bool:
        return self.coming.empty()

    def take(self, headers: Any, body: bytes) -> int:
        assert "canary" not in body.decode()
        seconds = headers["webhook-timestamp"]
        assert abs(time.time() - int(seconds)) < 60
        content = f"{headers['webhook-id']}.{seconds}.".encode() + body
        expected = base64.b64encode(hmac.new(SECRET.encode(), content, "sha256").digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        self.ids.append(headers["webhook-id"])
        self.asked.put(headers["webhook-id"])
        status = self.answer(len(self.ids))
        if status == 200:
            self.coming.put(json.loads(body))
        return status


@contextlib.contextmanager
def hook(answer: Callable[[int], int] = lambda _: 200) -> Iterator[Hook]:
    """A receiver of webhooks on loopback."""
    receiver = Hook(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = receiver.take(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/cec"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox:
    """A mail server's handler: it keeps what comes. `answer(n)` is what the n-th message is told."""

    def __init__(self, answer: Callable[[int], str]) -> None:
        self.coming: queue.Queue[tuple[list[str], Message]] = queue.Queue()
        self.ids: list[str] = []
        self._answer = answer

    async def handle_DATA(  # noqa: N802  # the library's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        assert b"canary" not in envelope.content
        message = message_from_bytes(envelope.content)
        self.ids.append(message["Message-ID"])
        answer = self._answer(len(self.ids))
        if answer.startswith("250"):
            self.coming.put((envelope.rcpt_tos, message))
        return answer


def _log_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"cec", PASSWORD.encode())
    return AuthResult(success=right)


@contextlib.contextmanager
def mail_server(
    tls: Literal["none", "later", "first"] = "later", answer: Callable[[int], str] = lambda _: "250 taken"
) -> Iterator[tuple[str, Mailbox]]:
    """Its address, and what it got. TLS comes `later` by STARTTLS, and then it wants a log-in, or `first`."""
    box = Mailbox(answer)
    ways = {"none": {}, "later": {"tls_context": server_context(), "require_starttls": True, "auth_required": True},
            "first": {"ssl_context": server_context()}}  # fmt: skip
    options = ways[tls]
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, authenticator=_log_in, **options)  # type: ignore[arg-type]
    controller.start()
    try:
        yield f"{'smtps' if tls == 'first' else 'smtp'}://localhost:{port}", box
    finally:
        controller.stop()


@contextlib.contextmanager
def drip(begin: bytes, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that says this, and then one octet a second."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer(taken: socket.socket) -> None:
        with taken, contextlib.suppress(OSError):
            speaking = tls.wrap_socket(taken, server_side=True) if tls else taken
            with speaking:
                speaking.sendall(begin)
                while not over.wait(1):
                    speaking.sendall(b"x")

    def work() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=work, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()

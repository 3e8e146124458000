"""A stub of HashiCorp Vault's HTTP API, as documented: AppRole log-ins, reads of a KV store version 2."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "canary-vault-token"
SECRET_ID = "canary-secret-id"
ROLE_ID = "5f0c1c2e-9d4b-4f36-8f0e-2a1f9f5c7b11"


class Vault:
    """What it holds, by mount and path, and what it was asked. `sealed`: it answers nothing.

    `roles`: where AppRole is mounted.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.sealed = False
        self.namespace: str | None = None
        self.roles = "approle"
        self.reply: bytes | None = None
        self.url = ""

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        self.requests.append((method, path))
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("X-Vault-Namespace") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if (method, path) == ("POST", f"/v1/auth/{self.roles}/login"):
            return self._log_in(json.loads(body))
        return self._read(path, headers)

    def _log_in(self, role: Any) -> tuple[int, Any]:
        if role != {"role_id": ROLE_ID, "secret_id": SECRET_ID}:
            return 400, {"errors": ["invalid role or secret ID"]}
        return 200, {"auth": {"client_token": TOKEN, "lease_duration": 3600}}

    def _read(self, path: str, headers: Any) -> tuple[int, Any]:
        if headers.get("X-Vault-Token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if self.reply is not None:
            return 200, self.reply
        mount, _, rest = path.removeprefix("/v1/").partition("/data/")
        held = self.secrets.get(f"{mount}/{rest}")
        return (404, {"errors": []}) if held is None else (200, {"data": {"data": held, "metadata": {"version": 1}}})


@contextlib.contextmanager
def vault(context: ssl.SSLContext | None = None) -> Iterator[Vault]:
    """A vault on loopback."""
    held = Vault()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = held.answer(self.command, self.path, self.headers, body)
            octets = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_POST = do_GET  # noqa: N815  # the library's name

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scheme = "https" if context else "http"
    held.url = f"{scheme}://localhost:{server.server_address[1]}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

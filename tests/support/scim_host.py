"""The process that a SCIM server of the tests lives in: `ScimServer.start` starts it and says what it is to be.

The server is served by uvicorn on a port of the system's choosing, which it tells through a pipe. Beside SCIM it
answers what only tests ask, below `/-/`: everything that is stored (secrets included), users put in or set back
behind the server's back, and the log of requests.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import uvicorn

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Json = dict[str, Any]


class Backdoor(Protocol):
    """What tests may do with a server's users past SCIM. A user is the document that SCIM would show, secrets added."""

    def put(self, users: Iterable[Json]) -> list[str]:
        """Add users; those with an id keep it. Their ids."""

    def stored(self) -> list[Json]:
        """Every user as it is stored."""

    def restore(self, users: Iterable[Json]) -> None:
        """Let there be these users and no others, under their ids."""


class Host:
    """An ASGI application around the server's own."""

    def __init__(self, app: App, backdoor: Backdoor) -> None:
        self._app, self._backdoor = app, backdoor
        self._log: list[Json] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if scope["path"].startswith("/-/"):
            answer = await asyncio.to_thread(self._behind, scope["path"], json.loads(body or b"null"))
            await _answer(send, answer)
            return
        entry = {"method": scope["method"], "path": _path(scope), "edits": _edits(body), "status": 0}
        self._log.append(entry)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = int(message["status"])
            await send(message)

        await self._app(scope, _handed_on(body, receive), watched)

    def _behind(self, path: str, asked: Any) -> Any:
        match path:
            case "/-/put":
                return self._backdoor.put(asked)
            case "/-/stored":
                return self._backdoor.stored()
            case "/-/restore":
                return self._backdoor.restore(asked)
            case "/-/log":
                return self._log
            case "/-/forget":
                return self._log.clear()
            case _:
                raise ValueError(path)


def _path(scope: Scope) -> str:
    path, query = str(scope["path"]), bytes(scope["query_string"]).decode()
    return f"{path}?{query}" if query else path


def _edits(body: bytes) -> list[Json]:
    """What a request would change, without the values: method and path of each resource, and its edits."""
    try:
        document = json.loads(body)
    except ValueError:
        return []
    found = []
    for each in document.get("Operations", []):
        if "op" in each:
            found.append({"op": each["op"], "path": each.get("path", ""), "value": _filled(each.get("value"))})
        else:
            inner = _edits(json.dumps(each.get("data", {})).encode())
            found.append({"method": each.get("method"), "path": each.get("path", ""), "edits": inner})
    return found


def _filled(value: Any) -> bool:
    return value not in (None, "", [], {})


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _handed_on(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _answer(send: Send, answer: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def run(folder: Path, told: Connection) -> None:
    """Be the server of that folder until a signal ends this; `told` is told the port once it listens."""
    gc.freeze()  # what was there before the fork stays shared
    with (folder / "server.log").open("w") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    options: Json = json.loads((folder / "options.json").read_text())
    if options["kind"] == "scim2-server":
        from tests.support import scim_reference as kind  # noqa: PLC0415  # the one of the two that is asked for
    else:
        from tests.support.scim_django import host as kind  # type: ignore[no-redef]  # noqa: PLC0415  # the same
    app = Host(*kind.serve(folder, options))
    listening = socket.create_server(("127.0.0.1", 0))
    # asyncio does so itself only for sockets that name their protocol; without it every body waits 40 ms for an ACK
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    told.send(listening.getsockname()[1])
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", loop="asyncio", http="h11",
        ssl_certfile=folder / "server.pem" if options["tls"] else None,
        ssl_keyfile=folder / "server.key" if options["tls"] else None,
        ssl_ca_certs=str(folder / "ca.pem") if options["client_certs"] else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if options["client_certs"] else ssl.CERT_NONE,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])

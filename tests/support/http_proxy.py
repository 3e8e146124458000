"""A proxy before a real SCIM server that sees every request, and can refuse it, cut it off, change it or lie about it.

    with HttpProxy(server.root, at("PATCH", cut_after, times=1)) as proxy: …

A meddler is given a request and says what is answered; `asked.forward()` is what the server answers to it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.support.faulty_cec import reset
from tests.support.http_server import Act, Handler, HttpServer, said

_OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


@dataclass(frozen=True)
class Reply:
    """What a server answers. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def saying(self, document: Any) -> Reply:
        """The same with another body."""
        return replace(self, body=json.dumps(document).encode())

    def __call__(self, handler: Any) -> None:
        """Answer with this."""
        handler.send_response_only(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        if self.status != 204:
            handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)


@dataclass(frozen=True)
class Asked:
    """A request on its way to the server at `target`."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    target: str = field(repr=False)

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def saying(self, document: Any) -> Asked:
        """The same with another body."""
        return replace(self, body=json.dumps(document).encode())

    def with_header(self, name: str, value: str) -> Asked:
        """The same with another header, whose name is in lower case."""
        return replace(self, headers={**self.headers, name: value})

    def without_header(self, name: str) -> Asked:
        """The same without a header."""
        return replace(self, headers={key: value for key, value in self.headers.items() if key != name})

    def forward(self) -> Reply:
        """What the server answers."""
        parts = urlsplit(self.target)
        upstream = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name not in _OF_ONE_CONNECTION}
            upstream.request(self.method, self.path, self.body or None, headers)
            answer = upstream.getresponse()
            body = answer.read()
        finally:
            upstream.close()
        kept = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in _OF_ONE_CONNECTION}
        return Reply(answer.status, kept, body)

    def get(self) -> Reply:
        """What the server answers to a reading of the same address."""
        return replace(self, method="GET", body=b"").forward()


Meddler = Callable[[Asked], Act]


def pass_on(asked: Asked) -> Act:
    """Nothing is done to it."""
    return asked.forward()


class HttpProxy(HttpServer):
    """A proxy for the server whose root address is `target`; it answers at `url`."""

    def __init__(self, target: str, meddler: Meddler = pass_on, *, context: ssl.SSLContext | None = None) -> None:
        super().__init__(otherwise=self._pass, context=context)
        self._target, self._meddler = target, meddler

    def _pass(self, handler: Handler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self._meddler(Asked(handler.command, handler.path, headers, handler.body, self._target))(handler)


def at(method: str, meddler: Meddler, *, path: str = "/Users", skip: int = 0, times: int | None = None) -> Meddler:
    """The meddler for requests of this method and with this in their path: after so many, and so many times."""
    seen = 0
    lock = threading.Lock()

    def meddle(asked: Asked) -> Act:
        nonlocal seen
        if asked.method != method or path not in asked.path:
            return pass_on(asked)
        with lock:
            number = seen
            seen += 1
        fine = number < skip or (times is not None and number >= skip + times)
        return pass_on(asked) if fine else meddler(asked)

    return meddle


# ---------------------------------------------------------------- answers in the server's place


def busy(status: int = 429, after: str = "1") -> Meddler:
    """The server is not asked, and wants to be asked again later."""
    return lambda asked: said(status, {"detail": asked.body.decode()}, Retry_After=after)


def failing(status: int = 500, *, acts: bool = False) -> Meddler:
    """An HTML page of a gateway, that repeats what it was sent; perhaps the server has done what was asked."""

    def meddle(asked: Asked) -> Act:
        if acts:
            asked.forward()
        return said(status, b"<html><body>" + asked.body + b"</body></html>", Content_Type="text/html")

    return meddle


def cut_before(asked: Asked) -> Act:
    """The connection is reset, and the server hears nothing of the request."""
    return reset


def cut_after(asked: Asked) -> Act:
    """The connection is reset when the server has done what was asked."""
    asked.forward()
    return reset


def cut_within(asked: Asked) -> Act:
    """The connection ends within the answer."""
    reply = asked.forward()

    def act(handler: Any) -> None:
        handler.send_response_only(reply.status)
        handler.send_header("Content-Length", str(len(reply.body) + 1))
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) // 2])
        handler.close_connection = True

    return act


def half_done(status: int) -> Meddler:
    """A PATCH is refused, when the first of its operations has been done."""

    def meddle(asked: Asked) -> Act:
        document = asked.document
        asked.saying({**document, "Operations": document["Operations"][:1]}).forward()
        return said(status, {"detail": "the others cannot be done"})

    return meddle


def nested(depth: int) -> Meddler:
    """The server's answer has a member more, of so many lists in one another."""

    def meddle(asked: Asked) -> Act:
        reply = asked.forward()
        more = b'{"x":' + b"[" * depth + b"]" * depth
        return replace(reply, body=more + (b"," + reply.body[1:] if reply.body else b"}"))

    return meddle


# ---------------------------------------------------------------- lies of pages


def total(number: int) -> Meddler:
    """So many users there are, says every page."""

    def meddle(asked: Asked) -> Act:
        reply = asked.forward()
        return reply.saying({**reply.document, "totalResults": number}) if reply.status == 200 else reply

    return meddle


def standing_still(asked: Asked) -> Act:
    """Every page is the first one (RFC 7644 §3.4.2.4 notwithstanding)."""
    path, _, query = asked.path.partition("?")
    told = [(name, value) for name, value in parse_qsl(query) if name not in ("startIndex", "cursor")]
    return replace(asked, path=f"{path}?{urlencode(told)}").forward()


def capped(number: int) -> Meddler:
    """A page holds no more users than so many, whatever was asked for, and says nothing of it."""

    def meddle(asked: Asked) -> Act:
        path, _, query = asked.path.partition("?")
        told = {**dict(parse_qsl(query, keep_blank_values=True)), "count": str(number)}
        return replace(asked, path=f"{path}?{urlencode(told)}").forward()

    return meddle


def sparse(*names: str) -> Meddler:
    """Lists show users without these attributes; whoever asks for one user by its id is shown them."""

    def meddle(asked: Asked) -> Act:
        reply = asked.forward()
        if reply.status != 200 or "Resources" not in (document := reply.document):
            return reply
        shown = [{name: held for name, held in user.items() if name not in names} for user in document["Resources"]]
        return reply.saying({**document, "Resources": shown})

    return meddle


# ---------------------------------------------------------------- lies of writes


def dropped(asked: Asked) -> Act:
    """Yes, says the answer, and nothing is done."""
    return asked.get()


def under_another_key(name: str, other: str) -> Meddler:
    """The value of the attribute whose path ends so is stored as that of another."""

    def meddle(asked: Asked) -> Act:
        document = asked.document
        for operation in document["Operations"]:
            if operation["path"].endswith(name):
                operation["path"] = other
        return asked.saying(document).forward()

    return meddle


def wiping(name: str, to: str | None = None) -> Meddler:
    """What was asked is done, and another attribute is emptied beside it, by a value that the server knows for that."""

    def meddle(asked: Asked) -> Act:
        document = asked.document
        document["Operations"].append({"op": "replace", "path": name, "value": to})
        return asked.saying(document).forward()

    return meddle


def replacing(name: str, schema: str) -> Meddler:
    """A PUT that does not say this attribute of an extension empties it (RFC 7644 §3.5.1)."""

    def meddle(asked: Asked) -> Act:
        document = asked.document
        return asked.saying({**document, schema: {name: None} | document[schema]}).forward()

    return meddle

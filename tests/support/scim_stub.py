"""A SCIM server for large directories: fast, since it knows no user until it is asked for one.

    python scim_stub.py --users 100000 --paging cursor --respell

The port is the first line of standard output. User number n has the id `u000000n` and the userName `agent00000n`; what
is written to one by PATCH (`replace`, `add`, `remove` of an extension's attribute) is remembered, with a version that
If-Match is held to. With `--respell`, numbers are stored with a `+` before them. Filters are `eq` of userName, id or
such an attribute, with `or` between them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
EXTENSION = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
LARGEST_PAGE = 1000
_TERM = re.compile(r'(\S+) eq ("(?:[^"\\]|\\.)*"|\S+)')
Paging = Literal["index", "cursor"]


class Directory:
    """Users by number, from 1."""

    def __init__(self, users: int, paging: Paging, *, respells: bool = False) -> None:
        self.users = users
        self.respells = respells
        self.paging = paging
        self.held: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, int] = {}

    def config(self) -> Any:
        """RFC 7643 §5, RFC 9865 §4."""
        return {
            "patch": {"supported": True},
            "etag": {"supported": True},
            "bulk": {"supported": False},
            "filter": {"supported": True, "maxResults": LARGEST_PAGE},
            "pagination": {"cursor": self.paging == "cursor", "index": self.paging == "index"},
        }

    def version(self, number: int) -> str:
        return f'W/"{self.versions.get(number, 0)}"'

    def text(self, number: int) -> str:
        """A user as JSON."""
        name = f"agent{number:06}"
        plain = (
            f'{{"schemas":["{CORE}","{EXTENSION}"],"id":"u{number:07}","userName":"{name}","active":true,'
            f'"name":{{"givenName":"Example","familyName":"Person {number}"}},"title":"Sample",'
            f'"emails":[{{"value":"{name}@example.org","type":"work","primary":true}}],'
            f'"meta":{{"resourceType":"User","version":{json.dumps(self.version(number))}}}'
        )
        held = self.held.get(number)
        return f'{plain},"{EXTENSION}":{json.dumps(held)}}}' if held else f"{plain}}}"

    def number(self, id_: str) -> int | None:
        found = int(id_[1:]) if re.fullmatch(r"u[0-9]{7}", id_) else 0
        return found if 1 <= found <= self.users else None

    def page(self, query: dict[str, list[str]]) -> str:
        count = min(int(query.get("count", ["100"])[0]), LARGEST_PAGE)
        if "filter" in query:
            numbers = list(self._matching(query["filter"][0]))
            return self._list(numbers, len(numbers))
        if "cursor" in query and self.paging == "cursor":
            start = int(query["cursor"][0] or "1")
            more = start + count <= self.users
            return self._list(
                range(start, min(start + count, self.users + 1)),
                self.users,
                f',"nextCursor":"{start + count}"' if more else "",
            )
        start = max(int(query.get("startIndex", ["1"])[0]), 1)
        return self._list(range(start, min(start + count, self.users + 1)), self.users, f',"startIndex":{start}')

    def _list(self, numbers: Any, total: int, more: str = "") -> str:
        users = ",".join(map(self.text, numbers))
        head = f'"schemas":["{LIST}"],"totalResults":{total},"itemsPerPage":{len(numbers)}{more}'
        return f'{{{head},"Resources":[{users}]}}'

    def _matching(self, text: str) -> Iterator[int]:
        for path, literal in _TERM.findall(text):
            value = json.loads(literal)
            if path == "id" and (number := self.number(value)):
                yield number
            elif path == "userName" and (found := re.fullmatch(r"agent([0-9]{6})", str(value).lower())):
                yield from filter(None, [self.number(f"u{int(found[1]):07}")])
            else:
                attribute = path.removeprefix(f"{EXTENSION}:")
                yield from (number for number, held in self.held.items() if held.get(attribute) == value)

    def patch(self, number: int, document: Any) -> None:
        held = self.held.setdefault(number, {})
        for operation in document["Operations"]:
            name = operation["path"].removeprefix(f"{EXTENSION}:")
            if operation["op"].lower() == "remove" or operation.get("value") is None:
                held.pop(name, None)
            else:
                digits = self.respells and bool(re.fullmatch("[0-9]+", str(operation["value"])))
                held[name] = f"+{operation['value']}" if digits else operation["value"]
        self.versions[number] = self.versions.get(number, 0) + 1

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str]:
        """Status, body, and a further header line."""
        parts = urlsplit(target)
        path = parts.path.removeprefix("/v2")
        if method == "GET" and path == "/ServiceProviderConfig":
            return 200, json.dumps(self.config()), ""
        if method == "GET" and path == "/Users":
            return 200, self.page(parse_qs(parts.query, keep_blank_values=True)), ""
        number = self.number(path.removeprefix("/Users/"))
        if number is None:
            return 404, '{"status":"404"}', ""
        if method == "PATCH":
            if headers.get("if-match", self.version(number)) != self.version(number):
                return 412, '{"status":"412"}', ""
            self.patch(number, json.loads(body))
        return 200, self.text(number), f"ETag: {self.version(number)}\r\n"


class _Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as a client that sends Content-Length needs."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._received = rest[length:]
            method, target, _ = first.split(" ")
            status, text, more = self._directory.answer(method, target, headers, rest[:length])
            body = text.encode()
            said = f"HTTP/1.1 {status} OK\r\nContent-Type: application/scim+json\r\n{more}Content-Length: {len(body)}"
            self._transport.write(said.encode() + b"\r\n\r\n" + body)


async def _serve(directory: Directory) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(directory), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def stub(users: int, paging: Paging, *more: str) -> Iterator[str]:
    """The base address of such a server while it runs."""
    command = [sys.executable, str(Path(__file__)), "--users", str(users), "--paging", paging, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v2"
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--paging", choices=["index", "cursor"], default="index")
    parser.add_argument("--respell", action="store_true")
    options = parser.parse_args()
    asyncio.run(_serve(Directory(options.users, options.paging, respells=options.respell)))


if __name__ == "__main__":
    main()

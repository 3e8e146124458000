"""A CEC tenant that goes wrong in prescribed ways: faults for its first answers, after which it is well."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from connector.demo.simulator import Request, Simulator

Fault = Callable[[Request], None]


class FaultyCec(Simulator):
    """A simulator whose token call and query first answer with the given faults; None among them is a good answer.

    `asked` holds the headers of every request.
    """

    def __init__(
        self,
        document: dict[str, Any] | bytes,
        *,
        query: Iterable[Fault | None] = (),
        token: Iterable[Fault | None] = (),
        **options: Any,
    ) -> None:
        super().__init__(document, **options)
        self.asked: list[Mapping[str, str]] = []
        self._faults: dict[str, Iterator[Fault | None]] = {"GET": iter(query), "POST": iter(token)}

    def answer(self, request: Request) -> None:
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        fault = next(self._faults[request.command], None)
        if fault is None:
            super().answer(request)
        else:
            fault(request)

    def count(self, method: str) -> int:
        """How many requests of a method there were: GET is the query, POST the token call."""
        return sum(1 for asked, _ in self.requests if asked == method)


def for_ever(fault: Fault) -> Iterator[Fault]:
    return itertools.repeat(fault)


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """An answer with its right length; underscores in the names of headers are hyphens."""

    def fault(request: Request) -> None:
        request.send_response(code)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return fault


def gzipped(body: bytes) -> Fault:
    return status(200, gzip.compress(body), Content_Encoding="gzip")


def deflated(body: bytes) -> Fault:
    return status(200, zlib.compress(body), Content_Encoding="deflate")


def cut(body: bytes, announced: int) -> Fault:
    """The connection ends after `body`, of which there should have been more: `announced` octets."""

    def fault(request: Request) -> None:
        status(200, body, Content_Length=str(announced))(request)
        request.close_connection = True

    return fault


def cut_chunk(body: bytes) -> Fault:
    """The connection ends within a chunked body."""

    def fault(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
        request.close_connection = True

    return fault


def raw(octets: bytes) -> Fault:
    """These octets in place of an HTTP answer, then the end of the connection."""

    def fault(request: Request) -> None:
        request.wfile.write(octets)
        request.close_connection = True

    return fault


def reset(request: Request) -> None:
    """The connection is reset (RST) without a word."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
    request.close_connection = True


def silence(request: Request) -> None:
    """Nothing is said until the other side gives up."""
    with contextlib.suppress(OSError):
        request.connection.recv(1)
    request.close_connection = True


def dribble(request: Request) -> None:
    """A body that never ends: white space, which JSON allows, until the other side gives up."""
    request.close_connection = True
    request.send_response(200)
    request.end_headers()
    with contextlib.suppress(OSError):
        while True:
            request.wfile.write(b" " * 4096)
            time.sleep(0.001)  # so that a bound on time is met before one on size


def trickle(request: Request) -> None:
    """The same, of which an octet comes ten times a second."""
    request.close_connection = True
    request.send_response(200)
    request.end_headers()
    drip(request.connection, itertools.repeat(b" "))


def trickle_head(request: Request) -> None:
    """An answer whose headers come so."""
    request.close_connection = True
    drip(request.connection, itertools.chain([b"HTTP/1.1 200 OK\r\nX-Slow: "], itertools.repeat(b"x")))


def drip(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send a piece ten times a second, until there are no more or the other side hangs up."""
    connection.settimeout(0.1)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                if connection.recv(1 << 16) == b"":
                    return


def bomb(octets: int) -> Fault:
    """A small answer that becomes many octets of white space."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = b" " * (1 << 20)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # knows nothing of what was before it
    number, check = octets >> 20, 0
    for _ in range(number):
        check = zlib.crc32(piece, check)
    head, tail = b"\x1f\x8b\x08\0\0\0\0\0\0\xff", struct.pack("<II", check, (number << 20) % (1 << 32))  # RFC 1952 §2.3
    packed = head + block * number + packer.flush() + tail
    return status(200, packed, Content_Encoding="gzip")

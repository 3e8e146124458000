"""One HTTP exchange at a time with one server: time-outs, bounds, and faults in our words.

- Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY), as networks expect it; credentials never are: no
  .netrc is read. Nor are cookies kept: what proves who asks stands in every request.
- Redirects are not followed: they would take the token to another address.
- h11 speaks HTTP on connections of our own (`connection.py`). A library for all of it takes a fifth of a start.
- `timeout` bounds every wait for a connection or for more octets; ten times that, or `in_all`, an exchange as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from connector import __version__
from connector.errors import (
    ConnectorError,
    IncompleteRead,
    MalformedError,
    SourceTruncatedError,
    TruncatedError,
    UnreachableError,
)
from connector.net import counters
from connector.net.connection import Connection, Url
from connector.net.deadlines import TIMEOUTS, Bound, Line
from connector.net.http_errors import FAULTS, translated
from connector.net.inflate import CutError, GarbledError, TooLongError, inflated
from connector.net.proxies import proxy_of

if TYPE_CHECKING:
    import ssl

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""


class Answer(Struct, frozen=True):
    """An HTTP answer, read to its end; names of headers are in small letters, `where` is the address that was asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    where: str

    def __repr__(self) -> str:
        return f"<answer {self.status} of {self.where}>"  # the body may hold passwords


class Channel:
    """Requests to one server, one after the other; a context manager.

    `max_bytes`: octets that a body may have; `place`: the part of the job ("source") whose `max_bytes` and `timeout`
    (seconds) these are, for messages; with `in_all` (seconds) no job sets them. `headers` go with every request.
    Without `context` the system's authorities are trusted; they are loaded when TLS is first spoken, since that takes
    as long as a dozen requests.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str],
        *,
        timeout: float,
        max_bytes: int,
        place: str,
        clock: Callable[[], float],
        in_all: float | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._in_all = in_all
        self._allowed = in_all or TIMEOUTS * timeout
        self._place = place
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._context = context
        self._headers = {"User-Agent": f"cec-connector/{__version__}", "Accept": "application/json", **headers}
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        for line in self._lines.values():
            line.close()

    def exchange(
        self, method: str, where: str, headers: Mapping[str, str], *, content: bytes = b"", bound: int | None = None
    ) -> Answer:
        """The answer to one request, of any status. `bound`: octets that a token's body may have, if not `max_bytes`.

        Raises UnreachableError, UntrustedError, ProxyRefusedError, DeniedError, MalformedError, TruncatedError.
        """
        fault: ConnectorError = self._late(where)
        counters.asked(self._place)
        origin = "/".join(where.split("/", 3)[:3])
        exchanging = Bound(self._lines.setdefault(origin, Line()), self._allowed)
        start = self._clock()
        body = content if content or method in ("POST", "PUT", "PATCH") else None
        sent = False
        try:
            url, host = _url(where)
            said = _encoded({"Host": host, **self._headers, **headers, "Accept-Encoding": "gzip"})
            with exchanging, self._connection(origin, url, exchanging) as connection:
                sent = True
                answer = connection.ask(method, host, url.target, said, body)
                decoded = _decoded(answer.headers.raw_items())
                chunks = self._in_time(connection.body(), where, start)
                octets = self._body(answer.status_code, decoded, chunks, where, bound)
                if not exchanging.passed:  # a body without a length would end with the connection, as if it were whole
                    if answer.status_code >= 400:
                        counters.failed(self._place)
                    return Answer(answer.status_code, decoded, octets, where)
        except FAULTS as error:
            fault = fault if exchanging.passed else translated(error, where, self._timeout, sent=sent)
        except IncompleteRead as found:
            fault = fault if exchanging.passed else found
        counters.failed(self._place)
        raise fault  # outside, for the library's error may hold the request, and with it the token

    def _connection(self, origin: str, url: Url, exchanging: Bound) -> Connection:
        """The connection to that server, if it is still good, else a new one."""
        known = self._connections.get(origin)
        if known is not None and known.ready:
            return known
        if known is not None:
            known.close()
        proxy = proxy_of(origin)
        made = self._connections[origin] = Connection(url, proxy, self._tls, self._timeout, exchanging.hold)
        return made

    def _tls(self) -> ssl.SSLContext:
        from connector.net import tls  # noqa: PLC0415  # loads OpenSSL, four tenths of an empty Python's start: a connection in clear needs none

        self._context = self._context or tls.context(None)
        self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def _truncated(self, what: str, where: str) -> TruncatedError:
        return (SourceTruncatedError if self._place == "source" else TruncatedError)(what, where=where)

    def _late(self, where: str) -> TruncatedError:
        setting = "" if self._in_all else f" ({TIMEOUTS} times {self._place}.timeout)"
        return self._truncated(f"the answer did not end within {self._allowed:g} s{setting}", where)

    def _body(
        self, status: int, headers: Mapping[str, str], chunks: Iterator[bytes], where: str, bound: int | None
    ) -> bytes:
        fine = 200 <= status < 300
        most = bound or self._max_bytes
        pieces: list[bytes] = []
        encoding = headers.get("content-encoding", "")
        try:
            pieces.extend(inflated(chunks, encoding, most if fine else ERROR_OCTETS))
        except CutError:
            raise UnreachableError(
                "the connection was cut within the compressed answer", where=where, sent=True
            ) from None
        except TooLongError:
            if not fine:
                return b"".join(pieces)
            if bound is not None:  # no setting allows more
                what = f"the answer is longer than {bound} octets, so it is no token"
                raise MalformedError(what, where=where) from None
            setting = "" if self._in_all else f" ({self._place}.max_bytes)"
            raise self._truncated(f"the answer is longer than {most} octets{setting}", where) from None
        except GarbledError as error:
            if fine:
                raise MalformedError(f"the answer is {error}", where=where) from None
            return b""
        return b"".join(pieces)

    def _in_time(self, chunks: Iterator[bytes], where: str, start: float) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            if self._clock() - start > self._allowed:
                raise self._late(where)


def host_of_redirect(answer: Answer) -> str:
    """Where a redirect leads, by host alone: the rest may hold a ticket. Empty: it is none (RFC 9110 §15.4)."""
    if not 300 <= answer.status < 400 or answer.status == 304 or "location" not in answer.headers:
        return ""
    try:
        target = urlsplit(urljoin(answer.where, answer.headers["location"]))
    except ValueError:
        return "an address that is none"
    return target.netloc.rpartition("@")[2].encode("ascii", "backslashreplace").decode()


def _url(where: str) -> tuple[Url, str]:
    """The address, and the Host that it has (RFC 9110 §7.2). Raises ValueError."""
    parts = urlsplit(where.encode("ascii").decode())
    if parts.scheme not in ("http", "https"):
        raise ValueError("not HTTP")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    host = parts.netloc.rpartition("@")[2].lower().removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
    return Url(parts.scheme, (parts.hostname or "").encode(), parts.port, target.encode()), host


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Of names that differ in case alone the last."""
    last = {name.lower(): (name, value) for name, value in headers.items()}
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in last.values()]


def _decoded(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """What is said several times is a list (RFC 9110 §5.3). Octets stay what they are, as an ETag is sent back."""
    joined: dict[str, str] = {}
    for name, value in headers:
        known = joined.get(key := name.decode("latin-1").lower())
        joined[key] = value.decode("latin-1") if known is None else f"{known}, {value.decode('latin-1')}"
    return joined

"""One HTTP exchange at a time with one server: time-outs, bounds, and faults in our words.

- Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY), as networks expect it; credentials never are: no
  .netrc is read. Nor are cookies kept: what proves who asks stands in every request.
- Redirects are not followed: they would take the token to another address.
- httpcore, on which httpx stands, does all of it; what httpx adds is not used, and takes a tenth of a start.
- `timeout` bounds every wait for a connection or for more octets; ten times that, or `in_all`, an exchange as a whole.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit

import httpcore
from msgspec import Struct

from connector import __version__
from connector.errors import ConnectorError, IncompleteRead, MalformedError, TruncatedError, UnreachableError
from connector.net import counters
from connector.net.deadlines import TIMEOUTS, Bound, Line
from connector.net.http_errors import FAULTS, translated
from connector.net.inflate import CutError, GarbledError, TooLongError, inflated
from connector.net.proxies import proxy_of

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""
IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut under a request."""


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
    (seconds) these are, for messages. `headers` go with every request.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
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
        self._line = Line()
        self._context = context
        self._headers = {"User-Agent": f"cec-connector/{__version__}", "Accept": "application/json", **headers}
        self._pools: dict[str, httpcore.ConnectionPool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._line.close()

    def exchange(
        self, method: str, where: str, headers: Mapping[str, str], *, content: bytes = b"", bound: int | None = None
    ) -> Answer:
        """The answer to one request, of any status. `bound`: octets that the body may have, if not `max_bytes`.

        Raises UnreachableError, UntrustedError, MalformedError, TruncatedError.
        """
        fault: ConnectorError = self._late(where)
        counters.asked(self._place)
        exchanging = Bound(self._line, self._allowed)
        start = self._clock()
        body = content if content or method in ("POST", "PUT", "PATCH") else None
        followed = {
            "trace": partial(self._trace, exchanging),
            "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout),
        }
        try:
            url, host = _url(where)
            said = _encoded({"Host": host, **self._headers, **headers, "Accept-Encoding": "gzip"})
            stream = self._pool(where).stream(method, url, headers=said, content=body, extensions=followed)
            with exchanging, stream as response:
                decoded = _decoded(response.headers)
                octets = self._body(response, decoded, where, bound or self._max_bytes, start)
                if not exchanging.passed:  # a body without a length would end with the connection, as if it were whole
                    if response.status >= 400:
                        counters.failed(self._place)
                    return Answer(response.status, decoded, octets, where)
        except FAULTS as error:
            fault = fault if exchanging.passed else translated(error, where, self._timeout)
        except IncompleteRead as found:
            fault = fault if exchanging.passed else found
        counters.failed(self._place)
        raise fault  # outside, for the library's error may hold the request, and with it the token

    def _pool(self, where: str) -> httpcore.ConnectionPool:
        """The connections to that server, straight or by the proxy that the environment names for it."""
        origin = "/".join(where.split("/", 3)[:3])
        if origin not in self._pools:
            proxy = proxy_of(where)
            self._pools[origin] = httpcore.ConnectionPool(self._context, keepalive_expiry=IDLE_SECONDS, proxy=proxy)
        return self._pools[origin]

    def _trace(self, exchanging: Bound, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of an exchange: the connection, as soon as there is one, if that is in time."""
        if event == "connection.connect_tcp.complete":
            self._line.hold(info["return_value"].get_extra_info("socket"))
            if exchanging.passed:
                self._line.cut()

    def _late(self, where: str) -> TruncatedError:
        setting = "" if self._in_all else f" ({TIMEOUTS} times {self._place}.timeout)"
        return TruncatedError(f"the answer did not end within {self._allowed:g} s{setting}", where=where)

    def _body(
        self, response: httpcore.Response, headers: Mapping[str, str], where: str, bound: int, start: float
    ) -> bytes:
        fine = 200 <= response.status < 300
        pieces: list[bytes] = []
        encoding = headers.get("content-encoding", "")
        try:
            chunks = self._in_time(response.iter_stream(), where, start)
            pieces.extend(inflated(chunks, encoding, bound if fine else ERROR_OCTETS))
        except CutError:
            raise UnreachableError(
                "the connection was cut within the compressed answer", where=where, sent=True
            ) from None
        except TooLongError:
            if fine:
                setting = f" ({self._place}.max_bytes)" if bound == self._max_bytes else ""
                raise TruncatedError(f"the answer is longer than {bound} octets{setting}", where=where) from None
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
    """Where a redirect leads, by host alone: the rest of such an address may hold a ticket."""
    try:
        target = urlsplit(urljoin(answer.where, answer.headers.get("location", "")))
    except ValueError:
        return "an address that is none"
    return target.netloc.rpartition("@")[2].encode("ascii", "backslashreplace").decode()


def _url(where: str) -> tuple[httpcore.URL, str]:
    """The address as httpcore takes it, and the Host that it has (RFC 9110 §7.2). Raises ValueError.

    httpcore's own reading of a text loses what is behind a semicolon, and the brackets of an IPv6 address.
    """
    parts = urlsplit(where.encode("ascii").decode())
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    host = parts.netloc.rpartition("@")[2].lower().removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, " "))
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target), host


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

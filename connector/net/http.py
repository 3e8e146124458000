"""One HTTP exchange at a time with one server: time-outs, bounds, and faults in our words.

- Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY), as networks expect it; credentials never are: no
  .netrc is read. Nor are cookies kept: what proves who asks stands in every request.
- Redirects are not followed: they would take the token to another address.
- `timeout` bounds every wait for a connection or for more octets; ten times that, or `in_all`, an exchange as a whole.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Self

import httpx
from msgspec import Struct

from connector import __version__
from connector.errors import ConnectorError, IncompleteRead, MalformedError, TruncatedError, UnreachableError
from connector.net import counters
from connector.net.deadlines import TIMEOUTS, Bound, Line
from connector.net.http_errors import translated
from connector.net.inflate import CutError, GarbledError, TooLongError, inflated

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""
IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut under a request."""


class Answer(Struct, frozen=True):
    """An HTTP answer, read to its end; `where` is the address that was asked."""

    status: int
    headers: httpx.Headers
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
        said = httpx.Headers({"User-Agent": f"cec-connector/{__version__}", "Accept": "application/json"})
        said.update(headers)
        said["Accept-Encoding"] = "gzip"
        self._client = httpx.Client(
            headers=said,
            auth=lambda request: request,
            verify=context,
            timeout=timeout,
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            follow_redirects=False,
        )
        # httpx has no setting for this, and under a policy that allows none it still looks for some in every answer
        self._client.cookies.extract_cookies = lambda response: None  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()
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
        start, traced = self._clock(), {"trace": partial(self._trace, exchanging)}
        try:
            with (
                exchanging,
                self._client.stream(method, where, headers=headers, content=content, extensions=traced) as response,
            ):
                body = self._body(response, where, bound or self._max_bytes, start)
                if not exchanging.passed:  # a body without a length would end with the connection, as if it were whole
                    if response.is_error:
                        counters.failed(self._place)
                    return Answer(response.status_code, response.headers, body, where)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fault = fault if exchanging.passed else translated(error, where, self._timeout)
        except IncompleteRead as found:
            fault = fault if exchanging.passed else found
        counters.failed(self._place)
        raise fault  # outside, for httpx's error holds the request, and with it the token

    def _trace(self, exchanging: Bound, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of an exchange: the connection, as soon as there is one, if that is in time."""
        if event == "connection.connect_tcp.complete":
            self._line.hold(info["return_value"].get_extra_info("socket"))
            if exchanging.passed:
                self._line.cut()

    def _late(self, where: str) -> TruncatedError:
        setting = "" if self._in_all else f" ({TIMEOUTS} times {self._place}.timeout)"
        return TruncatedError(f"the answer did not end within {self._allowed:g} s{setting}", where=where)

    def _body(self, response: httpx.Response, where: str, bound: int, start: float) -> bytes:
        fine = response.is_success
        pieces: list[bytes] = []
        encoding = response.headers.get("content-encoding", "")
        try:
            chunks = self._in_time(response.iter_raw(), where, start)
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
        target = httpx.URL(answer.where).join(answer.headers.get("location", ""))
    except httpx.InvalidURL:
        return "an address that is none"
    return target.netloc.decode("ascii", "backslashreplace")

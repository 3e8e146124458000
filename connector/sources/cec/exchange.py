"""One HTTP exchange at a time with one server: time-outs, bounds, retries, and answers in one line for messages.

- Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY), as networks expect it; credentials never are: no
  .netrc is read, and the address may name no user.
- Redirects are not followed: they would take the token to another address.
- `timeout` bounds every wait for a connection or for more octets; ten times that bounds a whole body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import httpx
import structlog
from msgspec import Struct
from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_attempt

from connector import __version__
from connector.errors import (
    ConnectorError,
    DeniedError,
    IncompleteRead,
    MalformedError,
    TruncatedError,
    UnreachableError,
)
from connector.settings.job import CecSource as CecSourceSettings
from connector.sources.cec.inflate import CutError, GarbledError, TooLongError, inflated
from connector.sources.cec.patience import seconds_to_wait
from connector.sources.cec.translate import tls, translated
from connector.sources.envelopes import envelope_in, looks_like

log = structlog.get_logger(__name__)

OK: Final = 200
REFUSED: Final = (401, 403)
TIMEOUTS_A_BODY: Final = 10
ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""


class Answer(Struct, frozen=True):
    """An HTTP answer, read to its end; `where` is the address that was asked."""

    status: int
    headers: httpx.Headers
    body: bytes
    where: str

    def __repr__(self) -> str:
        return f"<answer {self.status} of {self.where}>"  # the body holds passwords


class Exchange:
    """Requests to one server; a context manager. `hide`: every secret known so far, which no error text repeats."""

    def __init__(
        self,
        settings: CecSourceSettings,
        *,
        hide: list[str],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Raises FileError if `ca_file` cannot be used."""
        self.hide = hide
        self._base = settings.url.rstrip("/")
        self._max_bytes = settings.max_bytes
        self._timeout = settings.timeout
        self._clock = clock
        self._retrying = Retrying(
            sleep=sleep,
            stop=stop_after_attempt(settings.retries + 1),
            wait=lambda state: seconds_to_wait(state, _headers(state)),
            retry=retry_if_exception_type(UnreachableError) | retry_if_result(_passing),
            before_sleep=_log_retry,
            retry_error_callback=_last,
        )
        headers = httpx.Headers({"User-Agent": f"cec-connector/{__version__}", "Accept": "application/json"})
        headers.update(settings.headers)
        headers["Accept-Encoding"] = "gzip"
        self._client = httpx.Client(
            headers=headers,
            auth=lambda request: request,
            verify=tls(settings.ca_file),
            timeout=settings.timeout,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, method: str, path: str, headers: Mapping[str, str], *, bound: int, content: bytes = b"") -> Answer:
        """The answer, of any status; 429, 5xx and connections that fail are tried again first.

        `bound`: octets that a body may have. Raises UnreachableError, UntrustedError, MalformedError, TruncatedError.
        """
        return self._retrying(self._attempt, method, f"{self._base}{path}", headers, content, bound)

    def _attempt(self, method: str, where: str, headers: Mapping[str, str], content: bytes, bound: int) -> Answer:
        fault: ConnectorError
        try:
            with self._client.stream(method, where, headers=headers, content=content) as response:
                return Answer(response.status_code, response.headers, self._body(response, where, bound), where)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fault = translated(error, where, self._timeout)
        raise fault  # outside, for httpx's error holds the request, and with it the token

    def _body(self, response: httpx.Response, where: str, bound: int) -> bytes:
        fine = response.status_code == OK
        pieces: list[bytes] = []
        encoding = response.headers.get("content-encoding", "")
        try:
            chunks = self._in_time(response.iter_raw(), where)
            pieces.extend(inflated(chunks, encoding, bound if fine else ERROR_OCTETS))
        except CutError:
            raise UnreachableError("the connection was cut within the compressed answer", where=where) from None
        except TooLongError:
            if fine:
                setting = " (source.max_bytes)" if bound == self._max_bytes else ""
                raise TruncatedError(f"the answer is longer than {bound} octets{setting}", where=where) from None
        except GarbledError as error:
            if fine:
                raise MalformedError(f"the answer is {error}", where=where) from None
            return b""
        return b"".join(pieces)

    def _in_time(self, chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
        allowed = TIMEOUTS_A_BODY * self._timeout
        start = self._clock()
        for chunk in chunks:
            yield chunk
            if self._clock() - start > allowed:
                said = f"the answer did not end within {allowed:g} s ({TIMEOUTS_A_BODY} times source.timeout)"
                raise TruncatedError(said, where=where)

    def summary(self, answer: Answer) -> str:
        """Status, and what the body says in an envelope or looks like."""
        try:
            status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        except ValueError:
            status = str(answer.status)
        envelope = envelope_in(answer.body)
        said = envelope.describe(self.hide) if envelope else looks_like(answer.body)
        return f"{status} ({said})" if said and said != "empty" else status

    def failure(self, answer: Answer, what: str) -> IncompleteRead:
        """The error that an answer other than 200 is; `what` was asked."""
        said = f"{what} was answered with {self.summary(answer)}"
        if answer.status in REFUSED:
            return DeniedError(said, where=answer.where)
        if 300 <= answer.status < 400:  # RFC 9110 §15.4
            return MalformedError(f"{said}: redirected to {_host(answer)}, and not followed", where=answer.where)
        if answer.status < 300:  # RFC 9110 §15.3
            return MalformedError(f"{said}, not 200", where=answer.where)
        return IncompleteRead(said, where=answer.where)


def _host(answer: Answer) -> str:
    """Where a redirect leads, by host alone: the rest of such an address may hold a ticket."""
    try:
        target = httpx.URL(answer.where).join(answer.headers.get("location", ""))
    except httpx.InvalidURL:
        return "an address that is none"
    return target.netloc.decode("ascii", "backslashreplace")


def _passing(answer: Answer) -> bool:
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _headers(state: RetryCallState) -> httpx.Headers | None:
    return None if _failed(state) else _last(state).headers


def _failed(state: RetryCallState) -> bool:
    return state.outcome is not None and state.outcome.failed


def _last(state: RetryCallState) -> Answer:
    """The last attempt's answer, or its error, raised."""
    answer: Answer = state.outcome.result()  # type: ignore[union-attr]  # tenacity asks only after an attempt
    return answer


def _log_retry(state: RetryCallState) -> None:
    reason = str(state.outcome and state.outcome.exception()) if _failed(state) else f"status {_last(state).status}"
    log.warning("request repeated", attempt=state.attempt_number, reason=reason, wait=round(state.upcoming_sleep, 3))

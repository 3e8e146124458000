"""One HTTP exchange at a time with one server, by httpx: limits of time and size, and faults in our words.

- Proxies are taken from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), as networks expect it and as
  Python's `urllib.request` reads them: NO_PROXY is a list of hosts, each with all below it, and of networks, such as
  10.0.0.0/8, which httpx does not know. Credentials never are: no .netrc is read. Nor are cookies kept: what proves
  who asks stands in every request.
- Redirects are not followed: they would take the token to another address.
- `timeout` bounds every wait for a connection or for more octets; ten times that, or `in_all`, an exchange as a whole.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from ipaddress import ip_address, ip_network
from typing import Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from msgspec import Struct

from connector import __version__
from connector.errors import (
    FileError,
    IncompleteRead,
    MalformedError,
    ProxyRefusedError,
    SourceTruncatedError,
    TruncatedError,
    UnreachableError,
)
from connector.net import counters, tls
from connector.net.quoting import name_status
from connector.net.time_limit import TIMEOUTS, TimeLimit

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""
IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut
under a request."""
_CUT: Final = re.compile(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = (
    "peer closed connection",
    "disconnected without sending",
    "event type ConnectionClosed",
)
"""How h11 and httpcore say that a connection ended."""
_PROXY_PLACE: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment"


class HttpAnswer(Struct, frozen=True):
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """By names in small letters; a name that is there several times has a list."""
    body: bytes
    where: str
    """The address that was asked."""

    def __repr__(self) -> str:
        return f"<answer {self.status} of {self.where}>"  # the body may hold passwords


class ExchangeLimits(Struct, frozen=True):
    """What an exchange may take."""

    timeout: float
    """Seconds of a single wait."""
    max_bytes: int
    """Octets of a body, after decompression."""
    place: str
    """The part of the job whose `timeout` and `max_bytes` these are ("source"), for messages."""
    in_all: float | None = None
    """Seconds of a whole exchange, where no job sets them; None: ten timeouts."""

    @property
    def whole_seconds(self) -> float:
        """Seconds of a whole exchange."""
        return self.in_all or TIMEOUTS * self.timeout

    def make_error(self, what: str, setting: str, where: str) -> TruncatedError:
        """Make the error of a limit, naming the setting of the job, if there is one."""
        kind = SourceTruncatedError if self.place == "source" else TruncatedError
        return kind(what if self.in_all else f"{what} ({setting})", where=where)


class HttpChannel:
    """Requests to one server at a time, one after the other; a context manager.

    Raises UnreachableError, UntrustedError, ProxyRefusedError, DeniedError, MalformedError,
    TruncatedError.
    """

    def __init__(
        self,
        trusted: ssl.SSLContext,
        headers: Mapping[str, str],
        limits: ExchangeLimits,
        *,
        keeps_connections: bool = False,
    ) -> None:
        """Send `headers` with every request. Without `keeps_connections` each request has a connection of its own."""
        self._trusted = trusted
        self._limits = limits
        self._limit = TimeLimit(limits.whole_seconds)
        self._client: httpx.Client | None = None
        self._origin = ""
        self._proxy: str | None = None
        self._request_was_sent = False
        self._in_tunnel = False
        common = {
            "User-Agent": f"cec-connector/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        if not keeps_connections:
            common["Connection"] = "close"
        self._headers = _encode_headers(common)
        self._headers.update(_encode_headers(headers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._limit.close()

    def exchange_once(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        *,
        content: bytes = b"",
        bound: int | None = None,
    ) -> HttpAnswer:
        """The answer to one request, of any status. `bound`: octets that a token may have, in place of `max_bytes`."""
        counters.count_request(self._limits.place)
        outcome: HttpAnswer | IncompleteRead
        with self._limit:
            try:
                outcome = self._exchange(method, where, headers, content, bound)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                outcome = self._describe_error(error, where)
            except IncompleteRead as fault:
                outcome = fault
            # a body without a length would end with the connection, as if whole
            if self._limit.has_passed:
                what = f"the answer did not end within {self._limits.whole_seconds:g} s"
                setting = f"{TIMEOUTS} times {self._limits.place}.timeout"
                outcome = self._limits.make_error(what, setting, where)
        if isinstance(outcome, HttpAnswer) and outcome.status < 400:
            return outcome
        counters.count_error(self._limits.place)
        if isinstance(outcome, HttpAnswer):
            return outcome
        # outside, for httpx's error holds the request, and with it the token
        raise outcome

    def _exchange(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        content: bytes,
        bound: int | None,
    ) -> HttpAnswer:
        self._request_was_sent = False
        client = self._open_client(where)
        merged = self._headers.copy()
        merged.update(_encode_headers(headers))
        has_body = content or method in ("POST", "PUT", "PATCH")
        request = client.build_request(
            method,
            where,
            headers=merged,
            content=content if has_body else None,
            extensions={"trace": self._note_event},
        )
        with closing(client.send(request, stream=True)) as response:
            body = self._read_body(response, where, bound)
        status = response.status_code
        if status == 407 and self._proxy and where.lower().startswith("http:"):
            raise _describe_proxy_status(status, where)  # its own (RFC 9110 §15.5.8)
        response.headers.encoding = "latin-1"  # as an ETag is sent back
        return HttpAnswer(status, dict(response.headers), body, where)

    def _open_client(self, where: str) -> httpx.Client:
        """The client of the server at this address; another one's connection is closed."""
        origin = "/".join(where.split("/", 3)[:3])
        if self._client is None or origin != self._origin:
            self.close()
            self._origin, self._proxy = origin, proxy_for(origin)
            self._client = httpx.Client(
                auth=lambda request: request,
                verify=self._trusted,
                proxy=_configure_proxy(self._proxy) if self._proxy else None,
                timeout=self._limits.timeout,
                limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
                trust_env=False,
            )
            # httpx has no setting for this, and under a policy that allows none it still looks
            # for some in every answer
            self._client.cookies.extract_cookies = lambda response: None  # type: ignore[method-assign]  # to keep no cookies
        return self._client

    def _note_event(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of an exchange (https://www.encode.io/httpcore/extensions/#trace)."""
        if event == "connection.connect_tcp.complete":
            self._in_tunnel = False
            self._limit.watch_connection(info["return_value"].get_extra_info("socket"))
        elif event == "proxy.start_tls.started":
            self._in_tunnel = True
        elif event == "http11.send_request_headers.started":
            self._request_was_sent = info["request"].method != b"CONNECT"

    def _describe_error(self, fault: Exception, where: str) -> IncompleteRead:
        """The error in our words: the proxy's, where it came before the server was reached."""
        was_sent = self._request_was_sent
        if self._proxy and not (was_sent or self._in_tunnel):
            return _describe_proxy_fault(fault, where, self._limits.timeout)
        return _describe_fault(fault, where, self._limits.timeout, sent=was_sent)

    def _read_body(
        self, response: httpx.Response, where: str, bound: int | None
    ) -> bytes:
        """The body, decompressed. Of an answer that is an error, no more than tells why."""
        is_good = response.is_success
        most = (bound or self._limits.max_bytes) if is_good else ERROR_OCTETS
        body = bytearray()
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > most:
                    break
        except httpx.DecodingError:
            if is_good:
                raise
            return b""
        if not is_good or len(body) <= most:
            return bytes(body[:most])
        what = f"the answer is longer than {most} octets"
        if bound:  # no setting allows more
            raise MalformedError(f"{what}, so it is no token", where=where)
        raise self._limits.make_error(what, f"{self._limits.place}.max_bytes", where)


def host_of_redirect(answer: HttpAnswer) -> str:
    """Where a redirect leads, by host alone: the rest may hold a ticket. Empty: it is none (RFC 9110 §15.4)."""
    location = answer.headers.get("location")
    if location is None or answer.status == 304 or answer.status // 100 != 3:
        return ""
    try:
        return httpx.URL(answer.where).join(location).netloc.decode()
    except (httpx.InvalidURL, ValueError):  # the latter is urllib's
        return "an invalid address"


def _configure_proxy(address: str) -> httpx.Proxy:
    """What httpx is to know of a proxy. Of one that speaks TLS, the system's authorities are trusted."""
    is_tls = address.startswith("https:")
    return httpx.Proxy(
        address, ssl_context=tls.open_tls_context(None) if is_tls else None
    )


def _encode_headers(headers: Mapping[str, str]) -> httpx.Headers:
    return httpx.Headers(headers, encoding="latin-1")


# ---------------------------------------------------------------- errors
# in our words: a text of httpx's may quote an answer


def _describe_fault(
    error: Exception, where: str, timeout: float, *, sent: bool
) -> IncompleteRead:
    """Tell what a failed exchange was: whom we cannot trust, cannot reach, or cannot understand.

    `sent`: the request may have been sent. `timeout`: seconds of a single wait.
    """
    cause = _find_cause(error)
    fault = tls.fault_of(cause, where)
    if fault:
        return fault
    if isinstance(error, httpx.DecodingError):
        what = "the answer is not the compressed body that Content-Encoding promises"
        return MalformedError(what, where=where)
    if isinstance(error, httpx.RemoteProtocolError):
        return _describe_broken(str(error), where, sent=sent)
    if isinstance(error, httpx.TimeoutException):
        what = "nothing came for" if sent else "no connection within"
        return UnreachableError(f"{what} {timeout:g} s", where=where, sent=sent)
    if isinstance(error, httpx.NetworkError):
        what = "the connection was cut" if sent else "no connection"
        reason = _tell_reason(cause)
        return UnreachableError(f"{what}: {reason}", where=where, sent=sent)
    what = "this address or these headers are invalid for HTTP"
    return MalformedError(what, where=where)


def _describe_proxy_fault(
    error: Exception, where: str, timeout: float
) -> IncompleteRead:
    """Tell what an exchange was that did not reach the server, for the proxy refused or failed."""
    status = re.match("[1-5][0-9][0-9]", str(error))
    if isinstance(error, httpx.ProxyError) and status:
        return _describe_proxy_status(int(status[0]), where)
    fault = _describe_fault(error, where, timeout, sent=False)
    # nonsense of the server's would say that it may have done what was asked, which it has
    # not heard
    kind = type(fault) if isinstance(fault, UnreachableError) else ProxyRefusedError
    return kind(_blame_proxy(where, fault.what), where=where)


def _describe_proxy_status(status: int, where: str) -> IncompleteRead:
    """Tell what a proxy answered in place of the server."""
    needs_login = status == 407
    kind = ProxyRefusedError if needs_login else UnreachableError
    return kind(_blame_proxy(where, name_status(status)), where=where)


def _blame_proxy(where: str, what: str) -> str:
    scheme = where.partition(":")[0].upper()
    return f"the proxy of the environment ({scheme}_PROXY or ALL_PROXY) refused or failed: {what}"


def _describe_broken(text: str, where: str, *, sent: bool) -> IncompleteRead:
    if not any(words in text for words in _GONE):
        return MalformedError("the answer is not HTTP", where=where)
    found = _CUT.search(text)
    amount = f" after {found[1]} of {found[2]} octets" if found else ""
    said = f"the connection was cut before the answer was complete{amount}"
    return UnreachableError(said, where=where, sent=sent)


def _find_cause(error: BaseException) -> BaseException:
    """Find the error at the bottom of the chain: the operating system's or OpenSSL's."""
    below = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLError) or below is None:
        return error
    return _find_cause(below)


def _tell_reason(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'no reason given'}"
    return getattr(cause, "strerror", None) or "no reason given"


# ---------------------------------------------------------------- proxies


def proxy_for(origin: str) -> str | None:
    """The proxy's address; None where the server is asked directly. Raises FileError for what is no HTTP proxy."""
    server, proxies = urlsplit(origin), getproxies()
    host = server.hostname or ""  # an IPv6 address has no brackets there
    if proxy_bypass(server.netloc) or proxy_bypass(host):
        return None
    if _is_within(host, proxies.get("no", "")):
        return None
    found = proxies.get(server.scheme) or proxies.get("all")
    if not found:
        return None
    address = found if "://" in found else f"http://{found}"
    if _is_http(address):
        return address
    # raised here, for urllib's or httpx's may hold the password
    raise FileError(
        "only http:// and https:// proxies with a valid host and port are supported",
        where=_PROXY_PLACE,
    )


def _is_http(address: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")
        return parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    return False


def _is_within(host: str, names: str) -> bool:
    """Whether a host is an address of one of the networks among these names (RFC 4632 §3.1, RFC 4291 §2.3)."""
    for name in names.split(","):
        with suppress(ValueError):  # a name is no network, or the host no address
            network = ip_network(name.strip(), strict=False)
            if "/" in name and ip_address(host) in network:
                return True
    return False

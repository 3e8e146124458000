"""One HTTP exchange at a time with one server, by httpx: limits of time and size, and faults in our words.

- Proxies are taken from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), as networks expect it and as
  Python's `urllib.request` reads them: NO_PROXY is a list of hosts, each with all below it, and of networks, such as
  10.0.0.0/8, which httpx does not know. Credentials never are: no .netrc is read. Nor are cookies kept: what proves
  who asks stands in every request.
- Redirects are not followed: they would take the token to another address.
- `timeout` bounds every wait for a connection or for more octets; ten times that, or `in_all`, an exchange as a whole.
"""

from __future__ import annotations

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
    SourceTruncatedError,
    TruncatedError,
)
from connector.net import counters, tls
from connector.net.http_errors import (
    describe_fault,
    describe_proxy_fault,
    describe_proxy_status,
)
from connector.net.time_limit import TIMEOUTS, TimeLimit

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""
IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut
under a request."""
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


class _ServerRoute:
    """The way to one server, and what was seen of the last exchange on it."""

    def __init__(
        self, origin: str, trusted: ssl.SSLContext, limits: ExchangeLimits
    ) -> None:
        self.proxy = proxy_for(origin)
        self.limit = TimeLimit(limits.whole_seconds)
        self._timeout = limits.timeout
        self._request_was_sent = False
        self._in_tunnel = False
        self._client = httpx.Client(
            auth=lambda request: request,
            verify=trusted,
            proxy=_configure_proxy(self.proxy) if self.proxy else None,
            timeout=limits.timeout,
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
            trust_env=False,
        )
        # httpx has no setting for this, and under a policy that allows none it still looks
        # for some in every answer
        self._client.cookies.extract_cookies = lambda response: None  # type: ignore[method-assign]  # to keep no cookies

    def build_request(
        self, method: str, where: str, headers: httpx.Headers, content: bytes
    ) -> httpx.Request:
        """Make a request. Raises httpx.InvalidURL or ValueError where the address or a header is none."""
        has_body = content or method in ("POST", "PUT", "PATCH")
        return self._client.build_request(
            method,
            where,
            headers=headers,
            content=content if has_body else None,
            extensions={"trace": self._note_event},
        )

    def send_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer, whose body is still to be read."""
        self._request_was_sent = False
        return self._client.send(request, stream=True)

    def _note_event(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of an exchange (https://www.encode.io/httpcore/extensions/#trace)."""
        if event == "connection.connect_tcp.complete":
            self._in_tunnel = False
            self.limit.watch_connection(info["return_value"].get_extra_info("socket"))
        elif event == "proxy.start_tls.started":
            self._in_tunnel = True
        elif event == "http11.send_request_headers.started":
            self._request_was_sent = info["request"].method != b"CONNECT"

    def describe_error(self, fault: Exception, where: str) -> IncompleteRead:
        """The error in our words: the proxy's, where it came before the server was reached."""
        was_sent = self._request_was_sent
        if self.proxy and not (was_sent or self._in_tunnel):
            return describe_proxy_fault(fault, where, self._timeout)
        return describe_fault(fault, where, self._timeout, sent=was_sent)

    def close(self) -> None:
        self._client.close()
        self.limit.close()


class HttpChannel:
    """Requests to one server, one after the other; a context manager.

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
        self._routes: dict[str, _ServerRoute] = {}
        self._headers = _encode_headers(
            {
                "User-Agent": f"cec-connector/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            }
        )
        self._headers.update(_encode_headers(headers))
        if not keeps_connections:
            self._headers["Connection"] = "close"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for route in self._routes.values():
            route.close()

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
        route = self._find_route(where)
        outcome: HttpAnswer | IncompleteRead
        with route.limit:
            try:
                merged = self._headers.copy()
                merged.update(_encode_headers(headers))
                request = route.build_request(method, where, merged, content)
                outcome = self._read_answer(route, request, where, bound)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                outcome = route.describe_error(error, where)
            except IncompleteRead as fault:
                outcome = fault
            # a body without a length would end with the connection, as if whole
            if route.limit.has_passed:
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

    def _find_route(self, where: str) -> _ServerRoute:
        origin = "/".join(where.split("/", 3)[:3])
        route = self._routes.get(origin)
        if route is None:
            host = None
            with suppress(ValueError):
                host = urlsplit(origin).hostname
            if not host:
                raise MalformedError("this address is invalid for HTTP", where=where)
            route = self._routes[origin] = _ServerRoute(
                origin, self._trusted, self._limits
            )
        return route

    def _read_answer(
        self, route: _ServerRoute, request: httpx.Request, where: str, bound: int | None
    ) -> HttpAnswer:
        with closing(route.send_request(request)) as response:
            body = self._read_body(response, where, bound)
        status = response.status_code
        if status == 407 and route.proxy and where.lower().startswith("http:"):
            raise describe_proxy_status(status, where)  # its own (RFC 9110 §15.5.8)
        response.headers.encoding = "latin-1"  # as an ETag is sent back
        return HttpAnswer(status, dict(response.headers), body, where)

    def _read_body(
        self, response: httpx.Response, where: str, bound: int | None
    ) -> bytes:
        """The body, decompressed. Of an answer that is an error, no more than tells why."""
        most = bound or self._limits.max_bytes
        if not response.is_success:
            most = ERROR_OCTETS
        body = bytearray()
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > most:
                    break
        except httpx.DecodingError:
            if response.is_success:
                raise
            return b""
        if len(body) <= most:
            return bytes(body)
        if not response.is_success:
            return bytes(body[:most])
        if bound:  # no setting allows more
            what = f"the answer is longer than {most} octets, so it is no token"
            raise MalformedError(what, where=where)
        what = f"the answer is longer than {most} octets"
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

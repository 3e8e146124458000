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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address, ip_network
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit
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
from connector.net.http_errors import describe_fault, describe_proxy_fault
from connector.net.time_limit import TIMEOUTS, TimeLimit

ERROR_OCTETS: Final = 1 << 16
"""How much is read of an answer that is an error anyway."""
IDLE_SECONDS: Final = 1.0
"""How long a connection is kept unused: less than servers keep it, so that it is not cut
under a request."""


_PROXY_PLACE: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment"


class Answer(Struct, frozen=True):
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes
    where: str
    """The address that was asked."""

    def __repr__(self) -> str:
        return f"<answer {self.status} of {self.where}>"  # the body may hold passwords


class Limits(Struct, frozen=True):
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
    def seconds(self) -> float:
        """Seconds of a whole exchange."""
        return self.in_all or TIMEOUTS * self.timeout


class _Route:
    """The way to one server, and what was seen of the last exchange on it."""

    def __init__(self, origin: str, trusted: ssl.SSLContext, limits: Limits) -> None:
        self.proxy = proxy_for(origin)
        self.limit = TimeLimit(limits.seconds)
        self.request_was_sent = False
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

    def build(
        self, method: str, where: str, headers: Mapping[str, str], content: bytes
    ) -> httpx.Request:
        """A request. Raises httpx.InvalidURL or ValueError where the address or a header is none."""
        body = content if content or method in ("POST", "PUT", "PATCH") else None
        traced = {"trace": self._note_event}
        return self._client.build_request(
            method,
            where,
            headers=_encode_headers(headers),
            content=body,
            extensions=traced,
        )

    @contextmanager
    def send(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Send a request, and give its answer, whose body is still to be read."""
        self.request_was_sent = False
        response = self._client.send(request, stream=True)
        with closing(response):
            if (
                response.status_code == 407
                and self.proxy
                and request.url.scheme == "http"
            ):
                self.request_was_sent = False
                raise httpx.ProxyError("407")  # the proxy's own (RFC 9110 §15.5.8)
            yield response

    def _note_event(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of an exchange (https://www.encode.io/httpcore/extensions/#trace)."""
        if event == "connection.connect_tcp.complete":
            self._in_tunnel = False
            self.limit.watch(info["return_value"].get_extra_info("socket"))
        elif event == "proxy.start_tls.started":
            self._in_tunnel = True
        elif event == "http11.send_request_headers.started":
            self.request_was_sent = info["request"].method != b"CONNECT"

    def describe(self, fault: Exception, where: str, timeout: float) -> IncompleteRead:
        """The error in our words: the proxy's, where it came before the server was reached."""
        if self.proxy and not (self.request_was_sent or self._in_tunnel):
            return describe_proxy_fault(fault, where, timeout)
        return describe_fault(fault, where, timeout, sent=self.request_was_sent)

    def close(self) -> None:
        self._client.close()
        self.limit.close()


class Channel:
    """Requests to one server, one after the other; a context manager.

    Raises UnreachableError, UntrustedError, ProxyRefusedError, DeniedError, MalformedError,
    TruncatedError.
    """

    def __init__(
        self,
        trusted: ssl.SSLContext,
        headers: Mapping[str, str],
        limits: Limits,
        *,
        keeps_connections: bool = False,
    ) -> None:
        """Send `headers` with every request. Without `keeps_connections` each request has a connection of its own."""
        self._trusted = trusted
        self._limits = limits
        self._routes: dict[str, _Route] = {}
        closing = {} if keeps_connections else {"Connection": "close"}
        ours = {
            "User-Agent": f"cec-connector/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        self._headers = {**ours, **headers, **closing}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for route in self._routes.values():
            route.close()

    def exchange(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        *,
        content: bytes = b"",
        bound: int | None = None,
    ) -> Answer:
        """The answer to one request, of any status. `bound`: octets that a token may have, in place of `max_bytes`."""
        counters.asked(self._limits.place)
        route = self._route(where)
        fault: IncompleteRead
        with route.limit:
            try:
                request = route.build(
                    method, where, {**self._headers, **headers}, content
                )
                with route.send(request) as response:
                    body = self._read_body(response, where, bound)
                answer = Answer(
                    response.status_code,
                    _decode_headers(response.headers.raw),
                    body,
                    where,
                )
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                fault = route.describe(error, where, self._limits.timeout)
            except IncompleteRead as found:
                fault = found
            else:
                if (
                    not route.limit.has_passed
                ):  # a body without a length would end with the connection, as if whole
                    if answer.status >= 400:
                        counters.failed(self._limits.place)
                    return answer
            if route.limit.has_passed:
                fault = self._too_slow(where)
        counters.failed(self._limits.place)
        # outside, for httpx's error holds the request, and with it the token
        raise fault

    def _route(self, where: str) -> _Route:
        origin = "/".join(where.split("/", 3)[:3])
        route = self._routes.get(origin)
        if route is None:
            host = None
            with suppress(ValueError):
                host = urlsplit(origin).hostname
            if not host:
                raise MalformedError("this address is invalid for HTTP", where=where)
            route = self._routes[origin] = _Route(origin, self._trusted, self._limits)
        return route

    def _read_body(
        self, response: httpx.Response, where: str, bound: int | None
    ) -> bytes:
        """The body, decompressed. Of an answer that is an error, no more than tells why."""
        is_fine = response.is_success
        most = (bound or self._limits.max_bytes) if is_fine else ERROR_OCTETS
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in response.iter_bytes():
                size += len(piece)
                if size > most:
                    break
                pieces.append(piece)
        except httpx.DecodingError:
            if is_fine:
                raise
            return b""
        if size > most and is_fine:
            raise self._too_long(most, where, is_token=bound is not None)
        return b"".join(pieces)

    def _too_long(self, most: int, where: str, *, is_token: bool) -> IncompleteRead:
        if is_token:  # no setting allows more
            why = f"the answer is longer than {most} octets, so it is no token"
            return MalformedError(why, where=where)
        what = f"the answer is longer than {most} octets"
        return self._truncated(what, "max_bytes", where)

    def _too_slow(self, where: str) -> TruncatedError:
        what = f"the answer did not end within {self._limits.seconds:g} s"
        return self._truncated(what, "timeout", where)

    def _truncated(self, what: str, setting: str, where: str) -> TruncatedError:
        """The error that names the setting of the job, if there is one."""
        place = self._limits.place
        if not self._limits.in_all:
            times = f"{TIMEOUTS} times " if setting == "timeout" else ""
            what += f" ({times}{place}.{setting})"
        kind = SourceTruncatedError if place == "source" else TruncatedError
        return kind(what, where=where)


def host_of_redirect(answer: Answer) -> str:
    """Where a redirect leads, by host alone: the rest may hold a ticket. Empty: it is none (RFC 9110 §15.4)."""
    if (
        not 300 <= answer.status < 400
        or answer.status == 304
        or "location" not in answer.headers
    ):
        return ""
    try:
        target = urlsplit(urljoin(answer.where, answer.headers["location"]))
    except ValueError:
        return "an invalid address"
    return target.netloc.rpartition("@")[2].encode("ascii", "backslashreplace").decode()


def _configure_proxy(address: str) -> httpx.Proxy:
    """What httpx is to know of a proxy. Of one that speaks TLS, the system's authorities are trusted."""
    return httpx.Proxy(
        address, ssl_context=tls.context(None) if address.startswith("https:") else None
    )


def _encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Octets as they are sent; of names that differ in case alone the last."""
    last = {name.lower(): (name, value) for name, value in headers.items()}
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in last.values()
    ]


def _decode_headers(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """What is said several times is a list (RFC 9110 §5.3). Octets stay what they are, as an ETag is sent back."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


# ---------------------------------------------------------------- proxies


def proxy_for(origin: str) -> str | None:
    """The proxy's address; None where the server is asked directly. Raises FileError for what is no HTTP proxy."""
    server, proxies = urlsplit(origin), getproxies()
    host = server.hostname or ""
    if proxy_bypass(server.netloc) or proxy_bypass(
        host
    ):  # an IPv6 address has no brackets there
        return None
    if _is_within(host, proxies.get("no", "")):
        return None
    found = proxies.get(server.scheme) or proxies.get("all")
    if not found:
        return None
    address = found if "://" in found else f"http://{found}"
    if not _is_http(
        address
    ):  # the error is raised here, for urllib's may hold the password
        raise FileError(
            "only http:// and https:// proxies with a valid host and port are supported",
            where=_PROXY_PLACE,
        )
    return address


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
            if "/" in name and ip_address(host) in ip_network(
                name.strip(), strict=False
            ):
                return True
    return False

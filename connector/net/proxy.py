"""The proxy that the environment names for a server: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

Read as Python's `urllib.request` reads them: NO_PROXY is a list of hosts, each with all
below it. Networks may be among them, such as 10.0.0.0/8, as other programs have it; httpx
does not know them.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from connector.errors import FileError

_WHERE: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment"


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
            where=_WHERE,
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

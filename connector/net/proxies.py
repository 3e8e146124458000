"""The proxy that the environment names for an address: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

They are read as Python's `urllib.request` reads them: NO_PROXY is a list of hosts, each with all below it. Networks may
be among them, such as 10.0.0.0/8, as other programs have it.
"""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from connector.errors import FileError
from connector.net.connection import Proxy, Url

_WHERE: Final = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment"


def proxy_of(where: str) -> Proxy | None:
    """The proxy, with the user and password of its address; None where the address is asked straight.

    Raises FileError for one that is no HTTP proxy.
    """
    found = _named(where)
    if not found:
        return None
    parts, host, port = SplitResult("", "", "", "", ""), "", None
    with suppress(ValueError):  # the error is raised outside, for the library's may hold the password
        parts = urlsplit(found if "://" in found else f"http://{found}")
        port, host = parts.port, (parts.hostname or "").encode("idna").decode()
    if parts.scheme not in ("http", "https") or not host:
        raise FileError("only http:// and https:// proxies with a valid host and port are supported", where=_WHERE)
    user, password = (unquote_to_bytes(each or "") for each in (parts.username, parts.password))
    said = base64.b64encode(user + b":" + password) if user or password else b""
    return Proxy(Url(parts.scheme, host.encode(), port), [(b"Proxy-Authorization", b"Basic " + said)] if said else [])


def _named(where: str) -> str:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # a twentieth of a start; few have a proxy

    parts, proxies = urlsplit(where), getproxies()
    if proxy_bypass(parts.netloc) or proxy_bypass(parts.hostname or ""):  # an IPv6 address has no brackets there
        return ""
    if _is_within(parts.hostname or "", proxies.get("no", "")):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def _is_within(host: str, names: str) -> bool:
    """Whether a host is an address of one of the networks among these names (RFC 4632 §3.1, RFC 4291 §2.3)."""
    networks = [name.strip() for name in names.split(",") if "/" in name]
    if networks:
        from ipaddress import ip_address, ip_network  # noqa: PLC0415  # few have a proxy, and of these few list networks

        for network in networks:
            with suppress(ValueError):  # a name is no network, or the host no address
                if ip_address(host) in ip_network(network, strict=False):
                    return True
    return False

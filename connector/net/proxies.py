"""The proxy that the environment names for an address: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as for curl."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes, urlsplit

import httpcore

from connector.errors import FileError


def proxy_of(where: str) -> httpcore.Proxy | None:
    """The proxy, with the user and password of its address; None where the address is asked straight.

    Raises FileError for one that is no HTTP proxy.
    """
    found = _named(where)
    if not found:
        return None
    parts = urlsplit(found if "://" in found else f"http://{found}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = "only proxies of http:// and https:// are supported"
        raise FileError(what, where="HTTP_PROXY, HTTPS_PROXY or ALL_PROXY of the environment")
    user, password = (unquote_to_bytes(each or "") for each in (parts.username, parts.password))
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/".encode("ascii")
    return httpcore.Proxy(address, (user, password) if user else None)


def _named(where: str) -> str:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # a twentieth of a start; few have a proxy

    parts, proxies = urlsplit(where), getproxies()
    return "" if proxy_bypass(parts.netloc) else proxies.get(parts.scheme) or proxies.get("all") or ""

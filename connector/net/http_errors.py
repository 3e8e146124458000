"""Errors of HTTP exchanges in our words; no text of httpx's is passed on, for it may quote an answer."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import Final

import httpx

from connector.errors import (
    IncompleteRead,
    MalformedError,
    ProxyRefusedError,
    UnreachableError,
)
from connector.net import tls
from connector.net.quoting import name_status

_CUT: Final = re.compile(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = (
    "peer closed connection",
    "disconnected without sending",
    "event type ConnectionClosed",
)
"""How h11 and httpcore say that a connection ended."""


def describe_fault(
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


def describe_proxy_fault(
    error: Exception, where: str, timeout: float
) -> IncompleteRead:
    """Tell what an exchange was that did not reach the server, for the proxy refused or failed."""
    status = re.match("[1-5][0-9][0-9]", str(error))
    if isinstance(error, httpx.ProxyError) and status:
        return describe_proxy_status(int(status[0]), where)
    fault = describe_fault(error, where, timeout, sent=False)
    # nonsense of the server's would say that it may have done what was asked, which it has
    # not heard
    kind = type(fault) if isinstance(fault, UnreachableError) else ProxyRefusedError
    return kind(_blame_proxy(where, fault.what), where=where)


def describe_proxy_status(status: int, where: str) -> IncompleteRead:
    """Tell what a proxy answered in place of the server."""
    needs_login = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
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

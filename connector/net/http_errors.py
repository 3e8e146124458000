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
from connector.net.quoting import phrase

_CUT: Final = re.compile(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = (
    "peer closed connection",
    "disconnected without sending",
    "event type ConnectionClosed",
)
"""How h11 and httpcore say that a connection ended."""
_STATUS: Final = re.compile(r"[1-5][0-9][0-9]")


def describe_fault(
    error: Exception, where: str, timeout: float, *, sent: bool
) -> IncompleteRead:
    """What a failed exchange was: whom we cannot trust, cannot reach, or cannot understand.

    `sent`: the request may have been sent. `timeout`: seconds of a single wait.
    """
    cause = _cause_of(error)
    if fault := tls.fault_of(cause, where):
        return fault
    if isinstance(error, httpx.DecodingError):
        return MalformedError(
            "the answer is not the compressed body that Content-Encoding promises",
            where=where,
        )
    if isinstance(error, httpx.RemoteProtocolError):
        return _describe_broken(str(error), where, sent=sent)
    if isinstance(error, httpx.TimeoutException):
        said = (
            f"nothing came for {timeout:g} s"
            if sent
            else f"no connection within {timeout:g} s"
        )
    elif isinstance(error, httpx.NetworkError):
        said = (
            f"the connection was cut: {_reason_of(cause)}"
            if sent
            else f"no connection: {_reason_of(cause)}"
        )
    else:
        return MalformedError(
            "this address or these headers are invalid for HTTP", where=where
        )
    return UnreachableError(said, where=where, sent=sent)


def describe_proxy_fault(
    error: Exception, where: str, timeout: float
) -> IncompleteRead:
    """The same of an exchange that did not reach the server, for the proxy refused or failed."""
    status = _STATUS.match(str(error)) if isinstance(error, httpx.ProxyError) else None
    fault: IncompleteRead
    if status:
        kind = (
            ProxyRefusedError
            if int(status[0]) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
            else UnreachableError
        )
        fault = kind(phrase(int(status[0])))
    else:
        fault = describe_fault(error, where, timeout, sent=False)
    # nonsense of the server's would say that it may have done what was asked, which it has
    # not heard
    kind = type(fault) if isinstance(fault, UnreachableError) else ProxyRefusedError
    scheme = where.partition(":")[0].upper()
    said = f"the proxy of the environment ({scheme}_PROXY or ALL_PROXY) refused or failed: {fault.what}"
    return kind(said, where=where)


def _describe_broken(text: str, where: str, *, sent: bool) -> IncompleteRead:
    if not any(words in text for words in _GONE):
        return MalformedError("the answer is not HTTP", where=where)
    found = _CUT.search(text)
    amount = f" after {found[1]} of {found[2]} octets" if found else ""
    said = f"the connection was cut before the answer was complete{amount}"
    return UnreachableError(said, where=where, sent=sent)


def _cause_of(error: Exception) -> BaseException:
    """The error at the bottom of the chain: the operating system's or OpenSSL's."""
    cause: BaseException = error
    while (
        not isinstance(cause, ssl.SSLError)
        and (below := cause.__cause__ or cause.__context__) is not None
    ):
        cause = below
    return cause


def _reason_of(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'no reason given'}"
    return (isinstance(cause, OSError) and cause.strerror) or "no reason given"

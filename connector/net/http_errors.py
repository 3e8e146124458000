"""httpcore's errors in our words; no text of its own is passed on, for it may quote an answer."""

from __future__ import annotations

import ssl
from typing import Final

import httpcore

from connector.errors import DeniedError, IncompleteRead, MalformedError, NoTlsError, UnreachableError, UntrustedError
from connector.net.tls import NO_TLS
from connector.regex import regex

FAULTS: Final = (
    httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol, httpcore.TimeoutException,
    httpcore.NetworkError, ValueError,
)  # fmt: skip
"""What a request may fail by: no text of an address or a header that is none is a ValueError."""
_CUT: Final = regex(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = ("peer closed connection", "disconnected without sending")
_OUR_CERTIFICATE: Final = regex(r"ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
_BEFORE: Final = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.ProxyError)
"""What happens before a request is sent."""
_WORDS: Final[dict[type[Exception], str]] = {
    httpcore.ConnectTimeout: "no connection within {timeout:g} s",
    httpcore.TimeoutException: "nothing came for {timeout:g} s",
    httpcore.ProxyError: "the proxy of the environment (HTTPS_PROXY) refused or failed",
    httpcore.ConnectError: "no connection: {why}",
    httpcore.NetworkError: "the connection was cut: {why}",
}
"""In this order: a later kind may contain an earlier one."""


def translated(error: Exception, where: str, timeout: float) -> IncompleteRead:
    """What a failed exchange was: whom we cannot trust, cannot reach, or cannot understand."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return UntrustedError(f"the server's certificate is not trusted: {cause.verify_message}", where=where)
    if isinstance(cause, ssl.SSLError) and cause.reason == NO_TLS:
        return NoTlsError("what answers there speaks no TLS", where=where)
    if isinstance(cause, ssl.SSLError) and _OUR_CERTIFICATE.search(cause.reason or ""):
        # in TLS 1.3 a client learns only with the first answer that its certificate was refused (RFC 8446 §4.4.2.4)
        return DeniedError(f"the server refused the TLS connection: {cause.reason}", where=where)
    if isinstance(error, httpcore.RemoteProtocolError):
        return _broken(str(error), where)
    if isinstance(error, httpcore.ProtocolError | httpcore.UnsupportedProtocol | ValueError):
        return MalformedError("this address or these headers are invalid for HTTP", where=where)
    said = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), "the exchange failed")
    sent = not isinstance(error, _BEFORE)
    return UnreachableError(said.format(timeout=timeout, why=_why(cause)), where=where, sent=sent)


def _broken(text: str, where: str) -> IncompleteRead:
    if not any(words in text for words in _GONE):
        return MalformedError("the answer is not HTTP", where=where)
    found = _CUT.search(text)
    amount = f" after {found[1]} of {found[2]} octets" if found else ""
    said = f"the connection was cut before the answer was complete{amount}"
    return UnreachableError(said, where=where, sent=True)


def _cause(error: BaseException) -> BaseException | None:
    """The error at the bottom of the chain: the operating system's or OpenSSL's."""
    cause: BaseException | None = error
    while cause is not None and (below := cause.__cause__ or cause.__context__) is not None:
        cause = below
        if isinstance(cause, ssl.SSLError):
            break
    return cause


def _why(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'no reason given'}"
    return (isinstance(cause, OSError) and cause.strerror) or "no reason given"

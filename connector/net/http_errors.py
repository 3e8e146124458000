"""Errors of connections and of h11 in our words; no text of theirs is passed on, for it may quote an answer."""

from __future__ import annotations

import ssl
from typing import Final

import h11

from connector.errors import DeniedError, IncompleteRead, MalformedError, NoTlsError, UnreachableError, UntrustedError
from connector.net.connection import ProxyError
from connector.net.tls import NO_TLS
from connector.regex import regex

FAULTS: Final = (OSError, ProxyError, h11.ProtocolError, ValueError)
"""What a request may fail by: no text of an address or a header that is none is a ValueError."""
_CUT: Final = regex(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = "peer closed connection"
"""How h11 begins where an answer is cut."""
_OUR_CERTIFICATE: Final = regex(r"ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")


def translated(error: Exception, where: str, timeout: float, *, sent: bool) -> IncompleteRead:
    """What a failed exchange was: whom we cannot trust, cannot reach, or cannot understand.

    `sent`: there was a connection already, so the request may have been sent.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return UntrustedError(f"the server's certificate is not trusted: {error.verify_message}", where=where)
    if isinstance(error, ssl.SSLError) and error.reason == NO_TLS:
        return NoTlsError("what answers there speaks no TLS", where=where)
    if isinstance(error, ssl.SSLError) and _OUR_CERTIFICATE.search(error.reason or ""):
        # in TLS 1.3 a client learns only with the first answer that its certificate was refused (RFC 8446 §4.4.2.4)
        return DeniedError(f"the server refused the TLS connection: {error.reason}", where=where)
    if isinstance(error, h11.RemoteProtocolError):
        return _broken(str(error), where, sent=sent)
    if isinstance(error, h11.ProtocolError) or not isinstance(error, OSError | ProxyError):
        return MalformedError("this address or these headers are invalid for HTTP", where=where)
    if isinstance(error, ProxyError):
        said = "the proxy of the environment (HTTPS_PROXY) refused or failed"
    elif isinstance(error, TimeoutError):
        said = f"nothing came for {timeout:g} s" if sent else f"no connection within {timeout:g} s"
    else:
        said = f"the connection was cut: {_why(error)}" if sent else f"no connection: {_why(error)}"
    return UnreachableError(said, where=where, sent=sent)


def _broken(text: str, where: str, *, sent: bool) -> IncompleteRead:
    if _GONE not in text:
        return MalformedError("the answer is not HTTP", where=where)
    found = _CUT.search(text)
    amount = f" after {found[1]} of {found[2]} octets" if found else ""
    said = f"the connection was cut before the answer was complete{amount}"
    return UnreachableError(said, where=where, sent=sent)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'no reason given'}"
    return (isinstance(error, OSError) and error.strerror) or "no reason given"

"""Errors of connections and of h11 in our words; no text of theirs is passed on, for it may quote an answer."""

from __future__ import annotations

from typing import Final

import h11

from connector.errors import IncompleteRead, MalformedError, ProxyRefusedError, UnreachableError
from connector.net.connection import ProxyError
from connector.net.quoting import phrase
from connector.regex import regex

FAULTS: Final = (OSError, ProxyError, h11.ProtocolError, ValueError)
"""What a request may fail by: no text of an address or a header that is none is a ValueError."""
_CUT: Final = regex(r"received (\d+) bytes, expected (\d+)")
_GONE: Final = "peer closed connection"
"""How h11 begins where an answer is cut."""


def translated(error: Exception, where: str, timeout: float, *, sent: bool) -> IncompleteRead:
    """What a failed exchange was: whom we cannot trust, cannot reach, or cannot understand.

    `sent`: there was a connection already, so the request may have been sent.
    """
    from connector.net import tls  # noqa: PLC0415  # loads OpenSSL: its errors are told apart only once a request has failed

    if isinstance(error, ProxyError):
        return _of_proxy(error.args[0], where, timeout)
    if fault := tls.fault_of(error, where):
        return fault
    if isinstance(error, h11.RemoteProtocolError):
        return _broken(str(error), where, sent=sent)
    if not isinstance(error, OSError):
        return MalformedError("this address or these headers are invalid for HTTP", where=where)
    if isinstance(error, TimeoutError):
        said = f"nothing came for {timeout:g} s" if sent else f"no connection within {timeout:g} s"
    else:
        said = f"the connection was cut: {_why(error)}" if sent else f"no connection: {_why(error)}"
    return UnreachableError(said, where=where, sent=sent)


def _of_proxy(cause: int | Exception, where: str, timeout: float) -> IncompleteRead:
    """`cause`: the status of its answer, or what went wrong on the way to it."""
    if isinstance(cause, int):
        fault: IncompleteRead = (ProxyRefusedError if cause == 407 else UnreachableError)(phrase(cause))
    else:
        fault = translated(cause, where, timeout, sent=False)
    # nonsense of the server's would say that it may have done what was asked, which it has not heard
    kind = type(fault) if isinstance(fault, UnreachableError) else ProxyRefusedError
    scheme = where.partition(":")[0].upper()
    said = f"the proxy of the environment ({scheme}_PROXY or ALL_PROXY) refused or failed: {fault.what}"
    return kind(said, where=where)


def _broken(text: str, where: str, *, sent: bool) -> IncompleteRead:
    if _GONE not in text:
        return MalformedError("the answer is not HTTP", where=where)
    found = _CUT.search(text)
    amount = f" after {found[1]} of {found[2]} octets" if found else ""
    if "close_notify" in text:
        amount = ": it has no length, and TLS ended without close_notify"
    said = f"the connection was cut before the answer was complete{amount}"
    return UnreachableError(said, where=where, sent=sent)


def _why(error: OSError) -> str:
    reason = getattr(error, "reason", None)  # only errors of TLS have one
    return f"TLS: {reason}" if reason else error.strerror or "no reason given"

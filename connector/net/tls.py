"""TLS as it is wanted everywhere: whom we trust, the certificate that we show, and what goes wrong."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from connector.errors import DeniedError, FileError, IncompleteRead, NoTlsError, UntrustedError
from connector.regex import regex
from connector.settings.textfile import open_regular

T = TypeVar("T")

NO_TLS: Final = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason where the first octets of an answer are no record of TLS."""
CUT: Final = ssl.SSLEOFError
_OUR_CERTIFICATE: Final = regex(r"ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
_PIECE: Final = 1 << 16


def context(ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """The system's trust store, or `ca_file` in its place; TLS 1.2 at least, and the host name is checked.

    Without `key_file` the key is in `cert_file`. Raises FileError.
    """
    for path in filter(None, (ca_file, cert_file, key_file)):
        with suppress(OSError), open_regular(path):  # OpenSSL would wait for a pipe; all else it says better
            pass
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise FileError(f"no CA certificates can be read: {_why(error) or 'not PEM'}", where=str(ca_file)) from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            # an encrypted key would be asked for on the terminal, where a scheduled run would wait for ever
            made.load_cert_chain(cert_file, key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            where = f"{cert_file}, {key_file}" if key_file else str(cert_file)
            reason = error.reason if isinstance(error, ssl.SSLError) else _why(error)
            raise FileError(f"not usable for TLS: {reason or 'not PEM, or encrypted'}", where=where) from None
    return made


def _why(error: Exception) -> str | None:
    return error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None


def fault_of(error: Exception, where: str) -> IncompleteRead | None:
    """Whom we do not trust, or who does not trust us; None for faults that are not of TLS alone."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return UntrustedError(f"the certificate is not trusted: {error.verify_message}", where=where)
    if isinstance(error, ssl.SSLError) and error.reason == NO_TLS:
        return NoTlsError("what answers there speaks no TLS", where=where)
    if isinstance(error, ssl.SSLError) and _OUR_CERTIFICATE.search(error.reason or ""):
        # in TLS 1.3 a client learns only with the first answer that its certificate was refused (RFC 8446 §4.4.2.4)
        return DeniedError(f"the server refused the TLS connection: {error.reason}", where=where)
    return None


def secured(outer: socket.socket | Inner, context: ssl.SSLContext, host: str) -> ssl.SSLSocket | Inner:
    """TLS with this host, as a client; within TLS with a proxy, where `outer` is that.

    Reading raises `CUT` where the connection ends without close_notify (RFC 8446 §6.1).
    """
    if isinstance(outer, ssl.SSLSocket | Inner):
        return Inner(outer, context, host)
    return context.wrap_socket(outer, server_hostname=host, suppress_ragged_eofs=False)


class Inner:
    """TLS with a server within TLS with a proxy: a socket of `ssl` cannot be put around another."""

    def __init__(self, outer: ssl.SSLSocket | Inner, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._done(self._tls.do_handshake)

    def _done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._outer.sendall(self._outgoing.read())
            else:
                self._outer.sendall(self._outgoing.read())
                return done
            if octets := self._outer.recv(_PIECE):
                self._incoming.write(octets)
            else:
                self._incoming.write_eof()

    def recv(self, size: int) -> bytes:
        return self._done(partial(self._tls.read, size))

    def sendall(self, octets: bytes) -> None:
        self._done(partial(self._tls.write, octets))

    @property
    def waiting(self) -> bool:
        """Whether octets came that nobody has read; a poll of the socket does not show them."""
        return bool(self._incoming.pending or self._tls.pending())

    def fileno(self) -> int:
        return self._outer.fileno()

    def close(self) -> None:
        self._outer.close()

"""TLS on a connected socket, for a server that sends every small message as a record of its own.

The socket of the `ssl` module makes two system calls for each record. This one takes what has come in one, and decrypts
all of it in memory: three to four times as fast on a directory's entries.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final

from connector.errors import NoTlsError, UnreachableError, UntrustedError
from connector.net import tls

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RECORD: Final = 16 << 10
"""Octets of a record's content (RFC 8446 §5.1)."""


class TlsSocket(socket.socket):
    """The socket takes the place of `connected`, as a client, and shakes hands within that one's timeout.

    `recv`, `send` and `sendall` are as those of any socket, blocking or not. A server that says that it is done and one
    that is cut off both end with b"": who needs to know the difference has an end in the messages themselves. Raises
    ssl.SSLCertVerificationError for a server that `context` does not trust as `host`, and other kinds of OSError.
    """

    def __init__(self, connected: socket.socket, context: ssl.SSLContext, host: str) -> None:
        timeout = connected.gettimeout()
        super().__init__(connected.family, connected.type, connected.proto, connected.detach())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._fault: OSError | None = None
        self._unsent = b""
        self._taken = 0
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            self._shake_hands(math.inf if timeout is None else time.monotonic() + timeout)
            self.settimeout(timeout)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, deadline: float) -> None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the handshake takes too long")
            self.settimeout(None if left == math.inf else left)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._push()
                self._take(RECORD)
                continue
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the server is told why, if it still listens
                    self._push()
                raise
            self._push()
            return

    def getpeercert(self) -> bytes | None:
        """The server's certificate (DER), which a bind can be tied to (RFC 5929)."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def alert(self) -> str:
        """Why the server has ended TLS, in OpenSSL's words, or empty. TLS 1.3 refuses a client's certificate so."""
        reason = getattr(self._fault, "reason", None) or ""
        return reason if "ALERT" in reason else ""

    def _take(self, size: int) -> None:
        octets = super().recv(size)
        if octets:
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    def _push(self) -> None:
        """Send what has been encrypted, or what TLS has to say for itself. Raises BlockingIOError."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[super().send(self._unsent) :]

    def recv(self, size: int, _flags: int = 0, /) -> bytes:
        """What is there, once there is something: that of one receive of `size` encrypted octets."""
        while self._fault is None:
            pieces = self._decrypted()
            if self._outgoing.pending:
                with contextlib.suppress(OSError):  # what is sent next takes it along, or says why not
                    self._push()
            if pieces:
                return b"".join(pieces)
            if self._fault is None:
                self._take(size)
        if isinstance(self._fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return b""
        raise self._fault

    def _decrypted(self) -> list[bytes]:
        """The content of all whole records; a fault behind them is kept until they have been handed out."""
        pieces: list[bytes] = []
        read = self._tls.read
        try:
            while piece := read(RECORD):
                pieces.append(piece)
            self._fault = ssl.SSLZeroReturnError("the server has ended TLS")
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as fault:
            self._fault = fault
        return pieces

    def send(self, data: ReadableBuffer, _flags: int = 0, /) -> int:
        """Send all of `data`, and say how many octets that were.

        Raises BlockingIOError where not all could be sent at once: then the next call has to begin with the same data.
        """
        if not self._taken:
            try:
                self._taken = self._tls.write(data)
            except ssl.SSLWantReadError:  # TLS 1.2 shakes hands again
                raise BlockingIOError from None
        self._push()
        taken, self._taken = self._taken, 0
        return taken

    def sendall(self, data: ReadableBuffer, _flags: int = 0, /) -> None:
        """Send all of `data`, on a socket that blocks."""
        self.send(data)


def secured(connected: socket.socket, context: ssl.SSLContext, host: str, where: str) -> TlsSocket:
    """TLS with this host. `where` names the server in errors: UntrustedError, and UnreachableError for a cut."""
    try:
        return TlsSocket(connected, context, host)
    except ssl.SSLCertVerificationError as fault:
        why = f"the certificate of {host} is not trusted: {fault.verify_message.rstrip('.')}"
        raise UntrustedError(why, where=where) from None
    except (OSError, ValueError) as fault:
        if not isinstance(fault, ssl.SSLError) or isinstance(fault, ssl.SSLEOFError):
            raise UnreachableError(f"the connection was cut in the TLS handshake: {fault}", where=where) from None
        if fault.reason == tls.NO_TLS:
            raise NoTlsError("what answers there speaks no TLS", where=where) from None
        raise UntrustedError(f"no TLS with {host}: {fault.reason}", where=where) from None

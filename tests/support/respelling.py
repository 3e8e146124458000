"""A proxy before slapd that stores another spelling than it is sent: `0049…` becomes `+049…`, of the same length."""

from __future__ import annotations

from collections.abc import Callable

from connector.directories.ldap.ber import Frame
from tests.support.ldap_proxy import COMPARE, LdapProxy

SENT, STORED = b"0049", b"+049"
WAYS = ("shows", "compares", "neither")
"""Answers show what is stored (RFC 4527); what was sent compares equal to what is stored; nothing tells."""
_POST_READ, _NOTHING_KNOWN = b"1.3.6.1.1.13.2", b"1.3.6.1.1.13.9"
"""The control of RFC 4527, and one that no server has: of the same length on the wire."""


class RespellingProxy(LdapProxy):
    """`way` is one of `WAYS`: how a client may know. `respells`: whether it does so at all; a test may change it.

    `answered` is told how many modifies the server has
        answered so far, before the client hears of the last one.
    """

    def __init__(
        self,
        port: int,
        way: str,
        *,
        respells: bool = True,
        answered: Callable[[int], None] = lambda writes: None,
    ) -> None:
        self.respells, self.writes = respells, 0
        self._way, self._told = way, answered
        super().__init__(port, self._as_stored, acted=self._count)

    def _as_stored(self, name: str, message: bytes) -> bytes:
        """What the server hears of a modify; the DN is as it was."""
        head, _, tail = message.partition(name.encode())
        if self._way != "shows":
            tail = tail.replace(_POST_READ, _NOTHING_KNOWN)
        return head + name.encode() + (tail.replace(SENT, STORED) if self.respells else tail)

    def _count(self, name: str) -> None:
        del name
        self.writes += 1
        self._told(self.writes)

    def _request(self, frame: Frame) -> bytes:
        octets = super()._request(frame)
        return octets.replace(SENT, STORED) if frame.tag == COMPARE and self._way == "compares" else octets

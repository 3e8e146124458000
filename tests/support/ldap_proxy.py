"""A proxy before a real LDAP server that sees every message, and can hold one back, change it, or answer it itself."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

from connector.directories.ldap import ber, requests
from connector.directories.ldap.framing import Frame, Framer
from tests.support.ldap_answers import MODIFIED

SEARCH, MODIFY, COMPARE = 0x63, 0x66, 0x6E
Meddle = Callable[[str, bytes], bytes | None]
"""Given the DN and the octets of a modify: what is sent on in its place; None: nothing is, and the answer is a yes.

One that raises ConnectionResetError cuts the connection, before the server hears of this modify."""


class LdapProxy:
    """Passes messages on. With `quiet`, answers are held back until the client has said nothing for so many seconds.

    `asked` counts requests by kind, from the first modify on; `most` is how many modifies were unanswered at once, and
    `most_of_one` how many of one entry. `url` is plain LDAP. `acted` is told the DN of a modify that the server has
    answered, before the client hears of it; ConnectionResetError from there cuts the connection. `heard` is told the
    kind of every request, before the server hears of it.
    """

    def __init__(
        self,
        port: int,
        meddle: Meddle = lambda name, message: message,
        quiet: float | None = None,
        acted: Callable[[str], None] = lambda name: None,
        host: str = "127.0.0.1",
        heard: Callable[[int], None] = lambda kind: None,
    ) -> None:
        self.asked: Counter[int] = Counter()
        self.most = self.most_of_one = 0
        self.faults: list[Exception] = []
        self._target, self._meddle, self._quiet, self._acted = (host, port), meddle, quiet, acted
        self._listens = heard
        self._unanswered: dict[int, str] = {}
        self._held: list[tuple[int, bytes]] = []
        self._over = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ldap://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listening.close()
        assert not self.faults, self.faults

    def _serve(self) -> None:
        """One connection after the other."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._unanswered.clear()
            self._held.clear()
            self._over = False
            try:
                with client, socket.create_connection(self._target) as server:
                    self._pass(client, server)
            except ConnectionError:
                pass  # either side may hang up, or not be there
            except Exception as fault:  # noqa: BLE001  # what a test's own function raised is shown at its end
                self.faults.append(fault)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        asking, answering = Framer(), Framer()
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._over:
            ready, _, _ = select.select([client, server], [], [], self._quiet if self._held else None)
            for source, framer in ((client, asking), (server, answering)):
                if source not in ready:
                    continue
                if not (octets := source.recv(1 << 16)):
                    return
                for frame in framer.feed(octets):
                    if source is client:
                        server.sendall(self._request(frame))
                    else:
                        self._answer(frame)
            if self._held and (self._quiet is None or not ready):
                held, self._held = self._held, []
                for number, octets in held:
                    self._unanswered.pop(number, None)
                    client.sendall(octets)

    def _answer(self, frame: Frame) -> None:
        """What the client will hear."""
        if frame.id in self._unanswered:
            self._acted(self._unanswered[frame.id])
        self._held.append((frame.id, self._heard(frame)))

    def _heard(self, frame: Frame) -> bytes:
        """What an answer is to the client. One that sets `_over` is the last that it hears."""
        return octets_of(frame)

    def _request(self, frame: Frame) -> bytes:
        """What the server hears of a request."""
        self._listens(frame.tag)
        self.asked[frame.tag] += frame.tag == MODIFY or bool(self.asked[MODIFY])
        if frame.tag != MODIFY:
            return octets_of(frame)
        start, stop = ber.element(frame.data, frame.start, frame.stop, ber.OCTETS)
        name = frame.data[start:stop].decode()
        self._unanswered[frame.id] = name.casefold()
        self.most = max(self.most, len(self._unanswered))
        self.most_of_one = max(self.most_of_one, *Counter(self._unanswered.values()).values())
        message = self._meddle(name, octets_of(frame))
        if message is None:
            self._held.append((frame.id, result(frame.id, MODIFIED, 0)))
        return message or b""


def result(number: int, tag: int, code: int) -> bytes:
    """An LDAPResult (RFC 4511 §4.1.9) without words."""
    nothing = ber.tlv(ber.OCTETS, b"")
    return requests.message(number, ber.sequence((ber.integer(code, ber.ENUMERATED), nothing, nothing), tag))


def octets_of(frame: Frame) -> bytes:
    operation = ber.tlv(frame.tag, frame.data[frame.start : frame.stop])
    return ber.tlv(ber.SEQUENCE, ber.integer(frame.id) + operation + frame.data[frame.stop : frame.end])

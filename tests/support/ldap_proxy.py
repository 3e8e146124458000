"""A proxy before a real LDAP server that sees every message, and can hold one back, change it, or answer it itself."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

from connector.directories.ldap import ber, requests
from connector.directories.ldap.ber import Frame, MessageFramer
from tests.support.ldap_answers import MODIFIED

SEARCH, MODIFY, COMPARE = 0x63, 0x66, 0x6E
Meddle = Callable[[str, bytes], bytes | None]
"""Given the DN and the octets of a modify: what is sent on in its place; None: nothing is, and the answer is a yes.

One that raises ConnectionResetError cuts the connection, before the server hears of this modify."""


class Line:
    """A client's connection, and the one to the server that is its own.

    `unanswered`: the users of modifies, by message; `held`: answers that wait; `over`: none is passed on after these.
    """

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.asking, self.answering = MessageFramer(), MessageFramer()
        self.unanswered: dict[int, str] = {}
        self.held: list[tuple[int, bytes]] = []
        self.over = False
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.client.close()
        self.server.close()


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
        self._line: Line
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
        """Pass on what comes by any connection, until this is left."""
        lines: list[Line] = []
        while True:
            sockets = [side for line in lines for side in (line.client, line.server)]
            held = any(line.held for line in lines)
            ready, _, _ = select.select([self._listening, *sockets], [], [], self._quiet if held else None)
            for line in [*lines]:
                if not self._goes_on(line, ready):
                    line.close()
                    lines.remove(line)
            if self._listening in ready:
                try:
                    client, _ = self._listening.accept()
                except OSError:
                    break  # it is left
                self.accepted(client, lines)
        for line in lines:
            line.close()

    def accepted(self, client: socket.socket, lines: list[Line]) -> None:
        """Let a client have a connection to the server, if that is there."""
        try:
            lines.append(Line(client, socket.create_connection(self._target)))
        except ConnectionError:
            client.close()
        except OSError as fault:
            client.close()
            self.faults.append(fault)

    def _goes_on(self, line: Line, ready: list[socket.socket]) -> bool:
        """Whether neither side has hung up, nor a test cut the connection."""
        self._line = line
        try:
            return self._passed(line, ready)
        except ConnectionError:
            return False
        except Exception as fault:  # noqa: BLE001  # what a test's own function raised is shown at its end
            self.faults.append(fault)
            return False

    def _passed(self, line: Line, ready: list[socket.socket]) -> bool:
        for source, framer in ((line.client, line.asking), (line.server, line.answering)):
            if source not in ready:
                continue
            if not (octets := source.recv(1 << 16)):
                return False
            for frame in framer.feed_octets(octets):
                if source is line.client:
                    line.server.sendall(self._request(frame))
                else:
                    self._answer(frame)
        if line.held and (self._quiet is None or not ready):
            held, line.held = line.held, []
            for number, octets in held:
                line.unanswered.pop(number, None)
                line.client.sendall(octets)
        return not line.over

    def _answer(self, frame: Frame) -> None:
        """What the client will hear."""
        if frame.id in self._line.unanswered:
            self._acted(self._line.unanswered[frame.id])
        self._line.held.append((frame.id, self._heard(frame)))

    def _heard(self, frame: Frame) -> bytes:
        """What an answer is to the client. One that sets the line's `over` is the last that it hears."""
        return octets_of(frame)

    def _request(self, frame: Frame) -> bytes:
        """What the server hears of a request."""
        self._listens(frame.tag)
        self.asked[frame.tag] += frame.tag == MODIFY or bool(self.asked[MODIFY])
        if frame.tag != MODIFY:
            return octets_of(frame)
        start, stop = ber.find_element(frame.data, frame.start, frame.stop, ber.OCTETS)
        name = frame.data[start:stop].decode()
        self._line.unanswered[frame.id] = name.casefold()
        self.most = max(self.most, len(self._line.unanswered))
        self.most_of_one = max(self.most_of_one, *Counter(self._line.unanswered.values()).values())
        message = self._meddle(name, octets_of(frame))
        if message is None:
            self._line.held.append((frame.id, result(frame.id, MODIFIED, 0)))
        return message or b""


def result(number: int, tag: int, code: int) -> bytes:
    """An LDAPResult (RFC 4511 §4.1.9) without words."""
    nothing = ber.encode_tlv(ber.OCTETS, b"")
    return requests.encode_message(
        number, ber.encode_sequence((ber.encode_integer(code, ber.ENUMERATED), nothing, nothing), tag)
    )


def octets_of(frame: Frame) -> bytes:
    operation = ber.encode_tlv(frame.tag, frame.data[frame.start : frame.stop])
    return ber.encode_tlv(ber.SEQUENCE, ber.encode_integer(frame.id) + operation + frame.data[frame.stop : frame.end])

"""An LDAP server on loopback that lets everybody in, says what it is, and answers all other requests as a test says."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from connector.directories.ldap import ber, requests
from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.responses import DONE
from tests.support.ldap_answers import result
from tests.support.ldap_line import entry
from tests.support.listening import Listening

_BIND, _BOUND, _UNBIND, _SEARCH = 0x60, 0x61, 0x42, 0x63
_ROOT = {"objectClass": ["OpenLDAProotDSE"], "namingContexts": ["dc=example,dc=org"], "supportedLDAPVersion": ["3"]}


class ScriptedLdap(Listening):
    """`url` is plain LDAP. `answer` makes the octets for a request; more clients than one are served side by side.

    `controls`: those that the server lists, by number.
    """

    def __init__(self, answer: Callable[[Frame], bytes], *controls: str) -> None:
        super().__init__()
        self._answer = answer
        self._root = _ROOT | {"supportedControl": [*controls]}
        self.url = f"ldap://{self.address}"

    def attend(self, client: socket.socket) -> None:
        framer = MessageFramer()
        with client, contextlib.suppress(OSError):  # whoever hangs up has heard enough
            while octets := client.recv(1 << 16):
                for frame in framer.feed_octets(octets):
                    if frame.tag == _UNBIND:
                        return
                    client.sendall(self._said(frame))

    def _said(self, frame: Frame) -> bytes:
        if frame.tag == _BIND:
            return result(frame.id, _BOUND)
        if frame.tag == _SEARCH:
            start, stop = ber.find_element(frame.data, frame.start, frame.stop, ber.OCTETS)
            if start == stop:
                return requests.encode_message(frame.id, entry("", self._root)) + result(frame.id, DONE)
        return self._answer(frame)

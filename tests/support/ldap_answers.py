"""LDAP answers octet by octet, and a server at the other end of a socket pair that gives them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.directories.common.ldap_filters import Present
from connector.directories.ldap import ber, requests, responses
from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.requests import Search, SearchScope
from connector.directories.ldap.responses import DONE, ENTRY, EXTENDED, REFERENCE, Response, ResultEntry
from connector.directories.ldap.session import NOTICE_OF_DISCONNECTION
from connector.directories.ldap.wire import Wire

SEARCH = Search("ou=people,dc=example,dc=org", SearchScope.SUBTREE, Present("objectClass"), ("cn",))
Answer = Callable[[Frame], bytes]
MODIFIED = 0x67
COMPARED = 0x6F
"""The tags of answers to a modify and to a compare."""


def decode(message: Frame) -> ResultEntry | tuple[str, ...] | Response:
    """A message by its tag, as the program reads each kind where it expects it."""
    if message.tag == ENTRY:
        return responses.decode_entry(message)
    return responses.decode_reference(message) if message.tag == REFERENCE else responses.decode_response(message)


def entry(number: int, name: str = "cn=a", *values: bytes) -> bytes:
    attribute = ber.encode_sequence(
        (ber.encode_tlv(4, b"cn"), ber.encode_sequence((ber.encode_tlv(4, value) for value in values), ber.SET))
    )
    return requests.encode_message(
        number, ber.encode_sequence((ber.encode_tlv(4, name.encode()), ber.encode_sequence([attribute])), ENTRY)
    )


def result(
    number: int, tag: int = DONE, code: int = 0, *more: bytes, said: str = "", controls: tuple[bytes, ...] = ()
) -> bytes:
    parts = (ber.encode_integer(code, ber.ENUMERATED), ber.encode_tlv(4, b""), ber.encode_tlv(4, said.encode()), *more)
    return requests.encode_message(number, ber.encode_sequence(parts, tag), controls)


def reference(number: int, uri: bytes) -> bytes:
    return requests.encode_message(number, ber.encode_tlv(REFERENCE, ber.encode_tlv(4, uri)))


def page_end(number: int, cookie: bytes, estimate: int = 0) -> bytes:
    return result(number, controls=(requests.paging_control(estimate, cookie),))


NOTICE = result(0, EXTENDED, 52, ber.encode_tlv(0x8A, NOTICE_OF_DISCONNECTION.encode()), said="going down")


@contextmanager
def served(answer: Answer, timeout: float = 10) -> Iterator[Wire]:
    """A wire to a server that answers each message so; it ends when the client hangs up."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        framer = MessageFramer()
        with theirs, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has hung up
            while octets := theirs.recv(1 << 16):
                for frame in framer.feed_octets(octets):
                    theirs.sendall(answer(frame))

    thread = threading.Thread(target=serve)
    thread.start()
    wire = Wire(ours, "ldap://server.example.org", timeout)
    try:
        yield wire
    finally:
        ours.close()
        thread.join(10)

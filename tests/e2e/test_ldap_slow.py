"""LDAP servers that answer octet by octet: an operation has one bound as a whole, a search that gets on has none."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.responses import decode_entry
from connector.directories.ldap.wire import Wire
from connector.errors import UnreachableError
from connector.model import Secret, View
from connector.settings.ldap import LdapDirectory as Settings
from tests.support import ldap_answers
from tests.support.faulty_cec import drip
from tests.support.ldap_answers import SEARCH

pytestmark = pytest.mark.slow
Answer = Callable[[Frame], Iterable[bytes]]


@contextmanager
def wired(answer: Answer, timeout: float) -> Iterator[Wire]:
    """A connection to a server that answers its first request piece by piece, ten pieces a second."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            (frame, *_) = MessageFramer().feed_octets(theirs.recv(1 << 16))
            drip(theirs, answer(frame))

    thread = threading.Thread(target=serve)
    thread.start()
    wire = Wire(ours, "ldap://server.example.org", timeout)
    try:
        yield wire
    finally:
        wire.close()
        thread.join(10)


def octets(frame: Frame) -> Iterator[bytes]:
    """An entry that never ends."""
    whole = ldap_answers.entry(frame.id, "cn=a", b"x" * 10_000)
    return (bytes([octet]) for octet in whole)


def entries(frame: Frame) -> Iterator[bytes]:
    """An entry at a time, without an end."""
    return itertools.repeat(ldap_answers.entry(frame.id))


@pytest.mark.parametrize("answer", [octets, entries])
@pytest.mark.parametrize("paged", [False, True])
def test_a_search_that_trickles_in_is_given_up_after_ten_time_outs(answer: Answer, *, paged: bool) -> None:
    with wired(answer, 0.2) as wire:
        found = wire.search_paged(SEARCH, 1000, decode_entry) if paged else wire.search_many([SEARCH], 1, decode_entry)
        started = time.monotonic()
        with pytest.raises(
            UnreachableError, match=r"no operation ended within 2 seconds \(10 times directory.timeout\)"
        ):
            list(found)
        assert time.monotonic() - started < 10


def test_a_search_that_gets_on_may_take_as_long_as_it_takes() -> None:
    def large(frame: Frame) -> Iterator[bytes]:
        page = ldap_answers.entry(frame.id, "cn=a", b"x" * 1000) * 10
        return itertools.chain(itertools.repeat(page, 30), [ldap_answers.result(frame.id)])

    with wired(large, 0.2) as wire:  # three seconds, and two are ten time-outs
        assert len(list(wire.search_many([SEARCH], 1, decode_entry))) == 300


def test_a_bind_that_trickles_in_is_given_up_after_ten_time_outs() -> None:
    def serve() -> None:
        client, _ = listening.accept()
        with client:  # a message of 200 octets
            drip(client, itertools.chain([b"\x30\x81\xc8"], itertools.repeat(b"x", 200)))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve)
        server.start()
        url = f"ldap://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings.model_validate({
            "type": "ldap", "urls": [url], "bind_dn": "cn=x", "password": {"env": "X"}, "base": "dc=example",
            "timeout": 0.2, "allow_plaintext": True,
        })  # fmt: skip
        with pytest.raises(UnreachableError, match=r"the bind did not end within 2 s \(10 times directory.timeout\)"):
            LdapReader(settings, Secret("secret"), View(("uid",))).describe()
        server.join(10)

"""TLS on a connected socket, against servers that send tiny records, cut them, or stop being TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trustme

from connector.directories.ldap.ber import MessageFramer
from connector.directories.ldap.requests import EditKind, encode_modification, encode_modify
from connector.directories.ldap.responses import decode_entry as decode
from connector.directories.ldap.session import Operation, OperationGroup
from connector.directories.ldap.wire import Wire
from connector.errors import MalformedError, UnreachableError
from tests.support.ldap_answers import MODIFIED, SEARCH, entry, page_end, result

AUTHORITY = trustme.CA(organization_name="Example test authority")
CERTIFICATE = AUTHORITY.issue_cert("ldap.example.org", "192.0.2.7")
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
HUNG_UP = "the server has closed the connection|the connection was cut: (Broken pipe|TLS ended without notice)"
Serve = Callable[[ssl.SSLSocket], object]


def trusting(authority: trustme.CA | None = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(context)
    return context


@contextmanager
def facing(act: Callable[[socket.socket], object]) -> Iterator[socket.socket]:
    """A socket at whose other end this is done, and then hung up."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)

    def run() -> None:
        with theirs, contextlib.suppress(OSError):  # the client has hung up, as some of these tests want it to
            act(theirs)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def secured(serve: Serve, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[ssl.SSLSocket]:
    """A socket that has shaken hands with a server which then does this."""

    def act(theirs: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        CERTIFICATE.configure_cert(context)
        with context.wrap_socket(theirs, server_side=True) as server:
            serve(server)

    with facing(act) as plain, trusting().wrap_socket(plain, server_hostname="ldap.example.org") as ours:
        yield ours


@contextmanager
def wired(serve: Serve, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, timeout: float = 10) -> Iterator[Wire]:
    with secured(serve, version) as ours:
        yield Wire(ours, "ldaps://ldap.example.org", timeout)


def asked(server: ssl.SSLSocket) -> int:
    """The id of the request that the server has received."""
    (frame,) = MessageFramer().feed_octets(server.recv(1 << 16))
    return frame.id


def silent(server: socket.socket) -> None:
    """Listen until the other side hangs up."""
    while server.recv(1 << 16):
        pass


def in_clear(server: ssl.SSLSocket, octets: bytes) -> None:
    """Send past TLS."""
    socket.socket.sendall(server, octets)


@pytest.mark.parametrize("version", VERSIONS)
def test_entries_in_records_of_their_own_and_in_pieces_of_records_all_come(version: ssl.TLSVersion) -> None:
    def serve(server: ssl.SSLSocket) -> None:
        number = asked(server)
        for place in range(3000):
            server.sendall(entry(number, f"cn={place}"))
        large = b"".join(entry(number, f"cn={place}", b"x" * 5000) for place in range(3000, 3100))
        for at in range(0, len(large), 1000):
            server.sendall(large[at : at + 1000])
        server.sendall(page_end(number, b""))
        server.recv(1)

    with wired(serve, version) as wire:
        names = [found.name for found in wire.search_paged(SEARCH, 1000, decode)]
    assert names == [b"cn=%d" % place for place in range(3100)]


@pytest.mark.parametrize("version", VERSIONS)
def test_full_buffers_on_both_sides_are_no_deadlock(version: ssl.TLSVersion) -> None:
    """The server writes 16 MiB before it reads on, while as much is on its way to it."""
    large = encode_modification(EditKind.REPLACE, "jpegPhoto", (bytes(1 << 20),))

    def serve(server: ssl.SSLSocket) -> None:
        framer = MessageFramer()
        while octets := server.recv(1 << 16):
            for frame in framer.feed_octets(octets):
                many = entry(frame.id, "cn=a", bytes(1 << 20)) * 16 + result(frame.id)
                server.sendall(many if frame.tag == 0x63 else result(frame.id, MODIFIED))

    with wired(serve, version) as wire:
        entries = wire.search_many([SEARCH], 1, decode)
        flight: OperationGroup[int] = OperationGroup(wire)
        for number in range(16):
            flight.send_operation(Operation(number, encode_modify("cn=a", [large])))
        assert len(list(entries)) == 16
        found: list[int] = []
        while flight:
            found += [about for about, _ in flight.receive_results()]
        assert found == list(range(16))


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda server: None, HUNG_UP),
        (lambda server: server.unwrap(), HUNG_UP),
        (lambda server: in_clear(server, b"\x17\x03\x03\x01\x00cut"), HUNG_UP),
        (lambda server: in_clear(server, b"\x17\x03\x03\x00\x20" + bytes(32)), "the connection was cut: [A-Z]"),
        (lambda server: in_clear(server, entry(1)), "the connection was cut: [A-Z]"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_whatever_ends_tls_is_no_end_of_a_search_and_what_came_before_counts(
    end: Serve, words: str, version: ssl.TLSVersion
) -> None:
    def serve(server: ssl.SSLSocket) -> None:
        number = asked(server)
        server.sendall(entry(number, "cn=a") + entry(number, "cn=b"))
        with contextlib.suppress(OSError):  # the other side does not say goodbye
            end(server)

    with wired(serve, version) as wire:
        found = wire.search_many([SEARCH], 1, decode)
        assert [next(found).name, next(found).name] == [b"cn=a", b"cn=b"]
        with pytest.raises(UnreachableError, match=words) as caught:
            next(found)
        assert caught.value.where == "ldaps://ldap.example.org"
        with pytest.raises(UnreachableError):
            wire.search_whole(SEARCH)


def test_a_server_that_is_silent_is_given_up() -> None:
    with (
        wired(silent, timeout=0.05) as wire,
        pytest.raises(UnreachableError, match=r"no answer for 0\.05 seconds"),
    ):
        wire.search_whole(SEARCH)


def test_what_is_no_ldap_is_malformed_in_tls_too() -> None:
    with (
        wired(lambda server: server.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as wire,
        pytest.raises(MalformedError, match="no LDAP message"),
    ):
        wire.search_whole(SEARCH)

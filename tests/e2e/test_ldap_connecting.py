"""From nothing to a bound connection, with servers on loopback that do and say what a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from connector.directories.ldap import ber, connection
from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.connection import connect_server
from connector.directories.ldap.responses import BOUND, EXTENDED
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    MalformedError,
    NoTlsError,
    RefusedBindError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.ldap_answers import NOTICE, result

AUTHORITY = trustme.CA(organization_name="Example test authority")
CERTIFICATE = AUTHORITY.issue_cert("127.0.0.1", "localhost", "::1")
BIND, EXTENDED_REQUEST = 0x60, 0x77
WANTS_CERTIFICATE = "If the server requires a client certificate, set directory.cert_file"
ENDED = "the server has ended the connection"
REFERRAL = ber.encode_sequence([ber.encode_tlv(ber.OCTETS, b"ldap://localhost:389/")], 0xA3)
UNKNOWN_NOTICE = result(0, EXTENDED, 0, ber.encode_tlv(0x8A, b"1.2.3.4"))


class Server:
    """Serves one client after the other on a thread, each by the next of `acts`; `heard`: the messages that came."""

    def __init__(self, listening: socket.socket, *acts: Callable[[Server], object]) -> None:
        self.heard: list[Frame] = []
        self.listening = listening
        self._acts = acts
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        for act in self._acts:
            self.client, _ = self.listening.accept()
            self._framer = MessageFramer()
            with contextlib.suppress(ConnectionError, ssl.SSLError):  # the client hangs up, as most tests want it to
                act(self)
            self.client.close()

    def hear(self) -> Frame:
        """The next message, which comes alone."""
        frames: list[Frame] = []
        while not frames:
            octets = self.client.recv(1 << 16)
            if not octets:
                raise ConnectionResetError
            frames = self._framer.feed_octets(octets)
        self.heard += frames
        (frame,) = frames
        return frame

    def say(self, octets: bytes) -> None:
        self.client.sendall(octets)

    def agree(self, *more: bytes) -> None:
        """To StartTLS; `more` follows in clear at once."""
        self.say(b"".join((result(self.hear().id, EXTENDED), *more)))

    def secure(self, **more: Any) -> None:
        self.client = server_context(**more).wrap_socket(self.client, server_side=True)

    def welcome(self) -> None:
        self.say(result(self.hear().id, BOUND))

    def listen(self) -> None:
        """Until the client hangs up."""
        with contextlib.suppress(ConnectionResetError):
            while True:
                self.hear()


def server_context(*, wants_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        AUTHORITY.configure_trust(context)
    return context


@contextmanager
def serving(*acts: Callable[[Server], object], on: socket.socket | None = None) -> Iterator[tuple[Server, str]]:
    """A server and its URL."""
    with on or socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        server = Server(listening, *acts)
        server.thread.start()
        try:
            yield server, f"ldap://127.0.0.1:{listening.getsockname()[1]}" if on is None else ""
        finally:
            server.thread.join(20)
            assert not server.thread.is_alive()


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


PASSWORD = Secret("canary-7261")


def settings(*urls: str, **more: Any) -> Settings:
    account: dict[str, Any] = {"bind_dn": "cn=a", "password": SecretRef(env="PASSWORD")}
    said: dict[str, Any] = {
        "type": "ldap",
        "urls": [*urls],
        "base": ["dc=example,dc=org"],
        "timeout": 20,
        "allow_plaintext": True,
    }
    return Settings(**said | ({} if "sasl" in more else account) | more)


def fails(job: Settings, password: Secret | None = PASSWORD) -> ConnectorError:
    """What the connection failed with. Nothing of it shows the password, also not with the variables of its frames."""
    with pytest.raises(ConnectorError) as caught:
        connect_server(job, password)
    fault = caught.value
    assert fault.__cause__ is None
    shown = traceback.TracebackException.from_exception(fault, capture_locals=True)
    assert "canary" not in "".join(shown.format())
    return fault


# ---------------------------------------------------------------- the bind


def assert_binds(frame: Frame, name: str, password: bytes) -> None:
    """A simple bind with these octets (RFC 4511 §4.2), and the password policy's control beside it."""
    assert frame.tag == BIND
    assert ber.encode_tlv(ber.OCTETS, name.encode()) + ber.encode_tlv(0x80, password) in frame.data
    assert connection.POLICY_NOTICE.encode() in frame.data


def test_a_bind_carries_name_password_and_the_password_policys_control() -> None:
    with serving(Server.welcome) as (server, url):
        connect_server(settings(url), PASSWORD).close()
    assert_binds(server.heard[0], "cn=a", b"canary-7261")


def test_octets_of_a_password_are_sent_as_they_are() -> None:
    """SASLprep would make another one of it, or refuse it."""
    for password in (Secret("x\u00a0\u0221\x07"), Secret("x\u00a0\u0221\x07".encode())):
        with serving(Server.welcome) as (server, url):
            connect_server(settings(url), password).close()
        assert "x\u00a0\u0221\x07".encode() in server.heard[0].data


def test_nobody_binds_as_nobody() -> None:
    with serving(Server.welcome) as (server, url):
        connect_server(settings(url, bind_dn=None, password=None), None).close()
    assert_binds(server.heard[0], "", b"")


@pytest.mark.parametrize("password", [Secret(""), None])
def test_an_empty_password_is_never_sent(password: Secret | None) -> None:
    """It would be an anonymous bind that succeeds (RFC 4513 §5.1.2)."""
    assert type(fails(settings("ldap://unused.example.org"), password)) is FileError


def test_an_answer_may_come_octet_by_octet() -> None:
    def act(server: Server) -> None:
        for octet in result(server.hear().id, BOUND):
            server.say(bytes([octet]))

    with serving(act) as (_, url):
        connect_server(settings(url), PASSWORD).close()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda number: b"", UnreachableError, ENDED),
        (lambda number: result(number, BOUND)[:-3], UnreachableError, ENDED),
        (lambda number: NOTICE, UnreachableError, ENDED),
        (lambda number: result(number, BOUND, 52), UnreachableError, "the bind as cn=a failed: unavailable (52)"),
        (
            lambda number: result(number, BOUND, 10, REFERRAL),
            UnreachableError,
            "the bind as cn=a failed: referral (10)",
        ),
        (
            lambda number: result(number, BOUND, 49),
            RefusedBindError,
            "the bind as cn=a failed: invalidCredentials (49)",
        ),
        (lambda number: result(number, BOUND, 14), DeniedError, "the bind as cn=a failed: saslBindInProgress (14)"),
        (
            lambda number: result(number, BOUND, 13),
            DeniedError,
            "confidentialityRequired (13); this server takes credentials only over TLS: use ldaps://, or start_tls",
        ),
        (lambda number: result(number + 1, BOUND), UnreachableError, "invalid messageId received"),
        (lambda number: bytes(64), MalformedError, "the answer is no LDAP message"),
        (lambda number: b"SSH-2.0-example\r\n", UnreachableError, ENDED),
        (lambda number: b"\x30\x84\xff\xff\xff\xff", UnreachableError, ENDED),
        (
            lambda number: result(number, BOUND, controls=(policy(b"\x30\x03\x81\x01"),)),
            MalformedError,
            "a BER element is longer than what it is in",
        ),
    ],
)
def test_whatever_else_answers_a_bind_is_an_error_that_keeps_the_password(
    answer: Callable[[int], bytes], kind: type[ConnectorError], words: str
) -> None:
    with serving(lambda server: server.say(answer(server.hear().id))) as (_, url):
        fault = fails(settings(url))
    assert type(fault) is kind
    assert words in fault.what
    assert fault.where == url


def policy(value: bytes) -> bytes:
    """The password policy's control beside an answer."""
    return ber.encode_sequence(
        (ber.encode_tlv(ber.OCTETS, connection.POLICY_NOTICE.encode()), ber.encode_tlv(ber.OCTETS, value))
    )


def test_a_password_that_must_be_changed_is_no_success_and_one_that_expires_is_told() -> None:
    def act(value: bytes) -> Callable[[Server], object]:
        return lambda server: server.say(result(server.hear().id, BOUND, controls=(policy(value),)))

    with serving(act(b"\x30\x03\x81\x01\x02")) as (_, url):
        assert "the server requires a new password for cn=a (password policy)" in fails(settings(url)).what
    with serving(act(b"\x30\x05\xa0\x03\x80\x01\x3c")) as (_, url):
        wire = connect_server(settings(url), PASSWORD)
        assert wire.cautions == ("the password of cn=a expires in less than a day. Set a new one before that",)
        wire.close()


# ---------------------------------------------------------------- StartTLS


def test_after_starttls_the_bind_is_sent_in_tls(ca: Path) -> None:
    def act(server: Server) -> None:
        server.agree()
        server.secure()
        server.welcome()
        server.listen()

    with serving(act) as (server, url):
        connect_server(settings(url, start_tls=True, ca_file=ca), PASSWORD).close()
    asked, bind, farewell = server.heard
    assert b"1.3.6.1.4.1.1466.20037" in asked.data
    assert (bind.tag, bind.id, farewell.id) == (BIND, asked.id + 1, asked.id + 2)


def test_what_comes_in_clear_behind_the_answer_to_starttls_is_never_taken_for_an_answer_in_tls(ca: Path) -> None:
    """Whoever stands in the way could answer the bind and the first searches so."""

    def act(server: Server) -> None:
        asked = server.hear().id
        server.say(result(asked, EXTENDED) + result(asked + 1, BOUND))
        server.secure()
        server.say(result(server.hear().id, BOUND, 49))

    with serving(act) as (_, url):
        assert type(fails(settings(url, start_tls=True, ca_file=ca))) in (RefusedBindError, UnreachableError)


def test_what_comes_in_clear_in_the_handshake_is_no_tls(ca: Path) -> None:
    def act(server: Server) -> None:
        server.agree()
        server.client.recv(1 << 16)
        server.say(result(2, BOUND))

    with serving(act) as (_, url):
        assert type(fails(settings(url, start_tls=True, ca_file=ca))) is NoTlsError


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            lambda number: result(number, EXTENDED, 2, said="unsupported operation"),
            UntrustedError,
            "the server refused StartTLS: startTLS failed - protocolError",
        ),
        (
            lambda number: result(number, EXTENDED, 52),
            UntrustedError,
            "the server refused StartTLS: startTLS failed - unavailable",
        ),
        (lambda number: b"", UnreachableError, ENDED),
        (lambda number: NOTICE, UnreachableError, ENDED),
        (lambda number: result(number + 1, EXTENDED), MalformedError, "the answer is no LDAP message"),
        (lambda number: b"SSH-2.0-example\r\n", UnreachableError, ENDED),
    ],
)
def test_after_whatever_else_answers_starttls_nothing_is_sent(
    ca: Path, answer: Callable[[int], bytes], kind: type[ConnectorError], words: str
) -> None:
    def act(server: Server) -> None:
        server.say(answer(server.hear().id))
        server.client.shutdown(socket.SHUT_WR)
        server.listen()

    with serving(act) as (server, url):
        fault = fails(settings(url, start_tls=True, ca_file=ca))
    assert type(fault) is kind
    assert words in fault.what
    assert fault.where == url
    assert [frame.tag for frame in server.heard] == [EXTENDED_REQUEST]


def test_a_connection_that_is_cut_in_the_handshake_or_after_it_is_no_answer(ca: Path) -> None:
    for act, words in ((Server.agree, "cut in the TLS handshake"), (secured, ENDED)):
        with serving(act) as (_, url):
            fault = fails(settings(url, start_tls=True, ca_file=ca))
        assert type(fault) is UnreachableError
        assert words in fault.what


def secured(server: Server) -> None:
    server.agree()
    server.secure()
    server.hear()


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_server_that_wants_a_certificate_has_refused_the_connection(ca: Path, start_tls: bool) -> None:
    """TLS 1.3 tells it only with the first answer."""

    def act(server: Server) -> None:
        if start_tls:
            server.agree()
        server.secure(wants_certificate=True)

    with serving(act) as (_, url):
        secure = url if start_tls else url.replace("ldap:", "ldaps:")
        fault = fails(settings(secure, start_tls=start_tls, ca_file=ca))
    told = ("the server refused the TLS connection: TLSV13_ALERT_CERTIFICATE_REQUIRED", WANTS_CERTIFICATE)
    assert any(words in fault.what for words in told)


# ---------------------------------------------------------------- addresses


def test_each_address_of_a_host_is_tried_and_then_the_next_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Server.hear, Server.welcome) as (server, _):
        address = server.listening.getsockname()
        nobody = ("127.0.0.2", address[1])
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        found = {
            "first.example.org": [(*kinds, nobody), (*kinds, nobody), (*kinds, address)],  # hangs up in the bind
            "second.example.org": [(*kinds, nobody)],
            "third.example.org": [(*kinds, address)],
        }
        asked: list[tuple[str, int]] = []
        real = socket.getaddrinfo

        def resolve(host: str, port: int, *kinds: int, **more: int) -> list[Any]:
            if host not in found:
                return real(host, port, *kinds, **more)
            asked.append((host, port))
            return found[host]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        wire = connect_server(settings(*(f"ldap://{host}:{address[1]}" for host in found)), PASSWORD)
    assert wire.where == f"ldap://third.example.org:{address[1]}"
    wire.close()
    assert asked == [(host, address[1]) for host in found]
    assert len(server.heard) == 2


def test_what_one_address_did_in_the_handshake_is_not_told_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda server: None) as (server, _):
        address = server.listening.getsockname()
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        found = [(*kinds, address), (*kinds, ("127.0.0.2", address[1]))]  # the second does not listen
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *more, **named: found if host == "two.example.org" else real(host, *more, **named),
        )
        fault = fails(settings(f"ldaps://two.example.org:{address[1]}"))
    assert fault.what.startswith("no connection: ")


def test_a_server_that_refuses_the_bind_ends_the_search_for_one() -> None:
    with serving(lambda server: server.say(result(server.hear().id, BOUND, 49))) as (_, url):
        assert type(fails(settings(url, "ldap://unused.example.org"))) is RefusedBindError


def test_where_nobody_answers_it_is_said_what_happened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"ldap://127.0.0.1:{closed.getsockname()[1]}"
    assert fails(settings(nobody)).what == "no connection: Connection refused"
    assert fails(settings("ldapi://%2Fnowhere%2Fldapi")).what == "no connection: No such file or directory"
    assert fails(settings(f"ldapi://%2F{'x' * 200}")).what.endswith("AF_UNIX path too long")
    both = fails(settings(nobody, "ldapi://%2Fnowhere%2Fldapi")).what
    assert both.startswith(f"none of 2 servers answers: {nobody}: no connection: Connection refused; ldapi://")


def test_an_address_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):  # more than its queue takes
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        fault = fails(settings(f"ldap://127.0.0.1:{full.getsockname()[1]}", timeout=0.1))
    assert fault.what == "no answer within 0.1 s"


def test_a_server_that_says_nothing_is_given_up_after_the_timeout(ca: Path) -> None:
    for more in ({}, {"start_tls": True, "ca_file": ca}):
        with serving(Server.listen) as (_, url):
            said = "the bind did not end within 0.5 s (10 times directory.timeout)"
            assert fails(settings(url, timeout=0.05, **more)).what == said


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_ipv6_stands_in_brackets_and_is_bare_in_its_certificate(ca: Path) -> None:
    def act(server: Server) -> None:
        server.secure()
        server.welcome()

    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    url = f"ldaps://[::1]:{listening.getsockname()[1]}"
    with serving(act, on=listening):
        connect_server(settings(url, ca_file=ca), PASSWORD).close()


def test_a_local_socket_is_bound_to_as_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "a socket,ünd more"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    with serving(Server.welcome, on=listening) as (server, _):
        connect_server(settings(f"ldapi://{quote(str(path), safe='')}", sasl="external"), None).close()
    assert b"EXTERNAL" in server.heard[0].data


# ---------------------------------------------------------------- Kerberos


class FakeGssapi(SimpleNamespace):
    """As much of the library as a bind asks for; its tokens are `one` and `two`."""

    def __init__(self) -> None:
        class GSSError(Exception):
            min_code = 0

        class SecurityContext:
            complete = False

            def __init__(self, **_: object) -> None:
                self._tokens = iter((b"canary-one", b"canary-two"))

            def step(self, token: bytes | None) -> bytes | None:
                own = next(self._tokens)
                self.complete = own == b"canary-two"
                return own

            def unwrap(self, token: bytes) -> Any:
                return SimpleNamespace(message=token)

            def wrap(self, octets: bytes, _encrypted: bool) -> Any:
                return SimpleNamespace(message=octets)

        super().__init__(
            exceptions=SimpleNamespace(GSSError=GSSError),
            SecurityContext=SecurityContext,
            Name=lambda name, kind: name,
            NameType=SimpleNamespace(hostbased_service=None),
            MechType=SimpleNamespace(kerberos=None),
        )


def says(*answers: bytes | Callable[[int], bytes]) -> Callable[[Server], None]:
    def act(server: Server) -> None:
        for answer in answers:
            number = server.hear().id
            server.say(answer if isinstance(answer, bytes) else answer(number))
        if len(answers) == 3:
            server.listen()

    return act


def going_on(number: int) -> bytes:
    return result(number, BOUND, 14, ber.encode_tlv(0x87, b"\x01\0\0\0"))


def test_a_bind_by_kerberos_goes_on_on_the_same_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", FakeGssapi())
    with serving(says(going_on, going_on, lambda number: result(number, BOUND))) as (server, url):
        connect_server(settings(url, sasl="gssapi"), None).close()
    *binds, farewell = server.heard
    assert [bind.tag for bind in binds] == [BIND] * 3
    assert [token in bind.data for token, bind in zip((b"-one", b"-two", b"\x01\0\0\0"), binds, strict=True)] == [
        True
    ] * 3
    assert all(connection.POLICY_NOTICE.encode() in bind.data for bind in binds)
    assert farewell.id == binds[-1].id + 1


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", UnreachableError, ENDED),
        (NOTICE, UnreachableError, ENDED),
        (
            b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x05",
            MalformedError,
            "the answer is no LDAP message (",
        ),
        (
            lambda number: result(number, BOUND, 10, REFERRAL),
            UnreachableError,
            "the bind as SASL GSSAPI failed: referral",
        ),
        (
            lambda number: result(number, BOUND, 49),
            RefusedBindError,
            "the bind as SASL GSSAPI failed: invalidCredentials",
        ),
    ],
)
def test_whatever_else_answers_a_bind_by_kerberos_is_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | Callable[[int], bytes], kind: type[ConnectorError], words: str
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", FakeGssapi())
    with serving(says(answer)) as (_, url):
        fault = fails(settings(url, sasl="gssapi"), None)
    assert type(fault) is kind
    assert words in fault.what
    assert fault.where == url


def test_without_the_extra_no_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    fault = fails(settings("ldap://unused.example.org", sasl="gssapi"), None)
    assert type(fault) is FileError
    assert "pip install 'cec-connector[gssapi]'" in fault.what

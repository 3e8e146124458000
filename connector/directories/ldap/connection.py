"""From a job's settings to a bound connection: connect, secure and bind.

The first URL whose server can be reached serves the run. Only faults of the connection go on to the next one: a server
that we do not trust, or that refuses our credentials, ends the search. Going on would let whoever stands in the
way choose our server, and would try a wrong password on every server, until the account is locked.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import ExitStack, closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from connector.directories.ldap import password_policy, requests, results
from connector.directories.ldap.framing import Frame
from connector.directories.ldap.responses import BOUND, EXTENDED, Response, response
from connector.directories.ldap.results import explained
from connector.directories.ldap.rights import Advice
from connector.directories.ldap.session import Session
from connector.directories.ldap.wire import Wire
from connector.errors import ConnectorError, DeniedError, FileError, RefusedBindError, UnreachableError, UntrustedError
from connector.model import Secret
from connector.net import counters
from connector.net.time_limit import TIMEOUTS, TimeLimit
from connector.settings.ldap import LdapDirectory

if TYPE_CHECKING:
    import ssl

_PORTS: Final = {"ldap": 389, "ldaps": 636}


class Endpoint(Struct, frozen=True):
    """A URL of a job, read. `host` is the path of the socket for `ldapi`, and a bare address for IPv6."""

    url: str
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """`ldaps://host[:port]`, `ldap://host[:port]` or `ldapi://%2Fpath`, as the job's settings let them through."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        host = unquote(parts.netloc) if scheme == "ldapi" else parts.hostname or ""
        port = None if scheme == "ldapi" else parts.port
        return cls(url, scheme, host, port or _PORTS.get(scheme, 0))


class Client:
    """Who connects: a job's settings, and its password."""

    def __init__(self, settings: LdapDirectory, password: Secret | None) -> None:
        self.settings = settings
        self.password = password

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Whom the job trusts. Raises FileError. To read the system's trust store takes a while."""
        from connector.net import tls

        return tls.context(self.settings.ca_file, self.settings.cert_file, self.settings.key_file)

    def secured(self, connected: socket.socket, endpoint: Endpoint) -> socket.socket:
        """The same connection in TLS. Raises UntrustedError or UnreachableError."""
        from connector.directories.ldap.tls_stream import secured

        return secured(connected, self.context, endpoint.host, endpoint.url)


def connect(settings: LdapDirectory, password: Secret | None) -> Wire:
    """A bound connection to the first server that answers. Raises FileError or one of the kinds of IncompleteRead."""
    client = Client(settings, password)
    if settings.ca_file or settings.cert_file:
        _ = client.context  # files that are of no use are said whichever server answers
    if settings.sasl == "gssapi":
        from connector.directories.ldap import kerberos

        kerberos.library()
    faults: list[UnreachableError] = []
    for endpoint in map(Endpoint.of, settings.urls):
        counters.asked("directory")
        try:
            return _connect(endpoint, client)
        except ConnectorError as fault:
            counters.failed("directory")
            if not isinstance(fault, UnreachableError):
                raise
            faults.append(fault)
    if len(faults) == 1:
        raise faults[0]
    raise UnreachableError(f"none of {len(faults)} servers answers: " + "; ".join(map(str, faults)))


def _connect(endpoint: Endpoint, client: Client) -> Wire:
    """Try each of the host's addresses; the first one at which the server can be reached is bound to."""
    fault = UnreachableError("the name has no address", where=endpoint.url)
    for family, address in _addresses(endpoint):
        with ExitStack() as failed:
            try:
                connected = _opened(endpoint, client, family, address, failed)
            except UnreachableError as found:
                fault = found
                continue
            wire = _bound_in_time(connected, endpoint, client, failed)
            failed.pop_all()
            return wire
    raise fault


def _addresses(endpoint: Endpoint) -> Iterable[tuple[socket.AddressFamily, Any]]:
    """The host's addresses, in the order in which the system prefers them. Raises UnreachableError."""
    if endpoint.scheme == "ldapi":
        return [(socket.AF_UNIX, endpoint.host)]
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        why = getattr(fault, "strerror", None) or "not a host name"
        raise UnreachableError(f"the name has no address: {why}", where=endpoint.url) from None
    return dict.fromkeys((family, address) for family, *_, address in found)


def _opened(
    endpoint: Endpoint, client: Client, family: socket.AddressFamily, address: Any, failed: ExitStack
) -> socket.socket:
    """A connection, for `ldaps` in TLS. Raises UnreachableError or UntrustedError."""
    timeout = client.settings.timeout
    try:
        connected = failed.enter_context(socket.socket(family, socket.SOCK_STREAM))
        connected.settimeout(timeout)
        connected.connect(address)
    except OSError as fault:
        why = fault.strerror or (f"no answer within {timeout:g} s" if isinstance(fault, TimeoutError) else fault)
        raise UnreachableError(f"no connection: {why}", where=endpoint.url) from None
    if endpoint.scheme == "ldaps":
        return failed.enter_context(client.secured(connected, endpoint))
    return connected


def _bound_in_time(connected: socket.socket, endpoint: Endpoint, client: Client, failed: ExitStack) -> Wire:
    """Secure the connection and bind. Each wait has a bound of its own; here is that of them all."""
    allowed = TIMEOUTS * client.settings.timeout
    with closing(TimeLimit(allowed)) as limit, limit:
        limit.watch(connected)
        try:
            if client.settings.start_tls and endpoint.scheme == "ldap":
                connected = failed.enter_context(_start_tls(connected, endpoint, client))
            wire = _bound(connected, endpoint, client)
        except ConnectorError:
            if not limit.has_passed:
                raise
        else:
            if not limit.has_passed:
                return wire
    said = f"the bind did not end within {allowed:g} s ({TIMEOUTS} times directory.timeout)"
    raise UnreachableError(said, where=endpoint.url)


def _start_tls(connected: socket.socket, endpoint: Endpoint, client: Client) -> socket.socket:
    """Agree with the server to go on in TLS (RFC 4511 §4.14), and do."""
    session = Session(connected, endpoint.url, client.settings.timeout)
    inbox: list[Frame] = []
    session.submit(requests.extended(requests.START_TLS), (), inbox)
    frame = session.answer(inbox, EXTENDED)
    end = session.located(response, frame)
    if end.code != results.SUCCESS:
        said = f"{results.name(end.code)}{results.diagnostic(end)}"
        raise UntrustedError(f"the server refused StartTLS: {said}", where=endpoint.url)
    if frame.end != len(frame.data):  # they would be taken for what the server has said in TLS
        raise UntrustedError("more came in clear behind the answer to StartTLS, perhaps a forgery", where=endpoint.url)
    connected.settimeout(client.settings.timeout)
    return client.secured(connected, endpoint)


def _bound(connected: socket.socket, endpoint: Endpoint, client: Client) -> Wire:
    """Bind, and judge the answer. Raises DeniedError, UnreachableError or MalformedError."""
    try:
        wire, end = _answered(connected, endpoint, client)
    except UnreachableError:
        if alert := getattr(connected, "alert", ""):  # of a TlsSocket
            raise DeniedError(f"the server refused the TLS connection: {alert}", where=endpoint.url) from None
        raise
    settings, password = client.settings, client.password
    notice = wire.located(password_policy.of, end.controls)
    who = settings.bind_dn or (f"SASL {settings.sasl.upper()}" if settings.sasl else "nobody (anonymous)")
    if end.code != results.SUCCESS:
        in_clear = endpoint.scheme == "ldap" and not settings.start_tls
        words = results.diagnostic(end, [password.reveal()] if password else ())
        said = f"{results.name(end.code)}{words}{notice.refusal}{explained(end, in_clear=in_clear)}"
        away = end.code in results.AWAY or end.code == results.REFERRAL  # a copy that is being made refers to another
        proof = RefusedBindError if end.code in results.PROOF_REFUSED else DeniedError
        kind = UnreachableError if away else proof
        raise kind(f"the bind as {who} failed: {said}", where=endpoint.url)
    if notice.must_change:
        raise DeniedError(
            f"the server requires a new password for {who} (password policy): change it, and store the new one "
            "where the job reads it",
            where=endpoint.url,
        )
    wire.cautions = tuple(notice.cautions(who))
    wire.rights = Advice(account=settings.bind_dn or "")
    return wire


def _answered(connected: socket.socket, endpoint: Endpoint, client: Client) -> tuple[Wire, Response]:
    settings = client.settings
    first = 2 if settings.start_tls else 1  # StartTLS had the first message
    wire = Wire(connected, endpoint.url, settings.timeout, first)
    if settings.sasl == "gssapi":
        from connector.directories.ldap import kerberos

        return wire, kerberos.bind(wire, connected, endpoint.host)
    inbox: list[Frame] = []
    wire.submit(_request(settings, client.password), (password_policy.ASK,), inbox)
    return wire, wire.located(response, wire.answer(inbox, BOUND))


def _request(settings: LdapDirectory, password: Secret | None) -> bytes:
    """The bind that the job asks for. Keep it nowhere: a traceback that shows variables would show the password."""
    if settings.sasl == "external":
        return requests.external_bind()
    if settings.bind_dn is None:
        return requests.bind("", b"")
    value = password.reveal() if password else b""
    if not value:  # to a server that would be an anonymous bind, which succeeds (RFC 4513 §5.1.2)
        raise FileError("the password is empty", where="directory.password")
    # as it is: SASLprep would change it, or refuse it, as no other client does
    return requests.bind(settings.bind_dn, value if isinstance(value, bytes) else value.encode())

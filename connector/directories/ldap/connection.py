"""From a job's settings to a bound connection: ldap3 connects, secures and binds, and errors are translated here.

The first URL whose server can be reached serves the run. Only faults of the connection go on to the next one: a server
that we do not trust, or that refuses our credentials, ends the search. Going on would let whoever stands in the
way choose our server, and would try a wrong password on every server, until the account is locked.
"""

import math
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import ldap3
from ldap3.core.exceptions import LDAPExceptionError, LDAPStartTLSError
from msgspec import Struct

from connector.directories.ldap import password_policy, results
from connector.directories.ldap.password_policy import Notice
from connector.directories.ldap.responses import Response
from connector.directories.ldap.results import explained
from connector.directories.ldap.rights import Advice
from connector.directories.ldap.tls_stream import TlsSocket
from connector.directories.ldap.wire import Wire
from connector.errors import (
    ConnectorError,
    DeniedError,
    MalformedError,
    NoTlsError,
    RefusedBindError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret
from connector.net import counters, tls
from connector.net.deadlines import TIMEOUTS, Bound, Line
from connector.settings.ldap import LdapDirectory

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


def connect(settings: LdapDirectory, password: Secret | None) -> Wire:
    """A bound connection to the first server that answers. Raises FileError or one of the kinds of IncompleteRead."""
    endpoints = [*map(Endpoint.of, settings.urls)]
    context = tls_context(settings, endpoints)
    faults: list[UnreachableError] = []
    for endpoint in endpoints:
        counters.asked("directory")
        try:
            return _connect(endpoint, settings, password, context)
        except ConnectorError as fault:
            counters.failed("directory")
            if not isinstance(fault, UnreachableError):
                raise
            faults.append(fault)
    if len(faults) == 1:
        raise faults[0]
    raise UnreachableError(f"none of {len(faults)} servers answers: " + "; ".join(map(str, faults)))


def tls_context(settings: LdapDirectory, endpoints: Iterable[Endpoint]) -> ssl.SSLContext:
    """Whom the job trusts; nobody, where it comes to no TLS: to read the system's trust store takes a while."""
    comes_to_tls = settings.start_tls or any(endpoint.scheme == "ldaps" for endpoint in endpoints)
    if comes_to_tls or settings.ca_file or settings.cert_file:
        return tls.context(settings.ca_file, settings.cert_file, settings.key_file)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Tls(ldap3.Tls):
    """TLS by a context and a socket of our own: ldap3's host name check passes over a certificate's IP addresses.

    ldap3 turns every fault into text, so the fault itself is kept here.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self._context = context
        self._host = host
        self.fault: OSError | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = True) -> None:  # noqa: ARG002  # ldap3 hands it over by name
        """What ldap3 calls, for ldaps and for StartTLS; it always wants the handshake."""
        try:
            connection.socket = TlsSocket(connection.socket, self._context, self._host)
        except OSError as fault:
            self.fault = fault
            raise


def _connect(endpoint: Endpoint, settings: LdapDirectory, password: Secret | None, context: ssl.SSLContext) -> Wire:
    """Try each of the host's addresses. ldap3 would do so itself, but leaves the sockets of failed ones open."""
    fault = UnreachableError("the name has no address", where=endpoint.url)
    for address in _addresses(endpoint):
        tls = _Tls(context, endpoint.host)
        connection = _connection(endpoint, address, settings, password, tls)
        with ExitStack() as failed:
            failed.callback(_discard, connection)
            try:
                with _translated(endpoint, tls):
                    connection.open(read_server_info=False)
            except UnreachableError as found:
                fault = found
                continue
            wire = _bound_in_time(connection, endpoint, settings, tls)
            failed.pop_all()
            return wire
    raise fault


def _addresses(endpoint: Endpoint) -> list[str]:
    """The host's addresses, in the order in which the system prefers them. Raises UnreachableError."""
    if endpoint.scheme == "ldapi":
        return [endpoint.url]
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        why = getattr(fault, "strerror", None) or "not a host name"
        raise UnreachableError(f"the name has no address: {why}", where=endpoint.url) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _connection(
    endpoint: Endpoint, address: str, settings: LdapDirectory, password: Secret | None, tls: _Tls
) -> ldap3.Connection:
    server = ldap3.Server(
        address,
        port=endpoint.port or None,
        use_ssl=endpoint.scheme == "ldaps",
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=settings.timeout,
    )
    # whole seconds are all that ldap3 takes here; its fast decoder knows no referral in the answer to a bind
    options: dict[str, Any] = {
        "receive_timeout": math.ceil(settings.timeout),
        "auto_referrals": False,
        "fast_decoder": False,
    }
    if settings.sasl == "external":
        options |= {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.EXTERNAL, "sasl_credentials": ""}
    elif settings.sasl == "gssapi":
        # cryptography's certificates, which it needs, are a tenth of a start and eight megabytes
        from connector.directories.ldap import kerberos  # noqa: PLC0415  # only jobs that bind by Kerberos need it

        return kerberos.Connection(server, endpoint.host, endpoint.url, options)
    elif settings.bind_dn is not None and password is not None:
        value = password.reveal()
        # octets are sent as they are; a str would be changed, or refused, by SASLprep, as no other client does
        octets = value if isinstance(value, bytes) else value.encode()
        options |= {"authentication": ldap3.SIMPLE, "user": settings.bind_dn, "password": octets}
    else:
        options |= {"authentication": ldap3.ANONYMOUS}
    return ldap3.Connection(server, **options)


def _bound_in_time(connection: Any, endpoint: Endpoint, settings: LdapDirectory, tls: _Tls) -> Wire:
    """Secure the connection and bind; ldap3 itself bounds no more than each single wait."""
    allowed = TIMEOUTS * settings.timeout
    with closing(Line()) as line, Bound(line, allowed) as binding:
        line.hold(connection.socket)
        try:
            wire = _secure_and_bind(connection, endpoint, settings, tls)
        except ConnectorError:
            if not binding.passed:
                raise
        else:
            if not binding.passed:
                return wire
    said = f"the bind did not end within {allowed:g} s ({TIMEOUTS} times directory.timeout)"
    raise UnreachableError(said, where=endpoint.url)


def _secure_and_bind(connection: Any, endpoint: Endpoint, settings: LdapDirectory, tls: _Tls) -> Wire:
    if settings.start_tls and endpoint.scheme == "ldap":
        with _translated(endpoint, tls):
            connection.start_tls(read_server_info=False)
    with _translated(endpoint, tls):
        connection.bind(read_server_info=False, controls=[(password_policy.CONTROL, False, None)])
    end = Response(connection.result["result"], diagnostic=connection.result["message"] or "")
    notice = _notice(connection.result, endpoint)
    who = settings.bind_dn or (f"SASL {settings.sasl.upper()}" if settings.sasl else "nobody (anonymous)")
    if end.code != results.SUCCESS:
        in_clear = endpoint.scheme == "ldap" and not settings.start_tls
        words = results.diagnostic(end, [connection.password] if settings.bind_dn else ())
        said = f"{results.name(end.code)}{words}{notice.refusal}{explained(end, in_clear=in_clear)}"
        why = f"the bind as {who} failed: {said}"
        away = end.code in results.AWAY or end.code == results.REFERRAL  # a copy that is being made refers to another
        proof = RefusedBindError if end.code in results.PROOF_REFUSED else DeniedError
        kind = UnreachableError if away else proof
        raise kind(why, where=endpoint.url)
    if notice.must_change:
        raise DeniedError(
            f"the server requires a new password for {who} (password policy): change it, and store the new one "
            "where the job reads it",
            where=endpoint.url,
        )
    wire = Wire(connection.socket, endpoint.url, settings.timeout, connection.server.next_message_id())
    wire.cautions = tuple(notice.cautions(who))
    wire.rights = Advice(account=settings.bind_dn or "")
    return wire


def _notice(result: Any, endpoint: Endpoint) -> Notice:
    """What the server says of the password, beside the answer to a bind as ldap3 has it."""
    controls = result.get("controls") or {}
    try:
        return password_policy.of({oid: control["value"] for oid, control in controls.items()})
    except MalformedError as fault:
        raise MalformedError(fault.what, where=endpoint.url) from None


def _discard(connection: Any) -> None:
    if connection.socket is not None:
        connection.socket.close()


@contextmanager
def _translated(endpoint: Endpoint, tls: _Tls) -> Iterator[None]:
    """ldap3's errors as ours, and none of them as a cause: they keep requests, and so passwords, in their frames."""
    try:
        yield
    except ConnectorError:
        raise
    except (LDAPExceptionError, OSError) as fault:
        raise _error(fault, tls.fault, endpoint) from None
    except Exception as fault:  # noqa: BLE001  # ldap3's decoder meets octets it does not expect with anything
        raise MalformedError(f"the answer is no LDAP message ({type(fault).__name__})", where=endpoint.url) from None


def _error(fault: Exception, handshake: OSError | None, endpoint: Endpoint) -> ConnectorError:
    """What failed: the handshake (then its own fault is known), StartTLS, or the connection."""
    url, host = endpoint.url, endpoint.host
    if isinstance(handshake, ssl.SSLCertVerificationError):
        why = handshake.verify_message.rstrip(".")
        return UntrustedError(f"the certificate of {host} is not trusted: {why}", where=url)
    if isinstance(handshake, ssl.SSLError) and not isinstance(handshake, ssl.SSLEOFError):
        plain = NoTlsError("what answers there speaks no TLS", where=url)
        other = UntrustedError(f"no TLS with {host}: {handshake.reason}", where=url)
        return plain if handshake.reason == tls.NO_TLS else other
    if handshake is not None:
        return UnreachableError(f"the connection was cut in the TLS handshake: {handshake}", where=url)
    if isinstance(fault, LDAPStartTLSError):
        return UntrustedError(f"the server refused StartTLS: {fault}", where=url)
    if isinstance(fault, ssl.SSLError) and "ALERT" in str(fault):
        # in TLS 1.3 a client learns only with the first answer that its certificate was refused
        return DeniedError(f"the server refused the TLS connection: {fault}", where=url)
    return UnreachableError(f"no connection: {fault}", where=url)

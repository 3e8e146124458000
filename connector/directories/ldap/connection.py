"""From a job's settings to a bound connection: ldap3 connects, does TLS and binds; errors are translated here.

The first URL whose server can be reached serves the run. Only faults of the connection go
on to the next one: a server that we do not trust, or that refuses our credentials, ends the
search. Going on would let whoever stands in the way choose our server, and would try a
wrong password on every server, until the account is locked.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import ldap3
from ldap3.core.exceptions import (
    LDAPExceptionError,
    LDAPSessionTerminatedByServerError,
    LDAPSocketOpenError,
    LDAPSocketReceiveError,
    LDAPSocketSendError,
    LDAPStartTLSError,
)
from msgspec import Struct

from connector.directories.ldap import password_policy, results
from connector.directories.ldap.responses import Response
from connector.directories.ldap.results import explained
from connector.directories.ldap.rights import Advice
from connector.directories.ldap.wire import Wire
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    MalformedError,
    RefusedBindError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret
from connector.net import counters, tls
from connector.net.time_limit import TIMEOUTS, TimeLimit
from connector.settings.ldap import LdapDirectory

_PORTS: Final = {"ldap": 389, "ldaps": 636}
_ASK_PASSWORD_POLICY: Final = (password_policy.CONTROL, False, None)


class Endpoint(Struct, frozen=True):
    """A URL of a job, read."""

    url: str
    scheme: str
    host: str
    """The path of the socket for `ldapi`; a bare address for IPv6."""
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """`ldaps://host[:port]`, `ldap://host[:port]` or `ldapi://%2Fpath`, as the job's settings let them through."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        host = unquote(parts.netloc) if scheme == "ldapi" else parts.hostname or ""
        port = None if scheme == "ldapi" else parts.port
        return cls(url, scheme, host, port or _PORTS.get(scheme, 0))


class Client(Struct, frozen=True):
    """Who connects."""

    settings: LdapDirectory
    password: Secret | None
    trusted: ssl.SSLContext
    """Whom the job trusts, and the certificate that it shows."""


class _Tls(ldap3.Tls):
    """TLS by a context of ours: ldap3's own check of host names passes over a certificate's IP addresses."""

    def __init__(
        self, trusted: ssl.SSLContext, host: str, *, shows_certificate: bool
    ) -> None:
        super().__init__()
        self._trusted = trusted
        self._host = host
        self.fault: OSError | ValueError | None = None
        """Why the handshake failed; ldap3 turns every fault into text."""
        self.shook_hands = False
        self.shows_certificate = shows_certificate

    def wrap_socket(self, connection: Any, do_handshake: bool = True) -> None:  # noqa: ARG002  # ldap3 hands it over by name
        """What ldap3 calls, for ldaps and for StartTLS; it always wants the handshake."""
        try:
            connection.socket = self._trusted.wrap_socket(
                connection.socket, server_hostname=self._host
            )
        except (OSError, ValueError) as fault:
            self.fault = fault
            raise
        self.shook_hands = True


class _Connection(ldap3.Connection):
    """ldap3's connection, which shows its password wherever it is shown itself."""

    def __repr__(self) -> str:
        return f"<connection to {self.server.host}>"

    __str__ = __repr__


def connect(settings: LdapDirectory, password: Secret | None) -> Wire:
    """A bound connection to the first server that answers. Raises FileError or one of the kinds of IncompleteRead."""
    client = Client(settings, password, _trust(settings))
    if settings.bind_dn is not None and not (password and password.reveal()):
        # to a server it would be an anonymous bind, which succeeds (RFC 4513 §5.1.2)
        raise FileError("the password is empty", where="directory.password")
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
    raise UnreachableError(
        f"none of {len(faults)} servers answers: " + "; ".join(map(str, faults))
    )


def _trust(settings: LdapDirectory) -> ssl.SSLContext:
    """Whom the job trusts; nobody where it comes to no TLS, for to read the system's authorities takes a while."""
    comes_to_tls = settings.start_tls or any(
        url.lower().startswith("ldaps:") for url in settings.urls
    )
    if comes_to_tls or settings.ca_file or settings.cert_file:
        return tls.context(settings.ca_file, settings.cert_file, settings.key_file)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _connect(endpoint: Endpoint, client: Client) -> Wire:
    """Try each of the host's addresses. ldap3 would do so itself, but leaves the sockets of failed ones open."""
    fault = UnreachableError("the name has no address", where=endpoint.url)
    for address in _find_addresses(endpoint):
        secured = _Tls(
            client.trusted,
            endpoint.host,
            shows_certificate=client.settings.cert_file is not None,
        )
        connection = _prepare(endpoint, address, client, secured)
        with ExitStack() as failed:
            failed.callback(_discard, connection)
            try:
                with _translating(endpoint, secured, client.settings.timeout):
                    connection.open(read_server_info=False)
            except UnreachableError as found:
                fault = found
                continue
            wire = _bind_in_time(connection, endpoint, client, secured)
            failed.pop_all()
            return wire
    raise fault


def _find_addresses(endpoint: Endpoint) -> list[str]:
    """The host's addresses, in the order in which the system prefers them. Raises UnreachableError."""
    if endpoint.scheme == "ldapi":
        return [endpoint.url]
    try:
        found = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as fault:
        why = getattr(fault, "strerror", None) or "not a host name"
        raise UnreachableError(
            f"the name has no address: {why}", where=endpoint.url
        ) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _prepare(
    endpoint: Endpoint, address: str, client: Client, secured: _Tls
) -> ldap3.Connection:
    """A connection that is not open yet."""
    settings = client.settings
    server = ldap3.Server(
        address,
        port=endpoint.port or None,
        use_ssl=endpoint.scheme == "ldaps",
        tls=secured,
        get_info=ldap3.NONE,
        connect_timeout=settings.timeout,
    )
    # whole seconds are all that ldap3 takes here; its fast decoder knows no referral in the
    # answer to a bind
    options: dict[str, Any] = {
        "receive_timeout": math.ceil(settings.timeout),
        "auto_referrals": False,
        "fast_decoder": False,
    }
    if settings.sasl == "gssapi":
        from connector.directories.ldap import kerberos

        return kerberos.Connection(server, endpoint.host, endpoint.url, options)
    if settings.sasl == "external":
        options |= {
            "authentication": ldap3.SASL,
            "sasl_mechanism": ldap3.EXTERNAL,
            "sasl_credentials": "",
        }
    elif settings.bind_dn is not None and client.password is not None:
        value = client.password.reveal()
        # octets are sent as they are; a str would be changed, or refused, by SASLprep, as
        # no other client does
        octets = value if isinstance(value, bytes) else value.encode()
        options |= {
            "authentication": ldap3.SIMPLE,
            "user": settings.bind_dn,
            "password": octets,
        }
    else:
        options |= {"authentication": ldap3.ANONYMOUS}
    return _Connection(server, **options)


def _bind_in_time(
    connection: Any, endpoint: Endpoint, client: Client, secured: _Tls
) -> Wire:
    """Secure the connection and bind; ldap3 itself bounds no more than each single wait."""
    allowed = TIMEOUTS * client.settings.timeout
    with closing(TimeLimit(allowed)) as limit, limit:
        limit.watch(connection.socket)
        try:
            wire = _secure_and_bind(connection, endpoint, client, secured)
        except ConnectorError:
            if not limit.has_passed:
                raise
        else:
            if not limit.has_passed:
                return wire
    said = f"the bind did not end within {allowed:g} s ({TIMEOUTS} times directory.timeout)"
    raise UnreachableError(said, where=endpoint.url)


def _secure_and_bind(
    connection: Any, endpoint: Endpoint, client: Client, secured: _Tls
) -> Wire:
    settings = client.settings
    with _translating(endpoint, secured, settings.timeout):
        if settings.start_tls and endpoint.scheme == "ldap":
            connection.start_tls(read_server_info=False)
        connection.bind(read_server_info=False, controls=[_ASK_PASSWORD_POLICY])
    end = Response(
        connection.result["result"], diagnostic=connection.result["message"] or ""
    )
    notice = _read_notice(connection.result, endpoint)
    who = settings.bind_dn or (
        f"SASL {settings.sasl.upper()}" if settings.sasl else "nobody (anonymous)"
    )
    if end.code != results.SUCCESS:
        raise _describe_refusal(end, notice, who, endpoint, client)
    if notice.must_change:
        why = (
            f"the server requires a new password for {who} (password policy): change it, and store the new one "
            "where the job reads it"
        )
        raise DeniedError(why, where=endpoint.url)
    wire = Wire(
        connection.socket,
        endpoint.url,
        settings.timeout,
        connection.server.next_message_id(),
    )
    wire.cautions = tuple(notice.cautions(who))
    wire.rights = Advice(account=settings.bind_dn or "")
    return wire


def _describe_refusal(
    end: Response,
    notice: password_policy.Notice,
    who: str,
    endpoint: Endpoint,
    client: Client,
) -> ConnectorError:
    in_clear = endpoint.scheme == "ldap" and not client.settings.start_tls
    words = results.diagnostic(
        end, [client.password.reveal()] if client.password else ()
    )
    said = f"{results.name(end.code)}{words}{notice.refusal}{explained(end, in_clear=in_clear)}"
    kind: type[ConnectorError] = DeniedError
    if (
        end.code in results.AWAY or end.code == results.REFERRAL
    ):  # a copy that is being made refers to another
        kind = UnreachableError
    elif end.code in results.PROOF_REFUSED:
        kind = RefusedBindError
    return kind(f"the bind as {who} failed: {said}", where=endpoint.url)


def _read_notice(result: Any, endpoint: Endpoint) -> password_policy.Notice:
    """What the server says of the password, beside the answer to a bind as ldap3 has it."""
    controls = result.get("controls") or {}
    try:
        return password_policy.of(
            {oid: control["value"] or b"" for oid, control in controls.items()}
        )
    except MalformedError as fault:
        raise MalformedError(fault.what, where=endpoint.url) from None


def _discard(connection: Any) -> None:
    if connection.socket is not None:
        connection.socket.close()


@contextmanager
def _translating(endpoint: Endpoint, secured: _Tls, timeout: float) -> Iterator[None]:
    """ldap3's errors as ours, and none of them as a cause: they keep requests, and so passwords, in their frames."""
    try:
        yield
    except ConnectorError:
        raise
    except (LDAPExceptionError, OSError) as fault:
        raise _describe(fault, secured, endpoint, timeout) from None
    except Exception as fault:  # noqa: BLE001  # ldap3 raises TypeError, IndexError and others for octets that are no LDAP
        raise MalformedError(
            f"the answer is no LDAP message ({type(fault).__name__})",
            where=endpoint.url,
        ) from None


def _describe(
    fault: Exception, secured: _Tls, endpoint: Endpoint, timeout: float
) -> ConnectorError:
    """What failed: the handshake (then its own fault is known), StartTLS, or the connection."""
    url = endpoint.url
    if secured.fault is not None:
        return _describe_handshake(secured.fault, endpoint)
    if isinstance(fault, LDAPStartTLSError):
        return UntrustedError(f"the server refused StartTLS: {fault}", where=url)
    said = str(fault).rpartition("] ")[2]
    if isinstance(fault, LDAPSessionTerminatedByServerError):
        return UnreachableError(
            f"the server has ended the connection: {said}{_advise_certificate(secured)}",
            where=url,
        )
    if "ALERT" in str(fault):
        # in TLS 1.3 a client learns only with the first answer that its certificate was refused
        alert = str(fault).partition("[SSL: ")[2].partition("]")[0]
        return DeniedError(
            f"the server refused the TLS connection: {alert or said}", where=url
        )
    if not isinstance(
        fault,
        OSError | LDAPSocketOpenError | LDAPSocketReceiveError | LDAPSocketSendError,
    ):
        return MalformedError(f"the answer is no LDAP message ({said})", where=url)
    is_late = "timed out" in said or "temporarily unavailable" in said
    what = (
        f"no answer within {timeout:g} s"
        if is_late
        else f"no connection: {said}{_advise_certificate(secured)}"
    )
    return UnreachableError(what, where=url)


def _advise_certificate(secured: _Tls) -> str:
    """Many servers that want a certificate cut the connection without a word (TLS 1.3: after the handshake)."""
    if not secured.shook_hands or secured.shows_certificate:
        return ""
    return ". If the server requires a client certificate, set directory.cert_file"


def _describe_handshake(
    fault: OSError | ValueError, endpoint: Endpoint
) -> ConnectorError:
    url, host = endpoint.url, endpoint.host
    if isinstance(fault, ssl.SSLCertVerificationError):
        why = fault.verify_message.rstrip(".")
        return UntrustedError(
            f"the certificate of {host} is not trusted: {why}", where=url
        )
    if isinstance(fault, ssl.SSLError) and not isinstance(fault, ssl.SSLEOFError):
        return tls.fault_of(fault, url) or UntrustedError(
            f"no TLS with {host}: {fault.reason}", where=url
        )
    return UnreachableError(
        f"the connection was cut in the TLS handshake: {fault}", where=url
    )

"""From a job's settings to a bound connection: ldap3 connects, does TLS and binds; errors are translated here.

The first URL whose server can be reached serves the run. Only faults of the connection go
on to the next one: a server that we do not trust, or that refuses our credentials, ends the
search. Going on would let whoever stands in the way choose our server, and would try a
wrong password on every server, until the account is locked.

At a bind a server may speak of the account's own password
(draft-behera-ldap-password-policy-10 §6). It is asked with every bind, by a control that
servers without it pass over. Otherwise a password that has to be changed first would look
like a bind that went well, after which everything is refused (389-DS: result 53, without a
word), and a locked account like a wrong password (OpenLDAP).
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

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

from connector.directories.ldap.ber import read_integer, split_elements
from connector.directories.ldap.dialect import RightsAdvice
from connector.directories.ldap.responses import (
    AWAY,
    PROOF_REFUSED,
    REFERRAL,
    SUCCESS,
    Response,
    explain_refused_bind,
    name_result,
    show_diagnostic,
)
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

_PORTS = {"ldap": 389, "ldaps": 636}
POLICY_NOTICE = "1.3.6.1.4.1.42.2.27.8.5.1"

_EXPIRED, _LOCKED, _CHANGE_AFTER_RESET = 0, 1, 2
_WARNING, _ERROR, _SECONDS, _BINDS = 0xA0, 0x81, 0x80, 0x81
_DAY = 86_400
_REFUSED: dict[int | None, str] = {
    _EXPIRED: "; the password has expired: set a new one, and store it where the job reads it",
    _LOCKED: "; the account is locked: unlock it, or wait for the server's password policy",
}
_CUT = (
    OSError,
    LDAPSocketOpenError,
    LDAPSocketReceiveError,
    LDAPSocketSendError,
)
"""How ldap3 says that a connection failed."""
_ASK_PASSWORD_POLICY = (POLICY_NOTICE, False, None)


class _TrustedTls(ldap3.Tls):
    """TLS by a context of ours: ldap3's own check of host names passes over a certificate's IP addresses."""

    def __init__(self, trusted: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self._trusted = trusted
        self._host = host
        self.fault: OSError | ValueError | None = None
        """Why the handshake failed; ldap3 turns every fault into text."""
        self.shook_hands = False

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


class _QuietConnection(ldap3.Connection):
    """ldap3's connection, which shows its password wherever it is shown itself."""

    def __repr__(self) -> str:
        return f"<connection to {self.server.host}>"

    __str__ = __repr__


def connect_server(settings: LdapDirectory, password: Secret | None) -> Wire:
    """A bound connection to the first server that answers. Raises FileError or one of the kinds of IncompleteRead."""
    trusted = tls.open_tls_context(
        settings.ca_file, settings.cert_file, settings.key_file
    )
    if settings.bind_dn is not None and not (password and password.reveal()):
        # to a server it would be an anonymous bind, which succeeds (RFC 4513 §5.1.2)
        raise FileError("the password is empty", where="directory.password")
    if settings.sasl == "gssapi":
        from connector.directories.ldap.kerberos import load_gssapi

        load_gssapi()
    faults: list[UnreachableError] = []
    for url in settings.urls:
        counters.count_request("directory")
        try:
            return _Connector(settings, password, trusted, url).connect()
        except ConnectorError as fault:
            counters.count_error("directory")
            if not isinstance(fault, UnreachableError):
                raise
            faults.append(fault)
    if len(faults) > 1:
        said = "; ".join(map(str, faults))
        raise UnreachableError(f"none of {len(faults)} servers answers: {said}")
    raise faults[0]


class _Connector:
    """Connects to one URL of a job, and binds."""

    def __init__(
        self,
        settings: LdapDirectory,
        password: Secret | None,
        trusted: ssl.SSLContext,
        url: str,
    ) -> None:
        self._settings = settings
        self._password = password
        self._url = url
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        self._host = parts.hostname or ""
        """A bare address for IPv6; empty for `ldapi`, whose URL names a socket's path."""
        self._port = None
        if self._scheme != "ldapi":
            self._port = parts.port or _PORTS[self._scheme]
        self._trusted = trusted
        self._tls = _TrustedTls(trusted, self._host)
        """Of the address that is tried."""

    def connect(self) -> Wire:
        """Try each of the host's addresses. ldap3 would do so itself, but leaves the sockets of failed ones open."""
        fault = UnreachableError("the name has no address", where=self._url)
        for address in self._find_addresses():
            connection = self._prepare_connection(address)
            with ExitStack() as failed:
                failed.callback(_discard_connection, connection)
                try:
                    with self._translating_errors():
                        connection.open(read_server_info=False)
                except UnreachableError as found:
                    fault = found
                    continue
                wire = self._bind_in_time(connection)
                failed.pop_all()
                return wire
        raise fault

    def _find_addresses(self) -> list[str]:
        """The host's addresses, in the order in which the system prefers them. Raises UnreachableError."""
        if self._scheme == "ldapi":
            return [self._url]
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as fault:
            why = getattr(fault, "strerror", None) or "not a host name"
            said = f"the name has no address: {why}"
            raise UnreachableError(said, where=self._url) from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _prepare_connection(self, address: str) -> ldap3.Connection:
        """A connection that is not open yet."""
        settings = self._settings
        self._tls = _TrustedTls(self._trusted, self._host)
        server = ldap3.Server(
            address,
            port=self._port,
            use_ssl=self._scheme == "ldaps",
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=settings.timeout,
        )
        # whole seconds are all that ldap3 takes here; its fast decoder knows no referral in
        # the answer to a bind
        options: dict[str, Any] = {
            "receive_timeout": math.ceil(settings.timeout),
            "auto_referrals": False,
            "fast_decoder": False,
        }
        if settings.sasl == "gssapi":
            from connector.directories.ldap.kerberos import KerberosConnection

            return KerberosConnection(server, self._host, self._url, options)
        if settings.sasl == "external":
            options |= {
                "authentication": ldap3.SASL,
                "sasl_mechanism": ldap3.EXTERNAL,
                "sasl_credentials": "",
            }
        elif settings.bind_dn is not None and self._password is not None:
            value = self._password.reveal()
            options |= {
                "authentication": ldap3.SIMPLE,
                "user": settings.bind_dn,
                # octets are sent as they are; a str would be changed, or refused, by
                # SASLprep, as no other client does
                "password": value if isinstance(value, bytes) else value.encode(),
            }
        return _QuietConnection(server, **options)

    def _bind_in_time(self, connection: Any) -> Wire:
        """Secure the connection and bind; ldap3 itself bounds no more than each single wait."""
        allowed = TIMEOUTS * self._settings.timeout
        with closing(TimeLimit(allowed)) as limit, limit:
            limit.watch_connection(connection.socket)
            try:
                wire = self._secure_and_bind(connection)
            except ConnectorError:
                if not limit.has_passed:
                    raise
            else:
                if not limit.has_passed:
                    return wire
        said = f"the bind did not end within {allowed:g} s ({TIMEOUTS} times directory.timeout)"
        raise UnreachableError(said, where=self._url)

    def _secure_and_bind(self, connection: Any) -> Wire:
        settings, url = self._settings, self._url
        with self._translating_errors():
            if settings.start_tls and self._scheme == "ldap":
                connection.start_tls(read_server_info=False)
            connection.bind(read_server_info=False, controls=[_ASK_PASSWORD_POLICY])
        result = connection.result
        end = Response(result["result"], diagnostic=result["message"] or "")
        policy = (result.get("controls") or {}).get(POLICY_NOTICE, {})
        try:
            notice = read_password_notice(policy.get("value") or b"")
        except MalformedError as fault:
            raise MalformedError(fault.what, where=url) from None
        who = settings.bind_dn or "nobody (anonymous)"
        if settings.sasl and not settings.bind_dn:
            who = f"SASL {settings.sasl.upper()}"
        if end.code != SUCCESS:
            raise self._describe_refusal(end, notice, who)
        if notice.must_change:
            why = (
                f"the server requires a new password for {who} (password policy): change it, and store the new one "
                "where the job reads it"
            )
            raise DeniedError(why, where=url)
        first_id = connection.server.next_message_id()
        wire = Wire(connection.socket, url, settings.timeout, first_id)
        wire.cautions = tuple(notice.list_cautions(who))
        wire.rights = RightsAdvice(account=settings.bind_dn or "")
        return wire

    def _describe_refusal(
        self,
        end: Response,
        notice: PasswordNotice,
        who: str,
    ) -> ConnectorError:
        in_clear = self._scheme == "ldap" and not self._settings.start_tls
        secrets = [self._password.reveal()] if self._password else []
        words = show_diagnostic(end, secrets)
        meaning = explain_refused_bind(end, in_clear=in_clear)
        kind: type[ConnectorError] = DeniedError
        # a copy that is being made refers to another
        if end.code in AWAY or end.code == REFERRAL:
            kind = UnreachableError
        elif end.code in PROOF_REFUSED:
            kind = RefusedBindError
            if self._password and self._password.place:
                meaning += f". {self._password.place}"
        reason = _REFUSED.get(notice.error, "")
        said = f"{name_result(end.code)}{words}{reason}{meaning}"
        return kind(f"the bind as {who} failed: {said}", where=self._url)

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """ldap3's errors as ours, and none of them as a cause: their frames keep requests, and so passwords."""
        try:
            yield
        except ConnectorError:
            raise
        except (LDAPExceptionError, OSError) as fault:
            if self._tls.fault is None:
                raise self._describe_fault(fault) from None
            raise self._describe_handshake(self._tls.fault) from None
        except Exception as fault:  # noqa: BLE001  # ldap3 raises TypeError, IndexError and others for octets that are no LDAP
            why = f"the answer is no LDAP message ({type(fault).__name__})"
            raise MalformedError(why, where=self._url) from None

    def _describe_fault(self, fault: Exception) -> ConnectorError:
        """What failed: StartTLS, or the connection."""
        said = str(fault).rpartition("] ")[2]
        # many servers that want a certificate cut the connection without a word (in TLS 1.3
        # after the handshake)
        advice = ""
        if self._tls.shook_hands and self._settings.cert_file is None:
            advice = (
                ". If the server requires a client certificate, set directory.cert_file"
            )
        kind: type[ConnectorError] = UnreachableError
        if isinstance(fault, LDAPStartTLSError):
            kind = UntrustedError
            what = f"the server refused StartTLS: {fault}"
        elif isinstance(fault, LDAPSessionTerminatedByServerError):
            what = f"the server has ended the connection: {said}{advice}"
        elif "ALERT" in str(fault):
            # in TLS 1.3 a client learns only with the first answer that its certificate was
            # refused
            alert = str(fault).partition("[SSL: ")[2].partition("]")[0]
            kind = DeniedError
            what = f"the server refused the TLS connection: {alert or said}"
        elif not isinstance(fault, _CUT):
            kind = MalformedError
            what = f"the answer is no LDAP message ({said})"
        elif "timed out" in said or "temporarily unavailable" in said:
            what = f"no answer within {self._settings.timeout:g} s"
        else:
            what = f"no connection: {said}{advice}"
        return kind(what, where=self._url)

    def _describe_handshake(self, fault: OSError | ValueError) -> ConnectorError:
        kind: type[ConnectorError] = UntrustedError
        if isinstance(fault, ssl.SSLCertVerificationError):
            whose = f"the certificate of {self._host}"
            return tls.describe_distrust(fault, whose, self._url)
        if isinstance(fault, ssl.SSLError) and not isinstance(fault, ssl.SSLEOFError):
            known = tls.fault_of(fault, self._url)
            if known is not None:
                return known
            what = f"no TLS with {self._host}: {fault.reason}"
        else:
            kind = UnreachableError
            what = f"the connection was cut in the TLS handshake: {fault}"
        return kind(what, where=self._url)


def _discard_connection(connection: Any) -> None:
    if connection.socket is not None:
        connection.socket.close()


class PasswordNotice(Struct, frozen=True):
    """What the server said: an error, the seconds that the password is good, the binds that are left when it is not."""

    error: int | None = None
    seconds: int | None = None
    binds: int | None = None

    @property
    def must_change(self) -> bool:
        """Whether the server lets the account do nothing but change its password."""
        return self.error == _CHANGE_AFTER_RESET

    def list_cautions(self, who: str) -> Iterator[str]:
        """What to see to before the account is locked out."""
        if self.seconds is not None:
            days = self.seconds // _DAY
            left = {0: "less than a day", 1: "a day"}.get(days, f"{days} days")
            yield f"the password of {who} expires in {left}. Set a new one before that"
        if self.binds is not None:
            yield f"the password of {who} has expired: the server lets it in {self.binds} times more"


def read_password_notice(value: bytes) -> PasswordNotice:
    """What the value of the control beside the answer to a bind says. Raises MalformedError."""
    notices = split_elements(value)
    parts = dict(split_elements(notices[0][1])) if notices else {}
    warnings = dict(split_elements(parts.get(_WARNING, b"")))
    said = (parts.get(_ERROR), warnings.get(_SECONDS), warnings.get(_BINDS))
    return PasswordNotice(
        *(None if each is None else read_integer(each) for each in said)
    )

"""A bind by Kerberos ticket (SASL GSSAPI, RFC 4752), with the extra `gssapi`.

Whose ticket it is, and where it comes from, Kerberos is told outside of the job: by KRB5CCNAME for a cache that is kept
filled, or by KRB5_CLIENT_KTNAME for a key table, with which it fetches one by itself. TLS protects what follows, so
that no layer of GSSAPI's own is asked for; the bind is tied to the server's certificate (RFC 5929 §4).
"""

from __future__ import annotations

import socket
from typing import Any, Final

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.protocol.sasl.sasl import send_sasl_negotiation

from connector.directories.ldap import password_policy, results
from connector.directories.ldap.responses import Response
from connector.directories.ldap.tls_stream import TlsSocket
from connector.errors import ConnectorError, DeniedError, FileError, MalformedError, RefusedBindError, UnreachableError

_NO_LAYER: Final = 1
_IN_PROGRESS: Final = 14
_PROOF_REFUSED: Final = frozenset({0x96C73A12, 0x96C73A18})
"""KRB5KDC_ERR_CLIENT_REVOKED (18) and KRB5KDC_ERR_PREAUTH_FAILED (24), as MIT's krb5.h counts them: on 0x96C73A00."""
_WEAK: Final = frozenset({"md5", "sha1"})


def library() -> Any:
    """What speaks GSSAPI; it has types for a part of what it is. Raises FileError where the extra is not installed."""
    try:
        import gssapi  # noqa: PLC0415  # an optional package: a job that lacks it is told how to install it, here
    except ImportError as fault:
        why = f"sasl: gssapi needs the extra: pip install 'cec-connector[gssapi]' ({fault})"
        raise FileError(why, where="directory.sasl") from None
    return gssapi


def bind(connected: socket.socket, host: str, where: str) -> tuple[Response, int]:
    """Bind as a client of the service `ldap` on this host: the server's last answer, and the next free message id.

    ldap3 sends the messages and reads the answers; its own exchange lacks what a server says that refuses, and fails
    where no layer is all that is offered. Raises DeniedError where Kerberos has no ticket for us, or none for the
    server. Nothing is raised from ldap3's errors: they keep requests, and so tickets, in their frames.
    """
    # its fast decoder knows no referral in the answer to a bind; the address is never used
    options: dict[str, Any] = {"sasl_mechanism": ldap3.GSSAPI, "auto_referrals": False, "fast_decoder": False}
    connection = ldap3.Connection(ldap3.Server("localhost"), authentication=ldap3.SASL, **options)
    connection.socket, connection.closed, connection.listening = connected, False, True
    connection.strategy._outstanding = {}  # noqa: SLF001  # ldap3 keeps answers in it, and sets it nowhere but in `open`, which would connect a socket of its own
    gssapi = library()
    try:
        answer = _exchange(gssapi, connection, host, where)
    except gssapi.exceptions.GSSError as fault:
        why = " ".join(str(fault).split())
        kind = RefusedBindError if fault.min_code & 0xFFFFFFFF in _PROOF_REFUSED else DeniedError
        raise kind(f"no bind by Kerberos, for the service ldap@{host}: {why}", where=where) from None
    except ConnectorError:
        raise
    except (LDAPExceptionError, OSError) as fault:
        raise UnreachableError(f"the connection was cut in the bind by Kerberos: {fault}", where=where) from None
    except Exception as fault:  # noqa: BLE001  # octets that are no LDAP end ldap3's decoder by IndexError, TypeError, ValueError and more; none may escape, for its frames hold tickets
        raise MalformedError(f"the answer is no LDAP message ({type(fault).__name__})", where=where) from None
    controls = {oid: control["value"] for oid, control in (answer.get("controls") or {}).items()}
    end = Response(answer["result"], diagnostic=answer["message"] or "", controls=controls)
    return end, connection.server.next_message_id()


def _exchange(gssapi: Any, connection: ldap3.Connection, host: str, where: str) -> Any:
    """The server's answer that ends the bind, as ldap3 has it."""
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"ldap@{host}", gssapi.NameType.hostbased_service),
        mech=gssapi.MechType.kerberos,
        usage="initiate",
        channel_bindings=_bindings(gssapi, connection.socket),
    )
    token = None
    while not context.complete:
        answer = _say(connection, context.step(token) or b"")
        if answer["result"] not in {results.SUCCESS, _IN_PROGRESS}:
            return answer
        token = answer["saslCreds"]
    offered = context.unwrap(token).message
    if not offered or not offered[0] & _NO_LAYER:
        raise DeniedError("the server requires GSSAPI protection instead of TLS", where=where)
    return _say(connection, context.wrap(bytes((_NO_LAYER, 0, 0, 0)), False).message)


def _say(connection: ldap3.Connection, token: bytes) -> Any:
    controls = [(password_policy.CONTROL, False, None)]
    return send_sasl_negotiation(connection, controls, token)  # type: ignore[no-untyped-call]  # types-ldap3 gives this one function no types


def _bindings(gssapi: Any, connected: socket.socket) -> Any:
    """The server's certificate as a channel binding; none without TLS, or where its signature names no digest."""
    certificate = connected.getpeercert() if isinstance(connected, TlsSocket) else None
    if certificate is None:
        return None
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None:
        return None
    digest = hashes.Hash(hashes.SHA256() if algorithm.name in _WEAK else algorithm)
    digest.update(certificate)
    data = b"tls-server-end-point:" + digest.finalize()
    return gssapi.raw.ChannelBindings(application_data=data)

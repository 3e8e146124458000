"""A bind by Kerberos ticket (SASL GSSAPI, RFC 4752), with the extra `gssapi`.

Whose ticket it is, and where it comes from, Kerberos is told outside of the job: by KRB5CCNAME for a cache that is kept
filled, or by KRB5_CLIENT_KTNAME for a key table, with which it fetches one by itself. TLS protects what follows, so
that no layer of GSSAPI's own is asked for; the bind is tied to the server's certificate (RFC 5929 §4).
"""

from __future__ import annotations

import socket
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from connector.directories.ldap import password_policy, requests, results
from connector.directories.ldap.framing import Frame
from connector.directories.ldap.responses import BOUND, Response, response
from connector.directories.ldap.session import Session
from connector.directories.ldap.tls_stream import TlsSocket
from connector.errors import DeniedError, FileError, MalformedError, RefusedBindError, UnreachableError

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


def bind(session: Session, connected: socket.socket, host: str) -> Response:
    """Bind as a client of the service `ldap` on this host, by a session on this connection; the server's last answer.

    Raises DeniedError where Kerberos has no ticket for us, or none for the server.
    """
    gssapi = library()
    try:
        return _exchange(gssapi, session, connected, host)
    except gssapi.exceptions.GSSError as fault:
        why = " ".join(str(fault).split())
        kind = RefusedBindError if fault.min_code & 0xFFFFFFFF in _PROOF_REFUSED else DeniedError
        raise kind(f"no bind by Kerberos, for the service ldap@{host}: {why}", where=session.where) from None
    except UnreachableError as fault:
        why = f"the connection was cut in the bind by Kerberos: {fault.what}"
        raise UnreachableError(why, where=session.where) from None
    except MalformedError as fault:
        raise MalformedError(f"the answer is no LDAP message ({fault.what})", where=session.where) from None


def _exchange(gssapi: Any, session: Session, connected: socket.socket, host: str) -> Response:
    context = gssapi.SecurityContext(
        name=gssapi.Name(f"ldap@{host}", gssapi.NameType.hostbased_service),
        mech=gssapi.MechType.kerberos,
        usage="initiate",
        channel_bindings=_bindings(gssapi, connected),
    )
    token = None
    while not context.complete:
        answer = _answer(session, _sent(session, context.step(token) or b""))
        if answer.code not in {results.SUCCESS, _IN_PROGRESS}:
            return answer
        token = answer.credentials
    offered = context.unwrap(token).message
    if not offered or not offered[0] & _NO_LAYER:
        raise DeniedError("the server requires GSSAPI protection instead of TLS", where=session.where)
    return _answer(session, _sent(session, context.wrap(bytes((_NO_LAYER, 0, 0, 0)), False).message))


def _sent(session: Session, token: bytes) -> list[Frame]:
    """Where the answer to this token comes. Who waits for it has no token: a traceback may show variables."""
    inbox: list[Frame] = []
    session.submit(requests.sasl_bind("GSSAPI", token), (password_policy.ASK,), inbox)
    return inbox


def _answer(session: Session, inbox: list[Frame]) -> Response:
    return session.located(response, session.answer(inbox, BOUND))


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

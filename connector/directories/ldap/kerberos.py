"""A bind by Kerberos ticket (SASL GSSAPI, RFC 4752), with the extra `gssapi`.

Whose ticket it is, and where it comes from, Kerberos is told outside of the job: by
KRB5CCNAME for a cache that is kept filled, or by KRB5_CLIENT_KTNAME for a key table, with
which it fetches one by itself. TLS protects what follows, so that no layer of GSSAPI's own
is asked for; the bind is tied to the server's certificate (RFC 5929 §4).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import ldap3
from ldap3.protocol.sasl.sasl import send_sasl_negotiation

from connector.directories.ldap.responses import SUCCESS
from connector.errors import DeniedError, FileError, RefusedBindError

_NO_LAYER = 1
_IN_PROGRESS = 14
_PROOF_REFUSED = frozenset({0x96C73A12, 0x96C73A18})
"""KRB5KDC_ERR_CLIENT_REVOKED (18) and KRB5KDC_ERR_PREAUTH_FAILED (24), as MIT's krb5.h
counts them: on 0x96C73A00."""


def load_gssapi() -> Any:
    """What speaks GSSAPI; it has types for a part of what it is. Raises FileError where the extra is not installed."""
    try:
        import gssapi  # noqa: PLC0415  # an optional package: a job that lacks it is told how to install it, here
    except ImportError as fault:
        why = f"sasl: gssapi needs the extra: pip install 'cec-connector[gssapi]' ({fault})"
        raise FileError(why, where="directory.sasl") from None
    return gssapi


class KerberosConnection(ldap3.Connection):
    """A connection that will bind so, as a client of the service `ldap` on this host.

    ldap3's own exchange lacks what a server says that refuses, and fails where no layer is
    all that is offered.
    """

    def __init__(
        self,
        server: ldap3.Server,
        host: str,
        url: str,
        options: Mapping[str, Any],
    ) -> None:
        self._host = host
        self._where = url
        self._gssapi = load_gssapi()
        super().__init__(
            server, authentication=ldap3.SASL, sasl_mechanism=ldap3.GSSAPI, **options
        )

    def do_sasl_bind(self, controls: Any) -> Any:
        """What ldap3 calls to bind. Raises DeniedError where Kerberos has no ticket for us, or none for the server."""
        try:
            return self._exchange_tokens(controls)
        except self._gssapi.exceptions.GSSError as fault:
            why = " ".join(str(fault).split())
            kind = (
                RefusedBindError
                if fault.min_code & 0xFFFFFFFF in _PROOF_REFUSED
                else DeniedError
            )
            raise kind(
                f"no bind by Kerberos, for the service ldap@{self._host}: {why}",
                where=self._where,
            ) from None

    def _exchange_tokens(self, controls: Any) -> Any:
        name = self._gssapi.Name(
            f"ldap@{self._host}", self._gssapi.NameType.hostbased_service
        )
        context = self._gssapi.SecurityContext(
            name=name,
            mech=self._gssapi.MechType.kerberos,
            usage="initiate",
            channel_bindings=self._bind_channel(),
        )
        token = None
        while not context.complete:
            answer = self._send_token(controls, context.step(token) or b"")
            if answer["result"] not in {SUCCESS, _IN_PROGRESS}:
                return answer
            token = answer["saslCreds"]
        offered = context.unwrap(token).message
        if not offered or not offered[0] & _NO_LAYER:
            raise DeniedError(
                "the server requires GSSAPI protection instead of TLS",
                where=self._where,
            )
        return self._send_token(
            controls, context.wrap(bytes((_NO_LAYER, 0, 0, 0)), False).message
        )

    def _send_token(self, controls: Any, token: bytes) -> Any:
        return send_sasl_negotiation(self, controls, token)  # type: ignore[no-untyped-call]  # its stubs are not whole

    def _bind_channel(self) -> Any:
        """The server's certificate as a channel binding; none without TLS, or where its signature names no digest."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return None
        from ldap3.protocol.sasl.kerberos import get_channel_bindings  # noqa: PLC0415  # it needs the extra

        try:
            return get_channel_bindings(self.socket)  # type: ignore[no-untyped-call]  # its stubs are not whole
        except AttributeError:
            return None

"""TLS as it is wanted everywhere: whom we trust, the certificate that we show, and what goes wrong."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from connector.errors import (
    CertificateDateError,
    DeniedError,
    FileError,
    HostNameError,
    IncompleteRead,
    NoTlsError,
    UntrustedError,
)
from connector.settings.textfile import open_regular

NO_TLS: Final = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason where the first octets of an answer are no record of TLS."""

_OUR_CERTIFICATE: Final = re.compile(r"ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
_DISTRUST: Final = {
    9: CertificateDateError,  # X509_V_ERR_CERT_NOT_YET_VALID
    10: CertificateDateError,  # X509_V_ERR_CERT_HAS_EXPIRED
    62: HostNameError,  # X509_V_ERR_HOSTNAME_MISMATCH
    64: HostNameError,  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
"""Kinds of errors by what OpenSSL's verification returns (X509_STORE_CTX_get_error(3))."""


def open_tls_context(
    ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """The system's trust store, or `ca_file` in its place; TLS 1.2 at least, and the host name is checked.

    Without `key_file` the key is in `cert_file`. Raises FileError.
    """
    for path in filter(None, (ca_file, cert_file, key_file)):
        with (
            suppress(OSError),
            open_regular(path),
        ):  # OpenSSL would wait for a pipe; all else it says better
            pass
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        what = f"no CA certificates can be read: {_tell_reason(error) or 'not PEM'}"
        raise FileError(what, where=str(ca_file)) from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            # an encrypted key would be asked for on the terminal, where a scheduled run
            # would wait for ever
            made.load_cert_chain(cert_file, key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            where = ", ".join(str(path) for path in (cert_file, key_file) if path)
            reason = _tell_reason(error) or "not PEM, or encrypted"
            raise FileError(f"not usable for TLS: {reason}", where=where) from None
    return made


def _tell_reason(error: Exception) -> str | None:
    if isinstance(error, ssl.SSLError):
        return error.reason
    return getattr(error, "strerror", None)


def describe_distrust(
    error: ssl.SSLCertVerificationError, whose: str, where: str = ""
) -> UntrustedError:
    """Tell why a certificate is not trusted. `whose`: words for it, such as "the certificate"."""
    kind = _DISTRUST.get(error.verify_code, UntrustedError)
    why = error.verify_message.rstrip(".")
    return kind(f"{whose} is not trusted: {why}", where=where)


def fault_of(error: BaseException, where: str) -> IncompleteRead | None:
    """Whom we do not trust, or who does not trust us; None for faults that are not of TLS alone."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return describe_distrust(error, "the certificate", where)
    if isinstance(error, ssl.SSLError) and error.reason == NO_TLS:
        return NoTlsError("what answers there speaks no TLS", where=where)
    if isinstance(error, ssl.SSLError) and _OUR_CERTIFICATE.search(error.reason or ""):
        # in TLS 1.3 a client learns only with the first answer that its certificate was
        # refused (RFC 8446 §4.4.2.4)
        return DeniedError(
            f"the server refused the TLS connection: {error.reason}", where=where
        )
    return None

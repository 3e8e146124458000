"""TLS as it is wanted everywhere: whom we trust, and the certificate that we show."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from connector.errors import FileError

NO_TLS: Final = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason where the first octets of an answer are no record of TLS."""


def context(ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """The system's trust store, or `ca_file` in its place; TLS 1.2 at least, and the host name is checked.

    Without `key_file` the key is in `cert_file`. Raises FileError.
    """
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise FileError(f"no CA certificates can be read: {_why(error) or 'not PEM'}", where=str(ca_file)) from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            # an encrypted key would be asked for on the terminal, where a scheduled run would wait for ever
            made.load_cert_chain(cert_file, key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            where = f"{cert_file}, {key_file}" if key_file else str(cert_file)
            reason = error.reason if isinstance(error, ssl.SSLError) else _why(error)
            raise FileError(f"not usable for TLS: {reason or 'not PEM, or encrypted'}", where=where) from None
    return made


def _why(error: Exception) -> str | None:
    return error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None

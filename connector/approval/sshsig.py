"""SSH signatures of files (OpenSSH's PROTOCOL.sshsig), as `ssh-keygen -Y sign` makes them.

Stricter than OpenSSH: each field has one right form, and what that format ignores has to be
empty. So no octet can be another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from connector.approval.keys import PublicKey
from connector.approval.wire import Octets, SignatureError, string

MAX_BYTES: Final = 64 << 10
"""Of a signature; that of the longest accepted RSA key has under six thousand."""
_MAGIC: Final = b"SSHSIG"
_ARMOR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]*[A-Za-z0-9+/=])\n-----END SSH SIGNATURE-----\n?"
)
_HASHES: Final = ("sha256", "sha512")


def signed_by(signature: bytes, data: bytes, namespace: str) -> PublicKey:
    """The key that has signed the data for this namespace. Raises SignatureError, with the reason.

    Whose key it is, and whether that may sign, is another question.
    """
    octets = Octets(_unarmored(signature))
    if octets.take(len(_MAGIC)) != _MAGIC:
        raise SignatureError("is no SSH signature")
    version = octets.uint32()
    if version != 1:
        raise SignatureError(
            f"is an SSH signature of version {version}, which is not known"
        )
    blob, said, reserved, digest, made = (
        octets.string(),
        octets.name(),
        octets.string(),
        octets.name(),
        octets.string(),
    )
    octets.end()
    if reserved:
        raise SignatureError("uses a reserved field")
    if said != namespace:
        raise SignatureError(
            f"is for the namespace {said!r}. Sign again with -n {namespace}"
        )
    if digest not in _HASHES:
        raise SignatureError(
            f"uses the hash {digest!r}, which is not accepted. Accepted: {', '.join(_HASHES)}"
        )
    key = PublicKey.of(blob)
    fields = (
        said.encode(),
        reserved,
        digest.encode(),
        hashlib.new(digest, data).digest(),
    )
    key.check(made, _MAGIC + b"".join(map(string, fields)))
    return key


def _unarmored(signature: bytes) -> bytes:
    """The octets between the two lines. A mail may have made every line break CR LF."""
    text = (
        signature.replace(b"\r\n", b"\n")
        if signature.count(b"\r\n") == signature.count(b"\n")
        else signature
    )
    found = _ARMOR.fullmatch(text) if len(text) <= MAX_BYTES else None
    if found is None:
        raise SignatureError(
            "is no SSH signature of `ssh-keygen -Y sign`, or is cut short"
        )
    body = found[1].replace(b"\n", b"")
    try:
        octets = base64.b64decode(body, validate=True)
    except binascii.Error:
        octets = b""
    if base64.b64encode(octets) != body:
        raise SignatureError("is no SSH signature: its Base64 is malformed")
    return octets

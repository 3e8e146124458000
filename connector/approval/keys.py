"""Public keys of OpenSSH, and what each of them has signed.

The forms: RFC 4253 §6.6, RFC 8332 (RSA), RFC 5656 (ECDSA), RFC 8709 (Ed25519), and
OpenSSH's PROTOCOL.u2f (keys in hardware, `sk-`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from msgspec import Struct

from connector.approval.wire import Octets, SignatureError

PublicNumbers = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
ED25519: Final = "ssh-ed25519"
RSA: Final = "ssh-rsa"
SK_ED25519: Final = "sk-ssh-ed25519@openssh.com"
SK_ECDSA: Final = "sk-ecdsa-sha2-nistp256@openssh.com"
_CURVES: Final[dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
_ECDSA: Final = {f"ecdsa-sha2-{curve}": curve for curve in _CURVES}
_RSA_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "rsa-sha2-256": hashes.SHA256(),
    "rsa-sha2-512": hashes.SHA512(),
}
KINDS: Final = (ED25519, *_ECDSA, RSA, SK_ED25519, SK_ECDSA)
RSA_BITS: Final = range(2048, 16385)
"""Sizes of RSA keys that are accepted."""
_PRESENT: Final = 1
"""The flag of PROTOCOL.u2f that somebody has touched the key."""
DOES_NOT_FIT: Final = "does not fit this file: the file or the signature was changed, or it was made for another file"


class PublicKey(Struct, frozen=True):
    """A key of one of `KINDS`, as its `blob` says. `application`: of a key in hardware."""

    kind: str
    blob: bytes
    numbers: PublicNumbers
    application: str = ""

    @classmethod
    def of(cls, blob: bytes) -> Self:
        """The key of these octets. Raises SignatureError."""
        octets = Octets(blob)
        kind = octets.name()
        if kind not in KINDS:
            what = (
                "is a certificate"
                if "-cert-v" in kind
                else f"has a key of the type {kind}"
            )
            raise SignatureError(
                f"{what}, which is not accepted. Accepted key types: {', '.join(KINDS)}"
            )
        try:
            numbers = _numbers(kind, octets)
        except (ValueError, UnsupportedAlgorithm):
            raise SignatureError("has a malformed key") from None
        application = octets.name() if kind in (SK_ED25519, SK_ECDSA) else ""
        octets.end()
        return cls(kind, blob, numbers, application)

    @classmethod
    def written(cls, kind: str, text: str) -> Self:
        """The key of a line: its type, and its octets in Base64. Raises SignatureError."""
        try:
            blob = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise SignatureError("has a key that is not Base64") from None
        key = cls.of(blob)
        if key.kind != kind:
            raise SignatureError(f"says {kind}, but its key is of the type {key.kind}")
        return key

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        return f"SHA256:{base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip('=')}"

    def check(self, signature: bytes, data: bytes) -> None:
        """See that this key has signed the data. Raises SignatureError, with the reason."""
        octets = Octets(signature)
        algorithm = octets.name()
        if algorithm not in (_RSA_HASHES if self.kind == RSA else (self.kind,)):
            raise SignatureError(
                f"is made by {algorithm}, which is not accepted from a key of the type {self.kind}"
            )
        made = octets.string()
        if self.application:
            flags, counter = octets.take(1), octets.take(4)
            if not flags[0] & _PRESENT:
                raise SignatureError("was made without a touch of the security key")
            data = _digest(self.application.encode()) + flags + counter + _digest(data)
        octets.end()
        try:
            self._verify(algorithm, made, data)
        except InvalidSignature:
            raise SignatureError(DOES_NOT_FIT) from None

    def _verify(self, algorithm: str, made: bytes, data: bytes) -> None:
        numbers = self.numbers
        if isinstance(numbers, rsa.RSAPublicKey):
            numbers.verify(made, data, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        elif isinstance(numbers, ed25519.Ed25519PublicKey):
            numbers.verify(made, data)
        else:
            pair = Octets(made)
            der = encode_dss_signature(pair.natural(), pair.natural())
            pair.end()
            numbers.verify(
                der, data, ec.ECDSA(_CURVES[_ECDSA.get(algorithm, "nistp256")][1])
            )


def _numbers(kind: str, octets: Octets) -> PublicNumbers:
    if kind in (ED25519, SK_ED25519):
        return ed25519.Ed25519PublicKey.from_public_bytes(octets.string())
    if kind == RSA:
        exponent, modulus = octets.natural(), octets.natural()
        if modulus.bit_length() not in RSA_BITS:
            raise SignatureError(
                f"has an RSA key of {modulus.bit_length()} bits. Use {RSA_BITS[0]} bits or more"
            )
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    curve, point = octets.name(), octets.string()
    if curve != _ECDSA.get(kind, "nistp256") or point[:1] != b"\x04":
        raise SignatureError("has a malformed key")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve][0], point)


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()

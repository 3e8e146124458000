"""People's SSH keys: made by the real ssh-keygen, and by a signer of our own that also is a security key in software.

The signer is written from PROTOCOL.sshsig and PROTOCOL.u2f and shares no line with the program.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAMESPACE = "cec-connector/plan"
CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
KINDS = ("ssh-ed25519", *(f"ecdsa-sha2-{curve}" for curve in CURVES), "ssh-rsa", SK_ED25519, SK_ECDSA)
MADE_BY_KEYGEN = {"ssh-ed25519": ("ed25519", 256), "ecdsa-sha2-nistp256": ("ecdsa", 256), "ecdsa-sha2-nistp384": (
    "ecdsa", 384), "ecdsa-sha2-nistp521": ("ecdsa", 521), "ssh-rsa": ("rsa", 2048)}  # fmt: skip


def missing() -> list[str]:
    return [] if shutil.which("ssh-keygen") else ["ssh-keygen"]


def keygen(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *map(str, arguments)], input=stdin, capture_output=True, check=False)


def string(octets: bytes) -> bytes:
    return len(octets).to_bytes(4) + octets


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1))


def armored(octets: bytes, width: int = 70) -> bytes:
    text = base64.b64encode(octets)
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])


@dataclass(frozen=True)
class Pen:
    """Signs as somebody's key; each field of the signature can be another one."""

    kind: str
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    namespace: str = NAMESPACE
    digest: str = "sha512"
    algorithm: str = ""
    reserved: bytes = b""
    version: int = 1
    magic: bytes = b"SSHSIG"
    flags: int = 1
    application: str = "ssh:"
    tail: bytes = b""

    @property
    def blob(self) -> bytes:
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return string(b"ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)
        if isinstance(public, ed25519.Ed25519PublicKey):
            held = string(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
        else:
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            held = string(self.curve.encode()) + string(point)
        hardware = string(self.application.encode()) if self.kind.startswith("sk-") else b""
        return string(self.kind.encode()) + held + hardware

    @property
    def curve(self) -> str:
        return self.kind.rpartition("-")[2].partition("@")[0]

    @property
    def public(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def sign(self, data: bytes) -> bytes:
        return armored(self.octets(data))

    def octets(self, data: bytes) -> bytes:
        digest = hashlib.new(self.digest, data).digest()
        names = self.namespace.encode(), self.reserved, self.digest.encode()
        signed = b"SSHSIG" + b"".join(map(string, (*names, digest)))
        outer = b"".join(map(string, (self.blob, *names, self._made(signed))))
        return self.magic + self.version.to_bytes(4) + outer + self.tail

    def _made(self, data: bytes) -> bytes:
        after = b""
        if self.kind.startswith("sk-"):
            after = bytes([self.flags]) + (7).to_bytes(4)
            data = hashlib.sha256(self.application.encode()).digest() + after + hashlib.sha256(data).digest()
        algorithm = self.algorithm or ("rsa-sha2-512" if self.kind == "ssh-rsa" else self.kind)
        return string(algorithm.encode()) + string(self._raw(algorithm, data)) + after

    def _raw(self, algorithm: str, data: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            known = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512(), "ssh-rsa": hashes.SHA1()}
            return self.private.sign(data, padding.PKCS1v15(), known[algorithm])
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(data)
        scheme = ec.ECDSA(CURVES[self.curve][1], deterministic_signing=True)
        r, s = decode_dss_signature(self.private.sign(data, scheme))
        return mpint(r) + mpint(s)


@cache
def pen(kind: str = "ssh-ed25519", number: int = 0) -> Pen:
    """The key of that kind and number, the same during all tests of a process."""
    if kind == "ssh-rsa":
        return Pen(kind, rsa.generate_private_key(65537, 2048))
    seed = hashlib.sha256(f"{kind} {number}".encode()).digest()
    if "ed25519" in kind:
        return Pen(kind, ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    curve = CURVES[replace(pen(), kind=kind).curve][0]
    return Pen(kind, ec.derive_private_key(int.from_bytes(seed) >> 1, curve))

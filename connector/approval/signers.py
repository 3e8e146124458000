"""Who may approve: OpenSSH's file of allowed signers, and a list of revoked keys.

The form is that of ssh-keygen(1), ALLOWED SIGNERS. It is stricter where a line would name
nobody in particular: patterns, several principals, authorities.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from msgspec import Struct

T = TypeVar("T")
Faults = list[tuple[int, str]]
"""Lines, from 1, and what is wrong there. A line's own text is not repeated, for it may be
a private key's."""
RSA: Final = "ssh-rsa"
KINDS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    RSA,
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
"""Types of keys that are accepted; `sk-`: in a security key."""
RSA_BITS: Final = 2048
"""The least size of an RSA key. OpenSSH itself takes 1024."""
_KEY: Final = r"(?P<kind>[a-z0-9@.-]+)[ \t]+(?P<key>[A-Za-z0-9+/=]+)(?:[ \t].*)?"
_SIGNER: Final = (
    r'(?P<principal>"[^"]*"|[^" \t]+)[ \t]+'
    rf'(?:(?P<options>(?:[^" \t]|"[^"]*")+)[ \t]+)??{_KEY}'
)
_OPTION: Final = r'(namespaces|valid-after|valid-before)="([^"]*)"'
_TIMES: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""The forms of a time, by their length."""


class SignatureError(Exception):
    """A key or a signature is malformed, not accepted, or does not fit.

    Its text is the reason.
    """


class PublicKey(Struct, frozen=True):
    """A public key of one of `KINDS`."""

    kind: str
    blob: bytes
    """Its octets (RFC 4253 §6.6)."""

    @property
    def text(self) -> str:
        """The key as a file of public keys has it."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


class Signer(Struct, frozen=True):
    """A line of the file: one person's key, and for what it is good."""

    text: str
    principal: str
    key: PublicKey
    namespaces: frozenset[str]
    """Purposes for which the key is good; empty: all."""
    after: datetime | None
    before: datetime | None

    def explain_objection(self, namespace: str, now: datetime) -> str:
        """Why this key is not good for that, now; empty where it is."""
        if self.namespaces and namespace not in self.namespaces:
            return f"is not allowed for the namespace {namespace}"
        if self.after and now < self.after:
            return f"is not valid before {self.after:%Y-%m-%dT%H:%M:%SZ}"
        if self.before and now > self.before:
            return f"has expired: it was valid until {self.before:%Y-%m-%dT%H:%M:%SZ}"
        return ""


def read_allowed_signers(text: str) -> tuple[dict[int, Signer], Faults]:
    """The signers of a file by the numbers of their lines, and every fault of it."""
    signers, faults = _read_lines(text, _read_signer)
    firsts: dict[PublicKey, int] = {}
    for number, signer in signers.items():
        first = firsts.setdefault(signer.key, number)
        if signers[first].principal != signer.principal:
            what = f"has the key of line {first} for another principal"
            why = f"{what}. One key can stand for one person only"
            faults.append((number, why))
    return signers, faults


def read_revoked_keys(text: str) -> tuple[frozenset[PublicKey], Faults]:
    """The keys of a list of public keys, and every fault of it."""
    keys, faults = _read_lines(text, _read_key)
    return frozenset(keys.values()), faults


def _read_lines(text: str, read: Callable[[str], T]) -> tuple[dict[int, T], Faults]:
    """What each line says, by its number, and what is wrong with the others."""
    said: dict[int, T] = {}
    faults: Faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            said[number] = read(line.strip())
        except SignatureError as fault:
            faults.append((number, str(fault)))
    return said, faults


def _read_signer(line: str) -> Signer:
    found = re.fullmatch(_SIGNER, line)
    if found is None:
        what = "is no line of a principal, options and a public key"
        raise SignatureError(f"{what} (ssh-keygen(1), ALLOWED SIGNERS)")
    principal = found["principal"].strip('"')
    if re.search(r"[,*?!]", principal):
        what = "names several principals, or has a pattern (*, ?, !)"
        raise SignatureError(f"{what}. Give each person's key a line of its own")
    is_padded = principal != principal.strip()
    if not principal or is_padded or not principal.isprintable():
        raise SignatureError("has a principal that is empty or not printable")
    options = _read_options(found["options"] or "")
    named = options.get("namespaces")
    return Signer(
        text=line,
        principal=principal,
        key=_read_key(f"{found['kind']} {found['key']}"),
        namespaces=frozenset(named.split(",") if named is not None else ()),
        after=_read_time(options, "valid-after"),
        before=_read_time(options, "valid-before"),
    )


def _read_options(text: str) -> dict[str, str]:
    pairs = re.findall(_OPTION, text, re.IGNORECASE)
    options = {name.lower(): value for name, value in pairs}
    understood = ",".join(f'{name}="{value}"' for name, value in pairs)
    if understood != text or len(options) < len(pairs):
        raise SignatureError(
            "has an option twice, or one that is not accepted (cert-authority is none). "
            'Accepted: namespaces="…", valid-after="…", valid-before="…"'
        )
    return options


def _read_time(options: dict[str, str], name: str) -> datetime | None:
    """A time; without a `Z` it is one of this machine's time zone, as OpenSSH has it."""
    if name not in options:
        return None
    written = options[name]
    digits = written.rstrip("Zz")
    zone = UTC if digits != written else None
    try:
        form = _TIMES[len(digits)]
        time = datetime.strptime(digits, form)  # noqa: DTZ007  # the next line has the zone
        return time.replace(tzinfo=zone).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        what = "is no time such as 20271231, 202712312359 or 20271231235959"
        raise SignatureError(f"has a {name} that {what}, each perhaps with Z") from None


def _read_key(line: str) -> PublicKey:
    """The key of a line: its type, and its octets in Base64. Raises SignatureError."""
    found = re.fullmatch(_KEY, line)
    if found is None:
        raise SignatureError("has no public key, such as ssh-ed25519 AAAA…")
    try:
        key = make_key(base64.b64decode(found["key"], validate=True))
    except binascii.Error:
        raise SignatureError("has a key that is not Base64") from None
    if key.kind != found["kind"]:
        what = f"says {found['kind']}, but its key is of the type {key.kind}"
        raise SignatureError(what)
    return key


def make_key(blob: bytes) -> PublicKey:
    """The key of these octets. Raises SignatureError."""
    kind, *numbers = split_strings(blob) or [b""]
    name = kind.decode("ascii", "replace")
    if name not in KINDS:
        what = f"has a key of the type {name!r}, which is not accepted"
        raise SignatureError(f"{what}. Accepted key types: {', '.join(KINDS)}")
    modulus = int.from_bytes(b"".join(numbers[-1:]))
    if name == RSA and modulus.bit_length() < RSA_BITS:
        what = f"has an RSA key of less than {RSA_BITS} bits"
        raise SignatureError(f"{what}. Use {RSA_BITS} bits or more")
    return PublicKey(name, blob)


def split_strings(octets: bytes) -> list[bytes]:
    """The strings (RFC 4251 §5) that these octets consist of. Raises SignatureError."""
    strings = []
    while octets:
        end = 4 + int.from_bytes(octets[:4])
        if end > len(octets):
            raise SignatureError("is cut short, or has octets after its end")
        strings.append(octets[4:end])
        octets = octets[end:]
    return strings

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
KRL: Final = "SSHKRL\n"
"""A key revocation list of OpenSSH begins with it."""
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
_NOBODY: Final = {
    ",": "names several principals. Give each person's key a line of its own",
    "[*?!]": "has a pattern (*, ?, !) as principal. Name one person",
}
"""By what makes a principal not one person's name: what is said of it."""


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
            faults.append((number, f"{what}. One key can stand for one person only"))
    return signers, faults


def read_revoked_keys(text: str) -> tuple[frozenset[PublicKey], Faults]:
    """The keys of a list of public keys, and every fault of it."""
    if text.startswith(KRL):
        what = "is a key revocation list (KRL) of OpenSSH, which is not read"
        advice = "Write the revoked public keys into a text file, one a line"
        return frozenset(), [(0, f"{what}. {advice}")]
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
    for pattern, why in _NOBODY.items():
        if re.search(pattern, principal):
            raise SignatureError(why)
    is_padded = principal != principal.strip()
    if not principal or is_padded or not principal.isprintable():
        raise SignatureError("has a principal that is empty or not printable")
    options = _read_options(found["options"] or "")
    namespaces = frozenset[str]()
    if "namespaces" in options:
        namespaces = frozenset(options["namespaces"].split(","))
    key = _read_key(f"{found['kind']} {found['key']}")
    return Signer(
        line,
        principal,
        key,
        namespaces,
        _read_time(options, "valid-after"),
        _read_time(options, "valid-before"),
    )


def _read_options(text: str) -> dict[str, str]:
    if "cert-authority" in text.lower():
        what = "has cert-authority, which is not accepted"
        raise SignatureError(f"{what}. List each person's own key")
    pairs = re.findall(_OPTION, text, re.IGNORECASE)
    options = {name.lower(): value for name, value in pairs}
    understood = ",".join(f'{name}="{value}"' for name, value in pairs)
    if understood != text or len(options) < len(pairs):
        what = "has an option twice, or one that is none of"
        known = 'namespaces="…", valid-after="…", valid-before="…"'
        raise SignatureError(f"{what} {known}")
    return options


def _read_time(options: dict[str, str], name: str) -> datetime | None:
    """A time; without a `Z` it is one of this machine's time zone, as OpenSSH has it."""
    if name not in options:
        return None
    digits = options[name].rstrip("Zz")
    zone = UTC if digits != options[name] else None
    try:
        time = datetime.strptime(digits, _TIMES[len(digits)])  # noqa: DTZ007  # the next line has the zone
        return time.replace(tzinfo=zone).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        what = "is no time such as 20271231, 202712312359 or 20271231235959"
        raise SignatureError(f"has a {name} that {what}, each perhaps with Z") from None


def _read_key(line: str) -> PublicKey:
    """The key of a line: its type, and its octets in Base64. Raises SignatureError."""
    found = re.fullmatch(_KEY, line)
    if found is None:
        raise SignatureError("has no public key, such as ssh-ed25519 AAAA…")
    _require_accepted(found["kind"])
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
    _require_accepted(name)
    if name == RSA and int.from_bytes(b"".join(numbers[-1:])).bit_length() < RSA_BITS:
        what = f"has an RSA key of less than {RSA_BITS} bits"
        raise SignatureError(f"{what}. Use {RSA_BITS} bits or more")
    return PublicKey(name, blob)


def _require_accepted(kind: str) -> None:
    if kind not in KINDS:
        what = f"has a key of the type {kind!r}, which is not accepted"
        raise SignatureError(f"{what}. Accepted key types: {', '.join(KINDS)}")


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

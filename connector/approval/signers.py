"""Who may approve: OpenSSH's file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS), and a list of revoked keys.

Stricter than OpenSSH where a line would name nobody in particular: patterns, several
principals, authorities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from connector.approval.keys import PublicKey
from connector.approval.wire import SignatureError

Faults = list[tuple[int, str]]
"""Lines, from 1, and what is wrong there. A line's own text is not repeated, for it may be
a private key's."""
KRL: Final = "SSHKRL\n"
"""A key revocation list of OpenSSH begins with it."""
_PATTERN: Final = frozenset("*?!")
_OPTION: Final = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(,(?=\S)|(?=[ \t]|$))')
_TIME: Final = re.compile("([0-9]{8}|[0-9]{12}|[0-9]{14})([Zz]?)")
_TIMES: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class Signer(Struct, frozen=True):
    """A line of the file: one person's key, and the purposes (None: all) and times for which it is good."""

    line: int
    principal: str
    key: PublicKey
    namespaces: frozenset[str] | None = None
    after: datetime | None = None
    before: datetime | None = None

    def objection(self, namespace: str, now: datetime) -> str:
        """Why this key is not good for that, now; empty where it is."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return f"is not allowed for the namespace {namespace}"
        if self.after and now < self.after:
            return f"is not valid before {self.after:%Y-%m-%dT%H:%M:%SZ}"
        if self.before and now > self.before:
            return f"has expired: it was valid until {self.before:%Y-%m-%dT%H:%M:%SZ}"
        return ""


def allowed_signers(text: str) -> tuple[list[Signer], Faults]:
    """The signers of a file, and every fault of it."""
    signers: list[Signer] = []
    faults: Faults = []
    for number, line in _lines(text):
        try:
            signer = _signer(number, line)
        except SignatureError as fault:
            faults.append((number, str(fault)))
            continue
        other = next(
            (each for each in signers if each.key.blob == signer.key.blob), signer
        )
        if other.principal != signer.principal:
            what = f"has the key of line {other.line} for another principal. One key can stand for one person only"
            faults.append((number, what))
        signers.append(signer)
    return signers, faults


def revoked_keys(text: str) -> tuple[frozenset[bytes], Faults]:
    """The keys (as their `blob`) of a list of public keys, and every fault of it."""
    if text.startswith(KRL):
        advice = "Write the revoked public keys into a text file, one a line"
        return frozenset(), [
            (
                0,
                f"is a key revocation list (KRL) of OpenSSH, which is not read. {advice}",
            )
        ]
    keys: set[bytes] = set()
    faults: Faults = []
    for number, line in _lines(text):
        try:
            keys.add(_key(line).blob)
        except SignatureError as fault:
            faults.append((number, str(fault)))
    return frozenset(keys), faults


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, written in enumerate(text.split("\n"), 1):
        line = written.removesuffix("\r").strip(" \t")
        if line and not line.startswith("#"):
            yield number, line


def _signer(number: int, line: str) -> Signer:
    principal, rest = _principal(line)
    options: dict[str, str | None] = {}
    if not _begins_a_key(rest):
        options, rest = _options(rest)
    named = options.get("namespaces")
    after, before = _time(options, "valid-after"), _time(options, "valid-before")
    if after and before and after > before:
        raise SignatureError("is never valid: valid-after is later than valid-before")
    return Signer(
        number,
        principal,
        _key(rest),
        None if named is None else _names(named),
        after,
        before,
    )


def _principal(line: str) -> tuple[str, str]:
    found = re.match(r'(?:"([^"]*)"|([^" \t]+))[ \t]+(?=\S)', line)
    if found is None:
        raise SignatureError(
            "is no line of a principal, options and a public key (ssh-keygen(1), ALLOWED SIGNERS)"
        )
    principal = found[1] or found[2] or ""
    if "," in principal:
        raise SignatureError(
            "names several principals. Give each person's key a line of its own"
        )
    if _PATTERN & set(principal):
        raise SignatureError("has a pattern (*, ?, !) as principal. Name one person")
    if not principal or not principal.isprintable() or principal != principal.strip():
        raise SignatureError("has a principal that is empty or not printable")
    return principal, line[found.end() :]


def _begins_a_key(rest: str) -> bool:
    return re.match(r"(sk-)?(ssh|ecdsa)-[^=,\"]*[ \t]", rest) is not None


def _options(rest: str) -> tuple[dict[str, str | None], str]:
    options: dict[str, str | None] = {}
    more = True
    while more:
        found = _OPTION.match(rest)
        name = found[1].lower() if found else ""
        if name == "cert-authority":
            raise SignatureError(
                "has cert-authority, which is not accepted. List each person's own key"
            )
        if (
            found is None
            or name not in ("namespaces", "valid-after", "valid-before")
            or found[2] is None
        ):
            raise SignatureError(
                'has an option that is none of namespaces="…", valid-after="…", valid-before="…"'
            )
        if name in options:
            raise SignatureError(f"has {name} twice")
        options[name], more, rest = found[2], found[3] == ",", rest[found.end() :]
    return options, rest.lstrip(" \t")


def _names(namespaces: str) -> frozenset[str]:
    names = frozenset(namespaces.split(","))
    if any(not name or _PATTERN & set(name) for name in names):
        raise SignatureError(
            "has an empty name or a pattern (*, ?, !) in namespaces. Name each namespace"
        )
    return names


def _time(options: dict[str, str | None], name: str) -> datetime | None:
    """A time; without a `Z` it is one of this machine's time zone, as OpenSSH has it."""
    said = options.get(name)
    if said is None:
        return None
    found = _TIME.fullmatch(said)
    try:
        if found:
            time = datetime.strptime(f"{found[1]}+0000", f"{_TIMES[len(found[1])]}%z")
            return time if found[2] else time.replace(tzinfo=None).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    what = f"has a {name} that is no time such as 20271231, 202712312359 or 20271231235959, each perhaps with Z"
    raise SignatureError(what)


def _key(rest: str) -> PublicKey:
    found = re.match(r"([A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/=]+)([ \t]|$)", rest)
    if found is None:
        raise SignatureError("has no public key, such as ssh-ed25519 AAAA…")
    return PublicKey.written(found[1], found[2])

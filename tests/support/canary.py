"""Secrets that are looked for wherever they must not be, in every form in which they might get there."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote, quote_plus

HEADER = '"<&\\/+%='
HARD = " \u00e4" + HEADER
"""What every way of writing a text has to write in its own way; `HEADER` may also be in an HTTP header (RFC 9110)."""


def canary(name: str, hard: str = HARD) -> str:
    """A secret that is like no other text, and that no two ways of writing write alike."""
    return f"c4narY{name}{hard}{name}"


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """The ways to write a secret down, each with its octets."""
    octets = secret.encode()
    yield "UTF-8", octets
    yield "UTF-16", secret.encode("utf-16-le")
    yield "Latin-1", secret.encode("latin-1", "replace")
    yield "hexadecimal", octets.hex().encode()
    yield "hexadecimal", octets.hex().upper().encode()
    for written in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield "URL", written.encode()
        yield "URL", written.lower().encode()
    for ascii_ in (True, False):
        yield "JSON", json.dumps(secret, ensure_ascii=ascii_)[1:-1].encode()
    yield "HTML", html.escape(secret).encode()
    yield "Python", repr(secret)[1:-1].encode()
    yield "Python", repr(octets)[2:-1].encode()
    yield "LDAP filter", "".join(f"\\{octet:02x}" for octet in octets).encode()
    for before in range(3):  # wherever it begins in what is encoded as a whole
        encoded = base64.b64encode(b"\0" * before + octets)
        certain = encoded[(0, 2, 3)[before] : (before + len(octets)) * 8 // 6]
        yield "base64", certain
        yield "base64", certain.translate(bytes.maketrans(b"+/", b"-_"))


def core(secret: str) -> bytes:
    """Its plain letters: even half a secret, cut or escaped in a way that nobody thought of, shows them."""
    letters = re.match(r"\w+", secret, re.ASCII)
    assert letters is not None
    return letters[0].lower().encode()


class Canaries:
    """The secrets of a test, by name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = {(secret, octets): form for secret in secrets for form, octets in forms(secret)}
        self._cores = [core(secret) for secret in secrets]

    def hold(self, places: Mapping[str, bytes]) -> None:
        """Fail where any of them is in any of these places."""
        for place, octets in places.items():
            unfolded = octets.replace(b"\r\n ", b"").replace(b"\n ", b"").replace(b"\n", b"")
            for text in (octets, unfolded):
                found = [form for (_, needle), form in self._forms.items() if needle in text]
                lower = text.lower()
                found += ["its letters" for needle in self._cores if needle in lower]
                assert not found, f"a secret is in {place}, as {found}"


def everything(folder: Path, but: Iterable[str]) -> dict[str, bytes]:
    """Every file below a folder, but for some: reports, state, whatever was left behind."""
    skipped = set(but)
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and str(path.relative_to(folder)) not in skipped
    }


class ProcessList:
    """What every process of this machine says of itself, as often as it can be looked at while this lasts."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # it has ended
                    self.seen.add(path.read_bytes())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

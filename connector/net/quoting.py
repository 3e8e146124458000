"""What the other side said, made fit for a message: a string of it, or a hint of what its body looks like."""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from connector.model import spellings

SHOWN_CHARACTERS: Final = 200

PASSWORD: Final = re.compile(
    r"""((?:pwd|passw(?:or)?d)[\\"']*\s*  # a name that is said to be of one, and what follows it:
        (?:[=:]|(?:is|was)(?!\s+(?:too|not|required|missing|invalid|empty)\b))\s*)
        (?:\\"(?:(?!\\").)*|"(?:\\.|[^"\\])*|'(?:\\.|[^'\\])*|[^\s,;]+)  # a string, perhaps in a string, or a word""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""Where a message of the other side names a password, what follows is not repeated."""


def shown(held: object, hide: Collection[str] = ()) -> str:
    """A string or a number fit for a message; empty for anything else."""
    if isinstance(held, bool) or not isinstance(held, str | int):
        return ""
    text = str(held)
    for spelt in sorted({spelt for secret in hide for spelt in spellings(secret)}, key=len, reverse=True):
        text = re.sub(re.escape(spelt), "<secret>", text, flags=re.IGNORECASE)  # longest first: one may be in another
    text = PASSWORD.sub(r"\1<secret>", text)[: SHOWN_CHARACTERS + 1]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped if len(escaped) <= SHOWN_CHARACTERS else escaped[: SHOWN_CHARACTERS - 1] + "…"


def looks_like(body: bytes) -> str:
    """A hint of what a body is that is not JSON: empty, HTML, compressed, UTF-16; empty where there is none."""
    head = body[:256].lstrip().lower()
    if not head:
        return "empty"
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, perhaps of a proxy or a login"
    if head.startswith(b"<"):
        return "XML or HTML"
    if body.startswith(b"\x1f\x8b"):
        return "compressed data"
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        return "UTF-16, where JSON is UTF-8"
    return ""


def phrase(status: int) -> str:
    """A status with its name, such as `404 Not Found` (RFC 9110 §15)."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

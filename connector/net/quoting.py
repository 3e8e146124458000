"""What the other side said, made fit for a message: a string of it, or a hint of what its body looks like.

A message may repeat a secret that we have sent, in other words; it is recognised in all of these.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, quote_plus

from connector.model import Value

SHOWN_CHARACTERS: Final = 200
_LEAST: Final = 6
"""Characters. A shorter spelling of a short secret would be found in words that have
nothing to do with it."""

PASSWORD: Final = re.compile(
    r"""((?:pwd|passw(?:or)?d)[\\"']*\s*  # a name that is said to be of one, and what follows it:
        (?:[=:]|(?:is|was)(?!\s+(?:too|not|required|missing|invalid|empty)\b))\s*)
        (?:\\"(?:(?!\\").)*|"(?:\\.|[^"\\])*|'(?:\\.|[^'\\])*|[^\s,;]+)  # a string, perhaps in a string, or a word""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""Where a message of the other side names a password, what follows is not repeated."""


def quote_safely(held: object, hide: Collection[str] = ()) -> str:
    """A string or a number fit for a message; empty for anything else."""
    if isinstance(held, bool) or not isinstance(held, str | int):
        return ""
    text = str(held)
    spelt = {each for secret in hide for each in list_spellings(secret)}
    for each in sorted(
        spelt, key=len, reverse=True
    ):  # longest first: one may be in another
        text = re.sub(re.escape(each), "<secret>", text, flags=re.IGNORECASE)
    text = PASSWORD.sub(r"\1<secret>", text)[: SHOWN_CHARACTERS + 1]
    escaped = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
    if len(escaped) <= SHOWN_CHARACTERS:
        return escaped
    return escaped[: SHOWN_CHARACTERS - 1] + "…"


def list_spellings(secret: Value) -> list[str]:
    """The secret as it is, and as JSON, URLs, HTML, LDIF, HTTP's Basic and hexadecimal numbers have it.

    The longest first. In base64 it is the part that does not depend on what stands before
    and behind. Some have letters that may as well be the other case.
    """
    octets = (
        secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")
    )
    text = octets.decode("utf-8", "replace")
    others = {each for each in _list_encodings(text, octets) if len(each) >= _LEAST}
    return sorted({text, *others} - {""}, key=len, reverse=True)


def _list_encodings(text: str, octets: bytes) -> Iterator[str]:
    yield escape(text)
    yield octets.hex()
    yield from (quote(octets), quote(octets, safe=""), quote_plus(octets))
    yield from (
        json.dumps(text, ensure_ascii=escaped)[1:-1] for escaped in (True, False)
    )
    for before in range(3):  # octets, in the group of three that it begins in
        coded = base64.b64encode(bytes(before) + octets).decode()
        certain = coded[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        yield certain
        yield certain.translate(str.maketrans("+/", "-_"))


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


def name_status(status: int) -> str:
    """A status with its name, such as `404 Not Found` (RFC 9110 §15)."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

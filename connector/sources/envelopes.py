"""The family's error envelopes: a code and a text, under one of four pairs of names, in answers of any status.

The pairs and the success code "0" are those of the vendor's pages. What such a text holds is the other side's choice,
so it is shown only without our own secrets, without characters that a terminal obeys, and up to a bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

SHOWN_CHARACTERS: Final = 200
SUCCESS: Final = ("0", 0)


class Envelope(Struct, rename="camel"):
    """The members that any answer may have; each is read for itself, so that a faulty one spoils nothing else."""

    result_code: Raw = Raw()
    result_message: Raw = Raw()
    return_code: Raw = Raw()
    description: Raw = Raw()
    ret_code: Raw = Raw()
    ret_msg: Raw = Raw()
    error_code: Raw = Raw()
    exception_info: Raw = Raw()

    def _pairs(self) -> Iterator[tuple[str, Raw, str, Raw]]:
        yield "resultCode", self.result_code, "resultMessage", self.result_message
        yield "returnCode", self.return_code, "description", self.description
        yield "retCode", self.ret_code, "retMsg", self.ret_msg
        yield "errorCode", self.error_code, "exceptionInfo", self.exception_info

    @property
    def success(self) -> bool:
        """Whether no code says otherwise; an envelope without any code says nothing."""
        codes = [value(code) for _, code, _, _ in self._pairs()]
        return all(code is None or (not isinstance(code, bool) and code in SUCCESS) for code in codes)

    def describe(self, hide: Collection[str] = ()) -> str:
        """Codes and texts in one line, such as `resultCode 01: no such tenant`; empty where there are none."""
        parts = []
        for code_name, code, text_name, text in self._pairs():
            shown_code, shown_text = shown(value(code), hide), shown(value(text), hide)
            if shown_code:
                parts.append(f"{code_name} {shown_code}: {shown_text}" if shown_text else f"{code_name} {shown_code}")
            elif shown_text and text_name != "description":  # alone, that name belongs to no envelope
                parts.append(f"{text_name}: {shown_text}")
        return "; ".join(parts)


def envelope_in(body: bytes) -> Envelope | None:
    """The envelope of an answer, if its body is a JSON object at all."""
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def value(raw: Raw) -> Any:
    """What a member holds; None where it is absent or null, infinity where it is a number too large to be read."""
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return math.inf


PASSWORD: Final = re.compile(r"((?:pwd|passw(?:or)?d)[\"']?\s*(?:[=:]|is|was)\s*)[^\s,;]+", re.IGNORECASE)
"""Where a message of the other side names a password, what follows is not repeated."""


def shown(held: object, hide: Collection[str] = ()) -> str:
    """A string or a number fit for a message; empty for anything else."""
    if isinstance(held, bool) or not isinstance(held, str | int):
        return ""
    text = str(held)
    for secret in sorted(hide, key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, "<secret>")
    text = PASSWORD.sub(r"\1<secret>", text)[: SHOWN_CHARACTERS + 1]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped if len(escaped) <= SHOWN_CHARACTERS else escaped[: SHOWN_CHARACTERS - 1] + "…"


def looks_like(body: bytes) -> str:
    """A hint of what a body is that is not JSON: empty, HTML, compressed, UTF-16; empty where there is none."""
    head = body[:256].lstrip().lower()
    if not head:
        return "empty"
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, of a proxy or a login page perhaps"
    if head.startswith(b"<"):
        return "XML or HTML"
    if body.startswith(b"\x1f\x8b"):
        return "compressed data"
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        return "UTF-16, where JSON is UTF-8"
    return ""

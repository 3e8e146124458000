"""Lines of LDIF (RFC 2849): one attribute and one value, encoded where the value asks for it, and folded."""

from __future__ import annotations

import base64
import re
from typing import Final

WIDTH: Final = 76
"""Columns of a line, the one of a continuation's leading space included (RFC 2849, note 2)."""

_SAFE: Final = re.compile(rb"(?![ :<])[\x20-\x7e]*(?<! )")


def encode_line(attribute: str, value: str | bytes) -> str:
    r"""`attribute: value` with its line break, in Base64 (`::`) where the value is no SAFE-STRING (RFC 2849).

    So is a value that ends with a space (note 8), is not ASCII, or has control characters, though some would be
    allowed: every reader takes it, no editor or mail gateway alters it on the way, and no terminal obeys it.
    """
    octets = (
        value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    )
    if _SAFE.fullmatch(octets):
        text = f"{attribute}: {octets.decode('ascii')}" if octets else f"{attribute}:"
    else:
        text = f"{attribute}:: {base64.b64encode(octets).decode('ascii')}"
    return fold_line(text) + "\n"


def fold_line(text: str) -> str:
    r"""A logical line on physical ones of at most `WIDTH` columns, without a line break at the end."""
    if len(text) <= WIDTH:
        return text
    rest = text[WIDTH:]
    step = WIDTH - 1
    return "\n ".join(
        [
            text[:WIDTH],
            *(rest[start : start + step] for start in range(0, len(rest), step)),
        ]
    )

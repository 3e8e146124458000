"""In which other words a message of somebody else's may repeat a secret that we have sent it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from connector.model.secret import Value

_LEAST: Final = 6
"""Characters. A shorter spelling of a short secret would be found in words that have nothing to do with it."""


def spellings(secret: Value) -> list[str]:
    """The secret as it is, and as JSON, URLs, HTML, LDIF, HTTP's Basic and hexadecimal numbers have it.

    The longest first. In base64 it is the part that does not depend on what stands before and behind. Some have letters
    that may as well be the other case.
    """
    octets = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")
    text = octets.decode("utf-8", "replace")
    others = {each for each in _others(text, octets) if len(each) >= _LEAST}
    return sorted({text, *others} - {""}, key=len, reverse=True)


def _others(text: str, octets: bytes) -> Iterator[str]:
    from html import escape  # noqa: PLC0415  # a table of two thousand names, for the rare message that fails

    yield escape(text)
    yield octets.hex()
    yield from (quote(octets), quote(octets, safe=""), quote_plus(octets))
    yield from (json.dumps(text, ensure_ascii=escaped)[1:-1] for escaped in (True, False))
    for before in range(3):  # octets, in the group of three that it begins in
        coded = base64.b64encode(bytes(before) + octets).decode()
        certain = coded[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        yield certain
        yield certain.translate(str.maketrans("+/", "-_"))

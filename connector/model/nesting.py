"""How deeply JSON is nested, told by counting: decoders differ in what they refuse, and some refuse nothing."""

import re
from typing import Final

MAX_DEPTH: Final = 64
"""Levels of arrays and objects. RFC 8259 §9 lets a reader set a limit; nothing that this
program reads has ten."""

_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_STRING: Final = re.compile(rb'"[^"]*"')
_PAIR: Final = re.compile(rb"\[\]|\{\}")
_OTHERS: Final = bytes(octet for octet in range(256) if octet not in b'"[]{}')


def too_deep(
    octets: bytes,
    levels: int = MAX_DEPTH,
    *,
    ordinary: int = 0,
) -> bool:
    """Whether JSON is nested more than so many levels deep, also where it is cut off.

    `ordinary`: how many brackets open side by side as far as is known. With few more, nothing has to be looked at.
    """
    if octets.count(b"[") + octets.count(b"{") <= ordinary + levels:
        return False
    text = _ESCAPED.sub(b"", octets) if b"\\" in octets else octets
    brackets = _STRING.sub(b"", text.translate(None, _OTHERS))
    for _ in range(levels):  # each round takes out the innermost level
        outer = _PAIR.sub(b"", brackets)
        if outer == brackets:
            return outer.count(b"[") + outer.count(b"{") > levels
        brackets = outer
    return bool(brackets)

"""Tests that one value of an attribute passes or not: what a filter's items become for directories without a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Final

from connector.directories.common.ldap_filters import Substrings
from connector.model import Equality
from connector.reconcile.equality import likeness as key

Test = Callable[[bytes], bool]

_TEXT: Final = frozenset(
    {Equality.CASE_IGNORE, Equality.CASE_EXACT, Equality.NUMERIC, Equality.TELEPHONE}
)


def equal(rule: Equality, value: bytes) -> Test | None:
    """Equal by the rule; None where the value is none of the rule's syntax."""
    wanted = key(rule, value)
    if not _fits(rule, wanted):
        return None
    return lambda held: key(rule, held) == wanted


def _fits(rule: Equality, wanted: Hashable) -> bool:
    """Whether an asserted value is of the rule's syntax; where it is not, the assertion is undefined."""
    match rule:
        case Equality.INTEGER:
            return isinstance(wanted, int)
        case Equality.BOOLEAN:
            return wanted in ("TRUE", "FALSE")
        case Equality.DN:
            return not (isinstance(wanted, tuple) and wanted[:1] == ("no DN",))
        case _:
            return True


def ordered(rule: Equality, value: bytes, *, up: bool) -> Test | None:
    """By the order of the rule's keys; rules without an order (names, truth) are undefined."""
    wanted = key(rule, value)

    def compare(held: bytes) -> bool:
        mine = key(rule, held)
        for kind in (int, str, bytes, tuple):
            if isinstance(mine, kind) and isinstance(wanted, kind):
                return bool(mine >= wanted if up else mine <= wanted)  # type: ignore[operator]  # both are of one kind
        return False

    return (
        None
        if rule in (Equality.DN, Equality.BOOLEAN) or not _fits(rule, wanted)
        else compare
    )


def pieces(rule: Equality, wanted: Substrings) -> Test | None:
    """Pieces in their order (RFC 4517 §4.2.6 for text); None where the rule has none."""
    if rule not in _TEXT:
        return None
    initial = re.escape(_prepared(rule, wanted.initial or b"").lstrip(" "))
    final = re.escape(_prepared(rule, wanted.final or b"").rstrip(" "))
    # atomic: each piece is where it comes first, so that the work is linear
    middle = "".join(
        f"(?>.*?{re.escape(_prepared(rule, piece))})" for piece in wanted.middle
    )
    pattern = re.compile(f"{initial}{middle}.*{final}", re.DOTALL)
    return lambda held: pattern.fullmatch(str(key(rule, held))) is not None


def _prepared(rule: Equality, piece: bytes) -> str:
    """A piece as the rule prepares it, but for its outer spaces: inside the whole value they count, as one each."""
    text = str(key(rule, piece))
    if rule in (Equality.NUMERIC, Equality.TELEPHONE):
        return text
    if not text:
        return " "
    return (
        (" " if piece[:1].isspace() else "")
        + text
        + (" " if piece[-1:].isspace() else "")
    )


def bits(value: bytes, *, every: bool) -> Test | None:
    """Every bit of a number, or any, is set in an integer ([MS-ADTS] 3.1.1.3.4.4)."""
    mask = key(Equality.INTEGER, value)
    if not isinstance(mask, int):
        return None

    def test(held: bytes) -> bool:
        number = key(Equality.INTEGER, held)
        return isinstance(number, int) and (
            number & mask == mask if every else number & mask != 0
        )

    return test

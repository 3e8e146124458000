"""Which values of an attribute are ours: `owns` of the mapping, a glob in which `*` alone is special."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from connector.model import Value


@lru_cache(maxsize=256)
def owns(pattern: str) -> Callable[[Value], bool]:
    """Whether a value is one of ours; case does not count."""
    if pattern == "*":
        return lambda value: True
    parts = [".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", pattern)]
    expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda value: expression.fullmatch(_text(value)) is not None


@lru_cache(maxsize=256)
def apart(one: str | None, other: str | None) -> bool:
    """Whether no value fits both patterns; None: every value fits.

    What stands between two asterisks can always follow the other's: only their ends tell.
    """
    if one is None or other is None:
        return False
    if "*" not in one or "*" not in other:
        return not (owns(one)(other) if "*" not in other else owns(other)(one))
    (head, _, _), (its_head, _, _) = one.partition("*"), other.partition("*")
    (_, _, tail), (_, _, its_tail) = one.rpartition("*"), other.rpartition("*")
    heads = owns(f"{head}*")(its_head) or owns(f"{its_head}*")(head)
    tails = owns(f"*{tail}")(its_tail) or owns(f"*{its_tail}")(tail)
    return not (heads and tails)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")

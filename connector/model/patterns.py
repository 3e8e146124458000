"""Which values of an attribute are ours: `owns` of the mapping, globs in which `*` alone is special.

Several globs are one text, a line each: that is how changes, the journal and the state carry them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

from connector.model import Equality, Held, equality
from connector.model.templates import Template

ALL = "*"
H = TypeVar("H", bound=Held)
_OPEN = "\0"


def join_patterns(patterns: Iterable[str]) -> str:
    """Several patterns as one: the same text in whatever order they come. No pattern holds a line break."""
    several = sorted(set(patterns))
    return ALL if ALL in several else "\n".join(several)


def pattern_of(template: Template) -> str:
    """The pattern of whatever a template makes: its fields stand for anything. `*` where it is a field alone."""
    globs = [piece if isinstance(piece, str) else ALL for piece in template.pieces]
    return re.sub(r"\*+", ALL, "".join(globs))


def split_pattern(pattern: str) -> list[str]:
    """The patterns of which a value has to fit one."""
    return pattern.split("\n")


def describe_pattern(pattern: str | None) -> str:
    """The patterns for a reader."""
    return "" if pattern is None else " or ".join(split_pattern(pattern))


@lru_cache(maxsize=256)
def is_owned(pattern: str) -> Callable[[Held], bool]:
    """Whether a value is one of ours; case does not count. A secret is let out of its wrapping in no frame of ours."""
    if pattern == ALL:
        return lambda value: True
    any_part = "|".join(map(_compile_pattern, split_pattern(pattern)))
    expression = re.compile(any_part, re.IGNORECASE | re.DOTALL)
    return lambda value: expression.fullmatch(equality.plain_text(value)) is not None


def owned_values(pattern: str | None, values: Iterable[H]) -> tuple[H, ...]:
    """Those of the values that are ours; None: all of them."""
    if pattern is None or pattern == ALL:
        return tuple(values)
    test = is_owned(pattern)
    return tuple(value for value in values if test(value))


def _compile_pattern(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split(ALL)))


@lru_cache(maxsize=256)
def are_apart(one: str | None, other: str | None) -> bool:
    """Whether no value fits both patterns; None: every value fits.

    What stands between two asterisks can always follow the other's: only their ends tell.
    """
    if one is None or other is None:
        return False
    return all(
        _are_apart(each, its)
        for each in split_pattern(one)
        for its in split_pattern(other)
    )


def _are_apart(one: str, other: str) -> bool:
    if ALL not in other:
        return not is_owned(one)(other)
    if ALL not in one:
        return not is_owned(other)(one)
    head, *_, tail = one.lower().split(ALL)
    other_head, *_, other_tail = other.lower().split(ALL)
    heads_agree = head.startswith(other_head) or other_head.startswith(head)
    tails_agree = tail.endswith(other_tail) or other_tail.endswith(tail)
    return not (heads_agree and tails_agree)


def fits_pieces(
    rule: Equality,
    outline: Sequence[str | None],
    value: Held,
    *,
    any_case: bool = True,
) -> bool:
    """Whether a value can be what such pieces make, as the attribute compares, if None may be anything."""
    made = "".join(_OPEN if piece is None else piece for piece in outline)
    key, text = equality.write_key(rule, made), equality.write_key(rule, value)
    if key is None or text is None:
        key, text = made, equality.plain_text(value)
    pattern = ".*".join(map(re.escape, key.split(_OPEN)))
    flags = re.DOTALL | re.IGNORECASE if any_case else re.DOTALL
    return re.fullmatch(pattern, text, flags) is not None

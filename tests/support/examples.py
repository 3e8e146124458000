"""How many examples a property is tried on that has a number of its own."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """So many, or as large a part of them as `--hypothesis-profile few` takes of Hypothesis's own hundred."""
    return max(1, number * settings().max_examples // 100)

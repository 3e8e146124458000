"""Numbers that are far from all others: a seat 9871 where the other seats are 6000 to 6499."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

FEW: Final = 20
"""So many numbers that are close to each other make a range."""
MOST: Final = 3
"""So many may be outside, or one in a hundred; where there are more, they are no exception."""


def find_outside(numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Each number that is farther from every range of others than this range is wide.

    With it come the least and the greatest number of the nearest range. A range has no gap
    wider than the densest `FEW` numbers together.
    """
    ordered = sorted(set(numbers))
    widths = [
        high - low for low, high in zip(ordered, ordered[FEW - 1 :], strict=False)
    ]
    if not widths:
        return {}
    widest_gap = min(widths)
    groups = [[ordered[0]]]
    for before, number in pairwise(ordered):
        if number - before > widest_gap:
            groups.append([])
        groups[-1].append(number)
    ranges = [(group[0], group[-1]) for group in groups if len(group) >= FEW]
    outside = {}
    for group in groups:
        for number in group if len(group) < FEW else ():
            distance, low, high = min(
                (max(low - number, number - high), low, high) for low, high in ranges
            )
            if distance > high - low:
                outside[number] = (low, high)
    return outside if len(outside) <= max(MOST, len(ordered) // 100) else {}

"""Numbers that are far from all others."""

from __future__ import annotations

import random

import pytest

from connector.planning.number_ranges import FEW, MOST, find_outside

SEATS = (*range(6000, 6500, 7),)
BLOCKS = (*range(1000, 1200), *range(6000, 6100))


@pytest.mark.parametrize(
    ("numbers", "far"),
    [
        ((*SEATS, 9871), {9871: (6000, 6497)}),
        ((*SEATS, 123456789012, 71), {123456789012: (6000, 6497), 71: (6000, 6497)}),
        ((*BLOCKS, 9871, 9950), {9871: (6000, 6099), 9950: (6000, 6099)}),
        ((*BLOCKS, 3000), {3000: (1000, 1199)}),
        ((*SEATS, 6750), {}),  # nearer than the range is wide
        ((*range(FEW), 9871), {9871: (0, FEW - 1)}),
        ((*range(FEW - 1), 9871), {}),
        ((*[6000] * FEW, 9871), {}),
        ((*SEATS, *range(9000, 9000 + 500 * MOST, 500)), {9000 + 500 * n: (6000, 6497) for n in range(MOST)}),
        ((*SEATS, *range(9000, 9500 + 500 * MOST, 500)), {}),
        ((), {}),
    ],
)
def test_a_number_is_outside_if_it_is_farther_from_each_range_than_this_is_wide(
    numbers: tuple[int, ...], far: dict[int, tuple[int, int]]
) -> None:
    assert find_outside(numbers) == far


@pytest.mark.parametrize("count", [FEW, 40, 100, 1000])
def test_numbers_that_were_given_at_random_are_not_outside(count: int) -> None:
    given = random.Random(count)
    for _ in range(50):
        assert find_outside(given.randint(1000, 9999) for _ in range(count)) == {}

"""Time between two applies: what of it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.model.memory import count_time

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(("days", "counts"), [(0, 0), (6.5, 6.5), (7, 7), (8, 7), (30_000, 7), (-0.5, 0), (-30_000, 0)])
def test_a_week_counts_at_most_and_no_time_that_goes_back(days: float, counts: float) -> None:
    assert count_time(NOON, NOON + timedelta(days=days)) == timedelta(days=counts)


def test_before_the_first_apply_no_time_has_passed() -> None:
    assert count_time(None, NOON) == timedelta(0)

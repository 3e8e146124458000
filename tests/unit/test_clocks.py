"""Time between two applies: what counts, and what a jump of the clock is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.model import Moment
from connector.planning.leavers.grace import passed
from connector.runtime import clock

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = 24 * 60 * 60


def moment(days: float, boot: str = "", up: float = 0, *, sure: bool = True) -> Moment:
    """So many days after noon, and after a boot."""
    return Moment(NOON + timedelta(days=days), boot, int(up * DAY), sure)


@pytest.mark.parametrize(
    ("last", "now", "days", "jump"),
    [
        (None, moment(0), 0, ""),
        (moment(0), moment(7), 7, ""),
        (moment(0), moment(31), 31, ""),
        (moment(0), moment(32), 0, "more than 31 days"),
        (moment(0), moment(-0.5), 0, ""),
        (moment(0), moment(-2), 0, "set back"),
        (moment(0, sure=False), moment(7), 0, ""),
        # within one boot the clock is not what tells
        (moment(0, "a", 1), moment(7, "a", 8), 7, ""),
        (moment(0, "a", 1), moment(7.5, "a", 8), 7.5, ""),
        (moment(0, "a", 1), moment(90, "a", 91), 90, ""),
        (moment(0, "a", 1), moment(7, "a", 2), 0, "was set"),
        (moment(0, "a", 1), moment(-2, "a", 2), 0, "was set"),
        (moment(0, "a", 1, sure=False), moment(7, "a", 8), 7, ""),
        (moment(0, "a", 1), moment(7, "b", 0), 7, ""),
        (moment(0, "a", 1, sure=False), moment(7, "b", 0), 0, ""),
        (Moment(datetime(1970, 1, 1, tzinfo=UTC), "a", DAY), moment(0, "a", DAY), 0, "was set"),
    ],
)
def test_time_counts_unless_the_clock_has_jumped(last: Moment | None, now: Moment, days: float, jump: str) -> None:
    found = passed(last, now)
    assert found.time == timedelta(days=days)
    assert jump in found.jump
    assert bool(jump) is bool(found.jump)


def test_two_readings_of_this_machine_are_of_one_boot() -> None:
    first, second = clock.now(), clock.now()
    assert first.boot == second.boot != ""
    assert 0 < first.up <= second.up
    assert not passed(first, second).jump

"""A job's cron expression and the calendars that Temporal gets for it name the same times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, strategies as st
from temporalio.client import ScheduleCalendarSpec

from connector.fleet.jobs import make_calendars
from connector.serve.schedule import Cron

FIELDS = ("second", "minute", "hour", "day_of_month", "month", "day_of_week", "year")
Times = tuple[frozenset[int], ...]
"""Seconds, minutes, hours, days of the month, months, days of the week (Sunday is 0) and years; no years: all."""

times = st.integers(1_230_768_000, 1_924_900_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def field(first: int, last: int) -> st.SearchStrategy[str]:
    """One field of a cron expression: stars, numbers, ranges, steps and lists of them."""
    number = st.integers(first, last)
    span = st.tuples(number, number).map(lambda pair: "-".join(map(str, sorted(pair))))
    plain = st.one_of(st.just("*"), number.map(str), span)
    stepped = st.tuples(plain, st.integers(1, last)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(plain, stepped), min_size=1, max_size=3).map(",".join)


crons = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)).map(" ".join)


def expand(calendar: ScheduleCalendarSpec) -> Times:
    return tuple(
        frozenset(number for each in getattr(calendar, field) for number in range(each.start, each.end + 1, each.step))
        for field in FIELDS
    )


def named(found: list[Times], since: datetime) -> Iterator[datetime]:
    """The times after one that any of these calendars names, in UTC, by looking at every day."""
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        of_day = {
            day.replace(hour=hour, minute=minute, second=second)
            for seconds, minutes, hours, days, months, week, years in found
            if day.day in days and day.month in months and (day.isoweekday() % 7) in week and not years
            for hour in hours for minute in minutes for second in seconds
        }  # fmt: skip
        yield from (each for each in sorted(of_day) if each > since)
        day += timedelta(days=1)


@given(crons, times)
def test_the_calendars_of_an_expression_name_its_times(expression: str, since: datetime) -> None:
    try:
        CronSim(expression, since)
    except CronSimError:
        assume(False)
    found = [expand(each) for each in make_calendars(expression)]
    cron = Cron(expression)
    expected = []
    tick = since
    for _ in range(3):
        try:
            tick = cron.find_next_tick(tick)
        except (RuntimeError, StopIteration):  # never again, as on 30 February
            break
        expected.append(tick)
    assume(expected and expected[-1] - since < timedelta(days=800))
    assert list(islice(named(found, since), len(expected))) == expected


@pytest.mark.parametrize(
    ("expression", "days", "week"),
    [
        ("0 6 13 * 5", [{13}, set(range(1, 32))], [set(range(7)), {5}]),  # or, in cron
        ("0 6 */2 * 5", [set(range(1, 32, 2))], [{5}]),  # and, after a star
        ("0 6 * * 7", [set(range(1, 32))], [{0}]),
        ("0 6 * * MON-FRI", [set(range(1, 32))], [{1, 2, 3, 4, 5}]),
    ],
)
def test_day_and_weekday_are_joined_as_cron_does(expression: str, days: list[set[int]], week: list[set[int]]) -> None:
    found = [expand(each) for each in make_calendars(expression)]
    assert [each[3] for each in found] == days
    assert [each[5] for each in found] == week

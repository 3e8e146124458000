"""Cron lines in the nights in which clocks change, against a second reckoning: minute by minute, for ten years.

A time of a line without `*` in the hour is reached when the clock on the wall first shows it or a later one. With `*`,
every minute in which the clock shows a time of the line is a tick.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, strategies as st

from connector.serve.schedule import Cron

ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Pacific/Apia",
]  # fmt: skip
"""Changes at 2 and 3 o'clock, at 2, by half an hour, at midnight, for Ramadan, and by a whole day (in 2011)."""
BEGIN, END = datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LINES = [
    "*/20 2 * * *", "*/20 1-3 * * *", "30 2 * * *", "* 2 * * *", "0 0 * * *", "*/30 0,1 * * *", "59 23,0 * * *",
    "45 1,2 * * 0", "17 5-20 * * 1-5", "*/20 * * * *", "30 * * * *", "*/45 */2 * * *", "* */2 * * 6,0",
    "5 1,*/12 * * *",
]  # fmt: skip


def numbers(field: str, first: int, last: int) -> set[int]:
    """What a field names."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        begin = first if low == "*" else int(low)
        end = int(high) if high else last if low == "*" or step else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return found


class Line:
    """A cron line, and whether a time on the wall is one of its times."""

    def __init__(self, line: str) -> None:
        minutes, hours, self.days, _, self.week = line.split()
        self.any_hour = "*" in hours
        self.minutes, self.hours = numbers(minutes, 0, 59), numbers(hours, 0, 23)

    def names(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        on_day = wall.day in numbers(self.days, 1, 31)
        on_weekday = wall.isoweekday() % 7 in {day % 7 for day in numbers(self.week, 0, 7)}
        if self.days.startswith("*") or self.week.startswith("*"):
            return on_day and on_weekday
        return on_day or on_weekday


def on_the_wall(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def ticks_by_minutes(line: Line, zone: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The ticks after `begin` and not after `end`, by looking at the wall each minute. Begin on an ordinary day."""
    moment = begin
    reached = on_the_wall(begin, zone)
    while moment < end:
        moment += MINUTE
        wall = on_the_wall(moment, zone)
        if line.any_hour:
            if line.names(wall):
                yield moment
            continue
        passed = False
        while reached < wall:
            reached += MINUTE
            passed = passed or line.names(reached)
        if passed:
            yield moment


@cache
def changes(zone: str) -> list[datetime]:
    """When clocks were changed in ten years, to the hour before."""
    count = (END - BEGIN) // HOUR
    hours = [BEGIN + number * HOUR for number in range(count)]
    offsets = [on_the_wall(hour, zone) - hour.replace(tzinfo=None) for hour in hours]
    return [hour for hour, (before, after) in zip(hours, pairwise(offsets), strict=False) if before != after]


def ticks_of_cron(cron: Cron, begin: datetime, end: datetime) -> list[datetime]:
    def following() -> Iterator[datetime]:
        tick = begin
        while True:
            tick = cron.find_next_tick(tick)
            yield tick

    return list(takewhile(lambda tick: tick <= end, following()))


def is_known(line: str, zone: str) -> bool:
    """Where every hour counts, cronsim misses a time when clocks change by half an hour (Lord Howe Island)."""
    return zone != "Australia/Lord_Howe" or "*" not in line.split()[1]


def lines_and_zones(lines: list[str]) -> list[tuple[str, str]]:
    return [(line, zone) for line in lines for zone in ZONES if is_known(line, zone)]


@pytest.mark.parametrize(("line", "zone"), lines_and_zones(LINES))
def test_the_ticks_around_every_change_in_ten_years_are_those_of_the_clock_on_the_wall(line: str, zone: str) -> None:
    assert len(changes(zone)) >= 10
    for change in changes(zone):
        begin, end = change - 5 * HOUR, change + 6 * HOUR
        expected = list(ticks_by_minutes(Line(line), zone, begin, end))
        assert ticks_of_cron(Cron(line, zone), begin, end) == expected, change


def field(first: int, last: int) -> st.SearchStrategy[str]:
    number = st.integers(first, last)
    span = st.lists(number, min_size=2, max_size=2, unique=True).map(lambda pair: "-".join(map(str, sorted(pair))))
    every = st.one_of(st.just("*"), number.map(str), span)
    step = st.tuples(every, st.integers(1, 30)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(every, step), min_size=1, max_size=2).map(",".join)


nights = st.one_of(field(0, 4), field(20, 23), field(0, 23))
lines = st.tuples(field(0, 59), nights, st.just("*"), st.just("*"), st.one_of(st.just("*"), field(0, 7))).map(" ".join)


@given(lines, st.sampled_from(ZONES), st.data())
def test_any_line_has_the_ticks_of_the_clock_on_the_wall_and_the_latest_is_the_last_of_them(
    line: str, zone: str, data: st.DataObject
) -> None:
    assume(is_known(line, zone))
    change = data.draw(st.sampled_from(changes(zone)))
    begin, end = change - 30 * HOUR, change + 30 * HOUR
    expected = list(ticks_by_minutes(Line(line), zone, begin, end))
    cron = Cron(line, zone)
    since = begin + data.draw(st.integers(0, 59 * 60)) * MINUTE
    after = [tick for tick in expected if tick > since]
    if after:
        assert cron.find_next_tick(since) == after[0]
    now = since + data.draw(st.timedeltas(timedelta(0), end - since))
    assert cron.find_latest_tick(since, now) == max((tick for tick in after if tick <= now), default=None)
    assert cron.find_latest_tick(begin, now) == max((tick for tick in expected if tick <= now), default=None)


@pytest.mark.slow
@pytest.mark.parametrize(("line", "zone"), lines_and_zones(["*/20 2 * * *", "*/20 1-3 * * *", "*/20 * * * *"]))
def test_ten_whole_years_have_the_ticks_of_the_clock_on_the_wall(line: str, zone: str) -> None:
    expected = list(ticks_by_minutes(Line(line), zone, BEGIN, END))
    assert ticks_of_cron(Cron(line, zone), BEGIN, END) == expected

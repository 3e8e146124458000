"""A job's cron expression as Temporal's calendars, and what a calendar of Temporal names.

Cron joins day of the month and day of the week by *or* where both are given; a calendar of
Temporal joins them by
*and*, and a schedule takes several calendars. So such an expression becomes two of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from cronsim import CronSim
from temporalio.api.schedule.v1 import Range, StructuredCalendarSpec

Numbers = frozenset[int]
Times = tuple[Numbers, ...]
"""Seconds, minutes, hours, days of the month, months, days of the week (Sunday is 0) and
years; no years: all."""
_DAYS = frozenset(range(1, 32))
_WEEK = frozenset(range(7))


def calendars(expression: str) -> list[StructuredCalendarSpec]:
    """The calendars that together name what the expression does. Raises ValueError where no calendar can."""
    cron = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    if min(cron.days) < 1:
        raise ValueError("Temporal has no last day of the month (L)")
    if not all(isinstance(day, int) for day in cron.weekdays):
        raise ValueError(
            "Temporal has no nth or last day of the week in a month (#, L)"
        )
    days, week = (
        frozenset(cron.days),
        frozenset(day % 7 for day in cron.weekdays if isinstance(day, int)),
    )
    both = [(days, week)] if cron.day_and else [(days, _WEEK), (_DAYS, week)]
    return [
        StructuredCalendarSpec(
            second=_ranges(cron.seconds),
            minute=_ranges(cron.minutes),
            hour=_ranges(cron.hours),
            day_of_month=_ranges(days),
            month=_ranges(cron.months),
            day_of_week=_ranges(week),
        )
        for days, week in both
    ]


def _ranges(numbers: Iterable[int]) -> list[Range]:
    """Ranges that hold these numbers; one each for numbers that follow one another."""
    found: list[Range] = []
    for number in sorted(numbers):
        if found and found[-1].end == number - 1:
            found[-1].end = number
        else:
            found.append(Range(start=number, end=number, step=1))
    return found


def expanded(calendar: StructuredCalendarSpec) -> Times:
    """What a calendar names, however its ranges say it."""
    fields = (
        calendar.second,
        calendar.minute,
        calendar.hour,
        calendar.day_of_month,
        calendar.month,
    )
    week = frozenset(day % 7 for day in _numbers(calendar.day_of_week))
    return (
        *(frozenset(_numbers(field)) for field in fields),
        week,
        frozenset(_numbers(calendar.year)),
    )


def spelt(calendar: StructuredCalendarSpec) -> str:
    """A calendar as a cron expression, seconds and years left out."""
    found = expanded(calendar)[1:6]
    whole = (
        frozenset(range(60)),
        frozenset(range(24)),
        _DAYS,
        frozenset(range(1, 13)),
        _WEEK,
    )
    return " ".join(
        "*" if one == every else _listed(one)
        for one, every in zip(found, whole, strict=True)
    )


def _listed(numbers: Numbers) -> str:
    return ",".join(
        f"{each.start}" + (f"-{each.end}" if each.end > each.start else "")
        for each in _ranges(numbers)
    )


def _numbers(ranges: Iterable[Range]) -> Iterator[int]:
    for each in ranges:  # as the server reads them: no end is the start, no step is one
        yield from range(each.start, max(each.end, each.start) + 1, each.step or 1)

"""The schedule, as laws: nothing missed and nothing twice, whatever clocks do, in zones that change them oddly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from connector.serve.schedule import (
    BELIEVED,
    Cron,
    Every,
    NextRun,
    Timetable,
    UpcomingRun,
    believe_tick,
    find_next_run,
    is_too_old,
)

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata",
    "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo",
]  # fmt: skip
CRONS = [
    "30 2 * * *", "0 3 * * 1-5", "*/15 * * * *", "15 */2 * * *", "0 0 * * *", "45 1,2 * * *", "5 6-20 * * *",
    "0 12 1 * *",
]  # fmt: skip
times = st.integers(1_230_768_000, 1_924_900_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
rules = st.one_of(
    st.builds(Cron, st.sampled_from(CRONS), st.sampled_from(ZONES)), st.builds(Every, st.integers(1, 200_000))
)
timetables = st.builds(Timetable, rules, st.sampled_from([0, 1, 120, 3600, 100_000]), st.text(max_size=3))


def runs(timetable: Timetable, last: datetime, now: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A clock that goes as it should, asked whenever there is something to do: each run's tick and its time."""
    while now <= until:
        following = find_next_run(timetable, last, now)
        if following.begins <= now:
            yield following.tick, now
            last = following.tick
        else:
            now = following.begins


@given(timetables, times, st.timedeltas(timedelta(hours=1), timedelta(days=3)))
def test_ticks_go_up_and_each_run_begins_between_its_tick_and_the_next(
    timetable: Timetable, start: datetime, length: timedelta
) -> None:
    length = (
        min(length, timedelta(seconds=timetable.rule.seconds * 50)) if isinstance(timetable.rule, Every) else length
    )
    before_ = None
    for tick, now in islice(runs(timetable, start, start, start + length), 60):
        assert before_ is None or tick > before_
        assert tick <= now <= tick + timedelta(seconds=timetable.jitter)
        assert now < timetable.rule.find_next_tick(tick)
        assert tick == timetable.rule.find_next_tick(before_ or start), "a tick was left out"
        before_ = tick


@pytest.mark.parametrize("change", [datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)])
@pytest.mark.parametrize("expression", ["* 1-3 * * *", "*/5 1-3 * * *", "*/20 * * * *", "7,40 2 * * *", "5 */2 * * *"])
def test_the_latest_tick_is_the_last_that_passed_also_when_clocks_change(expression: str, change: datetime) -> None:
    cron = Cron(expression, "Europe/Berlin")
    for begin in range(-90, 91, 15):
        since = change + timedelta(minutes=begin)
        ticks = [cron.find_next_tick(since)]
        while ticks[-1] < since + timedelta(hours=3):
            ticks.append(cron.find_next_tick(ticks[-1]))
        for minutes in (7, 30, 55, 100, 170):
            now = since + timedelta(minutes=minutes)
            assert cron.find_latest_tick(since, now) == max((tick for tick in ticks if tick <= now), default=None)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("wall", ["30 2", "15 1", "0 0", "59 23", "0 3"])
def test_a_daily_run_is_one_a_day_by_the_clock_on_the_wall_all_year_long(zone: str, wall: str) -> None:
    timetable = Timetable(Cron(f"{wall} * * *", zone))
    start = datetime(2011, 2, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    ticks = [tick.astimezone(ZoneInfo(zone)) for tick, _ in runs(timetable, start, start, start + timedelta(days=340))]
    days = [tick.date() for tick in ticks]
    if zone == "Pacific/Apia" and wall != "0 0":  # Samoa left 30 December out: its run comes as soon as that is over
        days[days.index(date(2011, 12, 31))] = date(2011, 12, 30)
    assert len(days) == len(set(days)), "twice on one day"
    every_day = {days[0] + timedelta(days=n) for n in range((days[-1] - days[0]).days + 1)}
    assert every_day - set(days) <= {date(2011, 12, 30)}


@given(st.sampled_from(ZONES), times)
def test_an_hour_that_is_any_is_every_hour_that_passes(zone: str, start: datetime) -> None:
    ticks = [tick for tick, _ in runs(Timetable(Cron("0 * * * *", zone)), start, start, start + timedelta(hours=60))]
    gaps = {after - before for before, after in pairwise(ticks)}
    assert gaps <= {timedelta(hours=1), timedelta(minutes=30), timedelta(minutes=90)}  # Lord Howe Island's half an hour
    if zone != "Australia/Lord_Howe":
        assert gaps == {timedelta(hours=1)}


@given(timetables, times, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_whatever_was_missed_is_caught_up_by_one_run(timetable: Timetable, last: datetime, away: timedelta) -> None:
    now = last + away
    due = find_next_run(timetable, last, now)
    if due.begins > now:  # at most the run of the latest tick is still to come, or nothing was missed
        assert due.begins <= timetable.find_begin(timetable.rule.find_next_tick(now))
        now = due.begins
        due = find_next_run(timetable, last, now)
    assert due.begins <= now
    assert last < due.tick <= now < timetable.rule.find_next_tick(due.tick)
    assert find_next_run(timetable, due.tick, now).begins > now


@given(timetables, times, st.timedeltas(timedelta(0), BELIEVED))
def test_a_clock_that_is_set_back_a_little_never_runs_a_tick_again(
    timetable: Timetable, tick: datetime, back: timedelta
) -> None:
    following = find_next_run(timetable, tick, tick - back)
    assert following.begins > tick


@given(timetables, times, st.timedeltas(BELIEVED + timedelta(seconds=1), timedelta(days=4000)))
def test_a_clock_that_was_far_ahead_does_not_keep_a_job_from_its_next_run(
    timetable: Timetable, now: datetime, ahead: timedelta
) -> None:
    last, due = believe_tick(now + ahead, now), timetable.rule.find_next_tick(now)
    assert next(runs(timetable, last, now, timetable.find_begin(due))) == (due, timetable.find_begin(due))


@given(timetables, times)
def test_what_did_not_come_to_its_end_is_due_again(timetable: Timetable, tick: datetime) -> None:
    real = timetable.rule.find_next_tick(tick)
    began = timetable.find_begin(real)
    assert find_next_run(timetable, timetable.rule.before(real), began) == NextRun(began, real)


@given(timetables, times)
def test_a_job_that_never_ran_waits_for_its_time_or_begins_its_interval(timetable: Timetable, now: datetime) -> None:
    last = timetable.rule.before(now)
    if isinstance(timetable.rule, Every):
        assert find_next_run(timetable, last, timetable.find_begin(now)) == NextRun(timetable.find_begin(now), now)
    else:
        assert find_next_run(timetable, last, now).begins >= now


@given(rules, times)
def test_a_good_run_is_too_old_when_three_more_should_have_begun(rule: Every | Cron, good: datetime) -> None:
    timetable = Timetable(rule)
    second = rule.find_next_tick(rule.find_next_tick(good))
    third = rule.find_next_tick(second)
    assert not is_too_old(timetable, good, third - timedelta(seconds=1), None)
    assert is_too_old(timetable, good, third, None)
    assert is_too_old(timetable, good, good + timedelta(seconds=61), 60)
    assert not is_too_old(timetable, good, good + timedelta(seconds=60), 60)


def test_runs_are_scattered_the_same_way_each_time_and_otherwise_for_others() -> None:
    tick = datetime(2026, 11, 25, 6, 15, tzinfo=UTC)
    begins = {Timetable(Cron("15 6 * * *"), 600, seed).find_begin(tick) for seed in map(str, range(50))}
    assert len(begins) == 50
    assert begins == {Timetable(Cron("15 6 * * *"), 600, seed).find_begin(tick) for seed in map(str, range(50))}
    assert max(begins) - min(begins) > timedelta(minutes=8)


@given(timetables, times, st.lists(st.tuples(st.booleans(), st.timedeltas(-timedelta(days=2), timedelta(days=2)))))
def test_what_is_remembered_of_the_next_run_is_what_would_be_found(
    timetable: Timetable, start: datetime, moves: list[tuple[bool, timedelta]]
) -> None:
    """Whatever the clock does, also set forth and back, and whenever a run begins."""
    upcoming, last, now = UpcomingRun(timetable), start, start
    for begins, moved in moves:
        now += moved
        last = min(last, now + BELIEVED)
        following = upcoming.find_next_run(last, now)
        assert following == find_next_run(timetable, last, now)
        if begins and following.begins <= now:
            last = following.tick

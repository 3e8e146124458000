"""When a job is to run. Pure: the clock is whoever asks, so that all of it can be tried at any time in any zone.

A *tick* is a time that the schedule names; the run that belongs to it begins up to `jitter`
later. Ticks that were missed, because nothing ran or another run took long, are caught up
by one run, that of the latest of them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim
from msgspec import Struct

BELIEVED: Final = timedelta(minutes=10)
"""A tick that lies further ahead of the clock was noted while the clock was wrong, and is
not believed."""
FIRST_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 300.0
"""Seconds before a run that failed is tried again: they double from the one to the other."""
MOMENT: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
"""No clock was ever set back by more."""


class Every(Struct, frozen=True):
    """A tick so many seconds after the one before, whatever clocks on the wall do."""

    seconds: int

    def after(self, since: datetime) -> datetime:
        return since + timedelta(seconds=self.seconds)

    def latest(self, since: datetime, now: datetime) -> datetime | None:
        """The last of the ticks after `since` and not after `now`, counted from `since`."""
        interval = timedelta(seconds=self.seconds)
        passed = (now - since) // interval
        if passed <= 0:
            return None
        return since + passed * interval


class Cron(Struct, frozen=True):
    """A tick wherever a cron expression matches the clock on the wall of a zone (an IANA name).

    Without `*` in the hour, a time that is left out when clocks go forward comes as soon as
    they have, and one that comes twice when they go back counts once. With it, every time
    that passes counts, and no other.

    cronsim is asked for times on the wall alone: of clock changes it has Debian's rule,
    which also asks the minute.
    """

    expression: str
    zone: str = "UTC"

    def after(self, since: datetime) -> datetime:
        return next(self._ticks(since))

    def latest(self, since: datetime, now: datetime) -> datetime | None:
        """The last of the ticks after `since` and not after `now`."""
        wall = self._on_the_wall(now)
        backwards = self._moments(CronSim(self.expression, wall, reverse=True))
        # a time that comes twice may have come again since, or a later one before it
        about = max(since, next(backwards) - MOMENT)
        latest = None
        for tick in self._ticks(about):
            if tick > now:
                break
            latest = tick
        return latest

    @property
    def _is_any_hour(self) -> bool:
        return "*" in self.expression.split()[-4]

    def _on_the_wall(self, moment: datetime) -> datetime:
        local = moment.astimezone(ZoneInfo(self.zone))
        return local.replace(tzinfo=None)

    def _ticks(self, since: datetime) -> Iterator[datetime]:
        """All ticks after this time, in order."""
        # where clocks are set back within a day, the times that will come again are tried as well
        tomorrow = self._on_the_wall(since + _DAY)
        wall = min(self._on_the_wall(since), tomorrow - _DAY)
        ticks = self._moments(CronSim(self.expression, wall))
        if self._is_any_hour:
            again = self._moments(CronSim(self.expression, wall), fold=1)
            ticks = heapq.merge(ticks, again)
        for tick in ticks:
            if tick > since:
                yield tick
                since = tick

    def _moments(self, walls: Iterable[datetime], fold: int = 0) -> Iterator[datetime]:
        """When the wall shows these times, in UTC. `fold`: 1 for the second time, where it shows one twice."""
        for wall in walls:
            moment = self._moment(wall, fold)
            if self._on_the_wall(moment) == wall:
                yield moment
            elif not self._is_any_hour:
                shown = wall.replace(second=0)
                while self._on_the_wall(self._moment(shown, fold)) != shown:
                    shown += timedelta(minutes=1)
                yield self._moment(shown, fold)

    def _moment(self, wall: datetime, fold: int) -> datetime:
        local = wall.replace(tzinfo=ZoneInfo(self.zone), fold=fold)
        return local.astimezone(UTC)


class Timetable(Struct, frozen=True):
    """The ticks of one job, and over how many seconds its runs are scattered: the same way for the same `seed`."""

    rule: Every | Cron
    jitter: int = 0
    seed: str = ""

    def begin(self, tick: datetime) -> datetime:
        """When the run of a tick begins: at the tick or later, and before the next."""
        if not self.jitter:
            return tick
        drawn = hashlib.sha256(f"{self.seed} {tick.isoformat()}".encode()).digest()
        share = int.from_bytes(drawn[:6]) / (1 << 48)
        interval = self.rule.after(tick) - tick
        return tick + share * min(interval, timedelta(seconds=self.jitter))


class NextRun(Struct, frozen=True, order=True):
    """The next run of a job, which is due once it has begun."""

    begins: datetime
    tick: datetime


def find_next_run(timetable: Timetable, last: datetime, now: datetime) -> NextRun:
    """The next run, where `last` is the tick of the last one, and is believed. All times are of UTC."""
    rule = timetable.rule
    tick = rule.latest(last, now) or rule.after(last)
    return NextRun(timetable.begin(tick), tick)


def draw_pause(failures: int, drawn: float) -> float:
    """Seconds until a run is tried again that has failed so often; `drawn`, from 0 to 1, scatters them by a quarter."""
    doublings = min(failures - 1, 10)
    doubled: float = FIRST_PAUSE * 2**doublings
    scatter = 0.75 + drawn / 2
    return min(doubled, LONGEST_PAUSE) * scatter


def believe_tick(tick: datetime, now: datetime) -> datetime:
    """A tick that was noted, or now, where it lies too far ahead to be true. It is now once and for all: keep it."""
    is_true = tick <= now + BELIEVED
    return tick if is_true else now


def first_tick(timetable: Timetable, begun: datetime) -> datetime:
    """What stands for the tick of the last run of a job that has never run: intervals begin at once, cron waits."""
    if isinstance(timetable.rule, Every):
        return tick_before(timetable, begun)
    return begun


def tick_before(timetable: Timetable, tick: datetime) -> datetime:
    """What stands for the tick of the last run, where that one did not come to its end, so that it is still due."""
    rule = timetable.rule
    if isinstance(rule, Every):
        return tick - timedelta(seconds=rule.seconds)
    return tick - MOMENT


def is_too_old(
    timetable: Timetable, good: datetime, now: datetime, max_age: int | None
) -> bool:
    """Whether what was good then is too old: by `max_age` in seconds, or three runs should have begun since."""
    if max_age is not None:
        return now - good > timedelta(seconds=max_age)
    tick = good
    for _ in range(3):
        tick = timetable.rule.after(tick)
    return timetable.begin(tick) <= now

"""When a job is to run. Pure: the clock is whoever asks, so that all of it can be tried at any time in any zone.

A *tick* is a time that the schedule names; the run that belongs to it begins up to `jitter`
later. Ticks that were missed, because nothing ran or another run took long, are caught up
by one run, that of the latest of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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

    def before(self, tick: datetime) -> datetime:
        """A time after which this is the next tick: it is still due."""
        return tick - timedelta(seconds=self.seconds)

    def find_next_tick(self, since: datetime) -> datetime:
        return since + timedelta(seconds=self.seconds)

    def find_latest_tick(self, since: datetime, now: datetime) -> datetime | None:
        """The last of the ticks after `since` and not after `now`, counted from `since`."""
        interval = timedelta(seconds=self.seconds)
        passed = (now - since) // interval
        return since + passed * interval if passed > 0 else None


class Cron(Struct, frozen=True):
    """A tick wherever a cron expression matches the clock on the wall of a zone (an IANA name).

    Without `*` in the hour, a time that is left out when clocks go forward comes as soon as
    they have, and one that comes twice when they go back counts once. With it, every time
    that passes counts, and no other. Debian's rule, which cronsim has, also asks the minute.
    """

    expression: str
    zone: str = "UTC"

    def before(self, tick: datetime) -> datetime:
        """A time after which this is the next tick, where it is one: it is still due."""
        return tick - MOMENT

    def find_next_tick(self, since: datetime) -> datetime:
        return next(tick for tick in self._simulate(since) if tick > since)

    def find_latest_tick(self, since: datetime, now: datetime) -> datetime | None:
        """The last of the ticks after `since` and not after `now`."""
        ticks = self._simulate(now, reverse=True)
        latest = next(tick for tick in ticks if tick <= now)
        # backwards, cronsim leaves out the first of two hours that the wall shows alike
        for tick in self._simulate(max(latest, since)):
            if tick > now:
                break
            latest = max(latest, tick)
        return latest if latest > since else None

    def _simulate(
        self, moment: datetime, *, reverse: bool = False
    ) -> Iterator[datetime]:
        """The ticks after this time, or from it backwards."""
        *seconds, minute, hour, day, month, week = self.expression.split()
        if "*" in hour:
            # a star comes first, by which cronsim knows it
            hour = ",".join(sorted(hour.split(",")))
        else:
            minute = minute.replace("*", "0-59")
        expression = " ".join([*seconds, minute, hour, day, month, week])
        if reverse:
            moment += MOMENT
        local = moment.astimezone(ZoneInfo(self.zone))
        for tick in CronSim(
            expression,
            local,
            reverse=reverse,
        ):
            yield tick.astimezone(UTC)


class Timetable(Struct, frozen=True):
    """The ticks of one job, and over how many seconds its runs are scattered: the same way for the same `seed`."""

    rule: Every | Cron
    jitter: int = 0
    seed: str = ""

    def find_begin(self, tick: datetime) -> datetime:
        """When the run of a tick begins: at the tick or later, and before the next."""
        if not self.jitter:
            return tick
        name = f"{self.seed} {tick.isoformat()}"
        drawn = hashlib.sha256(name.encode()).digest()
        share = int.from_bytes(drawn[:6]) / (1 << 48)
        interval = self.rule.find_next_tick(tick) - tick
        return tick + share * min(interval, timedelta(seconds=self.jitter))


class NextRun(Struct, frozen=True, order=True):
    """The next run of a job, which is due once it has begun."""

    begins: datetime
    tick: datetime
    is_woken: bool = False
    """Whether it is wanted before the next tick; `tick` is then that of the last run."""

    @property
    def wanted_since(self) -> datetime:
        """Which of several runs comes first."""
        return self.begins if self.is_woken else self.tick


def find_next_run(timetable: Timetable, last: datetime, now: datetime) -> NextRun:
    """The next run, where `last` is the tick of the last one, and is believed. All times are of UTC."""
    rule = timetable.rule
    tick = rule.find_latest_tick(last, now) or rule.find_next_tick(last)
    return NextRun(timetable.find_begin(tick), tick)


class UpcomingRun(Struct):
    """The next run of a timetable, which is looked for again only once it may be another one."""

    timetable: Timetable
    last: datetime | None = None
    """The tick of the last run."""
    following: NextRun | None = None
    """The next run after that, whose tick was ahead."""

    def find_next_run(self, last: datetime, now: datetime) -> NextRun:
        """As the function of this name."""
        known = self.following
        if known is not None and last == self.last and now < known.tick:
            return known
        following = find_next_run(self.timetable, last, now)
        # one that is due may be of a clock that is ahead of the time, and will be set back
        self.last, self.following = last, following if now < following.tick else None
        return following


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


def is_too_old(
    timetable: Timetable, good: datetime, now: datetime, max_age: int | None
) -> bool:
    """Whether what was good then is too old: by `max_age` in seconds, or three runs should have begun since."""
    if max_age is not None:
        return now - good > timedelta(seconds=max_age)
    tick = good
    for _ in range(3):
        tick = timetable.rule.find_next_tick(tick)
    return timetable.find_begin(tick) <= now

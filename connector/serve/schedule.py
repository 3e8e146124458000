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
from itertools import takewhile
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
        passed = (now - since) // timedelta(seconds=self.seconds)
        return since + passed * timedelta(seconds=self.seconds) if passed > 0 else None


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
        backwards = self._moments(
            CronSim(self.expression, self._on_the_wall(now), reverse=True)
        )
        # a time that comes twice may have come again since, or a later one before it
        about = max(since, next(backwards) - MOMENT)
        latest = None
        for tick in takewhile(lambda tick: tick <= now, self._ticks(about)):
            latest = tick
        return latest

    @property
    def _is_any_hour(self) -> bool:
        return "*" in self.expression.split()[-4]

    def _on_the_wall(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)

    def _ticks(self, since: datetime) -> Iterator[datetime]:
        """All ticks after this time, in order."""
        # where clocks are set back within a day, the times that will come again are tried as well
        wall = min(self._on_the_wall(since), self._on_the_wall(since + _DAY) - _DAY)
        folds = (0, 1) if self._is_any_hour else (0,)
        for tick in heapq.merge(
            *(self._moments(CronSim(self.expression, wall), fold) for fold in folds)
        ):
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
        return wall.replace(tzinfo=ZoneInfo(self.zone), fold=fold).astimezone(UTC)


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
        return tick + share * min(
            timedelta(seconds=self.jitter), self.rule.after(tick) - tick
        )


class Due(Struct, frozen=True):
    """The run of this tick is to begin now."""

    tick: datetime


class Wait(Struct, frozen=True):
    """Nothing is to be done before this time."""

    until: datetime


def decide(timetable: Timetable, last: datetime, now: datetime) -> Due | Wait:
    """What is to be done now, where `last` is the tick of the last run, and is believed. All times are of UTC."""
    tick = timetable.rule.latest(last, now)
    if tick is None:
        return Wait(timetable.begin(timetable.rule.after(last)))
    begin = timetable.begin(tick)
    return Due(tick) if begin <= now else Wait(begin)


def pause(failures: int, drawn: float) -> float:
    """Seconds until a run is tried again that has failed so often; `drawn`, from 0 to 1, scatters them by a quarter."""
    doubled: float = FIRST_PAUSE * 2 ** min(failures - 1, 10)
    return min(doubled, LONGEST_PAUSE) * (0.75 + drawn / 2)


def believed(tick: datetime, now: datetime) -> datetime:
    """A tick that was noted, or now, where it lies too far ahead to be true. It is now once and for all: keep it."""
    return now if tick > now + BELIEVED else tick


def first(timetable: Timetable, begun: datetime) -> datetime:
    """What stands for the tick of the last run of a job that has never run: intervals begin at once, cron waits."""
    return before(timetable, begun) if isinstance(timetable.rule, Every) else begun


def before(timetable: Timetable, tick: datetime) -> datetime:
    """What stands for the tick of the last run, where that one did not come to its end, so that it is still due."""
    rule = timetable.rule
    return tick - (
        timedelta(seconds=rule.seconds) if isinstance(rule, Every) else MOMENT
    )


def too_old(
    timetable: Timetable, good: datetime, now: datetime, max_age: int | None
) -> bool:
    """Whether what was good then is too old: by `max_age` in seconds, or three runs should have begun since."""
    if max_age is not None:
        return now - good > timedelta(seconds=max_age)
    rule = timetable.rule
    third = rule.after(rule.after(rule.after(good)))
    return timetable.begin(third) <= now

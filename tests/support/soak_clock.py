"""A clock that can be set, for programs that are started with it; and what a daily schedule names, reckoned otherwise.

libfaketime stands between a program and the operating system, so that the program is the one that people run. Like the
system's clock when somebody sets it, this one jumps; monotonic clocks go on.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.support import monitoring


class Clock:
    """`env` is what a program sees it by."""

    def __init__(self, file: Path, now: datetime) -> None:
        library = monitoring.faketime()
        assert library is not None
        self._file = file
        self._ahead = timedelta(0)
        self.set(now)
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def now(self) -> datetime:
        """What programs see."""
        return datetime.now(UTC) + self._ahead

    def set(self, moment: datetime) -> None:
        """Set it, at once and for all of them."""
        self._ahead = moment - datetime.now(UTC)
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead.total_seconds():+.6f}\n")
        new.replace(self._file)


class Daily:
    """Once a day at a time on the wall; where clocks leave it out, in the moment in which they have gone forward."""

    def __init__(self, wall: time, zone: str) -> None:
        self._wall, self._zone = wall, ZoneInfo(zone)

    def after(self, moment: datetime) -> datetime:
        """The first tick after this."""
        day = moment.astimezone(self._zone).date()
        return next(tick for tick in (self._on(day + timedelta(days=days)) for days in range(-1, 3)) if tick > moment)

    def last(self, moment: datetime) -> datetime:
        """The last tick that is not after this."""
        day = moment.astimezone(self._zone).date()
        return next(tick for tick in (self._on(day - timedelta(days=days)) for days in range(-1, 3)) if tick <= moment)

    def change(self, moment: datetime) -> date:
        """The day on which clocks are next changed."""
        day = moment.astimezone(self._zone).date()
        while self._offset(day) == self._offset(day + timedelta(days=1)):
            day += timedelta(days=1)
        return day

    def _offset(self, day: date) -> timedelta | None:
        return datetime.combine(day, time(), self._zone).utcoffset()

    def _on(self, day: date) -> datetime:
        wall = datetime.combine(day, self._wall, self._zone)
        tick = wall.astimezone(UTC)
        if tick.astimezone(self._zone).time() == self._wall:
            return tick
        jump = datetime.combine(day, time(), self._zone).astimezone(UTC)
        while jump.astimezone(self._zone).time() < self._wall:
            jump += timedelta(minutes=15)
        return jump

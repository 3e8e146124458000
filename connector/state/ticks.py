"""Which run of a schedule was last: so that none is left out and none is made twice, by one process or by several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from connector.state.database import Database, sound


class Tick(Struct, frozen=True):
    """The last run of a job's schedule: its tick, whether it came to its end, and the tick of the last good one."""

    tick: datetime
    ended: bool
    good: datetime | None


class Ticks:
    """The schedule of one job, as far as it has happened. All of its methods raise StateError."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self._job = job

    def last(self) -> Tick | None:
        """The last run; None: there was none yet."""
        found = self._database.rows(
            "select tick, ended, good from schedule where job = ?", self._job
        )
        if not found:
            return None
        ((tick, ended, good),) = found
        with sound(self._database, "a schedule"):
            return Tick(_time(tick), bool(ended), _time(good) if good else None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the job's turn without a tick. Raises BusyError while another process has it."""
        with self._database.lease(f"the schedule of {self._job}"):
            yield

    @contextmanager
    def turn(self, tick: datetime, believed: datetime) -> Iterator[bool]:
        """Hold the job's turn, until the end or death of this process, and note the tick; False: it was run already.

        A last tick later than `believed` was noted while a clock was wrong. Raises
        BusyError while another process has the turn.
        """
        with self._database.lease(f"the schedule of {self._job}"):
            last = self.last()
            if last is not None and last.ended and tick <= last.tick <= believed:
                yield False
                return
            with self._database.writing() as transaction:
                transaction.put(
                    "schedule", job=self._job, tick=tick.isoformat(), ended=0
                )
            yield True

    def ended(self, tick: datetime, *, good: bool) -> None:
        also = ", good = tick" if good else ""
        with self._database.writing() as transaction:
            transaction.execute(
                f"update schedule set ended = 1{also} where job = ? and tick = ?",  # noqa: S608  # one of two texts
                (self._job, tick.isoformat()),
            )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

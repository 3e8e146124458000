"""One job as `serve` keeps it: its files as they were accepted, its timetable, and how far it has come."""

from __future__ import annotations

import random
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from connector.errors import FileError, StateError
from connector.observers.run_summary import Kind
from connector.run.composition import Accepted, accept
from connector.run.job_state import last_tick
from connector.runtime.log import log
from connector.serve.accounts import Account, Mark
from connector.serve.schedule import (
    BELIEVED,
    MOMENT,
    Cron,
    Due,
    Every,
    Timetable,
    Wait,
    before,
    believed,
    decide,
    first,
    pause,
    too_old,
)
from connector.serve.state_poll import Question
from connector.serve.worker_process import Worker
from connector.serve.worker_protocol import RunRequest
from connector.settings.operations import Serve
from connector.state.ticks import Tick

AGAIN: Final = 30.0
"""Seconds after which a job is tried again whose state does not tell, or whose process
could not begin."""
PATIENCE_FOR_FILES: Final = 60.0
"""Seconds in which the files of a job have to be read again. All jobs of a process are read
at the same time."""
GRACE: Final = 60.0
"""Seconds that a run has to end in good order, once it was asked to."""


class Scheduled:
    """A job and its schedule. Raises FileError where its files are wrong, or say nothing of a schedule.

    `last`: the tick of its last run, None as long as its state does not tell; `good`: that of the last good one, or, if
    there was none, since when it is waited for one; `over`: when that one ended. `until`:
    when its next run is due;
    `not_before`: it is not tried before this time on a steady clock. `refused`: why it waits for a change of its
    account, if it does; `tried`: its account when its last run began; `mark`: of that one's
    files. `away`: why its state does not tell.
    `cause`: why the last run did not end well, if it did not. `reading`: its files, while they are read again.

    `failures`: so often the run of its last tick has failed in a way that another attempt may mend, and `again` is when
    that is due, on a steady clock. `end_by`: when the run under way is asked to end, or,
    once it was `asked`, is ended;
    `late`: it was asked because it took too long.
    """

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self._accept(accept(path))
        self.in_order = True
        self.last: datetime | None = None
        self.good = self.over = now
        self.not_before = 0.0
        self.until: datetime | None = None
        self.worker: Worker | None = None
        self.refused = self.away = self.cause = ""
        self.tried = self.account
        self.mark: Mark = ()
        self.failures = 0
        self.again: float | None = None
        self.end_by = 0.0
        self.asked = self.late = False
        self.reading: Question[Accepted] | None = None
        self._question: Question[Tick | None] | None = None
        self._noted_wrongly: datetime | None = None
        self._overruled: datetime | None = None

    def _accept(self, accepted: Accepted) -> None:
        loaded = accepted.job
        if loaded.job.serve is None:
            raise FileError(
                "has no `serve` section. Add one with its schedule",
                where=str(self.path),
            )
        self.accepted = accepted
        self.settings: Serve = loaded.job.serve
        self.name = loaded.name
        self.state = loaded.job.state
        self.account = Account.of(loaded.job)
        every, cron, zone = (
            self.settings.every,
            self.settings.cron or "",
            self.settings.timezone or "UTC",
        )
        rule = Every(every) if every else Cron(cron, zone)
        self.timetable = Timetable(
            rule, self.settings.jitter or 0, f"{socket.gethostname()} {loaded.path}"
        )

    @property
    def kind(self) -> Kind:
        return "apply" if self.settings.mode == "apply" else "plan"

    def reread(self) -> None:
        """Begin to read the files again. A disk that hangs holds up this job alone, and only for a while."""
        self.reading = Question(lambda: accept(self.path), PATIENCE_FOR_FILES)

    def take_files(self, now: datetime) -> None:
        """Take the files that were read again; where they are wrong, all stays as it was.

        Raises FileError; StateError where they could not be read, or not in time.
        """
        assert self.reading is not None
        rule, state, reading = self.timetable.rule, self.state, self.reading
        self.reading = None
        try:
            self._accept(reading.answer())
        except (FileError, StateError):
            self.in_order = False
            raise
        self.in_order = True
        self.again = None if self.again is None else time.monotonic()
        if self.state != state:
            self.last, self._noted_wrongly, self._question, self.away, self.again = (
                None,
                None,
                None,
                "",
                None,
            )
        elif (
            self.last is not None
            and self.timetable.rule != rule
            and isinstance(self.timetable.rule, Cron)
        ):
            # what a schedule would have named before it was one is not missed
            self.last = max(self.last, now)

    def decided(self, now: datetime) -> Due | Wait | None:
        """What is to be done now; None: its state does not tell what was done."""
        if self.last is None:
            self._remember(now)
        if self.last is None:
            return None
        noted, self.last = self.last, believed(self.last, now)
        self.good, self.over = believed(self.good, now), believed(self.over, now)
        if self.last < noted:
            self._noted_wrongly = noted
        return decide(self.timetable, self.last, now)

    def _remember(self, now: datetime) -> None:
        if self._question is None:
            job = self.accepted.job
            self._question = Question(lambda: last_tick(job))
        if self._question.open and not self._question.late:
            return
        try:
            found = self._question.answer()
        except StateError as fault:
            if not self.away:
                log.warning(
                    "schedule waits for the state", job=self.name, reason=str(fault)
                )
            self.away = str(fault)
            if (
                not self._question.open
            ):  # one that may still be answered is not asked again
                self._question = None
                self.not_before = time.monotonic() + AGAIN
            return
        self._question, self.away = None, ""
        if found is None:
            self.last = first(self.timetable, now)
        else:
            self.last = (
                found.tick if found.ended else before(self.timetable, found.tick)
            )
            self.good = self.over = found.good or self.good

    @property
    def look(self) -> float:
        """Seconds until it is worth another look whether its state has answered."""
        return self._question.look if self._question else AGAIN

    def request(self, tick: datetime, now: datetime) -> RunRequest:
        """What is to be run."""
        # what was noted by a wrong clock is overruled once, however near it may have come meanwhile
        wrongly = (
            self._noted_wrongly
            if self._noted_wrongly and self._noted_wrongly >= tick
            else None
        )
        loaded = self.accepted.job
        beside = (loaded.state_path or loaded.path.absolute()).parent
        return RunRequest(
            job=loaded.path.absolute(),
            texts=self.accepted.texts,
            tick=tick,
            believed=min(now + BELIEVED, wrongly - MOMENT)
            if wrongly
            else now + BELIEVED,
            kind=self.kind,
            plans=self.settings.plans or beside,
        )

    def started(self, tick: datetime) -> None:
        if tick != self.last:
            self.failures, self._overruled = 0, self._noted_wrongly
        self.last, self._noted_wrongly, self.again = tick, None, None
        self.end_by, self.asked, self.late = (
            time.monotonic() + self.settings.max_run_time,
            False,
            False,
        )

    def end(self, *, at_once: bool = False) -> None:
        """Ask the run under way to end, and end it where it does not; the second time at once."""
        assert self.worker is not None
        self.worker.stop(at_once=at_once or self.asked)
        self.end_by, self.asked = time.monotonic() + GRACE, True

    def failed(self) -> float:
        """Its run has failed in a way that another attempt may mend; seconds until that one."""
        self.failures += 1
        seconds = pause(self.failures, random.random())  # noqa: S311  # a pause, not a secret
        self.again, self._noted_wrongly = time.monotonic() + seconds, self._overruled
        return seconds

    def went_well(self, tick: datetime, now: datetime) -> None:
        self.good, self.over = max(self.good, tick), now

    def too_old(self, now: datetime) -> bool:
        """Whether the last good run is too old: by its begin, or by its end, before which no other could begin."""
        return too_old(self.timetable, self.since, now, self.settings.max_age)

    def ready(self, now: datetime) -> bool:
        """Whether its runs go on, and the last good one is recent."""
        return not (self.refused or self.away or self.too_old(now))

    @property
    def since(self) -> datetime:
        """From when on it is waited for a good run."""
        return self.over if self.settings.max_age is None else self.good


def utc() -> datetime:
    """The time now."""
    return datetime.now(UTC)

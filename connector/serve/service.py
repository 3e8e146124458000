"""The loop of `serve`: starts what is due, one run of a job at a time, and listens to signals and to its runs.

Jobs of one state run one after the other, because they may share a directory and its lease;
those of different states run side by side, once their directory has taken the account.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from msgspec.structs import replace

from connector.errors import FileError, StateError
from connector.observers.metrics import Metrics
from connector.observers.run_summary import RunSummary
from connector.run.composition import Accepted
from connector.runtime.log import log
from connector.serve.accounts import LOOK, Accounts
from connector.serve.causes import cause
from connector.serve.schedule import Due
from connector.serve.scheduled_job import AGAIN, Scheduled, utc
from connector.serve.state_poll import Question
from connector.serve.worker_process import Worker
from connector.serve.worker_protocol import (
    REPEATED,
    Result,
    RunRequest,
    nothing_told,
)
from connector.settings.job import LoadedJob
from connector.settings.textfile import raise_together

LONGEST_WAIT: Final = 20.0
"""Seconds after which the clock is looked at again at the latest: it may have been set."""
STUCK: Final = 120.0
"""Seconds without a look at the clock after which the process is ill."""
_REFUSED: Final = "the directory refused its account. Runs wait for a new secret, SIGHUP, or a day. See the log"

Told = Callable[[LoadedJob, RunSummary, Path | None], None]
"""Is told of every run that has ended, with the file of its plan if that waits."""


class Service:
    """Jobs on their schedules. Raises FileError with what is wrong in the files of any.

    `options` are those of the program, for the log of each run.

    A context manager, in the main thread: as long as it is open the signals are its own.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: Sequence[str],
        told: Told,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        now = utc()
        self._jobs = _in_order(paths, now)
        self._options = options
        self._told = told
        self._metrics = Metrics()
        for job in self._jobs:
            self._metrics.expect(job.name, job.kind)
        self._clock = clock
        self._accounts = Accounts(clock)
        self._looked = clock()
        self._stopping = 0
        self._selector = selectors.DefaultSelector()
        self._signals, self._wakeup = os.pipe()
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for end in (self._signals, self._wakeup):
            os.set_blocking(end, False)
        self._before_fd = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as it was given to us
        self._selector.close()
        os.close(self._signals)
        os.close(self._wakeup)

    def run(self) -> None:
        """Run what is due until told to stop, and then until what runs has come to its end."""
        while not self._stopping or any(job.worker for job in self._jobs):
            self._looked = self._clock()
            wait = self._start_what_is_due(utc())
            for key, _ in self._selector.select(wait):
                key.data()

    # ------------------------------------------------------------ what is due

    def _start_what_is_due(self, now: datetime) -> float:
        """Seconds until there is something to do."""
        due: list[tuple[datetime, Scheduled]] = []
        wait = LONGEST_WAIT
        for job in self._jobs:
            if job.reading is not None:
                wait = min(wait, self._take_files(job, job.reading, now))
            if job.worker is not None:
                wait = min(wait, self._bounded(job))
            elif not self._stopping and job.reading is None:
                found = self._looked_at(job, now)
                if isinstance(found, Due):
                    due.append((found.tick, job))
                else:
                    wait = min(wait, found)
        ahead = [(job.state, job.tried) for job in self._jobs if job.worker]
        for tick, job in sorted(due, key=lambda each: (each[0], each[1].name)):
            if not any(
                state == job.state or self._accounts.exclude(job.account, tried)
                for state, tried in ahead
            ):
                self._start(job, tick, now)
            # also where it waits: later ones would keep it waiting
            ahead.append((job.state, job.account))
        return max(wait, 0.0)

    def _looked_at(self, job: Scheduled, now: datetime) -> Due | float:
        """The run of this job that is due, or seconds until it is worth another look."""
        job.refused = self._accounts.why(job.account)
        if job.refused:
            return LOOK
        left = job.not_before - time.monotonic()
        if left > 0:
            return left
        decided = job.decided(now)
        if isinstance(decided, Due):
            return decided
        if decided is None:
            return job.look
        until = (decided.until - now).total_seconds()
        if job.again is None:
            self._waits(job, decided.until)
            return until
        again = job.again - time.monotonic()
        return Due(job.last) if again <= 0 and job.last else min(again, until)

    def _bounded(self, job: Scheduled) -> float:
        """End the run under way where it has taken too long; seconds until that has to be looked at."""
        if time.monotonic() >= job.end_by:
            log.warning(
                "run takes too long",
                job=job.name,
                at_once=job.asked,
                seconds=job.settings.max_run_time,
            )
            job.late = job.late or not self._stopping
            job.end()
        return job.end_by - time.monotonic()

    def _waits(self, job: Scheduled, until: datetime) -> None:
        if until != job.until:
            self._metrics.tell(
                "next_run_timestamp_seconds", job.name, until.timestamp()
            )
            log.info("next run", job=job.name, at=until.isoformat(timespec="seconds"))
            job.until = until

    def _start(self, job: Scheduled, tick: datetime, now: datetime) -> None:
        job.tried, job.mark = job.account, job.account.mark()
        attempt = job.failures + 1 if tick == job.last else 1
        log.info(
            "run started",
            job=job.name,
            tick=tick.isoformat(),
            mode=job.settings.mode,
            attempt=attempt,
        )
        try:
            job.worker = worker = Worker(job.request(tick, now), self._options)
        except OSError as fault:
            log.error("run could not be started", job=job.name, reason=fault.strerror)
            job.not_before = time.monotonic() + AGAIN
            job.cause = f"Its process could not be started: {fault.strerror}"
            return
        job.started(tick)
        self._selector.register(
            worker.output, selectors.EVENT_READ, lambda: self._hear(job, worker)
        )
        if worker.tell():
            self._selector.register(
                worker.input, selectors.EVENT_WRITE, lambda: self._tell(worker)
            )

    def _tell(self, worker: Worker) -> None:
        descriptor = worker.input.fileno()
        if not worker.tell():
            self._selector.unregister(descriptor)

    def _hear(self, job: Scheduled, worker: Worker) -> None:
        if worker.hear():
            return
        self._selector.unregister(worker.output)
        if not worker.input.closed:
            self._selector.unregister(worker.input)
        job.worker = None
        result, how = worker.ended()
        if result is not None and result.taken:
            log.info(
                "run was another process's",
                job=job.name,
                tick=worker.request.tick.isoformat(),
            )
            return
        if result is None or result.summary is None:
            summary = nothing_told(
                worker.request, 1, how or "the run ended without a result"
            )
            # before it could listen, or it did not heed it
            result = Result(summary, stopped=job.asked)
        assert result.summary is not None
        self._ended(job, worker.request, result.summary, result)

    def _ended(
        self, job: Scheduled, request: RunRequest, summary: RunSummary, result: Result
    ) -> None:
        if job.late and result.stopped:
            why = f"the run took longer than max_run_time ({job.settings.max_run_time} s) and was ended"
            summary, result = (
                replace(summary, exit_code=1, fault=why, cause=why),
                replace(result, stopped=False),
            )
        self._metrics.take(summary)
        job.cause = "" if summary.good else cause(summary, result.waiting)
        if summary.good:
            job.went_well(request.tick, utc())
        if result.refused:
            job.refused = self._accounts.add(job.tried, job.mark)
            summary = replace(summary, fault=f"{summary.fault}; {job.refused}")
            log.error("runs wait for the account", job=job.name, reason=job.refused)
        elif (
            summary.exit_code in (0, 2, 4) or summary.refusals
        ):  # it has read the directory
            self._accounts.take(job.tried, job.mark)
        say = log.info if summary.ending in ("done", "busy") else log.warning
        say("run ended", job=job.name, run=summary.run, ending=summary.ending, exit_code=summary.exit_code,
            seconds=round(summary.seconds, 3), why=job.cause or None,
            waiting=str(result.waiting) if result.waiting else None)  # fmt: skip
        if summary.exit_code in REPEATED and not result.refused and not self._stopping:
            self._waits(job, utc() + timedelta(seconds=job.failed()))
        if not result.stopped:
            self._told(job.accepted.job, summary, result.waiting)

    # ------------------------------------------------------------ signals

    def _signalled(self) -> None:
        for number in os.read(self._signals, 64):
            if number == signal.SIGHUP:
                self._reread()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop(signal.Signals(number).name)

    def _stop(self, why: str) -> None:
        """The first time in good order, the second at once."""
        self._stopping += 1
        running = [job for job in self._jobs if job.worker]
        for job in running:
            job.end(at_once=self._stopping > 1)
        log.info(
            "stopping",
            why=why,
            running=[job.name for job in running],
            at_once=self._stopping > 1,
        )

    def _reread(self) -> None:
        """Read all files as they are now; a job whose files are wrong goes on with those that it had."""
        self._accounts.forget()
        for job in self._jobs:
            job.reread()

    def _take_files(
        self, job: Scheduled, reading: Question[Accepted], now: datetime
    ) -> float:
        """Take the files of a job once they are read; seconds until it is worth another look."""
        if reading.open and not reading.late:
            return reading.look
        try:
            job.take_files(now)
        except (FileError, StateError) as fault:
            log.error(
                "files invalid, the old ones stay in use",
                job=job.name,
                reason=str(fault),
            )
        else:
            log.info("files read again", job=job.name)
        return 0.0

    # ------------------------------------------------------------ asked from other threads

    def ill(self) -> list[str]:
        """Why the process does not do its work; empty: it does."""
        silent = self._clock() - self._looked
        return (
            [f"the schedule has not looked at its clock for {silent:.0f} seconds"]
            if silent > STUCK
            else []
        )

    def unready(self) -> list[str]:
        """The jobs that wait for their account or state, or whose last good run is too old, each with a sentence."""
        now = utc()
        return [
            f"{job.name}: {self._why(job)}" for job in self._jobs if not job.ready(now)
        ]

    def _why(self, job: Scheduled) -> str:
        if job.refused:
            return _REFUSED
        if job.away:
            return f"its state does not answer: {job.away}"
        return f"no run has ended well since {job.since.isoformat(timespec='seconds')}. {job.cause}".rstrip(
            ". "
        )

    def metrics(self) -> str:
        now = utc()
        for job in self._jobs:
            self._metrics.tell("ready", job.name, job.ready(now))
            self._metrics.tell("files_accepted", job.name, job.in_order)
        return self._metrics.render()


def _in_order(paths: Sequence[Path], now: datetime) -> list[Scheduled]:
    """All jobs, or FileError with the faults of all."""
    jobs: list[Scheduled] = []
    faults: list[FileError] = []
    for path in paths:
        try:
            jobs.append(Scheduled(path, now))
        except FileError as fault:
            faults.append(fault)
    raise_together(faults)
    names = [job.name for job in jobs]
    for job in jobs:
        if names.count(job.name) > 1:
            raise FileError(
                f"two jobs have the name {job.name}. Rename one", where=str(job.path)
            )
    return jobs

"""One job as `serve` keeps it: its files as they were accepted, how far its schedule has come, and its run."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.composition import accept_job
from connector.apply.job_state import read_last_tick
from connector.errors import FileError, StateError
from connector.model.mapping import Mapping
from connector.observers.run_summary import Kind, RunSummary
from connector.runtime.log import log
from connector.serve import schedule
from connector.serve.accounts import DirectoryAccount, Mark
from connector.serve.background import BackgroundCall, Wake
from connector.serve.hook import CallBook
from connector.serve.report_folder import ReportFolder
from connector.serve.run_process import RunProcess, RunRequest, describe_ending
from connector.serve.schedule import Cron, Every, NextRun, Timetable
from connector.serve.watch import JobWatch, WakeUp, Watched
from connector.settings.job import LoadedJob
from connector.settings.operations import Serve
from connector.state.notes import Tick

AGAIN: Final = 30.0
"""Seconds after which a state is asked again that could not answer."""
PATIENCE: Final = 10.0
"""Seconds after which a state that has not answered counts as away."""
PATIENCE_FOR_FILES: Final = 60.0
"""Seconds in which the files of a job have to be read again. All jobs of a process are read
at the same time."""
_REFUSED: Final = "the directory refused its account. Runs wait for a new secret, SIGHUP, or a day. See the log"


class JobFiles(Struct, frozen=True):
    """The files of a job as they were accepted, and what they say of its runs."""

    loaded: LoadedJob
    texts: dict[Path, str]
    settings: Serve
    account: DirectoryAccount
    timetable: Timetable
    mapping: Mapping

    @classmethod
    def read_files(cls, path: Path) -> Self:
        """Raises FileError where the files are wrong, or say nothing of a schedule."""
        accepted = accept_job(path)
        loaded = accepted.job
        settings = loaded.job.serve
        if settings is None:
            why = "has no `serve` section. Add one with its schedule"
            raise FileError(why, where=str(path))
        cron = Cron(settings.cron or "", settings.timezone or "UTC")
        rule = Every(settings.every) if settings.every else cron
        seed = f"{socket.gethostname()} {loaded.path}"
        timetable = Timetable(rule, settings.jitter or 0, seed)
        account = DirectoryAccount.of_job(loaded.job)
        return cls(
            loaded,
            accepted.texts,
            settings,
            account,
            timetable,
            accepted.mapping,
        )

    @property
    def state(self) -> str | None:
        return self.loaded.job.state

    @property
    def kind(self) -> Kind:
        return "apply" if self.settings.mode == "apply" else "plan"


class ScheduleProgress(Struct):
    """How far the schedule of a job has come, and what keeps it from going on."""

    good: datetime
    """Tick of the last good run; before one, since when it is waited for."""
    good_end: datetime
    """When that run ended."""
    last: datetime | None = None
    """Tick of the last run; None as long as the state has not told it."""
    wrong: datetime | None = None
    """A later tick, which was noted while a clock was wrong, and which the next run overrules."""
    failures: int = 0
    """How often the run of the last tick has failed in a way that another attempt may mend."""
    retry_at: float | None = None
    """When the run of the last tick is tried again, on the steady clock; None: it is not."""
    refused: str = ""
    """Why it waits for a change of its account; empty: it does not."""
    away: str = ""
    """Why its state does not answer; empty: it does."""
    wake_up: WakeUp | None = None
    """A run that is wanted before the next tick, and has not begun or is tried again; None: none is."""
    found: Tick | None = None
    """The last run before this process began, as the state tells it, until somebody has taken it in."""


class RunMemory(Struct):
    """What the runs of a job came to since this process began."""

    last: RunSummary | None = None
    before: Tick | None = None
    """The last run before that, as the state tells it."""
    waiting: Path | None = None
    """File of the plan that waits for somebody."""
    digest: str = ""
    """Digest of that plan."""

    def add_run(self, summary: RunSummary, waiting: Path | None) -> None:
        """Take in a run. One that failed leaves the plan of an earlier one where it is."""
        self.last = summary
        if waiting or summary.ending in ("done", "in part"):
            self.waiting = waiting
            self.digest = summary.plan.digest if waiting else ""

    @property
    def cause(self) -> str:
        """Why the last run did not end well; empty: it did."""
        if self.last is None or self.last.is_good:
            return ""
        return describe_ending(self.last, self.waiting)


class RunUnderWay(Struct, frozen=True):
    """The run of a job, and the account that it tries."""

    process: RunProcess
    account: DirectoryAccount
    mark: Mark
    """Mark of the account's files when the run began."""
    wake_up: WakeUp | None = None
    """What it was woken by; None: it is the run of a tick."""


class ScheduledJob:
    """A job and its schedule. Raises FileError where its files are wrong, or say nothing of a schedule."""

    def __init__(
        self,
        path: Path,
        now: datetime,
        wake: Wake,
    ) -> None:
        self.files = JobFiles.read_files(path)
        self.has_wrong_files = False
        self.name = self.files.loaded.name
        self.progress = ScheduleProgress(good=now, good_end=now)
        self.memory = RunMemory()
        self.run: RunUnderWay | None = None
        self.reading: BackgroundCall[JobFiles] | None = None
        self._path = path
        self._wake = wake
        self._asking: BackgroundCall[Tick | None] | None = None
        self.calls = CallBook()
        self._upcoming = schedule.UpcomingRun(self.files.timetable)
        self.watch = self._make_watch()
        """None: nothing wakes the job between its ticks, but for the hook."""

    # ------------------------------------------------------------ its files

    def reread_files(self) -> None:
        """Begin to read the files again. A disk that hangs holds up this job alone, and only for a while."""
        self.reading = BackgroundCall(
            lambda: JobFiles.read_files(self._path), PATIENCE_FOR_FILES, self._wake
        )

    def settle_files(self, now: datetime) -> None:
        """Take files that were read again, once they are.

        Where they are wrong, or cannot be read in time, the old ones stay in use.
        """
        reading = self.reading
        if reading is None or reading.is_awaited:
            return
        self.reading = None
        try:
            files = reading.take_answer()
        except StateError as fault:
            self.has_wrong_files = True
            event = "files invalid, the old ones stay in use"
            log.error(event, job=self.name, reason=str(fault))
            return
        self.has_wrong_files = False
        former, self.files = self.files, files
        self._upcoming = schedule.UpcomingRun(files.timetable)
        if self.watch is not None:
            self.watch.close()
        self.watch = self._make_watch()
        progress, rule = self.progress, files.timetable.rule
        is_new_cron = isinstance(rule, Cron) and rule != former.timetable.rule
        if progress.retry_at is not None:
            progress.retry_at = time.monotonic()
        if files.state != former.state:
            self._asking = None
            self.progress = ScheduleProgress(progress.good, progress.good_end)
        elif progress.last is not None and is_new_cron:
            # what a schedule would have named before it was one is not missed
            progress.last = max(progress.last, now)
        log.info("files read again", job=self.name)

    def _make_watch(self) -> JobWatch | None:
        seconds = self.files.settings.watch
        if seconds is None:
            return None
        watched = Watched(self.files.loaded, self.files.mapping)
        return JobWatch(watched, self.files.account, seconds, self._wake)

    @property
    def is_looking(self) -> bool:
        """Whether a look at its tenant and directory is under way."""
        return self.watch is not None and self.watch.is_looking

    # ------------------------------------------------------------ its schedule

    def find_next_run(self, now: datetime) -> NextRun | None:
        """The next run, which is due if it begins now; None as long as the state does not answer."""
        progress = self.progress
        if progress.last is None:
            self._ask_state(now)
        if progress.last is None:
            return None
        last = schedule.believe_tick(progress.last, now)
        if last < progress.last:
            progress.last, progress.wrong = last, progress.last
        progress.good = schedule.believe_tick(progress.good, now)
        progress.good_end = schedule.believe_tick(progress.good_end, now)
        following = self._upcoming.find_next_run(last, now)
        if following.begins <= now:
            return following
        wake_up = progress.wake_up
        is_woken = wake_up is not None
        if progress.retry_at is not None:
            left = timedelta(seconds=progress.retry_at - time.monotonic())
            return min(NextRun(now + left, last, is_woken), following)
        if wake_up is not None:
            return NextRun(min(wake_up.at, now), last, is_woken)
        return following

    def wake_up(self, wake_up: WakeUp) -> bool:
        """Want a run before the next tick; False where one is wanted already, which reads what has changed too."""
        progress = self.progress
        if progress.wake_up is not None or progress.retry_at is not None:
            return False
        progress.wake_up = wake_up
        return True

    @property
    def has_schedule(self) -> bool:
        """Whether the state has told how far its schedule has come, or cannot."""
        return self.progress.last is not None or bool(self.progress.away)

    def _ask_state(self, now: datetime) -> None:
        """Ask the state which run was last, and take its answer once there is one."""
        asking, job = self._asking, self.files.loaded
        if asking is None or (not asking.is_open and asking.age > AGAIN):
            asking = BackgroundCall(lambda: read_last_tick(job), PATIENCE, self._wake)
            self._asking = asking
        if asking.is_awaited:
            return
        progress = self.progress
        try:
            found = asking.take_answer()
        except StateError as fault:
            is_new = not progress.away
            # before it is told: who reads the line asks /readyz
            progress.away = str(fault)
            if is_new:
                event = "schedule waits for the state"
                log.warning(event, job=self.name, reason=str(fault))
            return
        self._asking, progress.away = None, ""
        progress.found = found
        # of a job that has never run, intervals begin at once, and cron waits
        found = found or Tick(now, ended=False, good=None)
        progress.good = progress.good_end = found.good or progress.good
        progress.last = found.tick
        if not found.ended:
            progress.last = self.files.timetable.rule.before(found.tick)

    def explain_trouble(self, now: datetime) -> str:
        """Why its runs do not go on, or the last good one is too old; empty: all is well."""
        progress, max_age = self.progress, self.files.settings.max_age
        if progress.refused:
            return _REFUSED
        if progress.away:
            return f"its state does not answer: {progress.away}"
        # before the end of a good run no other could begin
        since = progress.good_end if max_age is None else progress.good
        if not schedule.is_too_old(self.files.timetable, since, now, max_age):
            return ""
        good = since.isoformat(timespec="seconds")
        why = f"no run has ended well since {good}. {self.memory.cause}"
        return why.rstrip(". ")

    # ------------------------------------------------------------ its runs

    def start_run(
        self,
        run: NextRun,
        now: datetime,
        options: Sequence[str],
    ) -> None:
        """Start a run. If its process cannot begin, it is tried again as one that failed."""
        progress, files, tick = self.progress, self.files, run.tick
        if tick != progress.last or progress.retry_at is None:
            progress.failures = 0
        wake_up = progress.wake_up if run.is_woken else None
        progress.wake_up = None
        attempt, mode = progress.failures + 1, files.settings.mode
        say = log.bind(job=self.name)
        if wake_up is None:
            say.info("run started", tick=tick.isoformat(), mode=mode, attempt=attempt)
        else:
            cause = wake_up.cause
            say.info("run started", woken_by=cause, mode=mode, attempt=attempt)
        progress.last, progress.retry_at = tick, None
        mark = files.account.read_mark()
        believed = now + schedule.BELIEVED
        if progress.wrong is not None and progress.wrong >= tick:
            # it is overruled, however near it may have come meanwhile
            believed = min(believed, progress.wrong - schedule.MOMENT)
        path = files.loaded.path.absolute()
        plans = files.settings.plans or (files.loaded.state_path or path).parent
        reports = files.settings.reports
        request = RunRequest(
            path,
            files.texts,
            tick,
            believed,
            files.kind,
            plans,
            ReportFolder(reports.folder, reports.keep) if reports else None,
        )
        if wake_up is not None:
            run_id = wake_up.run_id if attempt == 1 else ""
            request = replace(request, woken_by=wake_up.cause, run_id=run_id)
        seconds = files.settings.max_run_time
        try:
            process = RunProcess(request, options, seconds, self._wake)
        except OSError as fault:
            say.error("run could not be started", reason=fault.strerror)
            progress.wake_up = wake_up
            why = f"its process could not be started: {fault.strerror}"
            self.memory.add_run(request.summarize_failure(1, why), None)
            self.schedule_retry()
        else:
            self.run = RunUnderWay(process, files.account, mark, wake_up)

    def schedule_retry(self) -> None:
        """Note that the run has failed in a way that another attempt may mend."""
        progress = self.progress
        progress.failures += 1
        seconds = schedule.draw_pause(progress.failures, random.random())  # noqa: S311  # a pause, not a secret
        progress.retry_at = time.monotonic() + seconds

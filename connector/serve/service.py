"""The loop of `serve`: starts what is due, one run of a job at a time, and listens to signals and to its runs.

Jobs of one state run one after the other, because they may share a directory and its lease;
those of different states run side by side, once their directory has taken the account.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from connector.errors import FileError
from connector.observers.metrics import RunMetrics
from connector.observers.run_summary import RunSummary
from connector.runtime.clock import read_clock
from connector.runtime.log import log
from connector.serve.accounts import AccountBook
from connector.serve.hook import BUSY, NOT_FOUND, WAITS, HookAnswer, accept_call
from connector.serve.report_folder import keep_report
from connector.serve.report_pages import ReportedRun
from connector.serve.run_process import REPEATED, log_run_end
from connector.serve.schedule import NextRun
from connector.serve.scheduled_job import RunUnderWay, ScheduledJob
from connector.serve.status_page import (
    JobPanel,
    describe_time,
    list_run_facts,
    render_status,
)
from connector.serve.watch import CAUSES, Cause, WakeUp
from connector.settings.job import LoadedJob
from connector.settings.textfile import raise_together
from connector.state.notes import Tick

LOOK: Final = 1.0
"""Seconds between two looks while a run is under way, or a job waits for its account, files or state."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which the clock is looked at again at the latest: it may have been set."""
STUCK: Final = 120.0
"""Seconds without a look at the clock after which the process is ill."""
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

TellNotice = Callable[[LoadedJob, RunSummary, Path | None], None]
"""Is told of every run that has ended, with the file of its plan if that waits."""


class Service:
    """Jobs on their schedules. Raises FileError with what is wrong in the files of any."""

    def __init__(
        self,
        paths: Sequence[Path],
        options: Sequence[str],
        tell: TellNotice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`options`: the program's, for the log of each run. `clock`: seconds, steady."""
        self._wakeups = SimpleQueue[int]()
        """What ends a wait: the numbers of signals, and 0 from threads that have ended."""
        self._jobs = _load_jobs(paths, lambda: self._wakeups.put(0))
        self._options = options
        self._tell = tell
        self._metrics = RunMetrics()
        for job in self._jobs:
            self._metrics.expect_job(job.name, job.files.kind)
            self._metrics.expect_wake_ups(job.name, CAUSES)
        self._clock = clock
        self._accounts = AccountBook(clock)
        self._calls_lock = threading.Lock()
        self._looked = clock()
        self._announced: dict[str, datetime] = {}
        self._stops = 0
        self._has_told_first = False

    def take_signals(self) -> None:
        """Let signals end a wait from now on; in the main thread.

        One that comes just before a wait begins is heard at its end, which LONGEST_WAIT bounds.
        """
        for number in (*_STOPS, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._wakeups.put(number))

    def run_loop(self) -> None:
        """Run what is due until told to stop, and then until what runs has come to its end."""
        while True:
            self._looked = self._clock()
            wait = self._look_at_jobs(read_clock())
            if self._stops and not self._runs_under_way():
                return
            try:
                number = self._wakeups.get(timeout=wait)
            except Empty:
                continue
            if number in _STOPS:
                self._stop_runs(signal.Signals(number).name)
            elif number == signal.SIGHUP:
                # files as they are now; where they are wrong, the old ones stay in use
                self._accounts.forget_all()
                for job in self._jobs:
                    job.reread_files()

    def _look_at_jobs(self, now: datetime) -> float:
        """Take in what has ended, and start what is due; seconds until the next look."""
        for job in self._jobs:
            if job.run is not None and job.run.process.has_ended:
                self._take_end(job, job.run)
        # only now is it known which accounts were refused
        due: list[tuple[NextRun, ScheduledJob]] = []
        begins: list[tuple[datetime, str]] = []
        wait = LONGEST_WAIT
        for job in self._jobs:
            job.settle_files(now)
            self._take_look(job)
            following = self._find_next_run(job, now)
            self._take_found(job)
            if following is not None:
                begins.append((following.begins, job.name))
            if following is None:
                wait = min(wait, LOOK)
            elif following.begins <= now:
                due.append((following, job))
            else:
                wait = min(wait, (following.begins - now).total_seconds())
                wait = min(wait, self._look_at_change(job))
                if job.progress.retry_at is None:
                    self._announce_run(job, following.begins)
        self._tell_first(begins)
        self._start_runs(due, now)
        return wait

    # ------------------------------------------------------------ begins

    def _find_next_run(self, job: ScheduledJob, now: datetime) -> NextRun | None:
        """The next run of a job; None as long as it waits for something else than a time."""
        if job.run is not None:
            job.run.process.keep_to_limit()
            return None
        progress = job.progress
        progress.refused = self._accounts.explain_waiting(job.files.account)
        if self._stops or job.reading is not None or progress.refused:
            return None
        return job.find_next_run(now)

    def _start_runs(
        self, due: list[tuple[NextRun, ScheduledJob]], now: datetime
    ) -> None:
        """Start the runs that need not wait for others: the earliest tick first, then by name."""
        ahead = [(job.files.state, job.run.account) for job in self._jobs if job.run]
        due.sort(key=lambda each: (each[0].wanted_since, each[1].name))
        for run, job in due:
            state, account = job.files.state, job.files.account
            has_to_wait = any(
                state == other_state
                or self._accounts.exclude_each_other(account, other_account)
                for other_state, other_account in ahead
            )
            if not has_to_wait:
                job.start_run(run, now, self._options)
            # also if it waits: later ones would keep it waiting
            ahead.append((state, account))

    def _tell_first(self, begins: Sequence[tuple[datetime, str]]) -> None:
        """Say which job runs first, once: as soon as each has its time, or cannot have one."""
        unknown = [job for job in self._jobs if not job.has_schedule]
        if self._has_told_first or unknown or not begins:
            return
        self._has_told_first = True
        at, name = min(begins)
        log.info(
            "schedule read",
            jobs=len(self._jobs),
            next=name,
            at=at.isoformat(timespec="seconds"),
        )

    def _announce_run(self, job: ScheduledJob, at: datetime) -> None:
        """Say once when the next run is."""
        name = job.name
        if self._announced.get(name) == at:
            return
        self._announced[name] = at
        self._metrics.set_gauge(
            "next_run_timestamp_seconds",
            name,
            at.timestamp(),
        )
        log.info(
            "next run",
            job=name,
            at=at.isoformat(timespec="seconds"),
        )

    def _take_found(self, job: ScheduledJob) -> None:
        """Let the metrics go on from what the state tells of runs before this process."""
        found, job.progress.found = job.progress.found, None
        if found is None:
            return
        job.memory.before = found
        if found.good is not None:
            good = found.good.timestamp()
            self._metrics.set_gauge("last_success_timestamp_seconds", job.name, good)
        if found.ended and found.good != found.tick:
            self._metrics.set_failing_since(job.name, found.tick.timestamp())

    # ------------------------------------------------------------ wake-ups

    def _look_at_change(self, job: ScheduledJob) -> float:
        """Begin a look whether anything has moved, if it is time; seconds until the next may begin."""
        watch = job.watch
        if watch is None or watch.is_looking:
            return LONGEST_WAIT
        if watch.seconds_left:
            return watch.seconds_left
        account = job.files.account
        tried = [each.run.account for each in self._jobs if each.run]
        tried += [each.files.account for each in self._jobs if each.is_looking]
        if any(self._accounts.exclude_each_other(account, other) for other in tried):
            return LOOK
        watch.begin_look()
        return LONGEST_WAIT

    def _take_look(self, job: ScheduledJob) -> None:
        """Take in what a look came to: a run that it wakes, or its account."""
        look = job.watch.take_look(self._accounts) if job.watch else None
        if job.watch is None or look is None:
            return
        if look.is_refused:
            refused = self._accounts.explain_waiting(job.files.account)
            event = "runs wait for the account"
            log.error(event, job=job.name, reason=refused)
        self._metrics.set_gauge("watch_failing", job.name, bool(look.faults))
        if look.cause is not None:
            self._wake_job(job, look.cause, job.watch.changed_after)

    def _wake_job(
        self, job: ScheduledJob, cause: Cause, changed_after: datetime
    ) -> str | None:
        """Want a run of the job now; its id, or None where one is wanted already."""
        wake_up = WakeUp(cause, read_clock(), changed_after, str(uuid4()))
        if not job.wake_up(wake_up):
            return None
        self._metrics.count_wake_up(job.name, cause)
        return wake_up.run_id

    def request_run(self, name: str, token: str) -> HookAnswer:
        """Start a run of a job for whoever has its token; called in other threads."""
        job = next((each for each in self._jobs if each.name == name), None)
        hook = job.files.settings.hook if job else None
        if job is None or hook is None:
            return NOT_FOUND
        with self._calls_lock:
            refused = job.calls.refuse_call(job.files.loaded, hook, token)
            if refused is not None:
                return refused
            if self._stops or job.progress.refused or job.progress.away:
                return WAITS
            run_id = None
            if job.run is None:
                run_id = self._wake_job(job, "hook", read_clock())
            if run_id is None:
                return BUSY
            job.calls.note_accepted()
        log.info("hook called", job=name, run=run_id)
        self._wakeups.put(0)
        return accept_call(run_id)

    # ------------------------------------------------------------ ends

    def _take_end(self, job: ScheduledJob, run: RunUnderWay) -> None:
        """Take in what a run came to: its account, the job's next attempt, and who is told."""
        job.run = None
        progress, tick = job.progress, run.process.request.tick
        result = run.process.judge_result()
        summary, waiting = result.summary, result.waiting
        failing_since = self._metrics.read_failing_since(job.name)
        if summary is None:
            if result.good:
                self._metrics.set_failing_since(job.name, 0)
            log.info(
                "run was another process's",
                job=job.name,
                tick=tick.isoformat(),
            )
            progress.wrong = None
            return
        self._metrics.add_run(summary)
        job.memory.add_run(summary, waiting)
        recovered_after = 0.0
        if summary.is_good:
            began = run.wake_up.at if run.wake_up else tick
            progress.good = max(progress.good, began)
            progress.good_end = read_clock()
            if failing_since:
                recovered_after = progress.good_end.timestamp() - failing_since
        refused = self._accounts.note_run(run.account, run.mark, result)
        is_repeated = summary.exit_code in REPEATED and not refused
        self._settle_attempt(job, run, is_repeated=is_repeated and not self._stops)
        now = read_clock()
        following = self._find_next_run(job, now)
        log_run_end(
            job.files.loaded,
            result,
            account=refused,
            recovered_after=round(recovered_after, 1),
            next=following and following.begins.isoformat(timespec="seconds"),
        )
        if following is not None and following.begins > now:
            self._announce_run(job, following.begins)
        reports = run.process.request.reports
        if result.is_lost and not result.stopped and reports is not None:
            # in a thread: a disk that hangs holds nobody up
            kept = (reports, ReportedRun.of_summary(summary))
            threading.Thread(target=keep_report, args=kept, daemon=True).start()
        if refused:
            summary = replace(summary, fault=f"{summary.fault}; {refused}")
        if not result.stopped:
            self._tell(job.files.loaded, summary, waiting)

    def _settle_attempt(
        self, job: ScheduledJob, run: RunUnderWay, *, is_repeated: bool
    ) -> None:
        """Let a run be tried again that another attempt may mend; else its tick or wake-up is over."""
        if is_repeated:
            job.schedule_retry()
            # it reads whatever has changed meanwhile
            job.progress.wake_up = run.wake_up
            return
        job.progress.wrong = None
        if run.wake_up is not None:
            took = read_clock() - run.wake_up.changed_after
            seconds = took.total_seconds()
            self._metrics.set_gauge("last_change_seconds", job.name, seconds)

    # ------------------------------------------------------------ signals

    def _stop_runs(self, why: str) -> None:
        """Begin no more runs, and ask those under way to end; the second time end them at once."""
        self._stops += 1
        at_once = self._stops > 1
        runs = self._runs_under_way()
        for run in runs.values():
            run.process.ask_to_end(at_once=at_once)
        log.info(
            "stopping",
            why=why,
            running=list(runs),
            at_once=at_once,
        )

    def _runs_under_way(self) -> dict[str, RunUnderWay]:
        """The runs under way, by the names of their jobs."""
        return {job.name: job.run for job in self._jobs if job.run is not None}

    # ------------------------------------------------------------ asked from other threads

    def ill(self) -> list[str]:
        """Why the process does not do its work; empty: it does."""
        silent = self._clock() - self._looked
        if silent <= STUCK:
            return []
        return [f"the schedule has not looked at its clock for {silent:.0f} seconds"]

    def unready(self) -> list[str]:
        """The jobs that wait for their account or state, or whose last good run is too old, each with a sentence."""
        now = read_clock()
        troubles = []
        for job in self._jobs:
            why = job.explain_trouble(now)
            if why:
                troubles.append(f"{job.name}: {why}")
        return troubles

    def status_page(self) -> str:
        now = read_clock()
        jobs = [self._describe_job(job, now) for job in self._jobs]
        return render_status(jobs, self.ill(), now)

    def _describe_job(self, job: ScheduledJob, now: datetime) -> JobPanel:
        memory, trouble = job.memory, job.explain_trouble(now)
        failing_since = describe_time(self._metrics.read_failing_since(job.name))
        if trouble:
            verdict = f"Not ready: {trouble}"
        elif failing_since:
            verdict = "The last run did not end well"
        elif memory.waiting:
            verdict = "A plan waits for review"
        else:
            verdict = "In order"
        announced = self._announced.get(job.name)
        facts = {"Failing since": failing_since}
        if job.has_wrong_files:
            facts["Files"] = "invalid, the old ones stay in use. See the log"
        if memory.last is not None:
            facts |= list_run_facts(memory.last)
        elif memory.before is not None:
            facts["Last tick"] = _describe_earlier_run(memory.before, job.name)
        if memory.waiting is not None:
            facts["Plan that waits"] = f"{memory.digest} in {memory.waiting}"
        if job.run is not None:
            facts["Next run"] = "under way"
        else:
            facts["Next run"] = describe_time(announced)
        is_bad = bool(trouble or failing_since or job.has_wrong_files)
        reports = job.files.settings.reports
        url = reports.url if reports else None
        return JobPanel(job.name, verdict, is_bad, facts, url)

    def metrics(self) -> str:
        now = read_clock()
        for job in self._jobs:
            is_ready = not job.explain_trouble(now)
            self._metrics.set_gauge("ready", job.name, is_ready)
            in_order = not job.has_wrong_files
            self._metrics.set_gauge("files_accepted", job.name, in_order)
        return self._metrics.render_text()


def _load_jobs(paths: Sequence[Path], wake: Callable[[], None]) -> list[ScheduledJob]:
    """All jobs. Raises FileError with the faults of all."""
    now = read_clock()
    jobs: dict[str, ScheduledJob] = {}
    faults: list[FileError] = []
    for path in paths:
        try:
            job = ScheduledJob(path, now, wake)
        except FileError as fault:
            faults.append(fault)
            continue
        if job.name in jobs:
            why = f"two jobs have the name {job.name}. Rename one"
            faults.append(FileError(why, where=str(path)))
        jobs[job.name] = job
    raise_together(faults)
    return list(jobs.values())


def _describe_earlier_run(run: Tick, job: str) -> str:
    """A run before this process began, of which only its tick is known."""
    how = "ended well" if run.good == run.tick else "did not end well"
    if not run.ended:
        how = "was interrupted"
    began = describe_time(run.tick)
    return f"{began}, {how}; before a restart. See `cec-connector runs` of {job}"

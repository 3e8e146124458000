"""A worker: it takes workflows and steps from Temporal until it is told to stop, and lets what runs end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.workflow import NondeterminismError

from connector.errors import StateError
from connector.fleet.activities import Activities
from connector.fleet.client import require_answer
from connector.fleet.jobs import open_limits, path_of, read_names
from connector.fleet.limits import BrakeAlarm, FleetStatus
from connector.fleet.schedules import list_next_runs
from connector.fleet.values import BAD_STATES, STATES, JobStatus, aside_queue
from connector.fleet.watching import FleetWatch
from connector.fleet.workflows import Job, Tick
from connector.observers.metrics import FleetMetrics, RunMetrics
from connector.observers.notices import SCHEMA, Notice
from connector.observers.notify import deliver_notice, list_targets
from connector.observers.run_summary import RunSummary
from connector.reports.visible import make_visible
from connector.runtime.clock import read_clock
from connector.runtime.log import log
from connector.serve.notification_queue import NotificationQueue
from connector.serve.run_process import RunResult
from connector.serve.status_page import JobPanel, describe_time, render_status
from connector.settings.fleet import LoadedFleet
from connector.settings.job import LoadedJob

_LOOK: Final = 15.0
"""Seconds between two looks at Temporal and at how all jobs stand."""
_SILENCE: Final = 120.0
"""Seconds without an answer of Temporal after which a worker is not ready."""
_ASIDE_AT_ONCE: Final = 1000
"""So many steps can wait at a time by way of one worker."""
_HEARD_WITHIN: Final = timedelta(seconds=10)
"""A step that waits hears within so long that its run was ended."""
_ATTEMPTS: Final = 5
"""Attempts to tell people that applies stop."""
_NAMED: Final = 20
"""So many jobs are named to them at most."""


class FleetWorker:
    """One worker of a fleet."""

    def __init__(
        self,
        client: Client,
        fleet: LoadedFleet,
        folder: Path,
        options: Sequence[str],
        *,
        at_once: int,
        finish: float,
    ) -> None:
        """`at_once`: so many steps at a time. `finish`: seconds that runs have at its end.

        Raises FileError where the fleet has no database for its limits.
        """
        self._client = client
        self._fleet = fleet
        self._folder = folder
        self._at_once = at_once
        self._finish = finish
        self._metrics = RunMetrics()
        self._fleet_metrics = FleetMetrics(self._metrics.registry)
        self._lock = threading.Lock()
        self._notices = NotificationQueue()
        self._limits = open_limits(fleet, folder)
        self._watch = FleetWatch(client, fleet, folder, self._limits, self._metrics)
        self._activities = Activities(folder, options, self._limits, self._note_run)
        self._answered = time.monotonic()
        self._names: list[str] = []
        """Jobs of the folder when it began to look."""
        self._status: FleetStatus | None = None
        self._next_runs: dict[str, datetime] = {}
        """By job, as the engine has scheduled it."""

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT. A second one ends runs under way, each in good order."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(
                number, self._take_signal, number, stop
            )
        with self._notices:
            places = asyncio.create_task(self._activities.places.keep_all())
            places.add_done_callback(lambda _: stop.set())
            async with (
                self._aside_worker(),
                self._step_worker(),
            ):  # the latter stops first
                looks = [
                    asyncio.create_task(self._watch_engine()),
                    asyncio.create_task(self._watch_limits()),
                    asyncio.create_task(self._watch.watch_jobs()),
                ]
                for look in looks:
                    look.add_done_callback(lambda _: stop.set())
                await stop.wait()
                for look in looks:
                    look.cancel()
                ends = await asyncio.gather(*looks, return_exceptions=True)
            places.cancel()
            with suppress(asyncio.CancelledError):
                await places
        for end in ends:  # one that failed has ended the worker
            if isinstance(end, Exception):
                raise end

    def _step_worker(self) -> Worker:
        return Worker(
            self._client,
            task_queue=self._fleet.settings.task_queue,
            workflows=[Job, Tick],
            activities=[self._activities.run_step],
            # else a run that cannot be repeated would stand still until somebody ends it
            workflow_failure_exception_types=[NondeterminismError],
            max_concurrent_activities=self._at_once,
            graceful_shutdown_timeout=timedelta(seconds=self._finish),
        )

    def _aside_worker(self) -> Worker:
        """What waits, or takes a moment, and must not wait behind steps."""
        does = self._activities
        return Worker(
            self._client,
            task_queue=aside_queue(self._fleet.settings.task_queue),
            activities=[does.admit_step, does.withdraw_plan, does.note_job],
            max_concurrent_activities=_ASIDE_AT_ONCE,
            max_heartbeat_throttle_interval=_HEARD_WITHIN,
            graceful_shutdown_timeout=timedelta(seconds=10),
        )

    def _take_signal(self, number: int, stop: asyncio.Event) -> None:
        running = sorted(self._activities.running.values())
        log.info("stopping", why=signal.Signals(number).name, running=running)
        if stop.is_set():
            self._activities.hand_over()
        stop.set()

    def _note_run(self, job: LoadedJob, summary: RunSummary, result: RunResult) -> None:
        with self._lock:
            self._metrics.add_run(summary)
        if not result.stopped:
            self._notices.notify_of_run(job, summary, None)

    # ------------------------------------------------------------ the fleet as a whole

    async def _watch_engine(self) -> None:
        """See that Temporal answers."""
        while True:
            try:
                await require_answer(self._client)
                self._answered = time.monotonic()
                self._next_runs = await list_next_runs(self._client)
            except (RPCError, TimeoutError) as fault:
                log.warning("engine does not answer", reason=type(fault).__name__)
            await asyncio.sleep(_LOOK)

    async def _watch_limits(self) -> None:
        """Look how all jobs stand, and whether people are to be told of the brake."""
        has_set_limits = False
        while True:
            try:
                if not has_set_limits:
                    await asyncio.to_thread(self._limits.set_limits)
                    self._names = await asyncio.to_thread(
                        read_names, self._folder, self._fleet.path
                    )
                    has_set_limits = True
                self._measure_fleet(await asyncio.to_thread(self._limits.read_status))
                await asyncio.to_thread(self._raise_alarm)
            except StateError as fault:
                log.warning("limits do not answer", reason=str(fault))
            await asyncio.sleep(_LOOK)

    def _measure_fleet(self, status: FleetStatus) -> None:
        """Jobs whose files are gone do not count."""
        self._status = status
        known = [job for job in status.jobs.values() if self._has_file(job.job)]
        counts = Counter(each.state for each in known)
        with self._lock:
            for each in known:
                since = each.since if each.state in BAD_STATES else 0
                self._metrics.set_failing_since(each.job, since)
                self._watch.note_end(each.job, each.ended)
            self._fleet_metrics.set_all(
                {state: counts[state] for state in STATES},
                stopped=bool(status.braked),
                waiting=status.waiting,
                under_way=len(status.under_way),
            )

    def _has_file(self, job: str) -> bool:
        return path_of(self._folder, job).exists()

    def _raise_alarm(self) -> None:
        """Tell whom the fleet's file names that applies stop, if no worker has. Its faults are logged."""
        alarm = self._limits.take_alarm()
        if alarm is None:
            return
        log.error("applies stop", ran=alarm.ran, turned_bad=alarm.turned_bad)
        notice = make_notice(alarm)
        for target in list_targets(self._fleet):
            deliver_notice(self._fleet, target, notice, _ATTEMPTS)
        self._limits.end_alarm(alarm)

    # ------------------------------------------------------------ asked from other threads

    def ill(self) -> list[str]:
        """Nothing of its own can hold it up: Temporal has the timetable."""
        return []

    def unready(self) -> list[str]:
        """Why it takes no work."""
        silence = time.monotonic() - self._answered
        if silence <= _SILENCE:
            return []
        return [f"the engine has not answered for {silence:.0f} seconds"]

    def status_page(self) -> str:
        """How the jobs of the folder stand, the worst first, as all workers know it."""
        status, notes = self._status, self.unready()
        if status is None:
            notes.append("how the jobs stand is not known yet")
            return render_status([], notes, read_clock())
        if status.braked:
            since = describe_time(status.braked)
            notes.append(f"applies have stopped since {since}: see `fleet status`")
        known = [job for job in status.jobs.values() if self._has_file(job.job)]
        known.sort(key=lambda each: (STATES.index(each.state), each.job))
        jobs = []
        for each in known:
            next_run = describe_time(self._next_runs.get(each.job))
            if each.job in status.under_way:
                next_run = "under way"
            jobs.append(_describe_job(each, next_run))
        jobs += [
            JobPanel(
                name,
                "Not run yet",
                facts={"Next run": describe_time(self._next_runs.get(name))},
            )
            for name in self._names
            if name not in status.jobs and self._has_file(name)
        ]
        return render_status(jobs, notes, read_clock())

    def metrics(self) -> str:
        """As `serve`'s, for the jobs that this worker ran, and the numbers of the whole fleet."""
        with self._lock:
            return self._metrics.render_text()


def _describe_job(standing: JobStatus, next_run: str) -> JobPanel:
    waits = standing.state == "waiting for approval"
    facts = {
        "Since": describe_time(standing.since),
        "Last run": f"{describe_time(standing.ended)} (exit code {standing.code})",
        "Last good run": describe_time(standing.last_good),
        "Changes": f"{standing.changes:,}" if standing.changes else "",
        "Plan that waits": standing.digest if waits else "",
        "Next run": next_run,
    }
    is_bad = standing.state in BAD_STATES
    return JobPanel(standing.job, standing.state.capitalize(), is_bad, facts)


def make_notice(alarm: BrakeAlarm) -> Notice:
    """What people are told where applies stop."""
    bad, ran = alarm.turned_bad, alarm.ran
    share = f"{len(bad):,} of {ran:,} jobs"
    subject = (
        f"cec-connector: the applies of the fleet have stopped: {share} turned bad"
    )
    names = [f"    {make_visible(name)}" for name in bad[:_NAMED]]
    lines = [
        f"Within the last hour, {share} failed, were refused, or wrote in part:",
        *names,
        "These are the first ones." if len(bad) > _NAMED else "",
        "No apply begins until somebody says so. Find the cause, then run:",
        "    cec-connector fleet resume FOLDER",
    ]
    text = "\n".join(filter(None, lines))
    body = {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "occasions": ["failed"],
        "jobs": bad,
        "ran": ran,
        "digest": "",
        "fault": subject,
        "ending": "failed",
        "text": text,
    }
    return Notice(token_hex(16), ("failed",), subject, text, body)

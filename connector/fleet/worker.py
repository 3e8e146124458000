"""A worker: it takes workflows and steps from the engine until it is told to stop, and lets what runs end."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.workflow import NondeterminismError

from connector.fleet.activities import Activities
from connector.fleet.alarm import alarm
from connector.fleet.keeper import Fleet
from connector.fleet.retelling import retold
from connector.fleet.values import FLEET, STATES, Brake, FleetState, Limits, aside
from connector.fleet.workflows import Job, Tick
from connector.observers.metrics import FleetMetrics, Metrics
from connector.observers.run_summary import RunSummary
from connector.runtime.log import log
from connector.serve.notification_queue import NotificationQueue
from connector.serve.worker_protocol import Result
from connector.settings.fleet import FleetFile, LoadedFleet
from connector.settings.job import LoadedJob

_KEEP: Final = 15.0
"""Seconds between two looks at the workflow that keeps the limits."""
_SILENT_LOOKS: Final = 3
"""Looks in a row without an answer of the workflow of the limits, while the engine has it
open; then it is ended."""
SILENT: Final = 120.0
"""Seconds without an answer of the engine after which a worker is not ready."""


def limits_of(fleet: FleetFile) -> Limits:
    """The limits that a fleet's file sets."""
    limits = fleet.limits
    brake = Brake(limits.brake.share / 100, limits.brake.least, limits.brake.window)
    return Limits(limits.applies, limits.per_server, limits.source_rate, brake)


class FleetWorker:
    """One worker of a fleet. `at_once`: so many steps at a time.

    `finish`: seconds that runs under way have when it is told to stop, before they are handed over.
    """

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
        self._client = client
        self._task_queue = fleet.settings.task_queue
        self._limits = limits_of(fleet.settings)
        self._at_once = at_once
        self._finish = finish
        self._metrics = Metrics()
        self._fleet_metrics = FleetMetrics(self._metrics.registry)
        self._lock = threading.Lock()
        self._notices = NotificationQueue()
        self._activities = Activities(
            folder, options, told=self._told, alarm=partial(alarm, fleet)
        )
        self._answered = time.monotonic()
        self._stopping = False

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT. A second one ends runs under way, each in good order."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(
                number, self._signalled, number, stop
            )
        with self._notices:
            async with self._aside(), self._worker():  # the latter stops first
                keeper = asyncio.create_task(self._keep())
                await stop.wait()
                keeper.cancel()

    def _worker(self) -> Worker:
        does = self._activities
        return Worker(
            self._client,
            task_queue=self._task_queue,
            workflows=[Job, Tick, Fleet],
            activities=[
                does.step,
                does.look,
                does.withdraw,
            ],  # the last two: of runs that an earlier version began
            workflow_failure_exception_types=[
                NondeterminismError
            ],  # else it would stand still until somebody ends it
            max_concurrent_activities=self._at_once,
            graceful_shutdown_timeout=timedelta(seconds=self._finish),
        )

    def _aside(self) -> Worker:
        """What takes a moment, and must not wait behind steps."""
        does = self._activities
        return Worker(
            self._client,
            task_queue=aside(self._task_queue),
            activities=[does.look, does.withdraw, does.alarm],
        )

    def _signalled(self, number: int, stop: asyncio.Event) -> None:
        log.info(
            "stopping",
            why=signal.Signals(number).name,
            running=sorted(self._activities.running.values()),
        )
        if self._stopping:
            self._activities.hand_over()
        self._stopping = True
        stop.set()

    def _told(self, job: LoadedJob, summary: RunSummary, result: Result) -> None:
        with self._lock:
            self._metrics.take(summary)
        if not result.stopped:
            self._notices.told(job, summary, None)

    async def _keep(self) -> None:
        """See to it that the limits are kept, and look at how all jobs stand."""
        told = False
        # the run that was asked, and how often in a row it did not answer
        last, in_vain = "", 0
        while True:
            run = ""
            try:
                handle = await self._begun()
                run = handle.run_id or ""
                known = await handle.query(Fleet.known)
                in_vain = 0
                if not told and known.limits != self._limits:
                    await handle.signal(Fleet.configure, self._limits)
                told = True
                self._answered = time.monotonic()
                self._measure(known)
            except Exception as fault:  # noqa: BLE001  # nobody waits for this task: if one kind of fault ended it, no worker would keep the limits any more
                log.warning(
                    f"{'limits do' if run else 'engine does'} not answer",
                    reason=type(fault).__name__,
                )
                in_vain = in_vain + 1 if run == last else 1
            if run and in_vain >= _SILENT_LOOKS:
                await self._end_limits(run)
            last = run
            await asyncio.sleep(_KEEP)

    async def _begun(self) -> WorkflowHandle[Fleet, None]:
        """The open workflow of the limits. Where the last one has ended, another begins with what it knew."""
        handle = self._client.get_workflow_handle_for(Fleet.run, FLEET)
        found = await self._latest(handle)
        if found is None or found.status is not WorkflowExecutionStatus.RUNNING:
            known = (
                FleetState(self._limits)
                if found is None
                else await self._known(found.run_id)
            )
            latest = await self._latest(handle)
            if (latest and latest.run_id) == (
                found and found.run_id
            ):  # else somebody else has begun one
                with suppress(WorkflowAlreadyStartedError):
                    await self._client.start_workflow(
                        Fleet.run, known, id=FLEET, task_queue=self._task_queue
                    )
            found = await handle.describe()
        return self._client.get_workflow_handle_for(
            Fleet.run, FLEET, run_id=found.run_id
        )

    async def _latest(
        self, handle: WorkflowHandle[Fleet, None]
    ) -> WorkflowExecutionDescription | None:
        """The last run of the workflow of the limits, if there is one."""
        try:
            return await handle.describe()
        except RPCError as fault:
            if fault.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def _known(self, run: str) -> FleetState:
        """What a run of the workflow of the limits knew that has ended."""
        log.warning("limits begin anew", reason="their workflow has ended")
        ended = self._client.get_workflow_handle(FLEET, run_id=run)
        return retold([event async for event in ended.fetch_history_events()])

    async def _end_limits(self, run: str) -> None:
        """End a run of the workflow of the limits that stands still. Another begins with all that it knew.

        A worker that is very late can leave a history that no other comes to, for the SDK
        is not always exact there. Such a workflow fails, if it has a task at all, and if
        the SDK gets as far as that.
        """
        why = f"their workflow has not answered {_SILENT_LOOKS} times in a row"
        log.warning("limits stand still", reason=why)
        with suppress(RPCError):
            await self._client.get_workflow_handle(FLEET, run_id=run).terminate(
                reason=f"cec-connector: {why}"
            )

    def _measure(self, known: FleetState) -> None:
        counts = Counter(each.state for each in known.jobs.values())
        with self._lock:
            self._fleet_metrics.tell(
                {state: counts[state] for state in STATES},
                stopped=bool(known.braked), waiting=len(known.asked), under_way=len(known.held),
            )  # fmt: skip

    # ------------------------------------------------------------ asked from other threads

    def ill(self) -> list[str]:
        """Nothing of its own can hold it up: the engine has the timetable."""
        return []

    def unready(self) -> list[str]:
        """Why it takes no work."""
        silent = time.monotonic() - self._answered
        return (
            [f"the engine has not answered for {silent:.0f} seconds"]
            if silent > SILENT
            else []
        )

    def metrics(self) -> str:
        """As `serve`'s, for the jobs that this worker ran, and the numbers of the whole fleet."""
        with self._lock:
            return self._metrics.render()

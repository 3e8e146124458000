"""The activities: what workflows need of the world. A step is a run in a process of its own, as `serve` makes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from connector.errors import FileError
from connector.fleet import process, requests
from connector.fleet.jobs import path_of
from connector.fleet.values import About, StepRequest, StepResult
from connector.observers.run_summary import RunSummary
from connector.run.composition import Accepted, accept
from connector.run.waiting import require_shared, withdraw
from connector.runtime.log import log
from connector.serve.accounts import Account, Accounts
from connector.serve.worker_protocol import Result
from connector.settings.job import LoadedJob

_FILE: Final = 78
Told = Callable[[LoadedJob, RunSummary, Result], None]
"""Is told of every run that has ended here."""


class Activities:
    """What one worker does, for the jobs in a folder.

    `options` are those of the program, for the log of each run. `alarm` tells somebody that applies stop: of how many
    jobs that ran, which turned bad. `running`: what runs here.
    """

    def __init__(
        self,
        folder: Path,
        options: Sequence[str],
        *,
        told: Told,
        alarm: Callable[[int, list[str]], None],
    ) -> None:
        self._folder = folder
        self._options = options
        self._tell = told
        self._alarm = alarm
        self._accounts = Accounts(by="fleet worker")
        self.running: dict[asyncio.Task[object], str] = {}

    def hand_over(self) -> None:
        """Let what runs end now, in good order; its rest is for another worker."""
        for task in self.running:
            task.cancel()

    @activity.defn(name="look")
    async def look(self, job: str) -> About:
        """What a workflow has to know of a job's files as they are now."""
        accepted = await self._accepted(job)
        return requests.about(accepted.job) if accepted is not None else About(_FILE)

    @activity.defn(name="step")
    async def step(self, request: StepRequest) -> StepResult:
        """One step. Raises ApplicationError where it could not even begin."""
        try:
            return await self._step(request)
        except Exception as fault:  # noqa: BLE001  # Temporal repeats whatever is raised; as a fault that ends the run it is told once, by its kind
            log.error(
                "run could not be made", job=request.job, fault=type(fault).__name__
            )
            raise ApplicationError(
                type(fault).__name__, type="unexpected", non_retryable=True
            ) from None

    async def _step(self, request: StepRequest) -> StepResult:
        accepted = await self._accepted(request.job)
        if accepted is None:
            return StepResult(_FILE)
        job, about = accepted.job, requests.about(accepted.job)
        if request.step == "apply" and not request.approved and not about.apply:
            return StepResult(0, unasked=True)  # it is a dry-run job by now
        account = Account.of(job.job)
        if why := self._accounts.why(account):
            log.error("run waits for the account", job=job.name, reason=why)
            return StepResult(1, final=True, denied=True)
        mark, began = account.mark(), time.monotonic()
        log.info(
            "run started",
            job=job.name,
            step=request.step,
            tick=request.tick,
            attempt=activity.info().attempt,
        )
        task = asyncio.current_task()
        assert task is not None
        self.running[task] = f"{request.step} {job.name}"
        try:
            ran = await process.run(
                requests.request(accepted, request), self._options, about.seconds
            )
        finally:
            del self.running[task]
        result, summary = ran.result, ran.result.summary
        if summary is None:  # its tick was run, by an attempt of whose end nobody heard
            return StepResult(0 if result.good else 1, stopped=ran.stopped, final=True)
        say = log.info if summary.ending in ("done", "busy") else log.warning
        say("run ended", job=job.name, step=request.step, run=summary.run, ending=summary.ending,
            exit_code=summary.exit_code, seconds=round(time.monotonic() - began, 3),
            refused=[each.limit for each in summary.refusals] or None)  # fmt: skip
        if result.refused:
            log.error(
                "runs wait for the account",
                job=job.name,
                reason=self._accounts.add(account, mark),
            )
        goes_on = about.apply and request.step == "plan" and result.plan
        if not goes_on or result.approval or summary.refusals:
            self._tell(job, summary, result)
        return requests.result(summary, result, stopped=ran.stopped, late=ran.late)

    @activity.defn(name="withdraw")
    async def withdraw(self, job: str, plan: str) -> None:
        """Let a plan that somebody has rejected wait no more. The engine repeats it until the state answers."""
        accepted = await self._accepted(job)
        if accepted is not None:
            await asyncio.to_thread(withdraw, accepted.job, plan)

    @activity.defn(name="alarm")
    async def alarm(self, endings: dict[str, tuple[float, bool]]) -> None:
        """Tell somebody that applies stop."""
        bad = sorted(job for job, (_, is_bad) in endings.items() if is_bad)
        log.error("applies stop", ran=len(endings), turned_bad=bad)
        await asyncio.to_thread(self._alarm, len(endings), bad)

    async def _accepted(self, job: str) -> Accepted | None:
        """The files of a job as they are now; None, and a word in the log, where they are wrong."""
        try:
            accepted = await asyncio.to_thread(accept, path_of(self._folder, job))
            require_shared(accepted.job)
        except FileError as fault:
            # an operator needs no traceback
            log.error("files invalid", job=job, reason=str(fault))
            return None
        return accepted

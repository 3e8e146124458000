"""The activities: what workflows need of the world. A step is a run in a process of its own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from connector.apply.approval import withdraw_plan
from connector.apply.composition import AcceptedJob, accept_job
from connector.apply.job_state import require_shared
from connector.errors import FileError, StateError
from connector.fleet.jobs import path_of, place_request
from connector.fleet.limits import PlaceRequest, SharedLimits
from connector.fleet.values import Admission, JobStatus, StepRequest, StepResult
from connector.observers.run_summary import RunSummary
from connector.runtime.log import log
from connector.serve.accounts import AccountBook, DirectoryAccount
from connector.serve.run_process import (
    FleetRun,
    RunProcess,
    RunRequest,
    RunResult,
    log_run_end,
)
from connector.serve.schedule import BELIEVED
from connector.settings.job import LoadedJob

_FILE_CODE: Final = 78
_BUSY_CODE: Final = 75
_DAY: Final = 86400.0
_LOOK: Final = 1.0
"""The longest between two looks at the limits while a step waits; also between signs of life."""
_SHORTEST_LOOK: Final = 0.05
_KEEP: Final = 10.0
"""Seconds between two words to the limits while steps run and none waits."""
_PATIENCE: Final = 10.0
"""Seconds that a step which has ended waits for the limits to take its place back."""
RunListener = Callable[[LoadedJob, RunSummary, RunResult], None]
"""Is told of every run that has ended here."""


class StepPlaces:
    """The places of this worker's steps among the limits: asked for, kept, and given back."""

    def __init__(self, limits: SharedLimits) -> None:
        self._limits = limits
        self._waiting: list[tuple[PlaceRequest, asyncio.Event]] = []
        self._running: dict[str, PlaceRequest] = {}
        self._changed = asyncio.Event()
        self._asking = asyncio.Lock()
        """A place that is given back must not be asked for meanwhile."""

    async def keep_all(self) -> None:
        """Ask and renew, for as long as this worker works."""
        while True:
            pause = None
            if self._waiting or self._running:
                async with self._asking:
                    pause = await self._ask_for_all()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)
            self._changed.clear()

    async def _ask_for_all(self) -> float:
        """Ask for all steps of this worker; seconds until it has to ask again."""
        waiting = [step for step, _ in self._waiting]
        running = list(self._running.values())
        try:
            grants = await asyncio.to_thread(
                self._limits.grant_places, waiting, running
            )
        except StateError as fault:
            log.warning("limits do not answer", reason=str(fault))
            return _LOOK
        for step, let_in in self._waiting:
            if step.token in grants.tokens:
                let_in.set()
        if len(grants.tokens) == len(waiting):
            return _KEEP
        return max(min(grants.pause or _LOOK, _LOOK), _SHORTEST_LOOK)

    async def wait_for_place(self, step: PlaceRequest) -> None:
        """Wait until the step may begin. Raises ApplicationError where this worker stops first."""
        let_in = asyncio.Event()
        turn = step, let_in
        self._waiting.append(turn)
        self._changed.set()
        try:
            while not let_in.is_set():
                activity.heartbeat()
                if activity.is_worker_shutdown():
                    raise ApplicationError("this worker stops", type="stopping")
                with suppress(TimeoutError):
                    await asyncio.wait_for(let_in.wait(), _LOOK)
        finally:
            self._waiting.remove(turn)

    async def begin_step(self, step: PlaceRequest) -> bool:
        """Whether a step has its place still; then it is kept until `end_step`. Raises StateError."""
        if not await asyncio.to_thread(self._limits.begin_step, step):
            return False
        self._running[step.token] = step
        self._changed.set()
        return True

    async def end_step(self, step: PlaceRequest, *, denied: bool | None = None) -> None:
        """Give the place back. `denied`: whether the directory refused the account; None: unknown."""
        async with self._asking:
            self._running.pop(step.token, None)
            try:
                await asyncio.to_thread(self._limits.end_step, step, denied=denied)
            except StateError as fault:  # then its lease ends
                log.warning("place not given back", job=step.job, reason=str(fault))
        self._changed.set()


class Activities:
    """What one worker does, for the jobs in a folder."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str],
        limits: SharedLimits,
        listener: RunListener,
    ) -> None:
        """`options` are those of the program, for the log of each run."""
        self._folder = folder
        self._options = options
        self._limits = limits
        self._listener = listener
        self._accounts = AccountBook()
        self.places = StepPlaces(limits)
        self.running: dict[asyncio.Task[object], str] = {}
        """What runs here."""

    def hand_over(self) -> None:
        """Let what runs end now, in good order; its rest is for another worker."""
        for task in self.running:
            task.cancel()

    @activity.defn(name="admit")
    async def admit_step(self, request: StepRequest) -> Admission:
        """Wait until the limits let a step begin."""
        accepted = await self._accept_files(request.job)
        if accepted is None:
            return Admission(_FILE_CODE)
        place = _place_of(accepted.job, request)
        try:
            await self.places.wait_for_place(place)
        except asyncio.CancelledError:
            await self.places.end_step(place)
            raise
        return Admission(seconds=_max_run_time(accepted.job))

    @activity.defn(name="step")
    async def run_step(self, request: StepRequest) -> StepResult:
        """One step. Raises ApplicationError where it could not even begin."""
        try:
            return await self._run_placed_step(request)
        except StateError as fault:
            log.warning("step has no place", job=request.job, reason=str(fault))
            return StepResult(_BUSY_CODE)
        except Exception as fault:  # noqa: BLE001  # Temporal repeats whatever is raised; as a fault that ends the run it is told once, by its kind
            kind = type(fault).__name__
            log.error("run could not be made", job=request.job, fault=kind)
            raise ApplicationError(
                kind, type="unexpected", non_retryable=True
            ) from None

    async def _run_placed_step(self, request: StepRequest) -> StepResult:
        accepted = await self._accept_files(request.job)
        if accepted is None:
            return StepResult(_FILE_CODE)
        place = _place_of(accepted.job, request)
        if not await self.places.begin_step(place):
            return StepResult(_BUSY_CODE)
        denied: bool | None = None
        try:
            result, denied = await self._run_with_account(request, accepted)
        finally:
            ending = asyncio.create_task(self.places.end_step(place, denied=denied))
            # for no longer: Temporal would repeat a step of which it hears nothing
            await asyncio.wait({ending}, timeout=_PATIENCE)
        return result

    async def _run_with_account(
        self, request: StepRequest, accepted: AcceptedJob
    ) -> tuple[StepResult, bool | None]:
        """What the step came to, and whether the directory refused its account; None: unknown."""
        job = accepted.job
        if request.step == "apply" and not request.approved and not _applies_plans(job):
            return StepResult(0, unasked=True), None  # it is a dry-run job by now
        account = DirectoryAccount.of_job(job.job)
        why = self._accounts.explain_waiting(account)
        if why:
            log.error("run waits for the account", job=job.name, reason=why)
            return StepResult(1, final=True), True
        mark = account.read_mark()
        process = await self._run_process(request, accepted)
        told = process.judge_result()
        why = self._accounts.note_run(account, mark, told)
        if told.summary is not None:
            log_run_end(job, told, step=request.step, account=why)
        result = self._judge_run(request, job, process, told)
        has_logged_in = result.code in (0, 2, 3, 4)
        return result, told.refused if told.refused or has_logged_in else None

    async def _run_process(
        self, request: StepRequest, accepted: AcceptedJob
    ) -> RunProcess:
        """Run a step in a process of its own, which has ended on return."""
        job = accepted.job
        attempt = activity.info().attempt
        details = {"job": job.name, "step": request.step, "tick": request.tick}
        log.info("run started", attempt=attempt, **details)
        max_seconds = _max_run_time(job)
        signatures = [
            (name, base64.b64decode(octets))
            for name, octets in request.signatures.items()
        ]
        fleet = FleetRun(
            request.step,
            request.plan,
            accept=request.accept,
            signatures=signatures,
            manual=not request.tick,
            seconds=max_seconds,
        )
        now = datetime.now(UTC)
        applies = request.step == "apply" or _applies_plans(job)
        run = RunRequest(
            job=job.path.absolute(),
            texts=accepted.texts,
            tick=datetime.fromisoformat(request.tick) if request.tick else now,
            believed=now + BELIEVED,
            kind="apply" if applies else "plan",
            fleet=fleet,
        )
        task = asyncio.current_task()
        assert task is not None
        self.running[task] = f"{request.step} {job.name}"
        try:
            return await watch_process(run, self._options, max_seconds)
        finally:
            del self.running[task]

    def _judge_run(
        self, request: StepRequest, job: LoadedJob, process: RunProcess, told: RunResult
    ) -> StepResult:
        """The numbers and ids of a run; no word that could name somebody."""
        summary, stopped = told.summary, process.was_asked_to_end
        if summary is None:  # its tick was run, by an attempt of whose end nobody heard
            return StepResult(0 if told.good else 1, stopped=stopped, final=True)
        plan = summary.plan
        limits = [each.limit for each in plan.refusals]
        needs_nobody = _applies_plans(job) and not told.approval and not limits
        applies = request.step == "plan" and bool(told.plan) and needs_nobody
        if not applies:
            self._listener(job, summary, told)
        return StepResult(
            code=summary.exit_code,
            run=summary.run,
            plan=told.plan,
            digest=plan.digest,
            changes=plan.changes,
            refused=bool(limits),
            approval=told.approval,
            applies=applies,
            stopped=stopped and told.stopped and not told.spent,
            final=told.refused or process.is_late,
            outcomes=summary.outcomes,
        )

    @activity.defn(name="withdraw")
    async def withdraw_plan(self, job: str, plan: str) -> None:
        """Let a plan that somebody has rejected wait no more."""
        accepted = await self._accept_files(job)
        if accepted is not None:
            await asyncio.to_thread(withdraw_plan, accepted.job, plan)

    @activity.defn(name="note")
    async def note_job(self, status: JobStatus) -> None:
        """Note how a job stands."""
        await asyncio.to_thread(self._limits.note_job, status)

    async def _accept_files(self, job: str) -> AcceptedJob | None:
        """The files of a job as they are now; None, and a word in the log, where they are wrong."""
        try:
            accepted = await asyncio.to_thread(accept_job, path_of(self._folder, job))
            require_shared(accepted.job)
        except FileError as fault:
            # an operator needs no traceback
            log.error("files invalid", job=job, reason=str(fault))
            return None
        return accepted


def _place_of(job: LoadedJob, request: StepRequest) -> PlaceRequest:
    token = activity.info().workflow_run_id
    assert token is not None
    return place_request(job, token, request.step)


def _applies_plans(job: LoadedJob) -> bool:
    """Whether the job applies its plans by itself."""
    serve = job.job.serve
    return serve is not None and serve.mode == "apply"


def _max_run_time(job: LoadedJob) -> float:
    serve = job.job.serve
    return serve.max_run_time if serve is not None else _DAY


async def watch_process(
    request: RunRequest, options: Sequence[str], max_seconds: float
) -> RunProcess:
    """Run the process of a step, with signs of life for the engine; it has ended on return.

    Raises CancelledError where the engine has given the step up.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    process = RunProcess(
        request, options, max_seconds, lambda: loop.call_soon_threadsafe(ended.set)
    )
    end = asyncio.create_task(ended.wait())
    given_up = False
    while not end.done():
        activity.heartbeat()
        process.keep_to_limit()
        try:
            await asyncio.wait({end}, timeout=_LOOK)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            given_up = details is not None and not details.worker_shutdown
            log.info(
                "run told to stop",
                job=request.job.stem,
                why="given up" if given_up else "handed over",
            )
            # a worker that stops may cancel it twice
            if not process.was_asked_to_end:
                process.ask_to_end()
    if given_up:
        raise asyncio.CancelledError
    return process

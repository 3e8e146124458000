"""The workflows of a job: its run, and the tick that begins it.

Temporal repeats them from its history whenever a worker takes one over, so they must come to
the same again. No clock, no file, no random number: what they need of the world is an
activity. A change that makes an old history go another way is put behind `workflow.patched`
(Temporal's documentation, Versioning); `tests/unit/test_fleet_replay.py` repeats recorded
ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    CancelledError,
    FailureError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from connector.fleet.values import (
        PREFIX,
        Admission,
        Begin,
        JobStatus,
        State,
        StepRequest,
        StepResult,
        Verdict,
        aside_queue,
    )

_HEARTBEAT: Final = timedelta(seconds=30)
"""An activity of which nothing is heard for so long is begun again, on another worker."""
_MINUTE: Final = timedelta(minutes=1)
_YEAR: Final = timedelta(days=365)
_GRACE: Final = 120.0
"""Seconds over its job's own that a step has."""
_PAUSES: Final = (5, 15, 45, 120)
"""Seconds before a step that failed is tried again; after the last one it has failed."""
_BUSY_PAUSES: Final = (1, 2, 5, 10, 30)
"""Seconds before a step asks again that another run of its directory or job held up."""
_DEATHS: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=10)
"""So many workers a step may cost."""
_UNTIL_DONE: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)
"""Activities that another attempt always mends."""
BEGIN_ANEW: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=10,
)
"""A run whose history cannot be repeated has failed (see `worker.py`), and is begun anew as
often as this."""
_TICK: Final = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
_STATES: Final[Mapping[int, State]] = {
    0: "in step",
    2: "in step",
    3: "refused",
    4: "in part",
}
"""How a job stands whose run ended with this code; with any other it is failing."""


@workflow.defn(name="Job")
class Job:
    """One run of a job. Its id is the job's: Temporal has one of them at a time."""

    def __init__(self) -> None:
        self._verdicts: list[Verdict] = []
        self._waiting_digest = ""
        self._next_tick = ""
        self._at = "begins"

    @workflow.run
    async def run(self, begin: Begin) -> StepResult:
        """Plan, wait for an approval where that is needed, apply; the result of the last step."""
        try:
            return await self._run_job(begin)
        except (asyncio.CancelledError, ActivityError, CancelledError):
            self._at = "ends"
            await self._note_job(begin.job, StepResult(1), "stopped")
            raise

    async def _run_job(self, begin: Begin) -> StepResult:
        if begin.step is not None and begin.step.step == "apply":
            applied = await self._run_step(begin, begin.step)
            if applied.unasked:
                workflow.continue_as_new(Begin(begin.job, begin.tick))
            return await self._end_run(begin.job, applied)
        planned = await self._run_step(
            begin, StepRequest(begin.job, "plan", begin.tick)
        )
        if not planned.plan:
            return await self._end_run(begin.job, planned)
        request = StepRequest(begin.job, "apply", begin.tick, planned.plan)
        if planned.applies:
            applied = await self._run_step(begin, request, gives_way=True)
            if not applied.unasked and not applied.approval:
                return await self._end_run(begin.job, applied)
        return await self._apply_approved(begin, planned, request)

    async def _apply_approved(
        self, begin: Begin, planned: StepResult, request: StepRequest
    ) -> StepResult:
        """Apply the plan once somebody has approved it; withdraw it if somebody rejects it."""
        accept = planned.refused and not planned.approval
        while (verdict := await self._wait_for_verdict(begin, planned)).approved:
            approved = replace(
                request, accept=accept, approved=True, signatures=verdict.signatures
            )
            applied = await self._run_step(begin, approved)
            if not applied.approval:
                return await self._end_run(begin.job, applied)
            # approved by a job file that needs no such signatures: the plan waits on
        self._at = "withdraws its plan"
        await self._run_activity("withdraw", begin.job, planned.plan)
        await self._note_job(begin.job, planned, "rejected")
        return planned

    async def _wait_for_verdict(self, begin: Begin, planned: StepResult) -> Verdict:
        """What somebody says to the plan. A tick that comes first makes a new one in its place."""
        self._waiting_digest, self._at = planned.digest, "waits for approval"
        await self._note_job(begin.job, planned, "waiting for approval")
        self._next_tick = ""
        await workflow.wait_condition(lambda: bool(self._verdicts or self._next_tick))
        self._waiting_digest = ""
        if not self._verdicts:
            workflow.continue_as_new(Begin(begin.job, self._next_tick))
        return self._verdicts.pop()

    # ------------------------------------------------------------ one step

    async def _run_step(
        self, begin: Begin, request: StepRequest, *, gives_way: bool = False
    ) -> StepResult:
        """One step: again where another run holds it up, where its worker stops, or where it fails.

        `gives_way`: a tick that comes while it waits for its place makes a new plan instead.
        """
        failed = held_up = 0
        while True:
            result = await self._try_step(request, gives_way=gives_way)
            is_drawn = request.step == "plan" and bool(result.plan)
            if is_drawn or (result.code not in (1, 75) and not result.stopped):
                return result
            if result.code == 75:
                self._at = "waits for another run"
                pause = _BUSY_PAUSES[min(held_up, len(_BUSY_PAUSES) - 1)]
                held_up += 1
                await workflow.sleep(pause)
            elif not result.stopped:
                if result.final or failed == len(_PAUSES):
                    return result
                self._at = "waits to try again"
                await workflow.sleep(_PAUSES[failed])
                failed += 1
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(replace(begin, step=request))

    async def _try_step(self, request: StepRequest, *, gives_way: bool) -> StepResult:
        """One attempt, once the limits let it in."""
        admission = await self._wait_for_place(request, gives_way=gives_way)
        if admission.code:
            return StepResult(admission.code)
        self._at = "plans" if request.step == "plan" else "applies"
        try:
            result: StepResult = await workflow.execute_activity(
                "step",
                request,
                result_type=StepResult,
                retry_policy=_DEATHS,
                heartbeat_timeout=_HEARTBEAT,
                start_to_close_timeout=timedelta(seconds=admission.seconds + _GRACE),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as fault:
            if isinstance(fault.cause, CancelledError):
                raise
            return StepResult(1, final=True)
        return result

    async def _wait_for_place(
        self, request: StepRequest, *, gives_way: bool
    ) -> Admission:
        self._at = f"waits to {request.step}"
        self._next_tick = ""
        admitted = workflow.start_activity(
            "admit",
            request,
            result_type=Admission,
            retry_policy=_UNTIL_DONE,
            heartbeat_timeout=_HEARTBEAT,
            start_to_close_timeout=_YEAR,
            task_queue=aside_queue(workflow.info().task_queue),
        )
        try:
            await workflow.wait_condition(
                lambda: admitted.done() or bool(gives_way and self._next_tick)
            )
        finally:
            if not admitted.done():
                admitted.cancel()
        if not admitted.done():
            workflow.continue_as_new(Begin(request.job, self._next_tick))
        admission: Admission = await admitted
        return admission

    # ------------------------------------------------------------ what becomes of it

    async def _end_run(self, job: str, result: StepResult) -> StepResult:
        await self._note_job(job, result, _STATES.get(result.code, "failing"))
        return result

    async def _note_job(self, job: str, result: StepResult, state: State) -> None:
        status = JobStatus(job, state, result.code, result.digest, result.changes)
        await self._run_activity("note", status)

    async def _run_activity(self, name: str, *values: Any) -> None:
        """A short activity, as often as it takes."""
        await workflow.execute_activity(
            name,
            args=values,
            retry_policy=_UNTIL_DONE,
            start_to_close_timeout=_MINUTE,
            task_queue=aside_queue(workflow.info().task_queue),
        )

    @workflow.update(name="judge")
    def judge_plan(self, verdict: Verdict) -> None:
        """Somebody has decided on the plan that waits."""
        self._verdicts.append(verdict)

    @judge_plan.validator
    def _require_waiting(self, verdict: Verdict) -> None:
        waits = self._waiting_digest
        if self._verdicts or not waits or verdict.digest != waits:
            raise ValueError(waits)

    @workflow.signal(name="tick")
    def note_tick(self, tick: str) -> None:
        """The next tick of the schedule: a plan that waits is made anew."""
        self._next_tick = tick

    @workflow.query(name="at")
    def describe_work(self) -> tuple[str, str]:
        """What it does, and the digest of the plan that waits."""
        return self._at, self._waiting_digest


@workflow.defn(name="Tick")
class Tick:
    """What a schedule begins: the run of a job, or word to the one that is open."""

    @workflow.run
    async def run(self, begin: Begin) -> str:
        """Which of the two it was."""
        scheduled = workflow.info().typed_search_attributes.get(_TICK)
        tick = (scheduled or workflow.info().start_time).isoformat()
        job_id = PREFIX + begin.job
        while True:
            try:
                await workflow.start_child_workflow(
                    Job.run,
                    Begin(begin.job, tick),
                    id=job_id,
                    retry_policy=BEGIN_ANEW,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                open_run = workflow.get_external_workflow_handle(job_id)
                try:
                    await open_run.signal("tick", tick)
                except FailureError:  # it has ended meanwhile
                    continue
                return "told"
            return "begun"

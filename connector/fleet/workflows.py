"""The workflows of a job: its run, and the tick that begins it.

The engine repeats them from its history whenever a worker takes one over, so they must come
to the same again. No clock, no file, no random number: what they need of the world is an
activity. A change that makes an old history go another way is put behind `workflow.patched`
(Temporal's documentation, Versioning); `tests/unit/test_fleet_replay.py` repeats recorded
ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

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
        FLEET,
        PREFIX,
        About,
        Ask,
        Begin,
        Over,
        State,
        StepRequest,
        StepResult,
        Told,
        Verdict,
        aside,
    )

HEARTBEAT: Final = timedelta(seconds=30)
"""A step of which nothing is heard for so long is begun again, on another worker."""
_GRACE: Final = 120.0
"""Seconds over its job's own that a step has."""
_AGAIN: Final = (60, 300, 1800)
"""Seconds after which a step that was not let in asks again: whoever keeps the limits may
have lost its word."""
_PAUSES: Final = (5, 15, 45, 120)
"""Seconds before a run that failed is tried again; after the last one it has failed."""
_BUSY: Final = (1, 2, 5, 10, 30)
"""Seconds before a step asks again that another run of its directory or job held up."""
_DEATHS: Final = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=10)
"""So many workers a step may cost."""
ANEW: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=10,
)
"""A run whose history cannot be repeated has failed (see `worker.py`), and is begun anew as
often as this."""
_TICK: Final = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name="Job")
class Job:
    """One run of a job. Its id is the job's: the engine has one of them at a time."""

    def __init__(self) -> None:
        self._let_in: set[str] = set()
        self._verdicts: list[Verdict] = []
        self._waiting = ""
        self._next_tick = ""
        self._at = "begins"

    @workflow.run
    async def run(self, begin: Begin) -> StepResult:
        """Plan, wait for an approval where that is needed, apply. Its result is that of its last step."""
        try:
            return await self._run(begin)
        except (asyncio.CancelledError, ActivityError, CancelledError):
            self._at = "ends"
            await asyncio.shield(self._tell(begin.job, StepResult(1), "stopped"))
            raise

    async def _run(self, begin: Begin) -> StepResult:
        about = await self._look(begin.job)
        if about.code:
            return await self._end(begin.job, StepResult(about.code), "failing")
        if begin.apply is not None:
            return await self._applied(begin, about, begin.apply)
        planned = await self._step(about, StepRequest(begin.job, "plan", begin.tick))
        return await (
            self._go_on(begin, about, planned)
            if planned.plan
            else self._judged(begin, planned)
        )

    async def _look(self, job: str) -> About:
        """What is to be known of its files now. Local activities are not always repeated in the task that made them."""
        about: About
        if workflow.patched("look-by-activity"):
            about = await workflow.execute_activity(
                "look", job, result_type=About, start_to_close_timeout=timedelta(seconds=30),
                task_queue=aside(workflow.info().task_queue),
            )  # fmt: skip
        else:
            about = await workflow.execute_local_activity(
                "look",
                job,
                result_type=About,
                start_to_close_timeout=timedelta(seconds=60),
            )
        return about

    async def _go_on(
        self, begin: Begin, about: About, planned: StepResult
    ) -> StepResult:
        """Apply a plan that was drawn, once somebody has approved it where somebody has to."""
        request = StepRequest(
            begin.job,
            "apply",
            begin.tick,
            planned.plan,
            accept=planned.refused and not planned.approval,
        )
        if about.apply and not planned.refused and not planned.approval:
            applied = await self._step(about, request, free=True)
            if not applied.unasked and not applied.approval:
                return await self._judged(replace(begin, apply=request), applied)
        while (verdict := await self._approval(begin, planned)).approved:
            request = replace(request, approved=True, signatures=verdict.signatures)
            applied = await self._step(about, request)
            if not applied.approval:  # else it was approved by a job file that needs no such signatures, and waits on
                return await self._judged(replace(begin, apply=request), applied)
        self._at = "withdraws its plan"
        await workflow.execute_activity(
            "withdraw", args=[begin.job, planned.plan], start_to_close_timeout=timedelta(seconds=60),
            task_queue=aside(workflow.info().task_queue),
        )  # fmt: skip
        return await self._end(begin.job, planned, "rejected")

    async def _applied(
        self, begin: Begin, about: About, request: StepRequest
    ) -> StepResult:
        applied = await self._step(about, request)
        if applied.unasked:
            workflow.continue_as_new(Begin(begin.job, begin.tick))
        return await self._judged(replace(begin, apply=request), applied)

    async def _judged(self, begin: Begin, result: StepResult) -> StepResult:
        """The end, or another attempt: of an apply with the same plan, and what people have said to it."""
        if result.stopped or result.code == 1:
            return await self._again(begin, result)
        return await self._end(begin.job, result, _state(result))

    async def _step(
        self, about: About, request: StepRequest, *, free: bool = False
    ) -> StepResult:
        """One step, once it is let in; as often as another run holds it up.

        `free`: nobody has approved its plan, so that a tick that comes while it waits makes a new one.
        """
        for attempt in range(1_000_000):
            token = str(workflow.uuid4())
            result = StepResult(1)
            try:
                await self._entered(about, request, token, free=free)
                self._at = "plans" if request.step == "plan" else "applies"
                result = await workflow.execute_activity(
                    "step", request, result_type=StepResult, retry_policy=_DEATHS, heartbeat_timeout=HEARTBEAT,
                    start_to_close_timeout=timedelta(seconds=about.seconds + _GRACE),
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                )  # fmt: skip
            except ActivityError as fault:
                if isinstance(fault.cause, CancelledError):
                    raise
                result = StepResult(1, final=True)
            finally:
                known = result.denied or result.code in (0, 2, 3, 4)
                await asyncio.shield(
                    _told_to_fleet("over", Over(token, known, result.denied))
                )
            if result.code != 75:
                return result
            self._at = "waits for another run"
            await workflow.sleep(_BUSY[min(attempt, len(_BUSY) - 1)])
        return StepResult(1, final=True)

    async def _entered(
        self, about: About, request: StepRequest, token: str, *, free: bool
    ) -> None:
        """Wait until a step is let in."""
        ask = Ask(
            token,
            workflow.info().workflow_id,
            request.step,
            about.source,
            about.server,
            about.account,
        )
        self._at = f"waits to {request.step}"
        asked = 0
        self._next_tick = ""
        while token not in self._let_in:
            await _told_to_fleet("ask", ask)
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: token in self._let_in or bool(free and self._next_tick),
                    timeout=_AGAIN[min(asked, len(_AGAIN) - 1)],
                )
            asked += 1
            if free and self._next_tick and token not in self._let_in:
                workflow.continue_as_new(Begin(request.job, self._next_tick))

    async def _approval(self, begin: Begin, planned: StepResult) -> Verdict:
        """What somebody says to the plan. A tick that comes first makes a new one in its place."""
        self._waiting, self._at = planned.digest, "waits for approval"
        await self._tell(begin.job, planned, "waiting for approval")
        self._next_tick = ""
        await workflow.wait_condition(lambda: bool(self._verdicts or self._next_tick))
        self._waiting = ""
        if not self._verdicts:
            workflow.continue_as_new(Begin(begin.job, self._next_tick))
        return self._verdicts.pop()

    async def _again(self, begin: Begin, result: StepResult) -> StepResult:
        """Try it again, after a pause; a run that was told to stop at once, and as often as that is so."""
        failures = begin.failures
        if not result.stopped:
            if result.final or failures >= len(_PAUSES):
                return await self._end(begin.job, result, "failing")
            self._at = "waits to try again"
            await workflow.sleep(timedelta(seconds=_PAUSES[failures]))
            failures += 1
        return workflow.continue_as_new(replace(begin, failures=failures))

    async def _end(self, job: str, result: StepResult, state: State) -> StepResult:
        await self._tell(job, result, state)
        return result

    async def _tell(self, job: str, result: StepResult, state: State) -> None:
        await _told_to_fleet(
            "tell", Told(job, state, result.code, result.digest, result.changes)
        )

    @workflow.signal
    def let_in(self, token: str) -> None:
        """The step of this token may begin."""
        self._let_in.add(token)

    @workflow.update
    def judge(self, verdict: Verdict) -> None:
        """Somebody has decided on the plan that waits."""
        self._verdicts.append(verdict)

    @judge.validator
    def _waits(self, verdict: Verdict) -> None:
        if self._verdicts or not self._waiting or verdict.digest != self._waiting:
            raise ValueError(self._waiting)

    @workflow.signal
    def tick(self, tick: str) -> None:
        """The next tick of the schedule: a plan that waits is made anew. A run under way is let be."""
        self._next_tick = tick

    @workflow.query
    def at(self) -> tuple[str, str]:
        """What it does, and the digest of the plan that waits."""
        return self._at, self._waiting


def _state(result: StepResult) -> State:
    """How a job stands whose run has come to this."""
    ended: Mapping[int, State] = {
        0: "in step",
        2: "in step",
        3: "refused",
        4: "in part",
    }
    return ended.get(result.code, "failing")


async def _told_to_fleet(signal: str, about: object) -> None:
    """Tell the workflow of the limits. While there is none it is tried again: each worker begins one."""
    fleet = workflow.get_external_workflow_handle(FLEET)
    while True:
        try:
            await fleet.signal(signal, about)
        except FailureError as fault:
            if isinstance(fault, CancelledError):
                raise
            await workflow.sleep(5)
        else:
            return


@workflow.defn(name="Tick")
class Tick:
    """What a schedule begins: the run of a job, or word to the one that is open."""

    @workflow.run
    async def run(self, begin: Begin) -> str:
        """Which of the two it was."""
        at = (
            workflow.info().typed_search_attributes.get(_TICK)
            or workflow.info().start_time
        )
        tick = at.isoformat()
        id_ = PREFIX + begin.job
        while True:
            try:
                await workflow.start_child_workflow(
                    Job.run, Begin(begin.job, tick), id=id_, retry_policy=ANEW,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                )  # fmt: skip
            except WorkflowAlreadyStartedError:
                try:
                    await workflow.get_external_workflow_handle(id_).signal(
                        "tick", tick
                    )
                except FailureError:  # it has ended meanwhile
                    continue
                return "told"
            return "begun"

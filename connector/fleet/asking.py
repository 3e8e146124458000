"""What the fleet's commands ask the engine, and tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from connector.errors import NoWorkerError, OpenRunError, UsageError
from connector.fleet.keeper import Fleet
from connector.fleet.schedules import require_ours
from connector.fleet.values import FLEET, PREFIX, Begin, FleetState, StepResult, Verdict
from connector.fleet.workflows import ANEW, Job
from connector.settings.job import LoadedJob

_PATIENCE: Final = timedelta(seconds=15)
"""How long a worker has to answer."""
_LOOK: Final = 1.0
"""Seconds between two looks at a run that is waited for."""
_NOBODY: Final = (
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,
)
"""What a query comes to without a worker: none answers in time, or the workflow has no task yet."""


async def known(client: Client) -> FleetState:
    """How all jobs stand. Raises NoWorkerError where no worker answers, or none can yet."""
    try:
        with _worker_answers(also=RPCStatusCode.NOT_FOUND):
            return await client.get_workflow_handle_for(Fleet.run, FLEET).query(
                Fleet.known, rpc_timeout=_PATIENCE
            )
    except WorkflowQueryFailedError:
        raise NoWorkerError(
            "the workflow of its limits begins anew", where="fleet"
        ) from None


async def resume(client: Client) -> bool:
    """Let applies begin again; whether they had stopped."""
    braked = bool((await known(client)).braked)
    await client.get_workflow_handle_for(Fleet.run, FLEET).signal(Fleet.resume)
    return braked


async def forget(client: Client, jobs: list[str]) -> None:
    """Let the limits forget jobs that are no part of the fleet any more, if there are limits yet."""
    try:
        await client.get_workflow_handle_for(Fleet.run, FLEET).signal(
            Fleet.forget, jobs
        )
    except RPCError as fault:
        if fault.status is not RPCStatusCode.NOT_FOUND:
            raise


async def judge(client: Client, job: str, verdict: Verdict) -> float:
    """Tell the run of a job what somebody says to its plan; since when applies have stopped, 0 where they have not.

    Raises UsageError where it has another plan, or none.
    """
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    waits = ""
    try:
        with _worker_answers():
            await handle.execute_update(Job.judge, verdict, rpc_timeout=_PATIENCE)
    except WorkflowUpdateFailedError as fault:
        waits = getattr(fault.cause, "message", "")
    except RPCError as fault:
        if fault.status is not RPCStatusCode.NOT_FOUND:
            raise
    else:
        try:
            return (await known(client)).braked
        except NoWorkerError:  # the verdict was taken all the same
            return 0
    # the SDK puts words of its own in place of none
    other = waits.startswith("sha256:")
    what = f"waits with another plan: {waits}" if other else "waits for no approval"
    raise UsageError(f"the run of this job {what}. See `fleet status`", where=job)


async def run(
    client: Client, task_queue: str, loaded: LoadedJob, *, wait: bool
) -> tuple[StepResult | None, str]:
    """Begin a run by hand: what it came to, or None and the digest of its plan that waits for approval.

    One that was ended by hand has failed. Raises OpenRunError while a run of that job is
    open, FileError where the job is another fleet's.
    """
    job = loaded.name
    await require_ours(client, loaded, task_queue)
    try:
        handle = await client.start_workflow(
            Job.run,
            Begin(job),
            id=PREFIX + job,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            retry_policy=ANEW,
        )
    except WorkflowAlreadyStartedError:
        queue = (await client.get_workflow_handle(PREFIX + job).describe()).task_queue
        what = "a run of this job is open in the fleet. See `fleet status`"
        if queue != task_queue:
            what = f"a run of this job is open for the task queue {queue!r}, not {task_queue!r}. Correct `task_queue` "
            what += f"in the fleet file. If no worker takes it, terminate the workflow {PREFIX}{job} in Temporal"
        raise OpenRunError(what, where=job) from None
    if not wait:
        return None, ""
    # of whichever attempt is the last one
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    result = asyncio.create_task(handle.result())
    while True:
        done, _ = await asyncio.wait({result}, timeout=_LOOK)
        if done:
            try:
                return result.result(), ""
            except WorkflowFailureError:  # somebody has cancelled or terminated it
                return StepResult(1), ""
        try:
            found = await _at(handle)
        except NoWorkerError as fault:
            result.cancel()
            raise NoWorkerError(
                f"the run has begun, and waits: {fault.what}", where=job
            ) from None
        if found is not None and found[1]:
            result.cancel()
            return None, found[1]


async def _at(handle: WorkflowHandle[Job, StepResult]) -> tuple[str, str] | None:
    """What an open run does, and the digest of its plan that waits; None: none is open."""
    try:
        with _worker_answers():
            return await handle.query(
                Job.at,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=_PATIENCE,
            )
    except (
        WorkflowQueryRejectedError,
        WorkflowQueryFailedError,
    ):  # the latter begins anew
        return None
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


@contextmanager
def _worker_answers(also: RPCStatusCode | None = None) -> Iterator[None]:
    """Raises NoWorkerError where nobody is there to answer a query; `also`: this says so, too."""
    try:
        yield
    except RPCError as fault:
        if fault.status in _NOBODY or fault.status is also:
            why = "no worker of this fleet answers. Start one with `cec-connector fleet worker FOLDER`"
            raise NoWorkerError(why, where="fleet") from None
        raise

"""Makes the schedules in Temporal match the jobs of a fleet.

What is compared is what the server has, so that edits by hand are seen. Ours are the
schedules of this task queue whose ids begin with `cec-connector/`. What was shown is what
is made: a schedule that has changed since is left alone. A schedule that somebody has
paused by hand stays paused.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Literal, TypeVar

from google.protobuf.duration_pb2 import Duration
from msgspec import Struct
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.enums.v1 import ScheduleOverlapPolicy
from temporalio.api.schedule.v1 import (
    IntervalSpec,
    Schedule,
    ScheduleAction,
    SchedulePolicies,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import NewWorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CreateScheduleRequest,
    DeleteScheduleRequest,
    DescribeScheduleRequest,
    DescribeScheduleResponse,
    UpdateScheduleRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from connector.errors import FileError
from connector.fleet.calendars import calendars
from connector.fleet.client import CALL
from connector.fleet.schedule_parts import differences, in_words
from connector.fleet.values import PREFIX
from connector.settings.job import LoadedJob
from connector.settings.operations import Serve
from connector.settings.textfile import raise_together

A = TypeVar("A")
B = TypeVar("B")
WORKFLOW: Final = "Tick"
PAUSED: Final = "cec-connector: the job file has no serve section"
"""The note of a schedule that we have paused; another note is somebody's own."""
CATCH_UP: Final = timedelta(days=365)
"""How late a tick may begin. Of all that were missed one is made up for: a tick is skipped
while one is under way."""
LONGEST: Final = timedelta(days=1)
"""How long a tick may be under way, also while no worker runs. Then it is given up, and the
next one can begin."""
AT_ONCE: Final = 16
"""Requests that are under way at a time."""
_PAUSES: Final = (0, 0.1, 0.3, 1, 3)
"""Seconds before each look whether an update has come into force."""
_GONE: Final = "it is gone"
_CHANGED: Final = {
    RPCStatusCode.ALREADY_EXISTS: "there is one by now",
    RPCStatusCode.NOT_FOUND: _GONE,
    RPCStatusCode.FAILED_PRECONDITION: "somebody has changed it since it was read",
}


class Change(Struct, frozen=True):
    """What is to become of one schedule. `schedule`: what it will be; `seen`: the server's mark of what it was."""

    verb: Literal["create", "update", "pause", "resume", "delete"]
    job: str
    why: str
    schedule: Schedule | None = None
    seen: bytes = b""


class Plan(Struct, frozen=True):
    """All changes; the jobs that stay paused by hand, with the notes; and how many schedules are as they should be."""

    changes: list[Change]
    held: list[tuple[str, str]]
    same: int


class Made(Struct, frozen=True):
    """What became of a change. `why`: it was not made."""

    change: Change
    why: str = ""


def wanted(jobs: Iterable[LoadedJob], queue: str) -> dict[str, Schedule | None]:
    """The schedule of each job; None: it has no `serve` section. Raises FileError where Temporal cannot express one."""
    found: dict[str, Schedule | None] = {}
    faults = []
    for job in jobs:
        try:
            found[job.name] = (
                _schedule(job.name, job.job.serve, queue) if job.job.serve else None
            )
        except ValueError as fault:
            faults.append(
                FileError(f"serve.cron: {fault}", where=job.where("serve", "cron"))
            )
    raise_together(faults)
    return found


def _schedule(job: str, serve: Serve, queue: str) -> Schedule:
    if serve.every is not None:
        # apart from each other: else all jobs of a fleet would begin on the hour
        apart = int.from_bytes(hashlib.sha256(job.encode()).digest()[:6]) % serve.every
        spec = ScheduleSpec(
            interval=[
                IntervalSpec(
                    interval=Duration(seconds=serve.every),
                    phase=Duration(seconds=apart),
                )
            ]
        )
    else:
        spec = ScheduleSpec(
            structured_calendar=calendars(serve.cron or ""),
            timezone_name=serve.timezone or "UTC",
        )
    if serve.jitter:
        spec.jitter.CopyFrom(Duration(seconds=serve.jitter))
    start = NewWorkflowExecutionInfo(
        workflow_id=f"{PREFIX}tick/{job}",
        workflow_type=WorkflowType(name=WORKFLOW),
        task_queue=TaskQueue(name=queue),
    )
    start.workflow_execution_timeout.FromTimedelta(LONGEST)
    said = json.dumps({"job": job, "mode": serve.mode}, separators=(",", ":")).encode()
    start.input.payloads.add(metadata={"encoding": b"json/plain"}, data=said)
    policies = SchedulePolicies(
        overlap_policy=ScheduleOverlapPolicy.SCHEDULE_OVERLAP_POLICY_SKIP
    )
    policies.catchup_window.FromTimedelta(CATCH_UP)
    return Schedule(
        spec=spec,
        action=ScheduleAction(start_workflow=start),
        policies=policies,
        state=ScheduleState(),
    )


async def plan(client: Client, jobs: Sequence[LoadedJob], queue: str) -> Plan:
    """What has to change. Raises FileError where another fleet has a schedule for a job's name; RPCError."""
    schedules = wanted(jobs, queue)
    said = {job.name: _said(job) for job in jobs if job.job.serve}
    listed = [
        each.id.removeprefix(PREFIX)
        async for each in await client.list_schedules()
        if each.id.startswith(PREFIX)
    ]
    # the list may lag behind; what the server says of one schedule does not
    names = sorted({*schedules, *listed})
    found = await _each(names, lambda name: _described(client, name))
    there = {
        name: answer
        for name, answer in zip(names, found, strict=True)
        if answer is not None
    }
    ours = {
        name: answer
        for name, answer in there.items()
        if _queue(answer.schedule) == queue
    }
    raise_together(
        [
            _foreign(job, there[job.name])
            for job in jobs
            if job.name in there.keys() - ours.keys()
        ]
    )
    changes = [
        change
        for name in names
        if (
            change := _change(
                name,
                ours.get(name),
                name in schedules,
                schedules.get(name),
                said.get(name, ""),
            )
        )
    ]
    by_hand = [
        (name, answer.schedule.state.notes)
        for name, answer in ours.items()
        if answer.schedule.state.paused
        and answer.schedule.state.notes != PAUSED
        and name in schedules
    ]
    return Plan(changes, by_hand, len(ours.keys() - {change.job for change in changes}))


def _said(job: LoadedJob) -> str:
    """The schedule as the job file has it."""
    serve: dict[str, object] = job.document.data["serve"]
    named = [
        f"{key} {serve[key]}"
        for key in ("every", "cron", "timezone", "jitter")
        if serve.get(key)
    ]
    return ", ".join([*named, f"mode {serve.get('mode', 'dry-run')}"])


def _queue(schedule: Schedule) -> str:
    return schedule.action.start_workflow.task_queue.name


def _foreign(job: LoadedJob, answer: DescribeScheduleResponse) -> FileError:
    queue = _queue(answer.schedule)
    why = f"Temporal has a schedule {PREFIX}{job.name} for the task queue {queue!r}, which is another fleet's"
    what = "Correct `task_queue` in the fleet file. If it is right, rename the job, or use another namespace"
    return FileError(f"{why}. {what}", where=str(job.path))


async def require_ours(client: Client, job: LoadedJob, queue: str) -> None:
    """Raises FileError where another fleet has a schedule for the job's name: a run of ours would hold its runs up."""
    answer = await _described(client, job.name)
    if answer is not None and _queue(answer.schedule) != queue:
        raise _foreign(job, answer)


def _change(
    name: str,
    answer: DescribeScheduleResponse | None,
    is_job: bool,
    schedule: Schedule | None,
    said: str,
) -> Change | None:
    if answer is None:
        return Change("create", name, said, schedule) if schedule else None
    if not is_job:
        return Change(
            "delete", name, "its job file is gone", seen=answer.conflict_token
        )
    new = Schedule()
    new.CopyFrom(schedule or answer.schedule)
    verb, why = _made(new, answer.schedule, without=schedule is None)
    old_and_new = in_words(answer.schedule), in_words(new)
    if len({*old_and_new}) > 1:
        why = f"{why}: {' → '.join(old_and_new)}"
    return Change(verb, name, why, new, answer.conflict_token) if verb else None


def _made(
    new: Schedule, has: Schedule, *, without: bool
) -> tuple[Literal["update", "pause", "resume", ""], str]:
    """Give a new schedule the state of what the server has, and say what is to be done about it, and why."""
    if without:
        new.state.paused, new.state.notes = True, PAUSED
        return (
            ("", "")
            if has.state.paused
            else ("pause", "its job file has no `serve` section")
        )
    if has.state.paused and has.state.notes == PAUSED:
        return "resume", "its job file has a `serve` section again"
    new.state.paused, new.state.notes = has.state.paused, has.state.notes
    differs = differences(has, new)
    return ("update", f"other {', '.join(differs)}") if differs else ("", "")


async def make(client: Client, changes: Sequence[Change]) -> list[Made]:
    """Make these changes; each is made or not by itself. Raises nothing that the server says of one of them alone."""
    return await _each(changes, lambda change: _one(client, change))


async def _one(client: Client, change: Change) -> Made:
    try:
        await _send(client, change)
    except RPCError as fault:
        said = f"Temporal answers {fault.status.name}. Rerun to see whether it was made"
        return Made(change, _CHANGED.get(fault.status) or said)
    except _ChangedError as fault:
        return Made(change, str(fault))
    return Made(change)


class _ChangedError(Exception):
    """Somebody has changed the schedule since it was read."""


async def _send(client: Client, change: Change) -> None:
    space, id_, request = client.namespace, f"{PREFIX}{change.job}", str(uuid.uuid4())
    service, who = client.workflow_service, client.identity
    if change.verb == "create":
        new = CreateScheduleRequest(
            namespace=space,
            schedule_id=id_,
            schedule=change.schedule,
            identity=who,
            request_id=request,
        )
        await service.create_schedule(new, retry=True, timeout=CALL)
        return
    # no request deletes only what was seen
    answer = await _described(client, change.job)
    if answer is None or answer.conflict_token != change.seen:
        raise _ChangedError(
            _CHANGED[RPCStatusCode.FAILED_PRECONDITION] if answer else _GONE
        )
    if change.verb == "delete":
        gone = DeleteScheduleRequest(namespace=space, schedule_id=id_, identity=who)
        await service.delete_schedule(gone, retry=True, timeout=CALL)
    else:
        update = UpdateScheduleRequest(
            namespace=space, schedule_id=id_, schedule=change.schedule, identity=who, request_id=request,
            conflict_token=change.seen,
        )  # fmt: skip
        await service.update_schedule(update, retry=True, timeout=CALL)
        await _see(client, change)


async def _see(client: Client, change: Change) -> None:
    """Read an update back: the server takes one of what has changed meanwhile, and silently leaves it."""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        answer = await _described(client, change.job)
        has, new = (
            answer.schedule if answer else Schedule(),
            change.schedule or Schedule(),
        )
        if not differences(has, new) and has.state.paused == new.state.paused:
            return
    raise _ChangedError(_CHANGED[RPCStatusCode.FAILED_PRECONDITION])


async def _described(client: Client, job: str) -> DescribeScheduleResponse | None:
    """A schedule as the server has it now; None: there is none."""
    request = DescribeScheduleRequest(
        namespace=client.namespace, schedule_id=f"{PREFIX}{job}"
    )
    try:
        return await client.workflow_service.describe_schedule(
            request, retry=True, timeout=CALL
        )
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _each(of: Sequence[A], work: Callable[[A], Awaitable[B]]) -> list[B]:
    """Do this for each, some at a time; what it came to, in order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: A) -> B:
        async with room:
            return await work(each)

    return await asyncio.gather(*map(one, of))

"""Makes the schedules in Temporal match the jobs of a fleet.

What is compared is what the server has, so that edits by hand are seen. Ours are the
schedules of this task queue whose ids begin with `cec-connector/`. What was shown is what
is made: a schedule that has changed since is left alone. A schedule that somebody has
paused by hand stays paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.converter import PayloadConverter
from temporalio.service import RPCError, RPCStatusCode

from connector.errors import FileError
from connector.fleet.client import CALL, do_each
from connector.fleet.jobs import describe_serve, want_schedules
from connector.fleet.values import PREFIX
from connector.settings.job import LoadedJob
from connector.settings.textfile import raise_together

PAUSED: Final = "cec-connector: the job file has no serve section"
"""The note of a schedule that we have paused; another note is somebody's own."""
_PAUSES: Final = (0, 0.1, 0.3, 1, 3)
"""Seconds before each look whether an update has come into force."""


class ScheduleChange(Struct, frozen=True):
    """What is to become of one schedule."""

    verb: str
    """create, update, pause, resume or delete."""
    job: str
    why: str
    schedule: Schedule | None = None
    """What it will be; None: nothing."""
    seen: bytes = b""
    """The server's mark of what it was."""


class SchedulePlan(Struct):
    """All that is to be done about the schedules of a fleet."""

    changes: list[ScheduleChange]
    held: list[tuple[str, str]]
    """The jobs that stay paused by hand, each with the note."""
    same: int
    """How many schedules are as they should be."""


class ChangeOutcome(Struct, frozen=True):
    """What became of a change."""

    change: ScheduleChange
    why: str = ""
    """Why it was not made; empty: it was."""


# ------------------------------------------------------------ two schedules compared


def list_differences(one: Schedule, other: Schedule) -> list[str]:
    """The names of the parts in which two schedules differ. Whether they are paused is not compared."""
    left, right = _list_parts(one), _list_parts(other)
    return [name for name in left if left[name] != right[name]]


def _list_parts(schedule: Schedule) -> dict[str, object]:
    spec, policy, state = schedule.spec, schedule.policy, schedule.state
    action = _action_of(schedule)
    no_time = timedelta()
    return {
        "times": (
            list(spec.calendars),
            [(each.every, each.offset or no_time) for each in spec.intervals],
            (*spec.skip, *spec.cron_expressions),
            (spec.start_at, spec.end_at),
        ),
        "time zone": spec.time_zone_name or "UTC",
        "jitter": spec.jitter or no_time,
        "overlap": policy.overlap,
        "catch-up": policy.catchup_window,
        "what follows a failure": policy.pause_on_failure,
        "number of runs": state.limited_actions and state.remaining_actions,
        "job or mode": _encode_inputs(action),
        "workflow": (action.workflow, action.id, action.task_queue),
        "time limits": (action.execution_timeout, action.run_timeout or no_time),
    }


def _action_of(schedule: Schedule) -> ScheduleActionStartWorkflow:
    """What a schedule does. Temporal has no other kind of action yet."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return action


def _encode_inputs(action: ScheduleActionStartWorkflow) -> list[Payload]:
    """What the workflow is told, as the server has it."""
    encode = PayloadConverter.default.to_payload
    return [each if isinstance(each, Payload) else encode(each) for each in action.args]


# ------------------------------------------------------------ what there is


async def list_next_runs(client: Client) -> dict[str, datetime]:
    """When each job with a schedule runs next; the engine's list may lag behind. A paused job is not in it."""
    found = {}
    async for each in await client.list_schedules(rpc_timeout=CALL):
        is_paused = each.schedule is not None and each.schedule.state.paused
        times = each.info.next_action_times if each.info and not is_paused else ()
        if each.id.startswith(PREFIX) and times:
            found[each.id.removeprefix(PREFIX)] = times[0]
    return found


async def follows_schedule(client: Client, job: str, queue: str) -> bool:
    """Whether a job has a schedule of ours that nobody has paused. Raises RPCError."""
    found = await _find_schedule(client, job)
    return (
        found is not None and _is_of(found, queue) and not found.schedule.state.paused
    )


# ------------------------------------------------------------ what is to be done


async def plan_schedules(
    client: Client, jobs: Sequence[LoadedJob], queue: str
) -> SchedulePlan:
    """What has to change. Raises FileError where another fleet has a schedule of a job's name."""
    wanted = want_schedules(jobs, queue)
    by_name = {job.name: job for job in jobs}
    names = set(by_name)
    async for each in await client.list_schedules():
        if each.id.startswith(PREFIX):
            names.add(each.id.removeprefix(PREFIX))
    # the list may lag behind; what the server says of one schedule does not
    found = await do_each(sorted(names), lambda name: _find_schedule(client, name))
    plan = SchedulePlan([], [], 0)
    faults = []
    for name, has in zip(sorted(names), found, strict=True):
        job = by_name.get(name)
        if has is not None and not _is_of(has, queue):
            if job is not None:
                faults.append(_foreign_error(job, has))
            continue
        change = _plan_change(name, has, job, wanted.get(name))
        if change is not None:
            plan.changes.append(change)
        elif has is not None:
            plan.same += 1
        if job is not None and has is not None:
            state = has.schedule.state
            if state.paused and state.note != PAUSED:
                plan.held.append((name, state.note or ""))
    raise_together(faults)
    return plan


def _is_of(found: ScheduleDescription, queue: str) -> bool:
    return _action_of(found.schedule).task_queue == queue


def _foreign_error(job: LoadedJob, found: ScheduleDescription) -> FileError:
    queue = _action_of(found.schedule).task_queue
    why = (
        f"Temporal has a schedule {PREFIX}{job.name} for the task queue {queue!r},"
        " which is another fleet's. Correct `task_queue` in the fleet file."
        " If it is right, rename the job, or use another namespace"
    )
    return FileError(why, where=str(job.path))


async def require_ours(client: Client, job: LoadedJob, queue: str) -> None:
    """Raises FileError where another fleet has a schedule of the job's name.

    A run of ours would hold its runs up.
    """
    found = await _find_schedule(client, job.name)
    if found is not None and not _is_of(found, queue):
        raise _foreign_error(job, found)


def _plan_change(
    name: str,
    found: ScheduleDescription | None,
    job: LoadedJob | None,
    new: Schedule | None,
) -> ScheduleChange | None:
    """What is to become of one schedule; None: nothing."""
    words = describe_serve(job) if job is not None and new is not None else ""
    if found is None:
        return ScheduleChange("create", name, words, new) if new else None
    has, state = found.schedule, found.schedule.state
    if job is None:
        verb, why = "delete", "its job file is gone"
    elif new is None:
        verb, why = (
            "" if state.paused else "pause",
            "its job file has no `serve` section",
        )
        new = Schedule(has.action, has.spec, has.policy, ScheduleState(PAUSED, True))
    elif state.paused and state.note == PAUSED:
        verb, why = "resume", f"its job file has a `serve` section again: {words}"
    else:
        new.state = ScheduleState(state.note, state.paused)
        differences = list_differences(has, new)
        verb = "update" if differences else ""
        why = f"other {', '.join(differences)}: {words}"
    seen = found.raw_description.conflict_token
    return ScheduleChange(verb, name, why, new, seen) if verb else None


# ------------------------------------------------------------ and done


async def make_changes(
    client: Client, changes: Sequence[ScheduleChange]
) -> list[ChangeOutcome]:
    """Make these changes; each is made or not by itself, and says why not."""
    return await do_each(changes, lambda change: _try_change(client, change))


async def _try_change(client: Client, change: ScheduleChange) -> ChangeOutcome:
    why = ""
    try:
        if not await _make_change(client, change):
            why = "somebody has changed it since it was read"
    except ScheduleAlreadyRunningError:
        why = "there is one by now"
    except RPCError as fault:
        why = f"Temporal answers {fault.status.name}. Rerun to see whether it was made"
    return ChangeOutcome(change, why)


async def _make_change(client: Client, change: ScheduleChange) -> bool:
    """Make a change; False: the schedule is no longer what was seen."""
    id_, new = f"{PREFIX}{change.job}", change.schedule
    if change.verb == "create" and new is not None:
        await client.create_schedule(id_, new, rpc_timeout=CALL)
        return True
    handle = client.get_schedule_handle(id_)
    found = await handle.describe(rpc_timeout=CALL)
    if found.raw_description.conflict_token != change.seen:
        return False
    if new is None:
        await handle.delete(rpc_timeout=CALL)
        return True
    update = ScheduleUpdate(new)
    await handle.update(lambda _: update, rpc_timeout=CALL)
    return await _is_in_force(handle, new)


async def _is_in_force(handle: ScheduleHandle, new: Schedule) -> bool:
    """Whether the server shows an update, which it makes soon after it has taken it."""
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        has = (await handle.describe(rpc_timeout=CALL)).schedule
        if not list_differences(has, new) and has.state.paused == new.state.paused:
            return True
    return False


async def _find_schedule(client: Client, job: str) -> ScheduleDescription | None:
    """A schedule as the server has it now; None: there is none."""
    handle = client.get_schedule_handle(f"{PREFIX}{job}")
    try:
        return await handle.describe(rpc_timeout=CALL)
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return None
        raise

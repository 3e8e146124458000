"""Makes the schedules in Temporal match the jobs of a fleet.

What is compared is what the server has, so that edits by hand are seen. Ours are the
schedules of this task queue whose ids begin with `cec-connector/`. What was shown is what
is made: a schedule that has changed since is left alone. A schedule that somebody has
paused by hand stays paused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from connector.errors import FileError
from connector.fleet.client import CALL, do_each
from connector.fleet.jobs import (
    DAYS,
    WEEK,
    describe_serve,
    join_ranges,
    want_schedules,
)
from connector.fleet.values import PREFIX
from connector.settings.job import LoadedJob
from connector.settings.textfile import raise_together

Numbers = frozenset[int]
Times = tuple[Numbers, ...]
"""Seconds, minutes, hours, days of the month, months, days of the week (Sunday is 0) and
years; no years: all."""
PAUSED: Final = "cec-connector: the job file has no serve section"
"""The note of a schedule that we have paused; another note is somebody's own."""
_PAUSES: Final = (0, 0.1, 0.3, 1, 3)
"""Seconds before each look whether an update has come into force."""
_FIELDS: Final = [
    "second",
    "minute",
    "hour",
    "day_of_month",
    "month",
    "day_of_week",
    "year",
]
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


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


class SchedulePlan(Struct, frozen=True):
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
    return [name for name, value in left.items() if right[name] != value]


def _list_parts(schedule: Schedule) -> dict[str, object]:
    spec, policy, state = schedule.spec, schedule.policy, schedule.state
    action = _action_of(schedule)
    return {
        "times": _list_times(spec),
        "time zone": _zone_of(spec),
        "jitter": spec.jitter or timedelta(),
        "overlap": policy.overlap,
        "catch-up": policy.catchup_window,
        "what follows a failure": policy.pause_on_failure,
        "number of runs": state.limited_actions and state.remaining_actions,
        "job or mode": _read_inputs(action),
        "workflow": (
            action.workflow,
            action.id,
            action.task_queue,
            action.execution_timeout,
            action.run_timeout or timedelta(),
        ),
    }


def _list_times(spec: ScheduleSpec) -> object:
    return (
        frozenset(map(expand_calendar, spec.calendars)),
        frozenset(map(expand_calendar, spec.skip)),
        frozenset((each.every, each.offset or timedelta()) for each in spec.intervals),
        tuple(spec.cron_expressions),
        spec.start_at,
        spec.end_at,
    )


def expand_calendar(calendar: ScheduleCalendarSpec) -> Times:
    """What a calendar names, however its ranges say it."""
    *others, week, years = (
        frozenset(_list_numbers(getattr(calendar, field))) for field in _FIELDS
    )
    return (*others, frozenset(day % 7 for day in week), years)


def _list_numbers(ranges: Iterable[ScheduleRange]) -> Iterator[int]:
    for each in ranges:
        yield from range(each.start, each.end + 1, each.step)


def _zone_of(spec: ScheduleSpec) -> str:
    """An interval is the same in every zone."""
    names_hours = spec.calendars or spec.cron_expressions
    return (spec.time_zone_name or "UTC") if names_hours else "UTC"


def _action_of(schedule: Schedule) -> ScheduleActionStartWorkflow:
    """What a schedule does. Temporal has no other kind of action yet."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return action


def _read_inputs(action: ScheduleActionStartWorkflow) -> list[object]:
    """What the workflow is told: values of ours, or the octets that the server has."""
    return [
        _read_json(each.data) if isinstance(each, Payload) else each
        for each in action.args
    ]


def _read_json(octets: bytes) -> object:
    try:
        return json.loads(octets)
    except ValueError:
        return octets


def describe_schedule(schedule: Schedule) -> str:
    """When it begins what, much as a job file says it."""
    spec = schedule.spec
    parts = [
        f"every {_describe_length(each.every)}"
        f" (offset {_describe_length(each.offset or timedelta())})"
        for each in spec.intervals
    ]
    parts += [f"cron {_describe_calendar(each)}" for each in spec.calendars]
    if not parts:
        parts = ["other times"]
    if spec.calendars:
        parts.append(f"timezone {_zone_of(spec)}")
    if spec.jitter:
        parts.append(f"jitter {_describe_length(spec.jitter)}")
    inputs = _read_inputs(_action_of(schedule))
    parts += [f"mode {each.get('mode')}" for each in inputs if isinstance(each, dict)]
    return ", ".join(parts)


def _describe_length(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in _UNITS:
        if seconds and not seconds % size:
            return f"{seconds // size}{unit}"
    return "0s"


def _describe_calendar(calendar: ScheduleCalendarSpec) -> str:
    """A calendar as a cron expression, seconds and years left out."""
    fields = expand_calendar(calendar)[1:6]
    minutes, hours, months = range(60), range(24), range(1, 13)
    whole = (frozenset(minutes), frozenset(hours), DAYS, frozenset(months), WEEK)
    words = []
    for field, every in zip(fields, whole, strict=True):
        ranges = [
            f"{each.start}-{each.end}" if each.end > each.start else str(each.start)
            for each in join_ranges(field)
        ]
        words.append("*" if field == every else ",".join(ranges))
    return " ".join(words)


# ------------------------------------------------------------ what is to be done


async def plan_schedules(
    client: Client, jobs: Sequence[LoadedJob], queue: str
) -> SchedulePlan:
    """What has to change. Raises FileError where another fleet has a schedule of a job's name."""
    wanted = want_schedules(jobs, queue)
    words = {job.name: describe_serve(job) for job in jobs if job.job.serve}
    listed = [
        each.id.removeprefix(PREFIX)
        async for each in await client.list_schedules()
        if each.id.startswith(PREFIX)
    ]
    # the list may lag behind; what the server says of one schedule does not
    names = sorted({*wanted, *listed})
    found = await do_each(names, lambda name: _find_schedule(client, name))
    there = {each.id.removeprefix(PREFIX): each for each in found if each is not None}
    ours = {name: each for name, each in there.items() if _is_of(each, queue)}
    foreign = [job for job in jobs if job.name in there.keys() - ours.keys()]
    raise_together([_foreign_error(job, there[job.name]) for job in foreign])
    changes = []
    for name in names:
        change = _plan_change(name, ours.get(name), wanted, words.get(name, ""))
        if change is not None:
            changes.append(change)
    held = [
        (name, ours[name].schedule.state.note or "")
        for name in ours.keys() & wanted.keys()
        if _is_paused_by_hand(ours[name].schedule.state)
    ]
    same = ours.keys() - {change.job for change in changes}
    return SchedulePlan(changes, sorted(held), len(same))


def _is_of(found: ScheduleDescription, queue: str) -> bool:
    return _action_of(found.schedule).task_queue == queue


def _is_paused_by_hand(state: ScheduleState) -> bool:
    return state.paused and state.note != PAUSED


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
    wanted: dict[str, Schedule | None],
    words: str,
) -> ScheduleChange | None:
    """What is to become of one schedule; None: nothing. `words`: the job file's."""
    new = wanted.get(name)
    if found is None:
        return ScheduleChange("create", name, words, new) if new else None
    has, seen = found.schedule, found.raw_description.conflict_token
    if name not in wanted:
        return ScheduleChange("delete", name, "its job file is gone", seen=seen)
    if new is None:
        why = "its job file has no `serve` section"
        paused = Schedule(has.action, has.spec, has.policy, ScheduleState(PAUSED, True))
        change = ScheduleChange("pause", name, why, paused, seen)
        return None if has.state.paused else change
    if has.state.paused and has.state.note == PAUSED:
        verb, why = "resume", "its job file has a `serve` section again"
    else:
        new.state = ScheduleState(has.state.note, has.state.paused)
        verb, why = "update", f"other {', '.join(list_differences(has, new))}"
        if not list_differences(has, new):
            return None
    old_words, new_words = describe_schedule(has), describe_schedule(new)
    if old_words != new_words:
        why += f": {old_words} → {new_words}"
    return ScheduleChange(verb, name, why, new, seen)


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
        if fault.status is RPCStatusCode.NOT_FOUND:
            why = "it is gone"
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

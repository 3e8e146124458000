"""What a schedule of Temporal says, part by part, however the server writes it."""

from __future__ import annotations

import json

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.schedule.v1 import Schedule, ScheduleSpec
from temporalio.api.workflow.v1 import NewWorkflowExecutionInfo

from connector.fleet.calendars import expanded, spelt

_TASK_SECONDS = 10.0
"""The server's own time-out of a workflow task, which it writes in where none is said."""


def differences(one: Schedule, other: Schedule) -> list[str]:
    """The names of the parts in which two schedules differ. Whether they are paused is not compared."""
    left, right = _parts(one), _parts(other)
    return [name for name, value in left.items() if right[name] != value]


def in_words(schedule: Schedule) -> str:
    """When it begins what, much as a job file says it."""
    spec = schedule.spec
    times = [
        f"every {_length(each.interval)} (offset {_length(each.phase)})"
        for each in spec.interval
    ]
    times += [f"cron {spelt(each)}" for each in spec.structured_calendar]
    zone = [f"timezone {_zone(spec)}"] if spec.structured_calendar else []
    jitter = [f"jitter {_length(spec.jitter)}"] if spec.HasField("jitter") else []
    inputs = [
        _input(payload) for payload in schedule.action.start_workflow.input.payloads
    ]
    modes = [f"mode {each.get('mode')}" for each in inputs if isinstance(each, dict)]
    return ", ".join([*(times or ["other times"]), *zone, *jitter, *modes])


def _length(duration: Duration) -> str:
    seconds = int(_seconds(duration))
    size, unit = next(
        (size, unit)
        for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
        if not seconds % size
    )
    return f"{seconds // size}{unit}" if seconds else "0s"


def _parts(schedule: Schedule) -> dict[str, object]:
    spec, policies, state = schedule.spec, schedule.policies, schedule.state
    start = schedule.action.start_workflow
    return {
        "times": _times(spec),
        "time zone": _zone(spec),
        "jitter": spec.jitter.ToTimedelta(),
        "overlap": policies.overlap_policy,
        "catch-up": policies.catchup_window.ToTimedelta(),
        "what follows a failure": policies.pause_on_failure,
        "number of runs": state.limited_actions and state.remaining_actions,
        "job or mode": [_input(payload) for payload in start.input.payloads],
        "workflow": (policies.keep_original_workflow_id, _workflow(start)),
    }


def _times(spec: ScheduleSpec) -> object:
    """All that names times. What the server does not take apart is compared as it is."""
    intervals = frozenset(
        (_seconds(each.interval), _seconds(each.phase)) for each in spec.interval
    )
    whole = (*spec.calendar, *spec.exclude_calendar)
    return (
        frozenset(map(expanded, spec.structured_calendar)),
        frozenset(map(expanded, spec.exclude_structured_calendar)),
        intervals,
        tuple(spec.cron_string),
        tuple(map(_octets, whole)),
        _octets(spec.start_time),
        _octets(spec.end_time),
        spec.timezone_data,
    )


def _zone(spec: ScheduleSpec) -> str:
    """An interval is the same in every zone."""
    return (
        (spec.timezone_name or "UTC")
        if spec.structured_calendar or spec.cron_string or spec.calendar
        else "UTC"
    )


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _input(payload: Payload) -> object:
    try:
        return json.loads(payload.data)
    except ValueError:
        return payload.data


def _workflow(start: NewWorkflowExecutionInfo) -> bytes:
    """All else that a tick is started with, without what the server fills in."""
    said = NewWorkflowExecutionInfo()
    said.CopyFrom(start)
    said.ClearField("input")
    said.task_queue.ClearField("kind")
    if _seconds(said.workflow_task_timeout) == _TASK_SECONDS:
        said.ClearField("workflow_task_timeout")
    bare: Message = said
    for field, value in said.ListFields():
        if isinstance(value, Message) and not value.ByteSize():  # said, and empty
            bare.ClearField(field.name)
    return _octets(said)


def _octets(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)

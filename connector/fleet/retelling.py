"""What the workflow of the limits knew, from its history: where it has ended, another begins with that.

A history has each word that it was told, and each step that it let in, with their times. A
gate that hears the same in the same order comes to the same, whatever the engine's tasks
were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import PayloadConverter

from connector.fleet.limits import Gate
from connector.fleet.values import Ask, FleetState, Limits, Over, Told
from connector.runtime.log import log

T = TypeVar("T")
_CONVERTER: Final = PayloadConverter.default


def retold(events: Iterable[HistoryEvent]) -> FleetState:
    """What a workflow of the limits with this history, whole and in order, knew at its end.

    A signal that somebody sent by hand and that cannot be read is left out, as the SDK does.
    """
    past = _Past()
    for event in events:
        past.take(event, event.event_time.ToNanoseconds() / 1e9)
    return past.gate.known()


class _Past:
    def __init__(self) -> None:
        self.gate = Gate(FleetState())
        self._tokens: dict[int, str] = {}
        self._brakes: dict[int, float] = {}

    def take(self, event: HistoryEvent, at: float) -> None:
        """An event, and its time. The only activity that the workflow has is the alarm."""
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self.gate = Gate(
                    _read(
                        event.workflow_execution_started_event_attributes.input,
                        FleetState,
                    )
                )
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                said = event.workflow_execution_signaled_event_attributes
                self._hear(said.signal_name, said.input, at)
            case EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
                token = _read(
                    event.signal_external_workflow_execution_initiated_event_attributes.input,
                    str,
                )
                self._tokens[event.event_id] = token
                self.gate.let_in(token, at)
            case EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
                failed = (
                    event.signal_external_workflow_execution_failed_event_attributes
                )
                self.gate.over(Over(self._tokens[failed.initiated_event_id]), at)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                self._brakes[event.event_id] = self.gate.braked
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                self.gate.sounded(
                    self._brakes[
                        event.activity_task_completed_event_attributes.scheduled_event_id
                    ]
                )

    def _hear(self, name: str, said: Payloads, at: float) -> None:
        kind, take = self._words(at).get(name, (None, None))
        if take is None:
            return
        try:
            take(*(() if kind is None else (_read(said, kind),)))
        except Exception as fault:  # noqa: BLE001  # anybody may have sent anything, and the SDK, which drops it, names no kinds
            log.warning("signal not read", signal=name, fault=type(fault).__name__)

    def _words(self, at: float) -> dict[str, tuple[Any, Callable[..., None]]]:
        gate = self.gate
        return {
            "ask": (Ask, gate.ask),
            "over": (Over, lambda over: gate.over(over, at)),
            "tell": (Told, lambda told: gate.tell(told, at)),
            "resume": (None, gate.resume),
            "configure": (Limits, gate.configure),
            "forget": (list[str], lambda jobs: gate.forget(set(jobs))),
        }


def _read(payloads: Payloads, kind: type[T]) -> T:
    (found,) = _CONVERTER.from_payloads(payloads.payloads, [kind])
    if found is None:  # which it takes for a value of any kind
        raise TypeError
    value: T = found
    return value

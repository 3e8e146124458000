"""What the workflow of the limits knew, from its history: where it has ended, another begins with that.

A history has each word that it was told, and each step that it let in, with their times. A gate that hears the same in
the same order comes to the same, whatever the engine's tasks were.
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
        act = _ACTS.get(event.event_type)
        if act is not None:
            act(past, event, event.event_time.ToNanoseconds() / 1e9)
    return past.gate.known()


class _Past:
    def __init__(self) -> None:
        self.gate = Gate(FleetState())
        self._told: dict[int, str] = {}

    def begun(self, event: HistoryEvent, at: float) -> None:  # noqa: ARG002  # each act is handed the time
        self.gate = Gate(_read(event.workflow_execution_started_event_attributes.input, FleetState))

    def heard(self, event: HistoryEvent, at: float) -> None:
        said = event.workflow_execution_signaled_event_attributes
        kind, take = self._words(at).get(said.signal_name, (None, None))
        if take is None:
            return
        try:
            take(*(() if kind is None else (_read(said.input, kind),)))
        except Exception as fault:  # noqa: BLE001  # converters raise whatever a payload leads to
            log.warning("signal not read", signal=said.signal_name, fault=type(fault).__name__)

    def _words(self, at: float) -> dict[str, tuple[Any, Callable[..., object]]]:
        gate = self.gate
        return {
            "ask": (Ask, gate.ask),
            "over": (Over, lambda over: gate.over(over, at)),
            "tell": (Told, lambda told: gate.tell(told, at)),
            "resume": (None, gate.resume),
            "configure": (Limits, gate.configure),
            "forget": (list[str], lambda jobs: gate.forget(set(jobs))),
        }

    def let_in(self, event: HistoryEvent, at: float) -> None:
        token = _read(event.signal_external_workflow_execution_initiated_event_attributes.input, str)
        self._told[event.event_id] = token
        self.gate.let_in(token, at)

    def gone(self, event: HistoryEvent, at: float) -> None:
        number = event.signal_external_workflow_execution_failed_event_attributes.initiated_event_id
        self.gate.over(Over(self._told[number]), at)

    def alarmed(self, event: HistoryEvent, at: float) -> None:  # noqa: ARG002  # it has no other activity
        self.gate.unsounded = False


def _read(payloads: Payloads, kind: type[T]) -> T:
    (found,) = _CONVERTER.from_payloads(payloads.payloads, [kind])
    if found is None:  # which it takes for a value of any kind
        raise TypeError
    value: T = found
    return value


_ACTS: Final[dict[int, Callable[[_Past, HistoryEvent, float], None]]] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: _Past.begun,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _Past.heard,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _Past.let_in,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _Past.gone,
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _Past.alarmed,
}

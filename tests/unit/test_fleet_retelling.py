"""What the workflow of the limits knew is read from its history: by whoever goes on where that cannot be repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, strategies as st
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import PayloadConverter

from connector.fleet.limits import MINUTE, Gate
from connector.fleet.retelling import retold
from connector.fleet.values import Ask, Brake, FleetState, Limits, Over, State, Told

NOW = 1_800_000_000
LIMITS = Limits(2, 1, 30, Brake(0.25, 2, 600))


class Kept:
    """A gate, and the history of the workflow that has it."""

    def __init__(self, known: FleetState) -> None:
        self.gate = Gate(known)
        self.now = float(NOW)
        self.events: list[HistoryEvent] = []
        self._alarms: list[tuple[int, float]] = []
        self._note("STARTED").workflow_execution_started_event_attributes.input.payloads.extend(_payloads(known))

    def say(self, name: str, *about: Any) -> None:
        said = self._note("SIGNALED").workflow_execution_signaled_event_attributes
        said.signal_name = name
        said.input.payloads.extend(_payloads(*about))

    def grant(self, *, gone: bool) -> None:
        """Let in what may; if `gone`, nobody is there any more to be told so."""
        for ask in self.gate.grant(self.now):
            event = self._note("SIGNAL_EXTERNAL_INITIATED")
            about = event.signal_external_workflow_execution_initiated_event_attributes
            about.signal_name = "let_in"
            about.input.payloads.extend(_payloads(ask.token))
            if gone:
                failed = self._note("SIGNAL_EXTERNAL_FAILED").signal_external_workflow_execution_failed_event_attributes
                failed.initiated_event_id = event.event_id
                self.gate.over(Over(ask.token), self.now)

    def sound(self) -> None:
        """Begin to tell somebody that applies stop; the last such task may still be under way."""
        self._alarms.append((self._note("ACTIVITY_SCHEDULED").event_id, self.gate.braked))

    def sounded(self) -> None:
        """Whom the last such task was for has been told, if there is one."""
        if self._alarms:
            number, braked = self._alarms.pop()
            self._note("ACTIVITY_COMPLETED").activity_task_completed_event_attributes.scheduled_event_id = number
            self.gate.sounded(braked)

    def _note(self, kind: str) -> HistoryEvent:
        event = HistoryEvent(event_id=len(self.events) + 1, event_type=_KINDS[kind])
        event.event_time.FromSeconds(int(self.now))
        self.events.append(event)
        return event


_KINDS = {
    "STARTED": EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    "SIGNALED": EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    "SIGNAL_EXTERNAL_INITIATED": EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    "SIGNAL_EXTERNAL_FAILED": EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    "ACTIVITY_SCHEDULED": EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    "ACTIVITY_COMPLETED": EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
}


def _payloads(*values: Any) -> Any:
    return PayloadConverter.default.to_payloads(values)


def lately(known: FleetState, now: float) -> FleetState:
    """Without the beginnings that count no more: a gate forgets them when it next looks."""
    begun = {source: [each for each in times if each > now - MINUTE] for source, times in known.begun.items()}
    return replace(known, begun={source: times for source, times in begun.items() if times})


jobs = st.sampled_from("abcdef")
tokens = st.builds("{}/{}".format, jobs, st.integers(1, 2))
states: st.SearchStrategy[State] = st.sampled_from(["in step", "failing", "refused"])
acts = st.one_of(
    st.builds(
        lambda token, *more: ("ask", Ask(token, token[0], *more)),
        tokens, st.sampled_from(["plan", "apply"]), st.sampled_from(["", "h"]), st.sampled_from(["s1", "s2"]),
        st.sampled_from(["", "x"]),
    ),
    st.builds(lambda *about: ("over", Over(*about)), tokens, st.booleans(), st.booleans()),
    st.builds(lambda job, state: ("tell", Told(job, state)), jobs, states),
    st.builds(lambda job: ("forget", [job]), jobs),
    st.just(("configure", replace(LIMITS, applies=1))),
    st.just(("resume",)),
    st.just(("sound",)),
    st.just(("sounded",)),
    st.builds(lambda gone: ("grant", gone), st.booleans()),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 90), acts), max_size=40))
def test_what_is_read_from_the_history_is_what_was_known(story: list[tuple[int, Any]]) -> None:
    """Of whatever it was told and let in, at whatever times: places, turns, accounts, brake, and how jobs stand."""
    kept = Kept(FleetState(LIMITS, jobs={"z": Told("z", "failing", at=5, since=5)}))
    for seconds, (name, *about) in story:
        kept.now += seconds
        if name == "grant":
            kept.grant(gone=about[0])
        elif name in ("sound", "sounded"):
            getattr(kept, name)()
        else:
            kept.say(name, *about)
            if name == "forget":
                kept.gate.forget(set(about[0]))
            elif name in ("over", "tell"):
                getattr(kept.gate, name)(about[0], kept.now)
            else:
                getattr(kept.gate, name)(*about)
    assert lately(retold(kept.events), kept.now) == lately(kept.gate.known(), kept.now)


def test_a_word_that_somebody_sent_by_hand_and_that_cannot_be_read_is_left_out() -> None:
    kept = Kept(FleetState(LIMITS))
    kept.say("tell", 7)
    kept.say("over", None)
    kept.say("greet", "hello")
    kept.say("ask", Ask("a/1", "a", "plan"))
    kept.gate.ask(Ask("a/1", "a", "plan"))
    assert retold(kept.events) == kept.gate.known()

"""What a run came to does not depend on when it is told to end, or on what breaks at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run
from connector.cli.advice import code_of_ending
from connector.model import (
    Agent,
    AttributeChange,
    Change,
    Outcome,
    Plan,
    Result,
    RunEnding,
    Summary,
    Tenant,
    UserRef,
    View,
)
from connector.observers.observer import Observer, Observers
from connector.reports.wording import last_line
from connector.runtime.stopping import StopRequest
from connector.state.audit_lines import AuditLines
from connector.state.journal_rows import Sealer
from tests.support.applying import apply
from tests.support.audit_lines import PlainAuditor
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, SEATS, World

SEAT = "employeeNumber"


class Journal:
    """A journal during whose notes something happens: before they are kept, or while the audit is told of them."""

    def __init__(self, before: Callable[[], None] | None = None, telling: Callable[[], None] | None = None) -> None:
        self._before, self._telling = before, telling

    def note_writes(
        self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change]
    ) -> Callable[[], None] | None:
        if settled and self._before:
            self._before()
        return self._telling if settled else None

    def note_unwritten(self, left: object) -> None:
        pass


def directory(*seats: str) -> MemoryDirectory:
    classes = ["inetOrgPerson"]
    entries = {f"id{n}": (f"uid=u{n}", {"objectClass": classes, SEAT: [seat]}) for n, seat in enumerate(seats)}
    return MemoryDirectory(MemoryStore(entries), View(("uid", SEAT)))


def moves(n: int, old: str, new: str, *after: str) -> Change:
    seat = AttributeChange(SEAT, (old,), (new,), unique=True)
    return Change(UserRef(f"id{n}", f"uid=u{n}"), None, 1, (seat,), f"sha256:{n}", frozenset(after))


def stopped() -> StopRequest:
    stop = StopRequest()
    stop.wait_for_the_end()
    return stop


def twice(stop: StopRequest) -> Callable[[], None]:
    def ask() -> None:
        stop.ask_to_stop("SIGTERM")
        stop.ask_to_stop("SIGTERM")

    return ask


def test_an_interruption_while_the_audit_is_told_leaves_the_writes_noted() -> None:
    there, stop = directory("0", "1"), stopped()
    journal = Journal(telling=twice(stop))
    done = apply([moves(0, "0", "5"), moves(1, "1", "6")], there, there.describe(), journal, Observers(), stop=stop)
    assert [(each.result, each.unnoted) for each in done.outcomes] == [(Result.WRITTEN, False)] * 2
    assert stop.standing is not None
    ending = stop.standing()
    assert last_line(ending).startswith("Done: 2 of 2 users written")
    assert code_of_ending(ending) == 0


def test_an_interruption_before_the_notes_are_kept_says_in_part() -> None:
    there, stop = directory("0"), stopped()
    done = apply([moves(0, "0", "5")], there, there.describe(), Journal(before=twice(stop)), Observers(), stop=stop)
    assert [each.unnoted for each in done.outcomes] == [True]
    assert code_of_ending(RunEnding.of(done.outcomes)) == 4


@pytest.mark.parametrize("noted", [True, False])
def test_a_value_that_was_freed_already_counts_as_touched(*, noted: bool) -> None:
    """Two users swap seats: one lets its seat go first, and the run is interrupted then."""
    there, stop = directory("0", "1"), stopped()
    journal = Journal(telling=twice(stop)) if noted else Journal(before=twice(stop))
    swap = [moves(0, "0", "1", "id1"), moves(1, "1", "0", "id0")]
    done = apply(swap, there, there.describe(), journal, Observers(), stop=stop)
    assert {each.result for each in done.outcomes} == {Result.SKIPPED}
    assert done.touched
    assert stop.standing is not None
    ending = stop.standing()
    assert last_line(ending).startswith("Stopped: 0 of 2 written")
    assert "some changes were written in part" in last_line(ending)
    assert code_of_ending(ending) == 4


def test_an_interruption_before_anything_was_sent_is_a_failed_run() -> None:
    there, stop = directory("0"), stopped()

    class Interrupted(Journal):
        def note_writes(self, settled: object, intended: object) -> None:
            twice(stop)()

    done = apply([moves(0, "0", "5")], there, there.describe(), Interrupted(), Observers(), stop=stop)
    assert not done.touched
    assert stop.standing is not None
    assert code_of_ending(stop.standing()) == 1
    assert last_line(stop.standing()).startswith("Stopped: 0 of 1 written")


class Lags(MemoryDirectory):
    """Takes a write whose values nobody sees yet; meanwhile somebody asks to stop."""

    def __init__(self, stop: StopRequest) -> None:
        super().__init__(directory("0").store, View(("uid", SEAT)))
        self._stop = stop

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            self._stop.ask_to_stop("SIGTERM")
            yield Outcome(change.user, Result.FAILED, "it may show later", may_stand=True)


def test_an_interruption_while_the_last_write_is_awaited_says_stopped() -> None:
    stop = stopped()
    there = Lags(stop)
    done = apply([moves(0, "0", "5")], there, there.describe(), Journal(), Observers(), stop=stop)
    assert done.stopped == "SIGTERM"
    ending = FinishedRun(Plan("", "", "", "", Summary()), False, done.outcomes, tried=not done.stopped).count_ending
    assert last_line(ending) == "Stopped: 0 of 1 written, 1 not known. Rerun the same command."
    assert not RunEnding.of(done.outcomes).stopped


class Full(Observer):
    """An audit that breaks when all of it is made safe at the end."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def open_directory(self, directory: str, fingerprint: object, audit: AuditLines) -> None:
        audit.begin_session("job", PlainAuditor(lambda: self._stop.end_run("no space left")))


def ran(
    of: World, stop: StopRequest, *observers: Observer, at_the_end: Callable[[], None] = lambda: None
) -> tuple[FinishedRun, str]:
    said: list[str] = []

    def show(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        if outcomes is not None:
            assert stop.standing is not None
            said.append(last_line(stop.standing()))
            at_the_end()

    with of.context() as context:
        run = apply_run(replace(context, observer=Observers(observers)), show, stop=stop)
    return run, said[0]


def world() -> World:
    entries = {f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"]}) for n in range(2)}
    return World(Tenant([Agent(n, f"u{n}") for n in range(2)]), MemoryStore(entries), SEATS)


def test_an_audit_that_breaks_at_the_end_is_in_the_last_line_and_in_the_code() -> None:
    stop = StopRequest()
    run, line = ran(world(), stop, Full(stop))
    assert line.startswith("Done in part: 2 of 2 users written")
    assert "the audit may lack writes" in line
    assert code_of_ending(run.count_ending) == 4


def test_once_the_last_line_is_out_nobody_who_asks_to_stop_changes_anything() -> None:
    one, stop = world(), StopRequest()
    run, line = ran(one, stop, at_the_end=twice(stop))
    assert line.startswith("Done: 2 of 2 users written")
    assert code_of_ending(run.count_ending) == 0
    assert stop.why is None
    assert one.state.knows_key(one.job, Sealer(one.key)), "the rest was noted"

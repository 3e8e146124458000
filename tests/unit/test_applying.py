"""What an apply says of each user: of those that had to wait, and of those of whom nobody knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.apply.ledger import Write, WriteState
from connector.errors import StateError, UnreachableError
from connector.model import AttributeChange, Change, Description, Outcome, Result, User, UserRef, View, WritePart
from connector.model.limits import ApplyPace
from connector.observers.observer import Observers
from connector.planning.order import order_steps
from connector.runtime.stopping import StopRequest
from tests.support.applying import apply
from tests.support.memory import MemoryDirectory, MemoryStore

SEAT = "employeeNumber"
VIEW = View(("uid", SEAT))


class Noting:
    """A journal that keeps everything in its order."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Change, Outcome | None]] = []

    def note_writes(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change] = ()) -> None:
        self.notes += [("settle", *each) for each in settled]
        self.notes += [("intend", change, None) for change in intended]

    def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        self.notes += [("leave", *each) for each in left]


class Raced(MemoryDirectory):
    """Somebody gives this user another seat before it is written."""

    victim = ""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            if change.user.id == self.victim:
                name, values = self.store.snapshot()[self.victim]
                self.store.put(self.victim, name, {**values, SEAT: ["9"]})
            yield from super().write([change])


def people(*seats: str) -> MemoryStore:
    return MemoryStore(
        {
            f"id{n}": (f"uid=u{n},dc=example", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], SEAT: [seat]})
            for n, seat in enumerate(seats)
        }
    )


def moves(n: int, old: str, new: str, after: int) -> Change:
    seat = AttributeChange(SEAT, (old,), (new,), unique=True)
    return Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, (seat,), f"sha256:{n}", frozenset({f"id{after}"}))


def test_who_let_go_for_another_that_then_could_not_be_written_is_not_said_to_be_written() -> None:
    directory = Raced(people("0", "1"), VIEW)
    directory.victim = "id1"
    journal = Noting()
    changes = [moves(0, "0", "1", 1), moves(1, "1", "0", 0)]
    done = apply(changes, directory, directory.describe(), journal, Observers())
    first, second = sorted(done.outcomes, key=lambda outcome: outcome.user)
    assert second.result is Result.CONFLICT
    assert first.result is Result.SKIPPED
    assert "a part of its change was written" in first.why
    left = [(change.digest, outcome) for note, change, outcome in journal.notes if note == "leave"]
    assert left == [("sha256:0", first)]
    assert SEAT not in directory.store.snapshot()["id0"][1]


def test_a_conflict_names_the_attributes_that_differ_once_nothing_more_is_written() -> None:
    directory = Raced(people("0", "1"), VIEW)
    directory.victim = "id1"
    changes = [changes_seat(0), changes_seat(1)]
    done = apply(changes, directory, directory.describe(), Noting(), Observers())
    assert [outcome.differs for outcome in done.outcomes] == [(), (SEAT,)]


@pytest.mark.parametrize("stopped", [True, False])
def test_where_a_conflict_cannot_be_read_or_the_run_is_stopped_nothing_more_is_said_of_it(*, stopped: bool) -> None:
    stop = StopRequest()

    class Last(Raced):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            yield from (replace(outcome, differs=()) for outcome in super().write(changes))
            if stopped:
                stop.end_run("asked")

        def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
            if not stopped and (users := list(users)):
                raise UnreachableError("gone")
            return super().read(users, disabled=disabled)

    directory = Last(people("0", "1"), VIEW)
    directory.victim = "id0"
    described, changes = (
        replace(directory.describe(), writing=replace(directory.describe().writing, batch=1)),
        [changes_seat(0), changes_seat(1)],
    )
    outcome, _ = apply(changes, directory, described, Noting(), Observers(), pace=ApplyPace((), 9), stop=stop).outcomes
    assert (outcome.result, outcome.differs) == (Result.CONFLICT, ())


@pytest.mark.parametrize(
    "states",
    [
        [WriteState.NOTED, WriteState.SENT, WriteState.ANSWERED, WriteState.CONFIRMED],
        [WriteState.NOTED, WriteState.SENT, WriteState.CONFLICT],
        [WriteState.NOTED, WriteState.OPEN],
        [WriteState.SKIPPED],
    ],
)
def test_a_write_goes_through_its_states_in_their_order_and_skips_none_that_counts(states: list[WriteState]) -> None:
    write = Write(moves(0, "0", "1", 1))
    for state in states:
        for wrong in {WriteState.PLANNED, write.state} - {state}:
            with pytest.raises(ValueError, match=f"a write that is {write.state.value} does not become {wrong.value}"):
                write.move_to(wrong)
        write.move_to(state)


class RefusingTheRest(MemoryDirectory):
    """One that refuses what is left of the change of id0, after it has let its value go."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            late = change.user.id == "id0" and change.part is WritePart.REST
            yield Outcome(change.user, Result.FAILED, "no") if late else next(iter(super().write([change])))


def test_who_got_a_value_in_time_is_written_though_its_old_holder_then_fails() -> None:
    """Id0 and id1 swap; id2 gets what each of them lets go, and is in one step with the rest of id0, which fails."""
    waits = replace(moves(2, "2", "7", 0), after=frozenset({"id0", "id1"}))
    changes = [moves(0, "0", "1", 1), moves(1, "1", "0", 0), waits]

    directory = RefusingTheRest(people("0", "1", "2"), VIEW)
    journal = Noting()
    done = apply(
        changes,
        directory,
        replace(directory.describe(), writing=replace(directory.describe().writing, batch=1)),
        journal,
        Observers(),
    )
    assert [outcome.result for outcome in done.outcomes] == [Result.FAILED, Result.WRITTEN, Result.WRITTEN]
    assert done.outcomes[0].why == "no (a part of its change was written; the next run writes the rest)"
    assert [[change.user.id for change in step] for step in order_steps(changes)] == [["id0"], ["id1"], ["id0", "id2"]]


def test_who_waits_for_nobody_any_more_is_told_why_nothing_more_is_sent() -> None:
    """What id2 waited for is done when the rest of id0 fails, which is one failure too many."""
    waits = replace(moves(2, "2", "7", 0), after=frozenset({"id0", "id1"}))
    changes = [moves(0, "0", "1", 1), moves(1, "1", "0", 0), waits]

    directory = RefusingTheRest(people("0", "1", "2"), VIEW)
    described = replace(directory.describe(), writing=replace(directory.describe().writing, batch=1))
    done = apply(changes, directory, described, Noting(), Observers(), pace=ApplyPace((), 1))
    assert [outcome.result for outcome in done.outcomes] == [Result.FAILED, Result.WRITTEN, Result.SKIPPED]
    assert done.outcomes[2].why == "not sent: 1 writes failed (max_failures)"


def test_a_run_that_ends_at_once_says_of_whom_a_part_was_written() -> None:
    """Two swap; somebody ends the run when the first has let go, and when the other has its seat."""
    released = " (a part of its change was written; the next run writes the rest)"
    for rounds, seconds in ((1, "not sent: the run was stopped"), (2, "")):

        class Ended(MemoryDirectory):
            left = rounds

            def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
                if not self.left:
                    raise KeyboardInterrupt
                self.left -= 1
                return super().write(changes)

        directory = Ended(people("0", "1"), VIEW)
        changes = [moves(0, "0", "1", 1), moves(1, "1", "0", 0)]
        done = apply(changes, directory, directory.describe(), Noting(), Observers())
        assert [outcome.why for outcome in done.outcomes] == [f"not sent: the run was stopped{released}", seconds]
        assert (done.cut, done.touched, done.ended) == (True, True, [])


def test_once_all_is_written_nobody_stops_anything() -> None:
    directory, stop = MemoryDirectory(people("0"), VIEW), StopRequest()
    apply([changes_seat(0)], directory, directory.describe(), Noting(), Observers(), stop=stop)
    stop.ask_to_stop("too late")
    assert stop.why is None


class Cut(MemoryDirectory):
    """The connection is cut after so many writes: the next one is done, and its answer lost. It cannot be read then."""

    after = 0

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for place, change in enumerate(changes):
            (outcome,) = super().write([change])
            if place == self.after:
                yield Outcome(change.user, Result.FAILED, "no answer", unknown=True)
                return
            yield outcome

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        wanted = list(users)
        if wanted:
            raise UnreachableError("gone")
        return iter(())


@pytest.mark.parametrize("after", [0, 2])
def test_what_may_have_been_written_stays_open_in_the_journal_and_ends_the_writing(after: int) -> None:
    directory = Cut(people("0", "1", "2", "3"), VIEW)
    directory.after = after
    journal = Noting()
    changes = [
        Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, (AttributeChange(SEAT, (str(n),), (f"1{n}",)),), "d")
        for n in range(4)
    ]
    done = apply(changes, directory, directory.describe(), journal, Observers(), pace=ApplyPace((3,), 100))
    unknown = [outcome.user.id for outcome in done.outcomes if outcome.unknown]
    assert unknown == [f"id{after}"], "an answer of success is written, though nothing can be read back"
    assert {outcome.result for outcome in done.outcomes if outcome.unknown} == {Result.FAILED}
    skipped = [outcome for outcome in done.outcomes if outcome.result is Result.SKIPPED]
    assert len(skipped) == 4 - after - 1
    assert done.stopped == "the results of earlier writes are unknown"
    assert all(done.stopped in outcome.why for outcome in skipped)


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_failure_that_is_known_does_not_make_up_for_one_that_is_not(unknown: int) -> None:
    class Doubtful(MemoryDirectory):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            sent = list(islice(changes, 2))
            for place, change in enumerate(sent):
                yield Outcome(change.user, Result.FAILED, "no", unknown=place == unknown)

    directory = Doubtful(people("0", "1", "2", "3"), VIEW)
    done = apply(
        [changes_seat(n) for n in range(4)],
        directory,
        replace(directory.describe(), writing=replace(directory.describe().writing, batch=2)),
        Noting(),
        Observers(),
    )
    assert [outcome.result for outcome in done.outcomes] == [Result.FAILED] * 2 + [Result.SKIPPED] * 2
    assert done.stopped == "the results of earlier writes are unknown"


def test_where_nothing_can_be_read_back_any_more_nothing_more_is_written() -> None:
    directory = Cut(people("0", "1", "2"), VIEW)
    directory.after = -1
    changes = [changes_seat(n) for n in range(3)]
    done = apply(changes, directory, directory.describe(), Noting(), Observers(), pace=ApplyPace((1,), 100))
    assert [outcome.result for outcome in done.outcomes] == [Result.WRITTEN, Result.SKIPPED, Result.SKIPPED]
    assert done.stopped
    assert "gone" in done.stopped
    assert [held[SEAT] for _, held in directory.store.snapshot().values()] == [("new0",), ("1",), ("2",)]


def test_what_an_interrupted_run_may_have_written_is_told_at_once_as_written_again_and_noted_so() -> None:
    directory = MemoryDirectory(people("0", "1"), VIEW)
    journal, heard = Noting(), Hearing()
    changes = [
        Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, (AttributeChange(SEAT, (str(n),), (f"1{n}",)),), "d")
        for n in range(2)
    ]
    done = apply(changes, directory, directory.describe(), journal, heard, again={"id1"})
    plain, again = sorted(done.outcomes, key=lambda outcome: outcome.user)
    assert (plain.result, plain.why) == (Result.WRITTEN, "")
    assert (again.result, again.why.partition(",")[0]) == (Result.WRITTEN, "written again")
    assert heard.outcomes == [outcome for note, _, outcome in journal.notes if note == "settle"] == [plain, again]


@pytest.mark.parametrize("result", [Result.UNCHANGED, Result.CONFLICT, Result.FAILED])
def test_what_is_not_written_this_time_is_not_said_to_be_written_again(result: Result) -> None:
    class Odd(MemoryDirectory):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            return (Outcome(change.user, result, "why") for change in changes)

    directory = Odd(people("0"), VIEW)
    done = apply([changes_seat(0)], directory, directory.describe(), Noting(), Observers(), again={"id0"})
    assert [(outcome.result, outcome.why) for outcome in done.outcomes] == [(result, "why")]


class Hearing(Observers):
    """Remembers what it is told, so that a run that is killed has said it."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []
        self.attributes: dict[str, list[str]] = {}

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.outcomes.append(outcome)
        self.attributes[change.user.id] = [each.name for each in change.attributes]


class Strict(MemoryDirectory):
    """Object classes have to be there first. One user gets none; of another, the attribute is another's by then."""

    refused = raced = ""
    calls = 0

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, writing=replace(described.writing, classes_first=True))

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        self.calls += 1
        for change in changes:
            adds = {each.name for each in change.attributes}
            held = self.store.snapshot()[change.user.id][1]["objectClass"]
            assert adds == {"objectClass"} or ("objectClass" not in adds and "cecAgent" in held)
            if (change.user.id, *adds) == (self.refused, "objectClass"):
                yield Outcome(change.user, Result.FAILED, "no")
                continue
            if change.user.id == self.raced and "cecAccountCode" in adds:
                yield Outcome(change.user, Result.CONFLICT, "somebody was there")
                continue
            yield from super().write([change])


def test_object_classes_are_written_and_noted_before_what_needs_them() -> None:
    directory = Strict(people("0", "1", "2"), View(("uid", SEAT, "cecAccountCode"), object_classes=("cecAgent",)))
    directory.refused, directory.raced = "id1", "id2"
    attributes = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecAccountCode", (), ("a",))
    changes = [Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, attributes, f"d{n}") for n in range(3)]
    journal, heard = Noting(), Hearing()
    done = apply(changes, directory, directory.describe(), journal, heard)
    assert heard.attributes == {f"id{n}": ["objectClass", "cecAccountCode"] for n in range(3)}, "told of as a whole"
    assert {outcome.user.id: (outcome.result, outcome.why) for outcome in done.outcomes} == {
        "id0": (Result.WRITTEN, ""),
        "id1": (Result.FAILED, "no"),
        "id2": (Result.CONFLICT, "somebody was there (a part of its change was written; the next run writes the rest)"),
    }
    noted = [
        (note, change.digest, change.part.value, outcome and outcome.result) for note, change, outcome in journal.notes
    ]
    assert [sorted(noted[:3]), sorted(noted[3:6]), noted[6:9], sorted(noted[9:])] == [
        [("intend", f"d{n}", "classes", None) for n in range(3)],
        [
            ("settle", "d0", "classes", Result.WRITTEN),
            ("settle", "d1", "classes", Result.FAILED),
            ("settle", "d2", "classes", Result.WRITTEN),
        ],
        [("leave", "d1", "", Result.FAILED), *(("intend", f"d{n}", "", None) for n in (0, 2))],
        [("settle", "d0", "", Result.WRITTEN), ("settle", "d2", "", Result.CONFLICT)],
    ]


def test_of_whom_nothing_more_was_sent_it_is_said_once_that_its_object_classes_were_added() -> None:
    class Leaving(Strict):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for change in changes:
                if change.part is WritePart.REST:
                    yield Outcome(change.user, Result.SKIPPED, "not sent (gone)")
                    return
                yield from super().write([change])

    directory = Leaving(people("0", "1"), View(("uid", SEAT, "cecAccountCode"), object_classes=("cecAgent",)))
    attributes = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecAccountCode", (), ("a",))
    changes = [Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, attributes, f"d{n}") for n in range(2)]
    done = apply(changes, directory, directory.describe(), Noting(), Observers())
    assert {outcome.why for outcome in done.outcomes} == {
        "not sent (gone) (a part of its change was written; the next run writes the rest)"
    }


def test_a_batch_whose_object_classes_are_all_refused_is_passed_over() -> None:
    directory = Strict(people("0", "1"), View(("uid", SEAT, "cecAccountCode"), object_classes=("cecAgent",)))
    directory.refused = "id0"
    attributes = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecAccountCode", (), ("a",))
    changes = [Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, attributes, f"d{n}") for n in range(2)]
    described = replace(directory.describe(), writing=replace(directory.describe().writing, batch=1))
    done = apply(changes, directory, described, Noting(), Observers(), pace=ApplyPace((), 8))
    assert [(outcome.result, outcome.why) for outcome in done.outcomes] == [(Result.FAILED, "no"), (Result.WRITTEN, "")]
    assert directory.calls == 3, "twice for one user, and once for the other"


def test_what_became_of_the_object_classes_is_told_also_where_nothing_more_is_written() -> None:
    directory = Strict(people("0", "1", "2"), View(("uid", SEAT, "cecAccountCode"), object_classes=("cecAgent",)))
    directory.refused = "id1"
    attributes = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecAccountCode", (), ("a",))
    changes = [Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, attributes, f"d{n}") for n in range(3)]
    done = apply(changes, directory, directory.describe(), Noting(), Observers(), pace=ApplyPace((), 1))
    not_sent = "not sent: 1 writes failed (max_failures)"
    assert [(outcome.result, outcome.why) for outcome in done.outcomes] == [
        (Result.SKIPPED, f"{not_sent} (a part of its change was written; the next run writes the rest)"),
        (Result.FAILED, "no"),
        (Result.SKIPPED, not_sent),
    ]


class Showing(MemoryDirectory):
    """Shows what it wrote, three writes later, if it shows anything; counts how often it was waited for."""

    shows = True
    floods = 0
    refuses: frozenset[str] = frozenset()
    classes_first = False
    stop = StopRequest()
    stops_after = -1

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, writing=replace(described.writing, batch=8, classes_first=self.classes_first))

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        self.floods += 1
        answers: deque[Outcome] = deque()
        for change in changes:
            self.stops_after -= 1
            if not self.stops_after:
                self.stop.end_run("asked to stop")
            if change.user.id in self.refuses:
                answers.append(Outcome(change.user, Result.FAILED, "no"))
            else:
                (outcome,) = super().write([change])
                (shown,) = self.read([change.user])
                answers.append(replace(outcome, shown=shown) if self.shows else outcome)
            if len(answers) > 3:
                yield answers.popleft()
        yield from answers


class Failing(Noting):
    """A journal that can take so many notes and no more; `written` tells what is written already."""

    def __init__(self, notes: int, written: Callable[[], set[str]]) -> None:
        super().__init__()
        self._left = notes
        self._written = written

    def note_writes(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change] = ()) -> None:
        if not self._left:
            raise StateError("the disk is full")
        self._left -= 1
        assert self._written().isdisjoint(change.user.id for change in intended), "written, and noted afterwards"
        super().note_writes(settled, intended)

    def intended(self) -> set[str]:
        return {change.user.id for note, change, _ in self.notes if note == "intend"}


@given(
    st.integers(0, 40), st.integers(0, 12), st.frozensets(st.integers(0, 39), max_size=5), st.booleans(),
    st.sampled_from([(), (1,), (2, 3)]), st.integers(1, 6), st.booleans(), st.integers(0, 60),
)  # fmt: skip
def test_nothing_is_written_before_it_is_noted_and_everybody_has_one_outcome_that_is_told_as_it_is_noted(
    count: int, notes: int, refused: frozenset[int], shows: bool, ramp: tuple[int, ...], most: int,
    classes_first: bool, stops_after: int,
) -> None:  # fmt: skip
    store = people(*map(str, range(count)))
    directory = Showing(store, VIEW)
    directory.shows, directory.refuses = shows, frozenset(f"id{n}" for n in refused)
    directory.classes_first, directory.stop, directory.stops_after = classes_first, StopRequest(), stops_after

    def written() -> set[str]:
        return {id_ for id_, (_, held) in store.snapshot().items() if str(held[SEAT][0]).startswith("new")}

    journal, heard = Failing(notes, written), Hearing()
    changes = [changes_seat(n, classes=classes_first and n % 3 > 0) for n in range(count)]
    done = apply(
        changes, directory, directory.describe(), journal, heard, pace=ApplyPace(ramp, most), stop=directory.stop
    )
    assert [outcome.user.id for outcome in done.outcomes] == [change.user.id for change in changes]
    assert sorted(heard.outcomes, key=lambda outcome: int(outcome.user.id[2:])) == done.outcomes
    assert written() <= journal.intended()
    noted = {change.user.id: outcome for note, change, outcome in journal.notes
             if note != "intend" and change.part is not WritePart.CLASSES}  # fmt: skip
    alone = " (a part of its change was written; the next run writes the rest)"
    for outcome in done.outcomes:
        if outcome.user.id in noted:
            assert noted[outcome.user.id] in (outcome, replace(outcome, why=outcome.why.removesuffix(alone)))
        elif outcome.user.id in written():
            assert (outcome.result, outcome.unnoted) == (Result.WRITTEN, True)
            assert outcome.why.removesuffix(alone) == "written, but not noted in the journal: the disk is full"
        assert (outcome.result is Result.WRITTEN) <= (outcome.user.id in written())
    failures = sum(outcome.why == "no" for outcome in done.outcomes)
    assert failures < most + 3 + 1, "writing goes on for no more than what is in flight"


def changes_seat(n: int, *, classes: bool = False) -> Change:
    seat = AttributeChange(SEAT, (str(n),), (f"new{n}",))
    added = (AttributeChange("objectClass", (), ("cecAgent",)),) if classes else ()
    return Change(UserRef(f"id{n}", f"uid=u{n},dc=example"), None, 1, (*added, seat), f"sha256:{n}")


@pytest.mark.parametrize(("shows", "floods"), [(True, 4), (False, 7)])
def test_a_directory_that_shows_what_it_wrote_is_waited_for_after_the_ramp_and_one_batch_only(
    shows: bool, floods: int
) -> None:
    """Two steps of the ramp, and 40 changes in batches of 8; all of it is noted two changes at a time."""
    directory = Showing(people(*map(str, range(45))), VIEW)
    directory.shows = shows
    journal = Noting()
    done = apply(
        [changes_seat(n) for n in range(45)],
        directory,
        directory.describe(),
        journal,
        Observers(),
        pace=ApplyPace((2, 3), 1),
    )
    assert {outcome.result for outcome in done.outcomes} == {Result.WRITTEN}
    assert directory.floods == floods
    kinds = [note for note, _, _ in journal.notes]
    begun = kinds[5 + 5 :]  # after the ramp, and what became of it
    assert begun[:4] == ["intend"] * 2 + ["intend"] * 2


def test_readers_who_see_something_else_than_the_answers_show_end_the_writing_after_one_batch() -> None:
    """Of every batch eight are read back, of a batch of eight all; that is not put off to the end of everything."""

    class Lying(Showing):
        def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
            found = super().read(users, disabled=disabled)
            return found if self.writing else (replace(user, values={"uid": user.values["uid"]}) for user in found)

        writing = False

        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            self.writing = True
            yield from super().write(changes)
            self.writing = False

    directory = Lying(people(*map(str, range(200))), VIEW)
    changes = [changes_seat(n) for n in range(200)]
    done = apply(changes, directory, directory.describe(), Noting(), Observers(), pace=ApplyPace((), 8))
    assert {outcome.result for outcome in done.outcomes[:8]} == {Result.FAILED}
    assert {outcome.result for outcome in done.outcomes[8:]} == {Result.SKIPPED}

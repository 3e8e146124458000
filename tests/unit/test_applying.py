"""What an apply says of each user: of those that had to wait, and of those of whom nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from connector.apply import apply
from connector.directories.memory import MemoryDirectory, MemoryStore
from connector.errors import UnreachableError
from connector.model import AttributeChange, Change, Description, Outcome, Result, User, UserRef, View
from connector.reconcile.limits import Pace
from connector.watch import Watchers

SEAT = "employeeNumber"
VIEW = View(("uid", SEAT))


class Noting:
    """A journal that keeps everything in its order."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Change, Outcome | None]] = []

    def intend(self, changes: Sequence[Change]) -> None:
        self.notes += [("intend", change, None) for change in changes]

    def settle(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        self.notes += [("settle", *each) for each in settled]

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
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
    done = apply(changes, directory, directory.describe(), journal, Watchers())
    first, second = sorted(done.outcomes, key=lambda outcome: outcome.user)
    assert second.result is Result.CONFLICT
    assert first.result is Result.SKIPPED
    assert "was taken from it already" in first.why
    left = [(change.digest, outcome) for note, change, outcome in journal.notes if note == "leave"]
    assert left == [("sha256:0", first)]
    assert SEAT not in directory.store.snapshot()["id0"][1]


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

    def read(self, users: Iterable[UserRef]) -> Iterator[User]:
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
    done = apply(changes, directory, directory.describe(), journal, Watchers(), pace=Pace((3,), 100))
    unknown = [outcome.user.id for outcome in done.outcomes if outcome.unknown]
    assert unknown == [f"id{n}" for n in range(after + 1)]
    assert {outcome.result for outcome in done.outcomes if outcome.unknown} == {Result.FAILED}
    skipped = [outcome for outcome in done.outcomes if outcome.result is Result.SKIPPED]
    assert len(skipped) == 4 - len(unknown)
    assert done.stopped == "it is not known what became of writes before this one"
    assert all(done.stopped in outcome.why for outcome in skipped)


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


class Hearing(Watchers):
    """Remembers what it is told, so that a run that is killed has said it."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.outcomes.append(outcome)


class Strict(MemoryDirectory):
    """Object classes have to be there first. One user gets none; of another, the attribute is another's by then."""

    refused = raced = ""

    def describe(self) -> Description:
        return replace(super().describe(), classes_first=True)

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
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
    journal = Noting()
    done = apply(changes, directory, directory.describe(), journal, Watchers())
    assert {outcome.user.id: (outcome.result, outcome.why) for outcome in done.outcomes} == {
        "id0": (Result.WRITTEN, ""),
        "id1": (Result.FAILED, "no"),
        "id2": (Result.CONFLICT, "somebody was there (object classes were added already)"),
    }
    noted = [(note, change.digest, outcome and outcome.result) for note, change, outcome in journal.notes]
    assert noted == [
        *(("intend", f"d{n}/classes", None) for n in range(3)),
        ("settle", "d0/classes", Result.WRITTEN),
        ("settle", "d1/classes", Result.FAILED),
        ("settle", "d2/classes", Result.WRITTEN),
        ("leave", "d1", Result.FAILED),
        *(("intend", f"d{n}", None) for n in (0, 2)),
        ("settle", "d0", Result.WRITTEN),
        ("settle", "d2", Result.CONFLICT),
    ]

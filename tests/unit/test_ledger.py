"""The account of an apply: what is told, when, and what is known of each write where the run ends at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import pytest
from msgspec.structs import replace

from connector.apply.ledger import WriteId, WriteLedger
from connector.errors import StateError
from connector.model import AttributeChange, Change, Outcome, Result, UserRef, WritePart
from connector.observers.observer import Observer

WHY = "told to end at once"


class Noting:
    """A journal that keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.notes: list[tuple[list[str], list[str]]] = []
        self.left: list[str] = []
        self.full = False
        self.audit: Callable[[], None] | None = None

    def note_writes(
        self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change]
    ) -> Callable[[], None] | None:
        self._check()
        self.notes.append(([change.user.id for change, _ in settled], [change.user.id for change in intended]))
        return self.audit

    def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        self._check()
        self.left += [change.user.id for change, _ in left]

    def _check(self) -> None:
        if self.full:
            raise StateError("the disk is full")


class Hearing(Observer):
    def __init__(self) -> None:
        self.told: list[tuple[str, list[str], Outcome]] = []

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.told.append((change.user.id, [each.name for each in change.attributes], outcome))


def change(name: str, part: WritePart = WritePart.REST, attribute: str = "title") -> Change:
    return Change(UserRef(name, f"cn={name}"), None, 1, (AttributeChange(attribute, (), ("x",)),), part=part)


def outcome(of: Change, result: Result = Result.WRITTEN, why: str = "") -> Outcome:
    return Outcome(of.user, result, why)


class Fixture:
    def __init__(self, left_open: Collection[WriteId] = ()) -> None:
        self.journal, self.observer = Noting(), Hearing()
        self.ledger = WriteLedger(self.journal, self.observer, left_open)

    def settled(self, of: Change, result: Result = Result.WRITTEN, *, told: bool = True) -> Outcome:
        """A write goes all its way, or all but the last step of it."""
        became = outcome(of, result, "" if result is Result.WRITTEN else "no")
        self.ledger.note_writes([of])
        self.ledger.note_sent(of)
        self.ledger.settle(of, became)
        if told:
            self.ledger.note_writes()
        return became

    def stands(self, of: Change) -> Outcome:
        (found,) = self.ledger.account_now([of], WHY)
        assert found.user == of.user
        return found


# ---------------------------------------------------------------- a run that ends at once


def test_of_a_write_that_was_sent_nobody_knows() -> None:
    for answered in (False, True):
        of, fixture = change("ann"), Fixture()
        fixture.ledger.note_writes([of])
        fixture.ledger.note_sent(of)
        if answered:
            fixture.ledger.note_answer(of)
            with pytest.raises(ValueError, match="a write that is answered does not become sent"):
                fixture.ledger.note_sent(of)
        found = fixture.stands(of)
        assert (found.result, found.unknown) == (Result.FAILED, True)
        assert found.why.startswith("sent, answer not awaited")
        assert found.why.endswith(f": {WHY}")


@pytest.mark.parametrize("noted", [False, True])
def test_a_write_that_was_not_sent_was_not_written(noted: bool) -> None:
    of, fixture = change("ann"), Fixture()
    if noted:
        fixture.ledger.note_writes([of])
    assert fixture.stands(of) == outcome(of, Result.SKIPPED, f"not sent: {WHY}")


def test_a_write_that_was_told_is_told_so_again() -> None:
    of, fixture = change("ann"), Fixture()
    assert fixture.stands(of).result is Result.SKIPPED
    assert fixture.settled(of) is fixture.stands(of)


def test_a_write_that_the_journal_does_not_know_yet_is_said_to_be_unnoted() -> None:
    for result, unnoted in ((Result.WRITTEN, True), (Result.UNCHANGED, False), (Result.CONFLICT, False)):
        of, fixture = change("ann"), Fixture()
        became = fixture.settled(of, result, told=False)
        found = fixture.stands(of)
        assert (found.result, found.unnoted) == (result, unnoted)
        assert found.why == (f"written, but not noted in the journal: {WHY}" if unnoted else became.why)


@pytest.mark.parametrize("part", [WritePart.RELEASE, WritePart.CLASSES, WritePart.STEP])
@pytest.mark.parametrize("told", [False, True])
def test_a_part_that_went_first_does_not_stand_for_the_whole_and_is_said(part: WritePart, told: bool) -> None:
    of, fixture = change("ann", part), Fixture()
    fixture.settled(of, told=told)
    found = fixture.stands(change("ann"))
    reason, _, half = found.why.partition(" (")
    assert (found.result, reason) == (Result.SKIPPED, f"not sent: {WHY}")
    assert half.startswith("a part of its change was written") if told else not half


def test_what_went_first_of_a_change_that_was_skipped_is_said_once() -> None:
    first, rest, fixture = change("ann", WritePart.CLASSES), change("ann"), Fixture()
    fixture.settled(first)
    skipped = outcome(rest, Result.SKIPPED, f"not sent: no more{fixture.ledger.tell_part('ann')}")
    fixture.ledger.note_unwritten([(rest, skipped)])
    assert fixture.stands(rest) == skipped


def test_asking_how_things_stand_notes_and_tells_nothing() -> None:
    sent, left, fixture = change("ann"), change("bob"), Fixture()
    fixture.ledger.note_writes([sent])
    fixture.ledger.note_sent(sent)
    fixture.ledger.account_now([sent, left], WHY)
    assert (fixture.journal.notes, fixture.observer.told) == ([([], ["ann"])], [])
    assert fixture.ledger.list_unsettled() == [sent]


# ---------------------------------------------------------------- noted, then told


def test_an_outcome_is_noted_with_what_is_intended_next_and_told_after_that() -> None:
    ann, bob, fixture = change("ann"), change("bob"), Fixture()
    fixture.ledger.note_writes([ann])
    assert fixture.ledger.find_change("ann") is ann
    fixture.ledger.note_sent(ann)
    fixture.ledger.settle(ann, outcome(ann))
    assert fixture.observer.told == []
    fixture.ledger.note_writes([bob])
    assert fixture.observer.told == [("ann", ["title"], outcome(ann))]
    fixture.ledger.note_writes()
    assert fixture.journal.notes == [([], ["ann"]), (["ann"], ["bob"])], "where there is nothing to note, nothing is"
    assert len(fixture.observer.told) == 1


def test_a_journal_that_fails_is_lost_and_what_was_written_is_told_all_the_same() -> None:
    ann, bob, fixture = change("ann"), change("bob"), Fixture()
    fixture.ledger.note_writes([ann, bob])
    for of, result in ((ann, Result.WRITTEN), (bob, Result.CONFLICT)):
        fixture.ledger.note_sent(of)
        fixture.ledger.settle(of, outcome(of, result))
    fixture.journal.full = True
    fixture.ledger.note_writes()
    assert fixture.ledger.lost == "nothing is written without the journal: the disk is full"
    assert [(user, found.unnoted) for user, _, found in fixture.observer.told] == [("ann", True), ("bob", False)]
    fixture.journal.full = False
    fixture.ledger.note_unwritten([(change("cid"), outcome(change("cid"), Result.SKIPPED))])
    assert fixture.journal.left == [], "a journal that was lost is not written to again"
    assert fixture.ledger.outcomes["cid"].result is Result.SKIPPED


def test_a_journal_that_fails_with_what_is_left_is_lost() -> None:
    ann, fixture = change("ann"), Fixture()
    fixture.journal.full = True
    fixture.ledger.note_unwritten([(ann, outcome(ann, Result.SKIPPED, "why"))])
    assert fixture.ledger.lost
    assert fixture.observer.told == [("ann", ["title"], outcome(ann, Result.SKIPPED, "why"))]


def test_the_same_outcome_is_left_once_and_another_one_again() -> None:
    ann, fixture = change("ann"), Fixture()
    became = fixture.settled(ann, Result.FAILED)
    fixture.ledger.note_unwritten([(ann, became)])
    assert (fixture.journal.left, len(fixture.observer.told)) == ([], 1)
    fixture.ledger.note_unwritten([(ann, replace(became, why="another reason"))])
    assert (fixture.journal.left, len(fixture.observer.told)) == (["ann"], 2)


def test_while_the_audit_is_told_a_write_is_known_to_be_noted_and_nobody_else_was_told_of_it() -> None:
    """The audit may take its time, and the run be told to end at once meanwhile."""
    ann, fixture, known = change("ann"), Fixture(), list[Outcome]()
    fixture.settled(ann, told=False)

    def audit() -> None:
        assert fixture.observer.told == []
        known.append(fixture.stands(ann))

    fixture.journal.audit = audit
    fixture.ledger.note_writes()
    assert known == [outcome(ann)]
    assert len(fixture.observer.told) == 1


@pytest.mark.parametrize(
    ("result", "open_"),
    [
        (Result.FAILED, True),
        (Result.CONFLICT, True),
        (Result.SKIPPED, True),
        (Result.UNCHANGED, True),
        (Result.WRITTEN, False),
    ],
)
@pytest.mark.parametrize("left", [True, False], ids=["left", "settled"])
def test_a_write_that_this_run_had_left_open_stays_so_unless_it_is_written(
    result: Result, *, open_: bool, left: bool
) -> None:
    ann, bob = change("ann"), change("bob")
    fixture = Fixture([("ann", ann.digest, WritePart.REST), ("bob", "another digest", WritePart.REST)])
    for each in (ann, bob):
        if left:
            fixture.ledger.note_unwritten([(each, outcome(each, result, "why"))])
        else:
            fixture.ledger.note_writes([each])
            fixture.ledger.settle(each, outcome(each, result, "why"))
            fixture.ledger.note_writes()
    first, second = (found for _, _, found in fixture.observer.told)
    assert second == outcome(bob, result, "why")
    assert (first.result, first.is_open, first.why.startswith("why")) == (result, open_, True)
    assert first.why.endswith("the interrupted run may have written it. The next run settles it") is open_


def test_of_a_write_that_is_open_by_itself_nothing_more_is_said() -> None:
    ann = change("ann")
    fixture = Fixture([("ann", ann.digest, WritePart.REST)])
    unknown = Outcome(ann.user, Result.FAILED, "no answer", unknown=True)
    fixture.ledger.note_unwritten([(ann, unknown)])
    assert [found for _, _, found in fixture.observer.told] == [unknown]


def test_a_run_touches_what_it_has_sent_and_what_it_has_written_noted_or_not() -> None:
    ann, bob, fixture = change("ann"), change("bob"), Fixture()
    ledger = fixture.ledger
    seen = []

    def look() -> None:
        seen.append((ledger.has_touched_by_now, ledger.touched))

    ledger.note_writes([ann, bob])
    look()
    ledger.note_sent(ann)
    look()
    ledger.settle(ann, outcome(ann, Result.CONFLICT))
    look()
    ledger.note_sent(bob)
    look()
    ledger.settle(bob, outcome(bob))
    look()
    ledger.note_writes()
    look()
    assert seen == [(False, False), (True, False), (False, False), (True, False), (True, False), (True, True)]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("part", WritePart)
@pytest.mark.parametrize("result", [Result.WRITTEN, Result.UNCHANGED, Result.CONFLICT])
def test_what_was_there_already_does_not_count_as_written(part: WritePart, result: Result) -> None:
    fixture = Fixture()
    fixture.settled(change("ann", part), result)
    assert fixture.ledger.written == ({"ann": change("ann", part)} if result is Result.WRITTEN else {})


@pytest.mark.parametrize("part", [WritePart.CLASSES, WritePart.STEP])
def test_parts_of_one_change_are_told_together_with_the_rest(part: WritePart) -> None:
    fixture = Fixture()
    fixture.settled(change("ann", part, "a"))
    fixture.settled(change("ann", part, "b"))
    assert fixture.observer.told == []
    fixture.settled(change("ann", attribute="c"))
    assert fixture.observer.told == [("ann", ["a", "b", "c"], outcome(change("ann")))]
    fixture.settled(change("bob"))
    assert fixture.observer.told[1][1] == ["title"]


def test_what_was_let_go_for_others_is_told_at_once_and_by_itself() -> None:
    fixture = Fixture()
    fixture.settled(change("ann", WritePart.RELEASE, "a"))
    fixture.settled(change("ann", attribute="b"))
    assert [names for _, names, _ in fixture.observer.told] == [["a"], ["b"]]


def test_a_part_that_is_not_confirmed_is_no_first() -> None:
    fixture = Fixture()
    fixture.settled(change("ann", WritePart.RELEASE), Result.CONFLICT)
    fixture.settled(change("bob", WritePart.RELEASE), Result.UNCHANGED)
    assert [bool(fixture.ledger.tell_part(user)) for user in ("ann", "bob")] == [False, True]


@pytest.mark.parametrize(
    ("results", "touched"),
    [
        ([Result.WRITTEN, Result.CONFLICT], True),
        ([Result.CONFLICT, Result.WRITTEN], True),
        ([Result.CONFLICT, Result.UNCHANGED], False),
    ],
)
def test_a_ledger_is_touched_from_the_first_write_on(results: list[Result], touched: bool) -> None:
    fixture = Fixture()
    for name, result in zip("ab", results, strict=True):
        fixture.settled(change(name), result)
    assert fixture.ledger.touched is touched


class Interrupting(list[tuple[Change, Outcome]]):
    def append(self, _each: tuple[Change, Outcome]) -> None:
        raise KeyboardInterrupt


def test_a_write_whose_outcome_just_comes_as_the_run_is_cut_is_not_told_to_be_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture, sent = Fixture(), change("a")
    fixture.ledger.note_writes([sent])
    fixture.ledger.note_sent(sent)
    monkeypatch.setattr(fixture.ledger, "_unnoted", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        fixture.ledger.settle(sent, outcome(sent))
    (found,) = fixture.ledger.account_now([sent], WHY)
    assert found.unknown
    assert fixture.ledger.has_touched_by_now

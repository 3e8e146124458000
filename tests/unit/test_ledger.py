"""The account of an apply: what is told, when, and what is known of each write where the run ends at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from msgspec.structs import replace

from connector.apply.ledger import Ledger
from connector.errors import StateError
from connector.model import AttributeChange, Change, Outcome, Part, Result, UserRef
from connector.runtime.observer import Observer

WHY = "told to end at once"


class Noting:
    """A journal that keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.notes: list[tuple[list[str], list[str]]] = []
        self.left: list[str] = []
        self.full = False

    def note(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change]) -> None:
        self._check()
        self.notes.append(([change.user.id for change, _ in settled], [change.user.id for change in intended]))

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        self._check()
        self.left += [change.user.id for change, _ in left]

    def _check(self) -> None:
        if self.full:
            raise StateError("the disk is full")


class Hearing(Observer):
    def __init__(self) -> None:
        self.told: list[tuple[str, list[str], Outcome]] = []

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.told.append((change.user.id, [each.name for each in change.attributes], outcome))


def change(name: str, part: Part = Part.REST, attribute: str = "title") -> Change:
    return Change(UserRef(name, f"cn={name}"), None, 1, (AttributeChange(attribute, (), ("x",)),), part=part)


def outcome(of: Change, result: Result = Result.WRITTEN, why: str = "") -> Outcome:
    return Outcome(of.user, result, why)


class Scene:
    def __init__(self) -> None:
        self.journal, self.observer = Noting(), Hearing()
        self.ledger = Ledger(self.journal, self.observer)

    def settled(self, of: Change, result: Result = Result.WRITTEN, *, told: bool = True) -> Outcome:
        """A write goes all its way, or all but the last step of it."""
        became = outcome(of, result, "" if result is Result.WRITTEN else "no")
        self.ledger.note([of])
        self.ledger.sent(of)
        self.ledger.settle(of, became)
        if told:
            self.ledger.note()
        return became

    def stands(self, of: Change) -> Outcome:
        (found,) = self.ledger.standing([of], WHY)
        assert found.user == of.user
        return found


# ---------------------------------------------------------------- a run that ends at once


def test_of_a_write_that_was_sent_nobody_knows() -> None:
    for answered in (False, True):
        of, scene = change("ann"), Scene()
        scene.ledger.note([of])
        scene.ledger.sent(of)
        if answered:
            scene.ledger.answered(of)
            with pytest.raises(ValueError, match="a write that is answered does not become sent"):
                scene.ledger.sent(of)
        found = scene.stands(of)
        assert (found.result, found.unknown) == (Result.FAILED, True)
        assert found.why.startswith("sent, and not waited for")
        assert found.why.endswith(f": {WHY}")


@pytest.mark.parametrize("noted", [False, True])
def test_a_write_that_was_not_sent_was_not_written(noted: bool) -> None:
    of, scene = change("ann"), Scene()
    if noted:
        scene.ledger.note([of])
    assert scene.stands(of) == outcome(of, Result.SKIPPED, f"not sent: {WHY}")


def test_a_write_that_was_told_is_told_so_again() -> None:
    of, scene = change("ann"), Scene()
    assert scene.stands(of).result is Result.SKIPPED
    assert scene.settled(of) is scene.stands(of)


def test_a_write_that_the_journal_does_not_know_yet_is_said_to_be_unnoted() -> None:
    for result, unnoted in ((Result.WRITTEN, True), (Result.UNCHANGED, False), (Result.CONFLICT, False)):
        of, scene = change("ann"), Scene()
        became = scene.settled(of, result, told=False)
        found = scene.stands(of)
        assert (found.result, found.unnoted) == (result, unnoted)
        assert found.why == (f"written, but the journal does not know: {WHY}" if unnoted else became.why)


@pytest.mark.parametrize("part", [Part.RELEASE, Part.CLASSES, Part.STEP])
@pytest.mark.parametrize("told", [False, True])
def test_a_part_that_went_first_does_not_stand_for_the_whole(part: Part, told: bool) -> None:
    of, scene = change("ann", part), Scene()
    scene.settled(of, told=told)
    assert scene.stands(change("ann")) == outcome(of, Result.SKIPPED, f"not sent: {WHY}")


def test_asking_how_things_stand_notes_and_tells_nothing() -> None:
    sent, left, scene = change("ann"), change("bob"), Scene()
    scene.ledger.note([sent])
    scene.ledger.sent(sent)
    scene.ledger.standing([sent, left], WHY)
    assert (scene.journal.notes, scene.observer.told) == ([([], ["ann"])], [])
    assert scene.ledger.unsettled() == [sent]


# ---------------------------------------------------------------- noted, then told


def test_an_outcome_is_noted_with_what_is_intended_next_and_told_after_that() -> None:
    ann, bob, scene = change("ann"), change("bob"), Scene()
    scene.ledger.note([ann])
    assert scene.ledger.of("ann") is ann
    scene.ledger.sent(ann)
    scene.ledger.settle(ann, outcome(ann))
    assert scene.observer.told == []
    scene.ledger.note([bob])
    assert scene.observer.told == [("ann", ["title"], outcome(ann))]
    scene.ledger.note()
    assert scene.journal.notes == [([], ["ann"]), (["ann"], ["bob"])], "where there is nothing to note, nothing is"
    assert len(scene.observer.told) == 1


def test_a_journal_that_fails_is_lost_and_what_was_written_is_told_all_the_same() -> None:
    ann, bob, scene = change("ann"), change("bob"), Scene()
    scene.ledger.note([ann, bob])
    for of, result in ((ann, Result.WRITTEN), (bob, Result.CONFLICT)):
        scene.ledger.sent(of)
        scene.ledger.settle(of, outcome(of, result))
    scene.journal.full = True
    scene.ledger.note()
    assert scene.ledger.lost == "nothing is written without a journal: the disk is full"
    assert [(user, found.unnoted) for user, _, found in scene.observer.told] == [("ann", True), ("bob", False)]
    scene.journal.full = False
    scene.ledger.leave([(change("cid"), outcome(change("cid"), Result.SKIPPED))])
    assert scene.journal.left == [], "a journal that was lost is not written to again"
    assert scene.ledger.outcomes["cid"].result is Result.SKIPPED


def test_a_journal_that_fails_with_what_is_left_is_lost() -> None:
    ann, scene = change("ann"), Scene()
    scene.journal.full = True
    scene.ledger.leave([(ann, outcome(ann, Result.SKIPPED, "why"))])
    assert scene.ledger.lost
    assert scene.observer.told == [("ann", ["title"], outcome(ann, Result.SKIPPED, "why"))]


def test_the_same_outcome_is_left_once_and_another_one_again() -> None:
    ann, scene = change("ann"), Scene()
    became = scene.settled(ann, Result.FAILED)
    scene.ledger.leave([(ann, became)])
    assert (scene.journal.left, len(scene.observer.told)) == ([], 1)
    scene.ledger.leave([(ann, replace(became, why="another reason"))])
    assert (scene.journal.left, len(scene.observer.told)) == (["ann"], 2)


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("part", [Part.CLASSES, Part.STEP])
def test_parts_of_one_change_are_told_together_with_the_rest(part: Part) -> None:
    scene = Scene()
    scene.settled(change("ann", part, "a"))
    scene.settled(change("ann", part, "b"))
    assert scene.observer.told == []
    assert scene.ledger.firsts == {"ann": (part, part)}
    scene.settled(change("ann", attribute="c"))
    assert scene.observer.told == [("ann", ["a", "b", "c"], outcome(change("ann")))]
    scene.settled(change("bob"))
    assert scene.observer.told[1][1] == ["title"]


def test_what_was_let_go_for_others_is_told_at_once_and_by_itself() -> None:
    scene = Scene()
    scene.settled(change("ann", Part.RELEASE, "a"))
    scene.settled(change("ann", attribute="b"))
    assert [names for _, names, _ in scene.observer.told] == [["a"], ["b"]]
    assert scene.ledger.firsts == {"ann": (Part.RELEASE,)}


def test_a_part_that_is_not_confirmed_is_no_first() -> None:
    scene = Scene()
    scene.settled(change("ann", Part.RELEASE), Result.CONFLICT)
    scene.settled(change("bob", Part.RELEASE), Result.UNCHANGED)
    assert scene.ledger.firsts == {"bob": (Part.RELEASE,)}


@pytest.mark.parametrize(
    ("results", "touched"),
    [
        ([Result.WRITTEN, Result.CONFLICT], True),
        ([Result.CONFLICT, Result.WRITTEN], True),
        ([Result.CONFLICT, Result.UNCHANGED], False),
    ],
)
def test_a_ledger_is_touched_from_the_first_write_on(results: list[Result], touched: bool) -> None:
    scene = Scene()
    for name, result in zip("ab", results, strict=True):
        scene.settled(change(name), result)
    assert scene.ledger.touched is touched

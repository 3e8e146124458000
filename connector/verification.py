"""Reading back: what the server said yes to is *written*, unless the directory shows otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from connector.directories.port import Directory
from connector.errors import IncompleteRead
from connector.model import Change, Description, Holds, Outcome, Question, Result, User
from connector.reconcile.standing import stands

_SAMPLE: Final = 8
"""So many users of a batch are read back although the directory has shown them."""


class Verifier:
    """Judges what was written by what is there.

    An answer that shows the user as written is believed as it comes. All else is read back when all is written, for an
    answer may come through a proxy that takes values away. So are a few that were shown: they tell whether readers see
    the same.
    """

    def __init__(self, directory: Directory, description: Description) -> None:
        self._directory = directory
        self._description = description
        self._unconfirmed: list[tuple[Change, User | None]] = []
        self._notes: dict[str, str] = {}
        self._sample = _SAMPLE
        self.blind: str | None = None
        """Why nothing could be read back, if so."""
        self._shown = 0
        self._hidden = 0

    def next_batch(self) -> bool:
        """Whether all that was written so far was shown, so that nothing is to be waited for before the next batch."""
        self._sample = _SAMPLE
        return self._shown > 0 and self._hidden == 0

    def judged(self, change: Change, outcome: Outcome) -> Outcome | None:
        """The outcome as far as the answer tells it; None where the user is to be read back."""
        shown = outcome.shown
        if outcome.result is not Result.WRITTEN:
            return outcome if shown is None else Outcome(outcome.user, outcome.result, outcome.why)
        if outcome.why:
            self._notes[change.user.id] = outcome.why
        self._shown += shown is not None
        if shown is not None and self._sample:
            self._sample -= 1
            self._unconfirmed.append((change, None))
            return None
        if shown is None or any(_questions(change, shown)):
            self._hidden += 1
            self._unconfirmed.append((change, shown))
            return None
        if _lost(change, shown, self._description, {}):
            self._hidden += 1
            self._unconfirmed.append((change, None))
            return None
        return Outcome(change.user, Result.WRITTEN, self._notes.get(change.user.id, ""))

    def read_back(self) -> Iterator[tuple[Change, Outcome]]:
        """Read the users that were not shown, ask about what is hidden of any, and say what became of them."""
        written = [change for change, _ in self._unconfirmed]
        try:
            users = {user.id: user for _, user in self._unconfirmed if user is not None}
            unshown = (change.user for change in written if change.user.id not in users)
            users |= {user.id: user for user in self._directory.read(unshown)}
            unseen = [question for change in written for question in _questions(change, users.get(change.user.id))]
            answers = {
                (question.user.id, question.attribute): answer
                for question, answer in zip(unseen, self._directory.holds(unseen), strict=True)
            }
        except IncompleteRead as fault:
            self.blind = f"what was written could not be read back: {fault}"
            for change in written:
                yield change, Outcome(change.user, Result.WRITTEN, f"the server said yes; not read back: {fault}")
            return
        for change in written:
            yield change, self._confirmed(change, users.get(change.user.id), answers)

    def _confirmed(self, change: Change, user: User | None, answers: Mapping[tuple[str, str], Holds]) -> Outcome:
        """*Written* where the user shows all that was written, else *failed*."""
        lost = _lost(change, user, self._description, answers)
        if not lost:
            return Outcome(change.user, Result.WRITTEN, self._notes.get(change.user.id, ""))
        why = f"written, and the server said yes, but it does not show {', '.join(lost)} as written"
        if user is None:
            return Outcome(change.user, Result.FAILED, why, may_stand=True)
        return Outcome(change.user, Result.FAILED, why, lost=tuple(lost))


def _questions(change: Change, user: User | None) -> Iterator[Question]:
    for each in change.attributes:
        if user is not None and each.secret and each.new and each.name not in user.values:
            yield Question(change.user, each.name, each.new[0])


def _lost(
    change: Change, user: User | None, description: Description, answers: Mapping[tuple[str, str], Holds]
) -> list[str]:
    """The attributes that do not hold what was written; a secret that can be neither read nor compared passes."""
    if user is None:
        return ["the entry (it is gone, or no longer within base and filter)"]
    lost = []
    for each in change.attributes:
        answer = answers.get((user.id, each.name))
        if answer is not None:
            stuck = answer in (Holds.SAME, Holds.UNKNOWN)
        else:
            stuck = stands(each, user.values.get(each.name, ()), description)
        if not stuck:
            lost.append(each.name)
    return lost

"""The account of an apply: what was begun, what came of it, and that all of it is noted before it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from connector.errors import StateError
from connector.model import Change, Outcome, Result
from connector.watch import Watch


class Journal(Protocol):
    """Where intents are kept, durably, before they are carried out, and outcomes after that."""

    def note(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change]) -> None:
        """Keep what became of changes, as far as that is known, and which ones are about to be written; both or none.

        Raises StateError.
        """

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of changes that were never going to be written. Raises StateError."""


class Account:
    """One outcome for each user. Nothing here raises for a journal that fails: `lost` says so, and it goes on without.

    `open`: what may have been begun and has no outcome yet, by user. `outcomes`: what was told, by user.
    """

    def __init__(self, journal: Journal, watch: Watch) -> None:
        self._journal = journal
        self._watch = watch
        self._unnoted: list[tuple[Change, Outcome]] = []
        self.open: dict[str, Change] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.lost: str | None = None

    def settle(self, change: Change, outcome: Outcome) -> None:
        """Something that was begun has an outcome, which is still to be noted."""
        del self.open[change.user.id]
        self._unnoted.append((change, outcome))

    def note(self, intended: Sequence[Change] = ()) -> None:
        """Note and tell what was settled, and note what is about to be written."""
        self.tell(self.noted(intended))

    def noted(self, intended: Sequence[Change] = ()) -> list[tuple[Change, Outcome]]:
        """Note as `note` does, and leave the telling to the caller. What no journal knows was not written for sure."""
        settled, self._unnoted = self._unnoted, []
        self.open |= {change.user.id: change for change in intended}
        try:
            if settled or intended:
                self._journal.note(settled, intended)
        except StateError as fault:
            self._lose(fault)
            why = f"written, but the journal does not know: {fault}"
            return [
                (change, Outcome(change.user, Result.FAILED, why) if outcome.result is Result.WRITTEN else outcome)
                for change, outcome in settled
            ]
        return settled

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Tell and note outcomes of changes that are not written."""
        left = [(change, outcome) for change, outcome in left if self.outcomes.get(change.user.id) is not outcome]
        self.tell(left)
        try:
            if left and self.lost is None:
                self._journal.leave(left)
        except StateError as fault:
            self._lose(fault)

    def tell(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        """Tell outcomes as they are."""
        for change, outcome in settled:
            self.outcomes[change.user.id] = outcome
            self._watch.outcome(change, outcome)

    def _lose(self, fault: StateError) -> None:
        self.lost = f"nothing is written without a journal: {fault}"

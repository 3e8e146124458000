"""Applying a plan: in steps that begin small, each noted, written, read back and noted again before the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.port import Directory
from connector.errors import StateError
from connector.model import Change, Description, Outcome, Result
from connector.reconcile.limits import Pace
from connector.reconcile.steps import parted, steps
from connector.stopping import Stop
from connector.verification import verified
from connector.watch import Watch

CONFIRMED = (Result.WRITTEN, Result.UNCHANGED)


class Journal(Protocol):
    """Where intents and outcomes are kept, durably, around every batch."""

    def intend(self, changes: Sequence[Change]) -> None:
        """Note that these changes are about to be written."""

    def settle(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of them, as far as that is known."""

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of changes that were never going to be written."""


class Applied(Struct, frozen=True):
    """One outcome for each user, and why there are changes that nobody tried, if there are."""

    outcomes: list[Outcome]
    stopped: str | None


def apply(
    changes: Iterable[Change],
    directory: Directory,
    description: Description,
    journal: Journal,
    watch: Watch,
    *,
    pace: Pace = Pace(),  # noqa: B008  # a frozen value
    stop: Stop | None = None,
    left: Iterable[tuple[Change, Outcome]] = (),
    again: Collection[str] = (),
) -> Applied:
    """Write the changes, in steps that begin small. `left`: the outcomes of those that must not be written.

    `again`: ids of users of whom an interrupted run may have written the same already; that is said of each.

    A journal that fails, too many failures, a server that goes away or a request to stop end the writing, not the
    account of it.
    """
    run = _Applying(directory, description, journal, watch, pace=pace, stop=stop or Stop(), again=again)
    run.leave(left)
    for step in steps(changes):
        run.write(step)
    return Applied(list(run.outcomes.values()), run.stopped)


class _Applying:
    """An apply on its way."""

    def __init__(
        self,
        directory: Directory,
        description: Description,
        journal: Journal,
        watch: Watch,
        *,
        pace: Pace,
        stop: Stop,
        again: Collection[str],
    ) -> None:
        self._directory = directory
        self._description = description
        self._journal = journal
        self._watch = watch
        self._pace = pace
        self._stop = stop
        self._again = again
        self._sizes = chain(((size, True) for size in pace.ramp), repeat((description.batch, False)))
        self._failures = 0
        self._keeps_a_journal = True
        self.outcomes: dict[str, Outcome] = {}
        self.stopped: str | None = None

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Tell and journal outcomes of changes that are not written."""
        left = [(change, outcome) for change, outcome in left if self.outcomes.get(change.user.id) is not outcome]
        self._tell(left)
        try:
            if left and self._keeps_a_journal:
                self._journal.leave(left)
        except StateError as fault:
            self._lose_the_journal(fault)

    def write(self, step: list[Change]) -> None:
        """Write one step, batch by batch."""
        ready, waiting = _ready(step, self.outcomes)
        self.leave(waiting)
        while ready and self._may_go_on():
            size, ramp = next(self._sizes)
            batch, ready = ready[:size], ready[size:]
            self._watch.stage("write", changes=len(batch))
            settled = self._in_parts(batch) if self._description.classes_first else self._batch(batch)
            self._tell((change, settled[change.user.id]) for change in batch if change.user.id in settled)
            if ramp and ready and not any(outcome.result in CONFIRMED for outcome in settled.values()):
                first = "first user" if len(batch) == 1 else f"{len(batch)} users of this step"
                self.stopped = self.stopped or f"nothing could be written for the {first}"
        self.leave((change, self._not_sent(change)) for change in ready)

    def _not_sent(self, change: Change) -> Outcome:
        reason = self.stopped or ""
        why = reason if reason.startswith("not sent") else f"not sent: {reason}"
        return Outcome(change.user, Result.SKIPPED, why + _HALF * (change.user.id in self.outcomes))

    def _may_go_on(self) -> bool:
        if self.stopped is None:
            self.stopped = self._stop.why
        if self.stopped is None and self._failures >= self._pace.max_failures:
            self.stopped = f"{self._failures} writes had failed (max_failures)"
        return self.stopped is None

    def _tell(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        for change, outcome in settled:
            self.outcomes[change.user.id] = outcome
            self._watch.outcome(change, outcome)

    def _in_parts(self, batch: list[Change]) -> dict[str, Outcome]:
        """Note, write and read back object classes first, and then what needs them of those who have them now.

        A write of its own has a place of its own in the journal, lest one be known by the other.
        """
        parts = {change.user.id: parted(change) for change in batch}
        begun = self._batch([first for first, *rest in parts.values() if rest])
        lacking = {id_: outcome for id_, outcome in begun.items() if outcome.result not in CONFIRMED}
        self.leave((change, lacking[change.user.id]) for change in batch if change.user.id in lacking)
        settled = self._batch([last for id_, (*_, last) in parts.items() if id_ not in lacking])
        halves = {id_ for id_ in settled.keys() & begun.keys() if settled[id_].result not in CONFIRMED}
        return settled | {id_: replace(settled[id_], why=settled[id_].why + _CLASSES_ALONE) for id_ in halves}

    def _batch(self, batch: list[Change]) -> dict[str, Outcome]:
        """Note, write, read back, note again."""
        if not batch:
            return {}
        try:
            self._journal.intend(batch)
        except StateError as fault:
            self._lose_the_journal(fault)
            return {change.user.id: self._not_sent(change) for change in batch}
        before = self._failures
        settled = verified(self._directory, self._description, batch, self._counted(self._feed(batch)))
        self._failures = before + sum(outcome.result is Result.FAILED for outcome in settled.values())
        if any(outcome.unknown for outcome in settled.values()):
            self.stopped = self.stopped or "it is not known what became of writes before this one"
        settled |= {change.user.id: self._not_sent(change) for change in batch if change.user.id not in settled}
        for id_ in settled.keys() & self._again:
            if settled[id_].result is Result.WRITTEN:
                settled[id_] = Outcome(settled[id_].user, Result.WRITTEN, _AGAIN)
        try:
            self._journal.settle((change, settled[change.user.id]) for change in batch)
        except StateError as fault:
            self._lose_the_journal(fault)
            why = f"written, but the journal does not know: {fault}"
            for change in batch:
                if settled[change.user.id].result is Result.WRITTEN:
                    settled[change.user.id] = Outcome(change.user, Result.FAILED, why)
        return settled

    def _counted(self, changes: Iterator[Change]) -> Iterator[Outcome]:
        """Write, and watch out for reasons to stop."""
        for outcome in self._directory.write(changes):
            self._failures += outcome.result is Result.FAILED
            if outcome.result is Result.SKIPPED:
                self.stopped = self.stopped or outcome.why
            yield outcome

    def _feed(self, batch: list[Change]) -> Iterator[Change]:
        """The batch as long as nothing ends the writing; what is in flight then is still waited for."""
        for change in batch:
            if not self._may_go_on():
                return
            yield change

    def _lose_the_journal(self, fault: StateError) -> None:
        self._keeps_a_journal = False
        self.stopped = f"nothing is written without a journal: {fault}"


def _ready(step: list[Change], outcomes: dict[str, Outcome]) -> tuple[list[Change], list[tuple[Change, Outcome]]]:
    """The changes for which everything that was to come first is confirmed, and the others with their outcomes."""
    ready = []
    waiting = []
    for change in step:
        first = [outcomes[user] for user in (change.user.id, *change.after) if user in outcomes]
        if all(outcome.result in CONFIRMED for outcome in first):
            ready.append(change)
        else:
            why = "the write that was to come first, and to free a value for this one, was not confirmed"
            outcome = outcomes.get(change.user.id)
            if outcome is None or outcome.result in CONFIRMED:
                outcome = Outcome(change.user, Result.SKIPPED, why + _HALF * (outcome is not None))
            waiting.append((change, outcome))
    return ready, waiting


_AGAIN = "written again, perhaps: nothing tells what an interrupted run had written"
_CLASSES_ALONE = " (object classes were added already)"
_HALF = " (a value that another user waited for was taken from it already; the next run sets its new one)"

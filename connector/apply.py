"""Applying a plan: in steps that begin small, each noted, written, read back and noted again.

A server is not kept waiting where it shows what it has written: while the window is full, what became of the changes
before is noted together with those that come next, and only what has to be read back is waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.account import Account, Journal
from connector.directories.port import Directory
from connector.model import Change, Description, Outcome, Result
from connector.reconcile.limits import Pace
from connector.reconcile.steps import parted, steps
from connector.stopping import Stop
from connector.verification import Verifier
from connector.watch import Watch

CONFIRMED = (Result.WRITTEN, Result.UNCHANGED)


class _Piece(Struct, frozen=True):
    """Changes that are noted at once. `ends_batch`: what no answer shows of the batch is read back before the next.

    `ramp`: they are a batch of their own, which is waited for, and nothing follows if none of it is confirmed.
    """

    changes: list[Change]
    ends_batch: bool
    ramp: bool = False


class Applied(Struct, frozen=True):
    """One outcome for each user, as the plan lists them, and why there are changes that nobody tried, if there are."""

    outcomes: list[Outcome]
    stopped: str | None


def apply(
    changes: Sequence[Change],
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
    run.account.leave(left)
    for step in steps(changes):
        run.write(step)
    places = {change.user.id: place for place, change in enumerate(changes)}
    told = run.account.outcomes.values()
    return Applied(sorted(told, key=lambda outcome: places.get(outcome.user.id, -1)), run.stopped)


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
        self._watch = watch
        self._pace = pace
        self._stop = stop
        self._again = again
        self._sizes = chain(((size, True) for size in pace.ramp), repeat((description.batch, False)))
        self._most_batches = 1
        self._failures = 0
        self._in_doubt = False
        self._why: str | None = None
        self.account = Account(journal, watch)

    @property
    def stopped(self) -> str | None:
        """Why nothing more is written, if so."""
        return self.account.lost or self._why

    def write(self, step: list[Change]) -> None:
        """Write one step."""
        ready, waiting = _ready(step, self.account.outcomes)
        self.account.leave(waiting)
        pieces = deque(self._pieces(ready))
        while pieces and self._may_go_on():
            first = pieces[0]
            settled = self._in_parts(pieces) if self._description.classes_first else self._flow(pieces)
            self.account.note()
            if first.ramp and pieces and not any(outcome.result in CONFIRMED for outcome in settled.values()):
                users = "first user" if len(settled) == 1 else f"{len(settled)} users of this step"
                self._why = self._why or f"nothing could be written for the {users}"
        self.account.leave((change, self._not_sent(change)) for piece in pieces for change in piece.changes)

    def _pieces(self, ready: list[Change]) -> Iterator[_Piece]:
        start = 0
        while start < len(ready):
            size, ramp = next(self._sizes)
            batch = ready[start : start + size]
            start += size
            if ramp:
                yield _Piece(batch, ends_batch=True, ramp=True)
                continue
            length = size if self._description.classes_first else max(1, size // _PIECES)
            for at in range(0, len(batch), length):
                yield _Piece(batch[at : at + length], ends_batch=at + length >= len(batch))

    def _not_sent(self, change: Change) -> Outcome:
        reason = self.stopped or ""
        why = reason if reason.startswith("not sent") else f"not sent: {reason}"
        return Outcome(change.user, Result.SKIPPED, why + _HALF * (change.user.id in self.account.outcomes))

    def _may_go_on(self) -> bool:
        if self.stopped is None:
            self._why = self._stop.why
        if self.stopped is None and self._failures >= self._pace.max_failures:
            self._why = f"{self._failures} writes had failed (max_failures)"
        return self.stopped is None

    def _in_parts(self, pieces: deque[_Piece]) -> dict[str, Outcome]:
        """Note, write and read back object classes first, and then what needs them of those who have them now.

        A write of its own has a place of its own in the journal, lest one be known by the other.
        """
        batch = pieces.popleft().changes
        parts = {change.user.id: parted(change) for change in batch}
        begun, unbegun = self._part([first for first, *rest in parts.values() if rest])
        lacking = {id_: outcome for id_, outcome in (begun | unbegun).items() if outcome.result not in CONFIRMED}
        self.account.leave((change, lacking[change.user.id]) for change in batch if change.user.id in lacking)
        rest = [last for id_, (*_, last) in parts.items() if id_ not in lacking]
        settled, unbegun = self._part(rest)
        for outcomes in (settled, unbegun):
            halves = {id_ for id_ in outcomes.keys() & begun.keys() if outcomes[id_].result not in CONFIRMED}
            outcomes |= {id_: replace(outcomes[id_], why=outcomes[id_].why + _CLASSES_ALONE) for id_ in halves}
        self.account.tell((change, settled[change.user.id]) for change in batch if change.user.id in settled)
        self.account.leave((last, unbegun[last.user.id]) for last in rest if last.user.id in unbegun)
        return lacking | settled | unbegun

    def _part(self, changes: list[Change]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
        """What became of these changes, which is noted and not told yet; and of those that were not begun, neither."""
        if not changes:
            return {}, {}
        pieces = deque([_Piece(changes, ends_batch=True)])
        self._flow(pieces)
        settled = {change.user.id: outcome for change, outcome in self.account.noted()}
        return settled, {change.user.id: self._not_sent(change) for piece in pieces for change in piece.changes}

    def _flow(self, pieces: deque[_Piece]) -> dict[str, Outcome]:
        """Write pieces up to the first that is waited for, and read back what no answer shows: an outcome for each.

        They are taken from `pieces` as they are begun.
        """
        verifier = Verifier(self._directory, self._description)
        settled: dict[str, Outcome] = {}
        for outcome in self._directory.write(self._feed(pieces, verifier)):
            change = self.account.open[outcome.user.id]
            known = verifier.judged(change, outcome)
            if known is not None:
                settled[change.user.id] = self._settled(change, known)
        for change, outcome in verifier.read_back():
            settled[change.user.id] = self._settled(change, outcome)
        if any(outcome.unknown for outcome in settled.values()):
            self._why = self._why or "it is not known what became of writes before this one"
        for change in list(self.account.open.values()):
            settled[change.user.id] = self._settled(change, self._not_sent(change))
        return settled

    def _feed(self, pieces: deque[_Piece], verifier: Verifier) -> Iterator[Change]:
        """What is noted, as long as nothing ends the writing; what is in flight then is still waited for."""
        batches = 0
        while pieces and self._may_go_on():
            piece = pieces.popleft()
            self._watch.stage("write", changes=len(piece.changes))
            self.account.note(piece.changes)
            for change in piece.changes:
                if not self._may_go_on():
                    return
                yield change
            if piece.ramp or self._in_doubt:
                return
            if piece.ends_batch:
                batches += 1
                if batches == self._most_batches or not verifier.next_batch():
                    self._most_batches = _MOST_BATCHES
                    return

    def _settled(self, change: Change, outcome: Outcome) -> Outcome:
        """Keep an outcome to be noted, and watch out for reasons to stop."""
        if outcome.result is Result.WRITTEN and change.user.id in self._again:
            outcome = Outcome(outcome.user, Result.WRITTEN, _AGAIN)
        elif outcome.result is Result.FAILED:
            self._failures += 1
            self._in_doubt = self._in_doubt or outcome.unknown
        elif outcome.result is Result.SKIPPED:
            self._why = self._why or outcome.why
        self.account.settle(change, outcome)
        return outcome


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


_PIECES: Final = 4
"""A batch is noted in so many pieces, each about as quickly as a server does the writes of a full window."""
_MOST_BATCHES: Final = 16
"""So many batches at most go out before those of their users are read back that are read back as a sample.

After the ramp the first one is waited for, too.
"""
_AGAIN = "written again, perhaps: nothing tells what an interrupted run had written"
_CLASSES_ALONE = " (object classes were added already)"
_HALF = " (a value that another user waited for was taken from it already; the next run sets its new one)"

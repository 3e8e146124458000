"""Applying a plan: in steps that begin small, each noted, written, read back and noted again.

It moves writes through the states that are drawn in `ledger.py`. What frees a value is in
an earlier *step* than what takes it (`planning/order.py`). A step is written in
*batches*, first those of the ramp. A batch is noted in *pieces*. Users that earlier runs
were refused go last, a few of them in turn (`planning/order.py`).

A server is not kept waiting where it shows what it has written: while the window is full,
outcomes are noted together with the changes that come next, and only what has to be read
back is waited for. Writing ends when `_WriteBrake` says so, to whoever hands out changes and to
whoever settles them, or when the journal is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import chain, repeat
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.ledger import CONFIRMED, WriteId, WriteJournal, WriteLedger
from connector.apply.verification import ReadBack, find_changed_names
from connector.directories.port import Directory
from connector.model import (
    AGAIN,
    NOT_SENT,
    Change,
    Description,
    Fingerprint,
    Outcome,
    Refused,
    Result,
    RunEnding,
)
from connector.model.limits import ApplyPace
from connector.observers.observer import Observer
from connector.planning.order import choose_turn, go_last, order_steps, split_rounds
from connector.runtime.stopping import SettleTime, StopRequest

CUT: Final = "the run was stopped"
_PIECES: Final = 4
"""A batch is noted in so many pieces, each about as quickly as a server does the writes of
a full window."""
_MOST_BATCHES: Final = 16
"""So many batches at most go out before those of their users are read back that are read back
as a sample.

After the ramp the first one is waited for, too.
"""
_TURN = (
    "not tried: refused in earlier runs, or waits for such a user. "
    "Each run tries at most {most} of them (max_failures)"
)


class WriteOrder(Struct, frozen=True):
    """What is to be written, and what earlier runs have to do with it."""

    changes: Sequence[Change]
    left: Sequence[tuple[Change, Outcome]] = ()
    """Outcomes of changes that must not be written."""
    again: Collection[str] = ()
    """Ids of users of whom an interrupted run may have written the same; that is said of each."""
    left_open: Collection[WriteId] = ()
    """Writes of this very run that were open when it was interrupted. They stay so unless they are written."""
    refused: Mapping[str, Refused] = MappingProxyType({})
    """What earlier runs were refused. Such users go last, and count for neither ramp nor `max_failures`."""
    last: Sequence[str] = ()
    """Attributes that are written last, where a directory takes one a request."""


class WriteTarget(Struct, frozen=True):
    """Where changes are written, at which pace, and who is told."""

    directory: Directory
    description: Description
    journal: WriteJournal
    observer: Observer
    fingerprint: Fingerprint
    pace: ApplyPace
    stop: StopRequest
    settling: SettleTime
    """How long readers may need to see what was written."""


class WriteResult(Struct, frozen=True):
    """What became of an order."""

    outcomes: list[Outcome]
    """One for each user, as the plan lists them."""
    stopped: str | None
    """Why there are changes that nobody tried, if there are."""
    ended: list[tuple[Change, Outcome]]
    """The changes of the order, each with its outcome."""
    turns: frozenset[str] = frozenset()
    """Ids of the users that were refused before and whose turn it was."""
    touched: bool = False
    """Whether something was written, or may have been."""
    cut: bool = False
    """Whether the run was told to end at once."""
    written: Mapping[str, Change] = MappingProxyType({})
    """By user id what was written, in whatever parts, but for what was there already."""


def write_changes(
    order: WriteOrder,
    target: WriteTarget,
) -> WriteResult:
    """Write the changes, in steps that begin small.

    A journal that fails, too many failures, a server that goes away or a request to stop
    end the writing, not the account of it.
    """
    stop = target.stop
    engine = _WriteEngine(order, target)
    ledger = engine.ledger
    ledger.note_unwritten(order.left)
    stop.standing = lambda: RunEnding.of(
        ledger.account_now(order.changes, CUT),
        touched=ledger.has_touched_by_now,
        cut=True,
    )
    try:
        first, last = go_last(order.changes, order.refused)
        for step in order_steps(first):
            engine.write_step(step)
        turns = engine.write_last(last)
        engine.name_conflicts()
        if any(each.is_open for each in ledger.outcomes.values()):
            # somebody may have asked to stop while what was in flight was waited for
            engine.brake.find_reason()
        stop.nothing_more()
    except KeyboardInterrupt:
        outcomes = ledger.account_now(order.changes, CUT)
        return WriteResult(
            outcomes,
            CUT,
            [],
            touched=ledger.has_touched_by_now,
            cut=True,
        )
    places = {change.user.id: place for place, change in enumerate(order.changes)}
    outcomes = list(ledger.outcomes.values())
    outcomes.sort(key=lambda outcome: places.get(outcome.user.id, -1))
    return WriteResult(
        outcomes,
        engine.stopped,
        [(change, ledger.outcomes[change.user.id]) for change in order.changes],
        turns,
        ledger.touched,
        written=ledger.written,
    )


class _WriteBrake:
    """What ends the writing, and why."""

    def __init__(
        self,
        max_failures: int,
        stop: StopRequest,
    ) -> None:
        self._most = max_failures
        self._stop = stop
        self._failures = 0
        self.counts_failures = True
        self.has_doubt = False
        """Whether it is not known what became of some write."""
        self.why: str | None = None

    def take_outcome(self, outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            self._failures += self.counts_failures
            self.has_doubt = self.has_doubt or outcome.unknown
        elif outcome.result is Result.SKIPPED:
            self.stop_writing(outcome.why)

    def stop_writing(self, why: str) -> None:
        """Write nothing more."""
        self.why = self.why or why

    def find_reason(self) -> str | None:
        """Why nothing more is written, if so, also for what has come up since."""
        if self.why is None:
            self.why = self._stop.why
        if self.why is None and self._failures >= self._most:
            self.why = f"{self._failures} writes failed (max_failures)"
        return self.why


class _Then(Enum):
    """What comes after a piece."""

    GO_ON = auto()
    """The next one, at once."""
    IF_SHOWN = auto()
    """The next one, where all was shown so far."""
    WAIT = auto()
    """Nothing before all is read back."""


class _Piece(Struct, frozen=True):
    """Changes that are noted at once."""

    changes: list[Change]
    then: _Then
    trial: Sequence[Change] = ()
    """Nothing follows if none of these users is confirmed after it."""
    begins: bool = True
    """Whether a batch begins with it."""


class _WriteEngine:
    """Moves the writes of one order through their states."""

    def __init__(
        self,
        order: WriteOrder,
        target: WriteTarget,
    ) -> None:
        self._order = order
        self._target = target
        self._directory = target.directory
        self._description = target.description
        self.ledger = WriteLedger(target.journal, target.observer, order.left_open)
        self.brake = _WriteBrake(target.pace.max_failures, target.stop)
        ramp = ((size, True) for size in target.pace.ramp)
        self._sizes = chain(ramp, repeat((target.description.writing.batch, False)))
        """Of the batches to come, each with whether it is of the ramp."""
        self._most_batches = 1

    @property
    def stopped(self) -> str | None:
        """Why nothing more is written, if so."""
        return self.ledger.lost or self.brake.why

    def write_step(self, step: list[Change]) -> None:
        """Write changes that wait for nothing but earlier steps."""
        pieces = deque(self._make_pieces(self._choose_ready(step)))
        while pieces and self._may_go_on():
            piece = self._put_firsts_ahead(pieces)
            if piece.changes:
                self._write_pieces(pieces)
                self.ledger.note_writes()
            else:
                pieces.popleft()
            confirmed = [
                change for change in piece.trial if self._is_confirmed(change.user.id)
            ]
            if pieces and piece.trial and not confirmed:
                count = len(piece.trial)
                users = "first user" if count == 1 else f"{count} users of this step"
                self.brake.stop_writing(f"no write was confirmed for the {users}")
        rest = [change for piece in pieces for change in piece.changes]
        left = self._choose_ready(rest, within=True)
        self.ledger.note_unwritten(
            (change, self._tell_not_sent(change)) for change in left
        )

    def write_last(
        self,
        last: list[Change],
    ) -> frozenset[str]:
        """Write those that go last, as long as nobody among them is refused again; the users whose turn it was."""
        self.brake.counts_failures = False
        self._sizes = chain(repeat((self._description.writing.batch, False)))
        most = self._target.pace.max_failures
        users: frozenset[str] = frozenset()
        while last and self._may_go_on():
            now = choose_turn(last, self._order.refused, most)
            for step in order_steps(now.now):
                self.write_step(step)
            users, last = users | now.users, now.rest
            if not all(map(self._is_confirmed, now.users)):
                break
        left = []
        for change in last:
            outcome = Outcome(change.user, Result.SKIPPED, _TURN.format(most=most))
            if self.stopped:
                outcome = self._tell_not_sent(change)
            left.append((change, outcome))
        self.ledger.note_unwritten(left)
        return users

    def name_conflicts(self) -> None:
        """Say which attributes of users in conflict are not as their changes expect."""
        outcomes = self.ledger.outcomes
        conflicts = [
            change
            for change in self._order.changes
            if outcomes[change.user.id].result is Result.CONFLICT
        ]
        if conflicts and not self.stopped:
            names = find_changed_names(conflicts, self._directory, self._description)
            for user, differs in names.items():
                outcomes[user] = replace(outcomes[user], differs=differs)

    def _make_pieces(self, ready: list[Change]) -> Iterator[_Piece]:
        described = self._description
        start = 0
        while start < len(ready):
            size, is_ramp = next(self._sizes)
            batch = ready[start : start + size]
            start += size
            if is_ramp or described.writing.classes_first or described.writing.singly:
                yield _Piece(batch, _Then.WAIT, trial=batch if is_ramp else ())
                continue
            length = max(1, size // _PIECES)
            for at in range(0, len(batch), length):
                then = _Then.GO_ON if at + length < len(batch) else _Then.IF_SHOWN
                yield _Piece(batch[at : at + length], then, begins=at == 0)

    def _put_firsts_ahead(self, pieces: deque[_Piece]) -> _Piece:
        """Put what goes first in the next piece before the rest of it; return the piece that is next then."""
        piece = pieces.popleft()
        *firsts, last = split_rounds(
            piece.changes,
            classes_first=self._description.writing.classes_first,
            singly=self._description.writing.singly,
            last=self._order.last,
        )
        rest = self._choose_ready(last, within=True)
        begins = piece.begins
        parts = []
        for first in firsts:
            parts.append(_Piece(first, _Then.WAIT, begins=begins))
            begins = False
        parts.append(replace(piece, changes=rest, begins=begins))
        pieces.extendleft(reversed(parts))
        return pieces[0]

    def _choose_ready(
        self,
        changes: list[Change],
        *,
        within: bool = False,
    ) -> list[Change]:
        """The changes for which everything that was to come first is confirmed; the others are left.

        `within` a step it is a part of the same change that comes first; others' writes are in earlier steps.
        """
        ready = []
        waiting = []
        outcomes = self.ledger.outcomes
        for change in changes:
            user = change.user.id
            first = (user, *(() if within else change.after))
            if all(self._is_confirmed(each) for each in first if each in outcomes):
                ready.append(change)
                continue
            outcome = outcomes.get(user)
            if outcome is None or outcome.result in CONFIRMED:
                why = "the write that frees this value was not confirmed"
                why += self.ledger.tell_part(user)
                outcome = Outcome(change.user, Result.SKIPPED, why)
            waiting.append((change, outcome))
        self.ledger.note_unwritten(waiting)
        return ready

    def _write_pieces(self, pieces: deque[_Piece]) -> None:
        """Write pieces up to the first that is waited for, read back what no answer shows, and settle all of them.

        They are taken from `pieces` as they are begun.
        """
        verifier = ReadBack(
            self._directory,
            self._description,
            self._target.settling,
            self._target.fingerprint,
        )
        for outcome in self._directory.write(self._send_pieces(pieces, verifier)):
            change = self.ledger.find_change(outcome.user.id)
            known = verifier.judge_answer(change, outcome)
            if known is None:
                self.ledger.note_answer(change)
            else:
                self._settle_write(change, known)
        for change, outcome in verifier.read_back():
            self._settle_write(change, outcome)
        if self.brake.has_doubt:
            self.brake.stop_writing("the results of earlier writes are unknown")
        if verifier.blind:
            self.brake.stop_writing(verifier.blind)
        for change in self.ledger.list_unsettled():
            self._settle_write(change, self._tell_not_sent(change))

    def _send_pieces(
        self,
        pieces: deque[_Piece],
        verifier: ReadBack,
    ) -> Iterator[Change]:
        """What is noted, as long as nothing ends the writing; what is in flight then is still waited for."""
        batches = 0
        while pieces and self._may_go_on():
            piece = pieces.popleft()
            if piece.begins:
                self._target.settling.begin_batch()
            self._target.observer.begin_stage("write", changes=len(piece.changes))
            self.ledger.note_writes(piece.changes)
            for change in piece.changes:
                if not self._may_go_on():
                    return
                self.ledger.note_sent(change)
                yield change
            if piece.then is _Then.WAIT or self.brake.has_doubt:
                return
            if piece.then is _Then.IF_SHOWN:
                batches += 1
                if batches == self._most_batches or not verifier.begin_batch():
                    self._most_batches = _MOST_BATCHES
                    return

    def _may_go_on(self) -> bool:
        return self.ledger.lost is None and self.brake.find_reason() is None

    def _settle_write(
        self,
        change: Change,
        outcome: Outcome,
    ) -> None:
        """Give a write its outcome, and watch out for reasons to stop."""
        user = change.user.id
        if outcome.result is Result.WRITTEN and user in self._order.again:
            outcome = replace(outcome, why=AGAIN)
        self.brake.take_outcome(outcome)
        if outcome.result not in CONFIRMED:
            part = self.ledger.tell_part(user)
            if not outcome.why.endswith(part):
                outcome = replace(outcome, why=outcome.why + part)
        self.ledger.settle(change, outcome)

    def _tell_not_sent(self, change: Change) -> Outcome:
        why = self.stopped or ""
        if not why.startswith(NOT_SENT):
            why = f"{NOT_SENT}: {why}"
        why += self.ledger.tell_part(change.user.id)
        return Outcome(change.user, Result.SKIPPED, why)

    def _is_confirmed(self, user: str) -> bool:
        outcome = self.ledger.outcomes.get(user)
        return outcome is not None and outcome.result in CONFIRMED

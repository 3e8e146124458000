"""Applying a plan: in steps that begin small, each noted, written, read back and noted again.

It moves writes through the states that are drawn in `ledger.py`. What frees a value is in
an earlier *step* than what takes it (`planning/order/steps.py`). A step is written in
*batches*, first those of the ramp. A batch is noted in
*pieces*.
Users that earlier runs were refused go last, a few of them in turn
(`planning/order/refused_last.py`).

A server is not kept waiting where it shows what it has written: while the window is full,
outcomes are noted together with the changes that come next, and only what has to be read
back is waited for. Writing ends when `_Brake` says so, to whoever hands out changes and to
whoever settles them, or when the journal is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import chain, repeat
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.ledger import CONFIRMED, Journal, Ledger, WriteId
from connector.apply.verification import Verifier, find_changed_names
from connector.directories.port import Directory
from connector.model import (
    AGAIN,
    NOT_SENT,
    Change,
    Description,
    Ending,
    Fingerprint,
    Outcome,
    Part,
    Refused,
    Result,
)
from connector.model.limits import Pace
from connector.observers.observer import Observer
from connector.planning.order.refused_last import go_last, turn
from connector.planning.order.steps import rounds, steps
from connector.runtime.stopping import Settling, Stop

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


class Applied(Struct, frozen=True):
    """One outcome for each user, as the plan lists them, and why there are changes that nobody tried, if there are.

    `cut`: the run was told to end at once. `ended`: what was tried, each change with its outcome. `turns`: of the users
    that were refused before, whose turn it was. `touched`: something was written, or may
    have been. `found`: by user id the attributes that went first, and were there already.
    `firsts`: what was written first of changes.
    """

    outcomes: list[Outcome]
    stopped: str | None
    ended: list[tuple[Change, Outcome]]
    turns: frozenset[str] = frozenset()
    touched: bool = False
    cut: bool = False
    found: Collection[tuple[str, str]] = frozenset()
    firsts: Sequence[Change] = ()


def apply(
    changes: Sequence[Change],
    directory: Directory,
    description: Description,
    journal: Journal,
    observer: Observer,
    *,
    pace: Pace = Pace(),  # noqa: B008  # a frozen value
    stop: Stop | None = None,
    settling: Settling | None = None,
    left: Iterable[tuple[Change, Outcome]] = (),
    again: Collection[str] = (),
    left_open: Collection[WriteId] = (),
    refused: Mapping[str, Refused] = MappingProxyType({}),
    last: Sequence[str] = (),
    fingerprint: Fingerprint | None = None,
) -> Applied:
    """Write the changes, in steps that begin small. `left`: the outcomes of those that must not be written.

    `settling`: how long readers may need to see what was written.

    `last`: attributes that are written last, where a directory takes one a request.

    `again`: ids of users of whom an interrupted run may have written the same already; that is said of each.

    `left_open`: writes of this very run that were open when it was interrupted. They stay so unless they are written.

    `refused`: what earlier runs were refused. Such users go last, and count for neither ramp nor `max_failures`.

    A journal that fails, too many failures, a server that goes away or a request to stop
    end the writing, not the account of it.
    """
    stop = stop or Stop()
    brake = _Brake(pace.max_failures, stop)
    ledger = Ledger(journal, observer, left_open)
    sizes = chain(
        ((size, True) for size in pace.ramp), repeat((description.writing.batch, False))
    )
    engine = _Engine(
        directory, description, ledger, brake, observer, sizes, again, settling or Settling(), last, fingerprint
    )  # fmt: skip
    ledger.leave(left)
    stop.standing = lambda: Ending.of(
        ledger.standing(changes, CUT), touched=ledger.touches, cut=True
    )
    try:
        first, last_of_all = go_last(changes, refused)
        for step in steps(first):
            engine.write(step)
        turns = engine.write_last(last_of_all, refused, pace.max_failures)
        conflicts = [
            change
            for change in changes
            if ledger.outcomes[change.user.id].result is Result.CONFLICT
        ]
        apart = (
            find_changed_names(conflicts, directory, description)
            if not engine.stopped
            else {}
        )
        if any(each.open for each in ledger.outcomes.values()):
            # somebody may have asked to stop while what was in flight was
            # waited for
            brake.check()
        brake.release()
    except KeyboardInterrupt:
        return Applied(
            ledger.standing(changes, CUT), CUT, [], touched=ledger.touches, cut=True
        )
    places = {change.user.id: place for place, change in enumerate(changes)}
    outcomes = ledger.outcomes | {
        user: replace(ledger.outcomes[user], differs=names)
        for user, names in apart.items()
    }
    told = sorted(
        outcomes.values(), key=lambda outcome: places.get(outcome.user.id, -1)
    )
    ended = [(change, ledger.outcomes[change.user.id]) for change in changes]
    return Applied(
        told,
        engine.stopped,
        ended,
        turns,
        ledger.touched,
        found=ledger.found,
        firsts=ledger.began,
    )


class _Brake:
    """What ends the writing, and why. `counts`: failures do. `doubt`: it is not known what became of some write."""

    def __init__(self, max_failures: int, stop: Stop) -> None:
        self._most = max_failures
        self._stop = stop
        self._failures = 0
        self.counts = True
        self.doubt = False
        self.why: str | None = None

    def heard(self, outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            self._failures += self.counts
            self.doubt = self.doubt or outcome.unknown
        elif outcome.result is Result.SKIPPED:
            self.pull(outcome.why)

    def pull(self, why: str) -> None:
        """Write nothing more."""
        self.why = self.why or why

    def release(self) -> None:
        """All is written: whoever asks from now on stops nothing."""
        self._stop.nothing_more()

    def check(self) -> str | None:
        """Why nothing more is written, if so, also for what has come up since."""
        if self.why is None:
            self.why = self._stop.why
        if self.why is None and self._failures >= self._most:
            self.why = f"{self._failures} writes failed (max_failures)"
        return self.why


class _Then(Enum):
    """What comes after a piece: the next one at once; or, where all was shown so far; or after all is read back."""

    GO_ON = auto()
    IF_SHOWN = auto()
    WAIT = auto()


class _Piece(Struct, frozen=True):
    """Changes that are noted at once. `trial`: nothing follows if none of these users is confirmed after it.

    `begins`: a batch begins with it.
    """

    changes: list[Change]
    then: _Then
    trial: Sequence[Change] = ()
    begins: bool = True


class _Engine(Struct):
    """Moves the writes of one apply through their states. `sizes`: of its batches, and whether each is of the ramp."""

    directory: Directory
    description: Description
    ledger: Ledger
    brake: _Brake
    observer: Observer
    sizes: Iterator[tuple[int, bool]]
    again: Collection[str]
    settling: Settling
    last: Sequence[str] = ()
    fingerprint: Fingerprint | None = None
    most_batches: int = 1

    @property
    def stopped(self) -> str | None:
        """Why nothing more is written, if so."""
        return self.ledger.lost or self.brake.why

    def write(self, step: list[Change]) -> None:
        pieces = deque(self._pieces(self._ready(step)))
        while pieces and self._may_go_on():
            first = self._first_round(pieces)
            if first.changes:
                self._flow(pieces)
                self.ledger.note()
            else:
                pieces.popleft()
            if (
                pieces
                and first.trial
                and not any(
                    self._is_confirmed(change.user.id) for change in first.trial
                )
            ):
                count = len(first.trial)
                users = "first user" if count == 1 else f"{count} users of this step"
                self.brake.pull(f"no write was confirmed for the {users}")
        left = self._ready(
            [change for piece in pieces for change in piece.changes], within=True
        )
        self.ledger.leave((change, self._not_sent(change)) for change in left)

    def write_last(
        self, last: list[Change], refused: Mapping[str, Refused], most: int
    ) -> frozenset[str]:
        """Write those that go last, as long as nobody among them is refused again; the users whose turn it was."""
        self.brake.counts, self.sizes = (
            False,
            repeat((self.description.writing.batch, False)),
        )
        users: frozenset[str] = frozenset()
        while last and self._may_go_on():
            now = turn(last, refused, most)
            for step in steps(now.now):
                self.write(step)
            users, last = users | now.users, now.rest
            if not all(map(self._is_confirmed, now.users)):
                break
        why = _TURN.format(most=most)
        self.ledger.leave(
            (
                each,
                self._not_sent(each)
                if self.stopped
                else Outcome(each.user, Result.SKIPPED, why),
            )
            for each in last
        )
        return users

    def _pieces(self, ready: list[Change]) -> Iterator[_Piece]:
        start = 0
        while start < len(ready):
            size, ramp = next(self.sizes)
            batch = ready[start : start + size]
            start += size
            if (
                ramp
                or self.description.writing.classes_first
                or self.description.writing.singly
            ):
                yield _Piece(batch, _Then.WAIT, trial=batch if ramp else ())
                continue
            length = max(1, size // _PIECES)
            for at in range(0, len(batch), length):
                then = _Then.GO_ON if at + length < len(batch) else _Then.IF_SHOWN
                yield _Piece(batch[at : at + length], then, begins=at == 0)

    def _first_round(self, pieces: deque[_Piece]) -> _Piece:
        """Put what goes first in the next piece before the rest of it; return the piece that is next then."""
        piece = pieces.popleft()
        described = self.description
        *firsts, last = rounds(
            piece.changes,
            classes_first=described.writing.classes_first,
            singly=described.writing.singly,
            last=self.last,
        )
        begins = piece.begins and not firsts
        pieces.appendleft(
            replace(piece, changes=self._ready(last, within=True), begins=begins)
        )
        pieces.extendleft(
            _Piece(first, _Then.WAIT, begins=first is firsts[0])
            for first in reversed(firsts)
        )
        return pieces[0]

    def _ready(self, changes: list[Change], *, within: bool = False) -> list[Change]:
        """The changes for which everything that was to come first is confirmed; the others are left.

        `within` a step it is a part of the same change that comes first; others' writes are in earlier steps.
        """
        ready = []
        waiting = []
        outcomes = self.ledger.outcomes
        for change in changes:
            first = (change.user.id, *(() if within else change.after))
            if all(self._is_confirmed(user) for user in first if user in outcomes):
                ready.append(change)
                continue
            outcome = outcomes.get(change.user.id)
            if outcome is None or outcome.result in CONFIRMED:
                why = "the write that frees this value was not confirmed"
                outcome = Outcome(
                    change.user, Result.SKIPPED, why + self.ledger.half(change.user.id)
                )
            waiting.append((change, outcome))
        self.ledger.leave(waiting)
        return ready

    def _flow(self, pieces: deque[_Piece]) -> None:
        """Write pieces up to the first that is waited for, read back what no answer shows, and settle all of them.

        They are taken from `pieces` as they are begun.
        """
        verifier = Verifier(
            self.directory, self.description, self.settling, self.fingerprint
        )
        for outcome in self.directory.write(self._feed(pieces, verifier)):
            change = self.ledger.of(outcome.user.id)
            known = verifier.judged(change, outcome)
            if known is None:
                self.ledger.answered(change)
            else:
                self._settle(change, known)
        for change, outcome in verifier.read_back():
            self._settle(change, outcome)
        if self.brake.doubt:
            self.brake.pull("the results of earlier writes are unknown")
        if verifier.blind:
            self.brake.pull(verifier.blind)
        for change in self.ledger.unsettled():
            self._settle(change, self._not_sent(change))

    def _feed(self, pieces: deque[_Piece], verifier: Verifier) -> Iterator[Change]:
        """What is noted, as long as nothing ends the writing; what is in flight then is still waited for."""
        batches = 0
        while pieces and self._may_go_on():
            piece = pieces.popleft()
            if piece.begins:
                self.settling.renew()
            self.observer.stage("write", changes=len(piece.changes))
            self.ledger.note(piece.changes)
            for change in piece.changes:
                if not self._may_go_on():
                    return
                self.ledger.sent(change)
                yield change
            if piece.then is _Then.WAIT or self.brake.doubt:
                return
            if piece.then is _Then.IF_SHOWN:
                batches += 1
                if batches == self.most_batches or not verifier.next_batch():
                    self.most_batches = _MOST_BATCHES
                    return

    def _may_go_on(self) -> bool:
        return self.ledger.lost is None and self.brake.check() is None

    def _settle(self, change: Change, outcome: Outcome) -> None:
        """Give a write its outcome, and watch out for reasons to stop."""
        if outcome.result is Result.WRITTEN and change.user.id in self.again:
            outcome = replace(outcome, why=AGAIN)
        self.brake.heard(outcome)
        half = (
            self.ledger.half(change.user.id, Part.CLASSES, Part.STEP)
            if outcome.result not in CONFIRMED
            else ""
        )
        if not outcome.why.endswith(half):
            outcome = replace(outcome, why=outcome.why + half)
        self.ledger.settle(change, outcome)

    def _not_sent(self, change: Change) -> Outcome:
        reason = self.stopped or ""
        why = reason if reason.startswith(NOT_SENT) else f"{NOT_SENT}: {reason}"
        return Outcome(
            change.user, Result.SKIPPED, why + self.ledger.half(change.user.id)
        )

    def _is_confirmed(self, user: str) -> bool:
        outcome = self.ledger.outcomes.get(user)
        return outcome is not None and outcome.result in CONFIRMED

"""The ledger of an apply: the state of every write, noted in the journal before it is told.

A write is a change of a plan, or a part of one that goes first (`model.WritePart`).

| state     | meaning                                                 | who moves it there, and when        |
| --------- | ------------------------------------------------------- | ----------------------------------- |
| planned   | the plan has it; nothing of it is noted                 | the planner                         |
| noted     | the journal says, durably, that it is about to be sent  | `WriteLedger.note_writes`           |
| sent      | it was handed to the directory, which may have it       | `WriteLedger.note_sent`             |
| answered  | the directory said yes, and did not show the user whole | `WriteLedger.note_answer`           |
| confirmed | it is there: written now, or before                     | `settle`: the directory's answer    |
| conflict  | somebody else wrote; nothing of it was written          | tells, or the user that             |
| failed    | the directory refused it, or does not show it           | `verification.py` reads back        |
| open      | nobody knows whether it was written                     |                                     |
| skipped   | it was never sent                                       | `note_unwritten`, `settle`          |

After a kill, the next run plans again what was planned. What the journal has without an
outcome was noted, sent, answered or open: `recovery.py` reads the user and settles it.

    planned ──> noted ──> sent ──> answered ──> confirmed | conflict | failed | open
       │          │        └─────────────────>  the same, or skipped
       └──────────┴──────────────────────────>  skipped
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import StateError
from connector.model import NOT_SENT, Change, Outcome, Result, UserRef, WritePart
from connector.observers.observer import Observer

_BEFORE: Final = "; the interrupted run may have written it. The next run settles it"
_PART_WRITTEN: Final = (
    " (a part of its change was written; the next run writes the rest)"
)
_UNKNOWN: Final = (
    "sent, answer not awaited; the next run settles whether it was written"
)
WriteId = tuple[str, str, WritePart]
"""A write of a run: the user's id, the digest of the change, and which part of it."""
CONFIRMED: Final = (Result.WRITTEN, Result.UNCHANGED)
_TOLD_LATER: Final = (WritePart.CLASSES, WritePart.STEP)
"""Parts that are told together with the rest of their change."""


class WriteState(StrEnum):
    """Where a write is; the table above says what each means."""

    PLANNED = "planned"
    NOTED = "noted"
    SENT = "sent"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"
    OPEN = "open"


_ENDS: Final = (
    WriteState.CONFIRMED,
    WriteState.CONFLICT,
    WriteState.FAILED,
    WriteState.SKIPPED,
    WriteState.OPEN,
)
_NEXT: Final = {
    WriteState.PLANNED: (WriteState.NOTED, WriteState.SKIPPED),
    WriteState.NOTED: (WriteState.SENT, *_ENDS),
    WriteState.SENT: (WriteState.ANSWERED, *_ENDS),
    WriteState.ANSWERED: _ENDS,
}
_BY_RESULT: Final = {
    Result.WRITTEN: WriteState.CONFIRMED,
    Result.UNCHANGED: WriteState.CONFIRMED,
    Result.CONFLICT: WriteState.CONFLICT,
    Result.FAILED: WriteState.FAILED,
    Result.SKIPPED: WriteState.SKIPPED,
}


class Write(Struct, gc=False):
    """One write on its way."""

    change: Change
    state: WriteState = WriteState.PLANNED

    def move_to(self, state: WriteState) -> None:
        """Go on to a state. Raises ValueError for one that does not follow."""
        if state not in _NEXT.get(self.state, ()):
            raise ValueError(f"a write that is {self.state} does not become {state}")
        self.state = state

    def end_with(self, outcome: Outcome) -> None:
        """Go on to the state that an outcome means."""
        self.move_to(WriteState.OPEN if outcome.is_open else _BY_RESULT[outcome.result])


class WriteJournal(Protocol):
    """Where intents are kept, durably, before they are carried out, and outcomes after that."""

    def note_writes(
        self,
        settled: Sequence[tuple[Change, Outcome]],
        intended: Sequence[Change],
    ) -> Callable[[], None] | None:
        """Keep what became of changes, as far as that is known, and which ones are about to be written; both or none.

        What it returns is still to be called: it tells the audit. Raises StateError.
        """

    def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of changes that were never going to be written. Raises StateError."""


class WriteLedger:
    """One outcome for each user. A journal that fails raises nothing here: `lost` says so, and all is told."""

    def __init__(
        self,
        journal: WriteJournal,
        observer: Observer,
        left_open: Collection[WriteId] = (),
    ) -> None:
        self._journal = journal
        self._observer = observer
        self._left_open = left_open
        """Writes of this run that were open when it was interrupted. They stay so unless they are written."""
        self._under_way: dict[str, Write] = {}
        self._unnoted: list[tuple[Change, Outcome]] = []
        """What has ended, and is still to be noted and told."""
        self._whole: dict[str, Outcome] = {}
        """By user the outcome of the change, or of what is left of it after its parts."""
        self._told_later: dict[str, Change] = {}
        self.outcomes: dict[str, Outcome] = {}
        """By user, the last one; that of a part that went first, until the rest has one."""
        self._begun: set[str] = set()
        """Users of whom a part went first and is confirmed."""
        self.written: dict[str, Change] = {}
        """By user what was written, in whatever parts, but for what was there already."""
        self.lost: str | None = None
        self.touched = False
        """Whether something was written, or may have been, be it a part that went first."""

    def note_writes(self, intended: Sequence[Change] = ()) -> None:
        """Note what is about to be written together with what has ended before, and tell the latter."""
        ended = self._unnoted
        for change in intended:
            write = self._under_way[change.user.id] = Write(change)
            write.move_to(WriteState.NOTED)
        deliver_audit = None
        try:
            if ended or intended:
                deliver_audit = self._journal.note_writes(ended, intended)
        except StateError as fault:
            self._lose_journal(fault)
            ended = [
                (change, _mark_unnoted(outcome, str(fault)))
                for change, outcome in ended
            ]
        for change, outcome in ended:
            if change.part is WritePart.REST:
                self._whole[change.user.id] = outcome
        if deliver_audit is not None:
            deliver_audit()
        for change, outcome in ended:
            self._tell_outcome(change, outcome)
        self._unnoted = []

    def note_sent(self, change: Change) -> None:
        """A write that was noted is handed to the directory."""
        self._under_way[change.user.id].move_to(WriteState.SENT)

    def note_answer(self, change: Change) -> None:
        """The directory said yes, and the user is still to be read back."""
        self._under_way[change.user.id].move_to(WriteState.ANSWERED)

    def find_change(self, user: str) -> Change:
        return self._under_way[user].change

    def settle(
        self,
        change: Change,
        outcome: Outcome,
    ) -> None:
        """A write that was noted has its outcome, which is still to be noted; `change` says how values are stored."""
        outcome = self._stay_open(change, outcome)
        self._under_way[change.user.id].end_with(outcome)
        self._unnoted.append((change, outcome))
        # last: whoever interrupts this finds the write in one of them
        del self._under_way[change.user.id]

    def list_unsettled(self) -> list[Change]:
        return [write.change for write in self._under_way.values()]

    def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Note and tell outcomes of changes that are not written."""
        untold = [
            (change, self._stay_open(change, outcome))
            for change, outcome in left
            if not self._is_told(change.user.id, outcome)
        ]
        try:
            if untold and self.lost is None:
                self._journal.note_unwritten(untold)
        except StateError as fault:
            self._lose_journal(fault)
        for change, outcome in untold:
            self._tell_outcome(change, outcome)

    def _is_told(
        self,
        user: str,
        outcome: Outcome,
    ) -> bool:
        return self.outcomes.get(user) is outcome and user not in self._told_later

    def _stay_open(
        self,
        change: Change,
        outcome: Outcome,
    ) -> Outcome:
        """The outcome, as far as it is known: the interrupted run may have written what this one has not."""
        if outcome.is_open or outcome.result is Result.WRITTEN:
            return outcome
        if (change.user.id, change.digest, change.part) not in self._left_open:
            return outcome
        return replace(outcome, why=outcome.why + _BEFORE, may_stand=True)

    @property
    def has_touched_by_now(self) -> bool:
        """`touched`, and what is under way now may do so, or has done so and is not noted yet."""
        under_way, unnoted = list(self._under_way.values()), list(self._unnoted)
        is_sent = any(write.state is not WriteState.NOTED for write in under_way)
        has_touched = any(outcome.touched for _, outcome in unnoted)
        return self.touched or is_sent or has_touched

    def account_now(
        self,
        changes: Sequence[Change],
        why: str,
    ) -> list[Outcome]:
        """The account of a run that ends at once, as far as these changes are known now. It asks and notes nothing."""
        # another thread may be at work on them, and moves a write from the first to the second
        under_way = dict(self._under_way)
        unnoted, outcomes = list(self._unnoted), list(self.outcomes.items())
        ended = {
            change.user.id: outcome
            for change, outcome in unnoted
            if change.part is WritePart.REST
        }
        planned = {change.user.id for change in changes}
        left = [outcome for user, outcome in outcomes if user not in planned]
        stands = [
            self._account_user(change.user, under_way.get(change.user.id), ended, why)
            for change in changes
        ]
        return [*left, *stands]

    def _account_user(
        self,
        user: UserRef,
        write: Write | None,
        ended: Mapping[str, Outcome],
        why: str,
    ) -> Outcome:
        if user.id in self._whole:
            return self._whole[user.id]
        if user.id in ended:
            return _mark_unnoted(ended[user.id], why)
        if write is not None and write.state is not WriteState.NOTED:
            return Outcome(
                user,
                Result.FAILED,
                f"{_UNKNOWN}: {why}",
                unknown=True,
            )
        why = f"{NOT_SENT}: {why}{self.tell_part(user.id)}"
        return Outcome(user, Result.SKIPPED, why)

    def tell_part(self, user: str) -> str:
        """That a part of a change was written already, as the end of a sentence."""
        return _PART_WRITTEN if user in self._begun else ""

    def _tell_outcome(
        self,
        change: Change,
        outcome: Outcome,
    ) -> None:
        user = change.user.id
        self.outcomes[user] = outcome
        self.touched = self.touched or outcome.touched
        if outcome.result is Result.WRITTEN:
            self.written[user] = _join_parts(self.written.get(user), change)
        if change.part is WritePart.REST:
            self._whole[user] = outcome
        elif outcome.result in CONFIRMED:
            self._begun.add(user)
        change = _join_parts(self._told_later.pop(user, None), change)
        if change.part in _TOLD_LATER:
            self._told_later[user] = change
        else:
            self._observer.note_outcome(change, outcome)

    def _lose_journal(self, fault: StateError) -> None:
        self.lost = f"nothing is written without the journal: {fault}"


def _join_parts(
    earlier: Change | None,
    change: Change,
) -> Change:
    """The change with the attributes of its earlier parts before its own."""
    if earlier is None:
        return change
    return replace(change, attributes=(*earlier.attributes, *change.attributes))


def _mark_unnoted(
    outcome: Outcome,
    why: str,
) -> Outcome:
    if outcome.result is not Result.WRITTEN:
        return outcome
    why = f"written, but not noted in the journal: {why}"
    return replace(outcome, why=why, unnoted=True)

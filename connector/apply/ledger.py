"""The ledger of an apply: the state of every write, noted in the journal before it is told.

A write is a change of a plan, or a part of one that goes first (`model.Part`). It has these states:

    planned ──> noted ──┬──> sent ──┬──> answered ──┬──> settled ──> told
                        │           └───────────────┤
                        └── never sent: skipped ────┘

planned   the plan has it. Nothing of it is noted, and nothing was sent. What must not be written is left here: it gets
          an outcome, which is noted and told.
noted     the journal says, durably, that it is about to be written. A killed run leaves it open.
sent      it was handed to the directory, which may have it.
answered  the directory said yes and did not show the user whole: it is read back.
settled   it has its outcome: written (the directory said yes, and shows nothing else), unchanged, conflict, failed or
          skipped.
told      the journal has the outcome, and the audit and whoever watches were told. An `unknown` one stays open there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import StateError
from connector.model import NOT_SENT, Change, Outcome, Part, Result, UserRef
from connector.observers.observer import Observer

_BEFORE: Final = "; the interrupted run may have written it. The next run settles it"
_HALF: Final = {
    Part.RELEASE: " (its old value was already released for another user; the next run sets the new one)",
    Part.CLASSES: " (its object classes were added)",
    Part.STEP: " (some attributes were written: the server takes one operation a request)",
}
_UNKNOWN: Final = (
    "sent, answer not awaited; the next run settles whether it was written"
)
WriteId = tuple[str, str, Part]
"""A write of a run: the user's id, the digest of the change, and which part of it."""
CONFIRMED: Final = (Result.WRITTEN, Result.UNCHANGED)


class State(StrEnum):
    """Where a write is."""

    PLANNED = "planned"
    NOTED = "noted"
    SENT = "sent"
    ANSWERED = "answered"
    SETTLED = "settled"
    TOLD = "told"


_NEXT: Final = {
    State.PLANNED: (State.NOTED,),
    State.NOTED: (State.SENT, State.SETTLED),
    State.SENT: (State.ANSWERED, State.SETTLED),
    State.ANSWERED: (State.SETTLED,),
    State.SETTLED: (State.TOLD,),
    State.TOLD: (),
}


class Write(Struct, gc=False):
    """One write on its way."""

    change: Change
    state: State = State.PLANNED

    def become(self, state: State) -> None:
        """Go on to a state. Raises ValueError for one that does not follow."""
        if state not in _NEXT[self.state]:
            raise ValueError(
                f"a write that is {self.state.value} does not become {state.value}"
            )
        self.state = state


class Journal(Protocol):
    """Where intents are kept, durably, before they are carried out, and outcomes after that."""

    def note(
        self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change]
    ) -> Callable[[], None] | None:
        """Keep what became of changes, as far as that is known, and which ones are about to be written; both or none.

        What it returns is still to be called: it tells the audit. Raises StateError.
        """

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of changes that were never going to be written. Raises StateError."""


class Ledger:
    """One outcome for each user. A journal that fails raises nothing here: `lost` says so, and all is told.

    `outcomes`: by user, the last one; that of a part that went first, until the rest has one. `firsts`: by user, the
    parts that went first and are confirmed. Object classes and steps that went first are
    noted, and told together with the rest. `began`: those of them that were written.
    `found`: by user, attributes that went first and were there already.
    `touched`: something was written, or may have been, be it a part that went first.
    `left_open`: writes of this run that were open when it was interrupted. They stay so unless they are written.
    """

    def __init__(
        self, journal: Journal, observer: Observer, left_open: Collection[WriteId] = ()
    ) -> None:
        self._journal = journal
        self._observer = observer
        self._left_open = left_open
        self._open: dict[str, Write] = {}
        self._settled: list[tuple[Write, Outcome]] = []
        self._told: dict[str, Outcome] = {}
        self._whole: dict[str, Outcome] = {}
        self._untold: dict[str, Change] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.firsts: dict[str, tuple[Part, ...]] = {}
        self.began: list[Change] = []
        self.found: set[tuple[str, str]] = set()
        self.lost: str | None = None
        self.touched = False

    def note(self, intended: Sequence[Change] = ()) -> None:
        """Note what is about to be written together with what was settled before, and tell the latter."""
        settled = self._settled
        told = [(write.change, outcome) for write, outcome in settled]
        for change in intended:
            write = self._open[change.user.id] = Write(change)
            write.become(State.NOTED)
        audit = None
        try:
            if settled or intended:
                audit = self._journal.note(told, intended)
        except StateError as fault:
            self._lose(fault)
            told = [(change, _unnoted(outcome, str(fault))) for change, outcome in told]
        self._whole.update(
            {
                change.user.id: outcome
                for change, outcome in told
                if change.part is Part.REST
            }
        )
        if audit is not None:
            audit()
        for (write, _), (change, outcome) in zip(settled, told, strict=True):
            write.become(State.TOLD)
            self._tell(change, outcome)
        self._settled = []

    def sent(self, change: Change) -> None:
        """A write that was noted is handed to the directory."""
        self._open[change.user.id].become(State.SENT)

    def of(self, user: str) -> Change:
        return self._open[user].change

    def answered(self, change: Change) -> None:
        """The directory said yes, and the user is still to be read back."""
        self._open[change.user.id].become(State.ANSWERED)

    def settle(self, change: Change, outcome: Outcome) -> None:
        """A write that was noted has its outcome, which is still to be noted; `change` says how values are stored."""
        write = self._open.pop(change.user.id)
        write.change = change
        write.become(State.SETTLED)
        self._settled.append((write, self._known(change, outcome)))

    def unsettled(self) -> list[Change]:
        return [write.change for write in self._open.values()]

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Note and tell outcomes of changes that are not written."""
        left = [
            (change, outcome)
            for change, outcome in left
            if self._told.get(change.user.id) is not outcome
        ]
        left = [(change, self._known(change, outcome)) for change, outcome in left]
        try:
            if left and self.lost is None:
                self._journal.leave(left)
        except StateError as fault:
            self._lose(fault)
        for change, outcome in left:
            self._tell(change, outcome)

    def _known(self, change: Change, outcome: Outcome) -> Outcome:
        """The outcome, as far as it is known: the interrupted run may have written what this one has not."""
        left_open = (
            self._left_open
            and (change.user.id, change.digest, change.part) in self._left_open
        )
        if not left_open or outcome.open or outcome.result is Result.WRITTEN:
            return outcome
        return replace(outcome, why=outcome.why + _BEFORE, may_stand=True)

    @property
    def touches(self) -> bool:
        """`touched`, and what is under way now may do so, or has done so and is not noted yet."""
        settled, open_ = list(self._settled), list(self._open.values())
        sent = any(write.state is not State.NOTED for write in open_)
        return self.touched or sent or any(outcome.touched for _, outcome in settled)

    def standing(self, changes: Sequence[Change], why: str) -> list[Outcome]:
        """The account of a run that ends at once, as far as these changes are known now. It asks and notes nothing."""
        # another thread may be at work on them
        noted, outcomes = list(self._settled), list(self.outcomes.items())
        planned = {change.user.id for change in changes}
        left = [outcome for user, outcome in outcomes if user not in planned]
        settled = {
            write.change.user.id: outcome
            for write, outcome in noted
            if write.change.part is Part.REST
        }
        return [*left, *(self._stands(change.user, settled, why) for change in changes)]

    def _stands(
        self, user: UserRef, settled: Mapping[str, Outcome], why: str
    ) -> Outcome:
        write = self._open.get(user.id)
        if write is not None and write.state is not State.NOTED:
            return Outcome(user, Result.FAILED, f"{_UNKNOWN}: {why}", unknown=True)
        if user.id in self._whole:
            return self._whole[user.id]
        if user.id in settled:
            return _unnoted(settled[user.id], why)
        return Outcome(user, Result.SKIPPED, f"{NOT_SENT}: {why}{self.half(user.id)}")

    def half(self, user: str, *parts: Part) -> str:
        """That a part of a change was written already (one of these, if any are named), as the end of a sentence."""
        firsts = dict.fromkeys(self.firsts.get(user, ()))
        return "".join(_HALF[part] for part in firsts if not parts or part in parts)

    def _tell(self, change: Change, outcome: Outcome) -> None:
        self.outcomes[change.user.id] = outcome
        self.touched = self.touched or outcome.touched
        if change.part is not Part.REST and outcome.result in CONFIRMED:
            self.firsts[change.user.id] = (
                *self.firsts.get(change.user.id, ()),
                change.part,
            )
            if outcome.result is Result.UNCHANGED:
                self.found.update(
                    (change.user.id, each.name) for each in change.attributes
                )
            else:
                self.began.append(change)
        firsts = self._untold.pop(change.user.id, None)
        if firsts is not None:
            change = replace(
                change, attributes=(*firsts.attributes, *change.attributes)
            )
        if change.part in {Part.CLASSES, Part.STEP}:
            self._untold[change.user.id] = change
            return
        self._told[change.user.id] = outcome
        if change.part is Part.REST:
            self._whole[change.user.id] = outcome
        self._observer.outcome(change, outcome)

    def _lose(self, fault: StateError) -> None:
        self.lost = f"nothing is written without the journal: {fault}"


def _unnoted(outcome: Outcome, why: str) -> Outcome:
    if outcome.result is not Result.WRITTEN:
        return outcome
    return replace(
        outcome, why=f"written, but not noted in the journal: {why}", unnoted=True
    )

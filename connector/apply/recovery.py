"""After an interruption: open writes, of which nobody knows whether they happened, are settled.

    by reading     before the plan is made: the user tells (`planning/open_writes.py`)
    by comparing   with the plan: a secret that is not shown was compared, and is there
    by writing     at the end: this run, or a later one, has written the same attributes;
                   or reading once more shows a write that had not arrived at first

What nothing settles stays open, and counts as this job's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.context import RunContext
from connector.apply.ledger import WriteId
from connector.errors import IncompleteRead
from connector.model import Change, Description, Outcome, Result, User
from connector.planning.brief import Slot
from connector.planning.open_writes import OpenWrite
from connector.planning.standing import ShownUser
from connector.state.journal_rows import (
    JournalStep,
    is_one_of_several,
    part_of,
    remove_server,
)

SettledStep = tuple[JournalStep, Outcome]
_THERE = "not confirmed at first; the values are there"


class OpenStep(Struct, frozen=True):
    """A write of which it is not known whether it happened."""

    step: JournalStep
    slots: Mapping[Slot, str]
    """What it set out to write and nothing tells of; of a secret, with its fingerprint."""

    @property
    def write_id(self) -> WriteId:
        change = self.step.change
        return change.user.id, change.digest, change.part


class Recovery:
    """Settles what earlier runs of this job left open in a directory, as it is described."""

    def __init__(
        self,
        context: RunContext,
        description: Description,
    ) -> None:
        self._context = context
        self._description = description
        self._here = description.server
        self._memory = context.state.memory(description.identity, context.job)
        self._still_open: list[OpenStep] = []
        """The oldest run's first."""
        self._not_written: list[JournalStep] = []
        """Found not to have happened."""
        self._compared: Collection[Slot] = ()
        """The secrets of which a comparison has told."""
        self._denied: Mapping[Slot, str] = {}
        """The fingerprints of those that it did not find there."""

    @property
    def open_changes(self) -> Sequence[Change]:
        """The changes of which it is not known whether they happened."""
        return [each.step.change for each in self._still_open]

    def list_of_run(self, run: str) -> frozenset[WriteId]:
        """The writes that this run itself had left open, and still are, where it goes on."""
        own = [each for each in self._still_open if each.step.run == run]
        return frozenset(each.write_id for each in own)

    def find_written_again(self, changes: Iterable[Change]) -> frozenset[str]:
        """The users whose changes may write the same for the second time."""
        may_be_there = set[Slot]()
        for each in self._still_open:
            if self._is_of_this_server(each.step):
                may_be_there.update(
                    slot
                    for slot, print_ in each.slots.items()
                    if self._denied.get(slot) != print_
                )
        if not may_be_there:
            return frozenset()
        return frozenset(
            change.user.id
            for change in changes
            if not may_be_there.isdisjoint(_slots_of(change))
        )

    def settle_by_reading(self) -> None:
        """Settle the writes that are open, as far as reading tells.

        Raises IncompleteRead and StateError: then all of them stay open.
        """
        steps = self._read_open()
        if not steps:
            return
        self._context.observer.begin_stage("settle", writes=len(steps))
        users = self._read_users(steps)
        confirmed = self._memory.read_confirmed(users)
        pasts = self._memory.read_past(users)
        settled: list[tuple[OpenStep, Outcome]] = []
        at_fewer: list[JournalStep] = []
        open_runs = defaultdict[str, set[str]](set)
        for step in steps:
            id_ = step.change.user.id
            if id_ not in users:
                self._still_open.append(_list_slots(step))
                continue
            may_be_here = self._may_be_here(step)
            write = OpenWrite(
                step.change,
                self._show_user(users[id_]),
                step.run,
                "" if may_be_here else step.server,
                confirmed.get(id_, {}),
                pasts.get(id_, ()),
                frozenset(open_runs[id_]),
            )
            outcome = write.judge() or write.judge_another_key()
            is_written = outcome is None or outcome.result is not Result.SKIPPED
            if is_written:
                open_runs[id_].add(step.run)
            if outcome is None:
                closed: Collection[str] = ()
                if may_be_here:
                    is_alone = self._is_of_this_server(step)
                    closed = write.list_closed(alone=is_alone)
                self._still_open.append(_list_slots(step, closed))
            elif is_written or not is_one_of_several(step.server, self._here):
                written = replace(step, change=write.as_written())
                settled.append((_list_slots(written), outcome))
            else:  # it may still be at the others
                others = remove_server(step.server, self._here)
                at_fewer.append(replace(step, server=others))
                self._still_open.append(_list_slots(at_fewer[-1]))
        self._context.state.note_servers(at_fewer)
        self._not_written = [
            each.step for each, outcome in settled if outcome.result is Result.SKIPPED
        ]
        self._keep_settled(self._count_once(settled), users)

    def settle_by_comparing(
        self,
        confirmed: Mapping[Slot, str],
        denied: Mapping[Slot, str],
    ) -> None:
        """Settle writes whose secrets were compared, and `confirmed` to be the ones written.

        All else stays open, and may be ours, until a run writes the same attributes; also
        what was `denied`, for it may arrive late, and what was to be cleared at another
        server: here it may never have been.
        """
        settled: list[tuple[OpenStep, Outcome]] = []
        still_open = []
        for each in self._still_open:
            may_be_here = self._may_be_here(each.step)
            if all(
                confirmed.get(slot) == print_ and (may_be_here or print_)
                for slot, print_ in each.slots.items()
            ):
                outcome = Outcome(each.step.change.user, Result.WRITTEN, _THERE)
                settled.append((each, outcome))
            else:
                still_open.append(each)
        self._keep_settled(self._count_once(settled))
        self._still_open = still_open
        self._compared, self._denied = confirmed.keys(), denied

    def settle_by_writing(self, own: Mapping[str, Change]) -> None:
        """Settle what was still open, or not written, by what this run has done since.

        `own`: by user what it has written itself.
        """
        if self._still_open:
            self._settle_superseded(own.values())
        if self._not_written:
            self._find_late(own)

    def _settle_superseded(self, own: Iterable[Change]) -> None:
        """Settle writes of which nothing tells, where each attribute was written or compared since.

        By this run, or by one between them that was killed. What the server that was asked
        then says of a secret is known, too. So is a secret that was to be cleared and that
        nobody owns. What the run itself had left open, and has written now, has its outcome
        already.
        """
        written = self._find_moot_clears()
        for change in own:
            written.update(_slots_of(change))
        unsettled = self._read_unsettled()
        open_now = set(map(_identify_step, self._read_open()))
        settled = []
        for each in self._still_open:
            step, known = each.step, written
            if self._is_of_this_server(step):
                known = written.union(self._compared)
            left = {(step.run, *slot) for slot in each.slots if slot not in known}
            if _identify_step(step) in open_now and left.isdisjoint(unsettled):
                settled.append((step, _make_superseded(step)))
        self._keep_settled(settled)

    def _find_late(self, own: Mapping[str, Change]) -> None:
        """Look again for writes that had not happened, each user being judged by how it was before its `own` change.

        A server, or whatever lies on the way to it, may still have had them when their sender died.
        """
        try:
            now = self._read_users(self._not_written)
        except IncompleteRead:
            return  # they stay as they were found at the begin
        settled: list[SettledStep] = []
        for step in self._not_written:
            user = now.get(step.change.user.id)
            if user is None:
                continue
            before = self._show_user(_take_back(user, own.get(user.id)))
            standing = before.judge_changes(step.change.attributes)
            if standing and all(standing):
                outcome = Outcome(user.ref, Result.WRITTEN, f"{_THERE} after all")
                settled.append((step, outcome))
        self._keep_settled(settled, now)

    def _read_open(self) -> list[JournalStep]:
        state, identity = self._context.state, self._description.identity
        return state.read_open_steps(identity, self._context.job, self._context.sealer)

    def _read_users(self, steps: Iterable[JournalStep]) -> dict[str, User]:
        """The users of these writes, by id, as they are now. Raises IncompleteRead."""
        refs = dict.fromkeys(step.change.user for step in steps)
        users = self._context.reader.read(refs, disabled=True)
        return {user.id: user for user in users}

    def _read_unsettled(self) -> set[tuple[str, str, str]]:
        """By run and user id, attributes that it set out to write, and no later run is known to have written."""
        found = set[tuple[str, str, str]]()
        for each in self._memory.read_unsettled():
            found.update((each.run, each.user.id, name) for name in each.attributes)
        return found

    def _may_be_here(self, step: JournalStep) -> bool:
        """Whether it may have been sent to the server that is asked now."""
        return not step.server or remove_server(step.server, self._here) != step.server

    def _is_of_this_server(self, step: JournalStep) -> bool:
        """Whether it was meant for no other server than the one that is asked now."""
        return step.server in ("", self._here)

    def _show_user(self, user: User) -> ShownUser:
        return ShownUser(user, self._description, self._context.fingerprint)

    def _find_moot_clears(self) -> set[Slot]:
        """Secrets that were to be cleared, of which nothing is ours any more: no later run asks about one.

        An open write of one that may still arrive is cleared then.
        """
        moot, may_be_set = set[Slot](), set[Slot]()
        for open_step in self._still_open:
            step = open_step.step
            is_here = self._is_of_this_server(step)
            for each in step.change.attributes:
                slot = (step.change.user.id, each.name)
                if not each.secret:
                    continue
                moot.add(slot)
                if each.fingerprint and not (is_here and slot in self._compared):
                    may_be_set.add(slot)
        ours = self._memory.read_confirmed({id_ for id_, _ in moot})
        for id_, owned in ours.items():
            may_be_set.update((id_, name) for name in owned)
        return moot - may_be_set

    def _count_once(
        self,
        settled: Sequence[tuple[OpenStep, Outcome]],
    ) -> list[SettledStep]:
        """Count a secret that stands as one write: the last that may have put it there.

        The oldest run's come first. It may have been killed before it sent what a later one has sent.
        """
        unsettled = self._read_unsettled()
        counted: set[tuple[Slot, str]] = set()
        once = []
        for each, outcome in reversed(settled):
            step, slots = each.step, set(each.slots.items())
            secret = {one.name for one in step.change.attributes if one.secret}
            is_twice = False
            if outcome.result is Result.WRITTEN and secret.issuperset(
                name for _, name in each.slots
            ):
                left = {(step.run, *slot) for slot in each.slots}
                is_twice = slots <= counted or left.isdisjoint(unsettled)
                counted |= slots
            once.append((step, _make_superseded(step) if is_twice else outcome))
        return once[::-1]

    def _keep_settled(
        self,
        settled: Collection[SettledStep],
        now: Mapping[str, User] = MappingProxyType({}),
    ) -> None:
        if settled:
            self._context.state.settle_steps(self._description, list(settled), now)
        for step, outcome in settled:
            self._context.observer.note_outcome(step.change, outcome, step.run)


def _list_slots(
    step: JournalStep,
    closed: Collection[str] = (),
) -> OpenStep:
    """The write with what it set out to write, but for attributes that are closed."""
    slots = {
        (step.change.user.id, each.name): each.fingerprint
        for each in step.change.attributes
        if each.name not in closed
    }
    return OpenStep(step, slots)


def _make_superseded(step: JournalStep) -> Outcome:
    server = f" from {step.server}" if step.server else ""
    why = f"no answer{server}; a later run has written the same attributes"
    return Outcome(step.change.user, Result.FAILED, why)


def _identify_step(step: JournalStep) -> tuple[str, str, str, str]:
    return step.run, step.change.user.id, step.change.digest, part_of(step.change)


def _slots_of(change: Change) -> Iterable[Slot]:
    return [(change.user.id, each.name) for each in change.attributes]


def _take_back(
    user: User,
    own: Change | None,
) -> User:
    """The user as it was before this change of it."""
    before = dict(user.values)
    for each in reversed(own.attributes) if own else ():
        if each.seen:
            before[each.name] = each.old
    return replace(user, values=before)

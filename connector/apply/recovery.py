"""After an interruption: open writes, of which nobody knows whether they happened, are settled.

    by reading     before the plan is made: the user tells (`planning/open_writes.py`)
    by comparing   with the plan: a secret that is not shown was compared, and is there
    by writing     at the end: this run, or a later one, has written the same attributes;
                   or reading once more shows a write that had not arrived at first

What nothing settles stays open, and counts as this job's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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

StepId = tuple[str, str, str, str]
"""A write of some run: the run, the user's id, the digest of the change, and which part of it."""
SettledStep = tuple[JournalStep, Outcome]
_THERE = "not confirmed at first; the values are there"


class OpenWrites(Struct, frozen=True):
    """The writes that were open when a run began, as far as it has settled them."""

    still_open: Sequence[JournalStep] = ()
    """The oldest run's first."""
    not_written: Sequence[JournalStep] = ()
    """Found not to have happened."""
    server: str = ""
    """The one that is asked now."""
    closed: Mapping[StepId, frozenset[str]] = MappingProxyType({})
    """By open write that this server may have, attributes of which nothing is open."""
    compared: frozenset[Slot] = frozenset()
    """The secrets of which a comparison has told since."""
    denied: Mapping[Slot, str] = MappingProxyType({})
    """The fingerprints of those that it did not find there."""

    def __bool__(self) -> bool:
        return bool(self.still_open or self.not_written)

    @property
    def changes(self) -> Sequence[Change]:
        """The changes of which it is not known whether they happened."""
        return [step.change for step in self.still_open]

    def is_elsewhere(self, step: JournalStep) -> bool:
        """Whether it was meant for another server, of which this one shows nothing."""
        return step.server not in ("", self.server)

    def list_open_slots(self, step: JournalStep) -> list[tuple[str, str, str]]:
        """What a write set out to write and nothing tells of: user, attribute, and fingerprint of a secret."""
        id_, closed = (
            step.change.user.id,
            self.closed.get(_identify_step(step), frozenset()),
        )
        return [
            (id_, each.name, each.fingerprint)
            for each in step.change.attributes
            if each.name not in closed
        ]

    def find_written_again(self, changes: Iterable[Change]) -> frozenset[str]:
        """The users whose changes may write the same for the second time."""
        if not self.still_open:
            return frozenset()
        planned = set(_slots_of(changes))
        users = set[str]()
        for step in self.still_open:
            if self.is_elsewhere(step):
                continue
            for user, name, print_ in self.list_open_slots(step):
                slot = (user, name)
                if slot in planned and self.denied.get(slot) != print_:
                    users.add(user)
        return frozenset(users)

    def list_of_run(self, run: str) -> frozenset[WriteId]:
        """The writes that this run itself had left open, and still are, where it goes on."""
        changes = [step.change for step in self.still_open if step.run == run]
        return frozenset((each.user.id, each.digest, each.part) for each in changes)


class Recovery:
    """Settles what earlier runs of this job left open in a directory, as it is described."""

    def __init__(self, context: RunContext, description: Description) -> None:
        self._context = context
        self._description = description
        self._memory = context.state.memory(description.identity, context.job)

    def settle_by_reading(self) -> OpenWrites:
        """Settle the writes that are open, as far as reading tells.

        Raises IncompleteRead and StateError: then all of them stay open.
        """
        steps = self._read_open()
        if not steps:
            return OpenWrites()
        self._context.observer.begin_stage("settle", writes=len(steps))
        here = self._description.server
        users = self._read_users(steps)
        confirmed, pasts = (
            self._memory.read_confirmed(users),
            self._memory.read_past(users),
        )
        settled: list[SettledStep] = []
        still_open: list[JournalStep] = []
        at_fewer: list[JournalStep] = []
        closed: dict[StepId, frozenset[str]] = {}
        open_runs = defaultdict[str, set[str]](set)
        for step in steps:
            id_ = step.change.user.id
            if id_ not in users:
                still_open.append(step)
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
            if outcome is None or outcome.result is not Result.SKIPPED:
                open_runs[id_].add(step.run)
            elif is_one_of_several(step.server, here):  # it may still be at the others
                at_others = replace(step, server=remove_server(step.server, here))
                at_fewer.append(at_others)
                still_open.append(at_others)
                continue
            if outcome is not None:
                settled.append((replace(step, change=write.as_written()), outcome))
                continue
            still_open.append(step)
            if may_be_here:
                is_alone = step.server in ("", here)
                closed[_identify_step(step)] = write.list_closed(alone=is_alone)
        self._context.state.note_servers(at_fewer)
        self._keep_settled(self._count_once(settled, OpenWrites()), users)
        not_written = [
            step for step, outcome in settled if outcome.result is Result.SKIPPED
        ]
        return OpenWrites(
            still_open,
            not_written,
            here,
            closed,
        )

    def settle_by_comparing(
        self,
        writes: OpenWrites,
        confirmed: Mapping[Slot, str],
        denied: Mapping[Slot, str],
    ) -> OpenWrites:
        """Settle writes whose secrets were compared, and `confirmed` to be the ones written.

        All else stays open, and may be ours, until a run writes the same attributes; also
        what was `denied`, for it may arrive late, and what was to be cleared at another
        server: here it may never have been.
        """
        settled: list[SettledStep] = []
        still_open = []
        for step in writes.still_open:
            may_be_here = self._may_be_here(step)
            if all(
                confirmed.get((id_, name)) == print_ and (may_be_here or print_)
                for id_, name, print_ in writes.list_open_slots(step)
            ):
                outcome = Outcome(step.change.user, Result.WRITTEN, _THERE)
                settled.append((step, outcome))
            else:
                still_open.append(step)
        self._keep_settled(self._count_once(settled, writes))
        return replace(
            writes, still_open=still_open, compared=frozenset(confirmed), denied=denied
        )

    def settle_by_writing(self, writes: OpenWrites, own: Mapping[str, Change]) -> None:
        """Settle what was still open, or not written, by what this run has done since.

        `own`: by user what it has written itself.
        """
        if writes.still_open:
            self._settle_superseded(writes, own.values())
        if writes.not_written:
            self._find_late(writes.not_written, own)

    def _settle_superseded(self, writes: OpenWrites, own: Iterable[Change]) -> None:
        """Settle writes of which nothing tells, where each attribute was written or compared since.

        By this run, or by one between them that was killed. What the server that was asked
        then says of a secret is known, too. So is a secret that was to be cleared and that
        nobody owns. What the run itself had left open, and has written now, has its outcome
        already.
        """
        is_overtaken = self._tell_overtaken()
        written = self._find_moot_clears(writes) | frozenset(_slots_of(own))
        open_now = set(map(_identify_step, self._read_open()))
        settled = []
        for step in writes.still_open:
            known = written
            if not writes.is_elsewhere(step):
                known |= writes.compared
            if _identify_step(step) in open_now and all(
                (id_, name) in known or is_overtaken(step, name)
                for id_, name, _ in writes.list_open_slots(step)
            ):
                settled.append((step, _make_superseded(step)))
        self._keep_settled(settled)

    def _find_late(
        self,
        not_written: Sequence[JournalStep],
        own: Mapping[str, Change],
    ) -> None:
        """Look again for writes that had not happened, each user being judged by how it was before its `own` change.

        A server, or whatever lies on the way to it, may still have had them when their sender died.
        """
        try:
            now = self._read_users(not_written)
        except IncompleteRead:
            return  # they stay as they were found at the begin
        settled: list[SettledStep] = []
        for step in not_written:
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

    def _may_be_here(self, step: JournalStep) -> bool:
        """Whether it may have been sent to the server that is asked now."""
        here = self._description.server
        return not step.server or remove_server(step.server, here) != step.server

    def _show_user(self, user: User) -> ShownUser:
        return ShownUser(user, self._description, self._context.fingerprint)

    def _find_moot_clears(self, writes: OpenWrites) -> frozenset[Slot]:
        """Secrets that were to be cleared, of which nothing is ours any more: no later run asks about one.

        An open write of one that may still arrive is cleared then.
        """
        secret, may_be_set = set[Slot](), set[Slot]()
        for step in writes.still_open:
            for each in step.change.attributes:
                slot = (step.change.user.id, each.name)
                if each.secret:
                    secret.add(slot)
                    is_unknown = slot not in writes.compared
                    if each.fingerprint and (is_unknown or writes.is_elsewhere(step)):
                        may_be_set.add(slot)
        ours = self._memory.read_confirmed({id_ for id_, _ in secret})
        return frozenset(
            (id_, name)
            for id_, name in secret - may_be_set
            if name not in ours.get(id_, {})
        )

    def _tell_overtaken(self) -> Callable[[JournalStep, str], bool]:
        """Tells whether a later run is known to have written an attribute that an open write set out to write."""
        open_now = {
            (each.run, each.user.id, name)
            for each in self._memory.read_unsettled()
            for name in each.attributes
        }
        return lambda step, name: (step.run, step.change.user.id, name) not in open_now

    def _count_once(
        self,
        settled: Sequence[SettledStep],
        writes: OpenWrites,
    ) -> list[SettledStep]:
        """Count a secret that stands as one write: the last that may have put it there.

        The oldest run's come first. It may have been killed before it sent what a later one has sent. `writes`: what
        else of these is known.
        """
        is_overtaken = self._tell_overtaken()
        counted: set[tuple[str, str, str]] = set()
        once = []
        for step, outcome in reversed(settled):
            slots = set(writes.list_open_slots(step))
            secret = {each.name for each in step.change.attributes if each.secret}
            is_of_secrets = all(name in secret for _, name, _ in slots)
            is_twice = False
            if outcome.result is Result.WRITTEN and is_of_secrets:
                overtaken = all(is_overtaken(step, name) for _, name, _ in slots)
                is_twice = slots <= counted or overtaken
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


def _make_superseded(step: JournalStep) -> Outcome:
    server = f" from {step.server}" if step.server else ""
    why = f"no answer{server}; a later run has written the same attributes"
    return Outcome(step.change.user, Result.FAILED, why)


def _identify_step(step: JournalStep) -> StepId:
    return step.run, step.change.user.id, step.change.digest, part_of(step.change)


def _slots_of(changes: Iterable[Change]) -> Iterator[Slot]:
    for change in changes:
        for each in change.attributes:
            yield change.user.id, each.name


def _take_back(user: User, own: Change | None) -> User:
    """The user as it was before this change of it."""
    before = dict(user.values)
    for each in own.attributes if own else ():
        if each.seen:
            before[each.name] = each.old
    return replace(user, values=before)

"""After an interruption: writes of which nobody knows whether they happened are settled by reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.context import Context
from connector.apply.ledger import WriteId
from connector.errors import IncompleteRead
from connector.model import Change, Description, Outcome, Result, User
from connector.model.digests import UNKEYED
from connector.planning.brief import Slot
from connector.planning.compare.standing import Shown
from connector.planning.unanswered import Unanswered
from connector.state.journal_rows import Step, among, part_of, without

_Found = tuple[Step, Outcome]
_Write = tuple[str, str, str, str]
"""A write of some run: the run, the user's id, the digest of the change, and which part of it."""
_OF_ANOTHER_KEY: Final = (
    "not confirmed; noted with another key, so its result stays unknown"
)


class Settled(Struct, frozen=True):
    """Writes that were open: nothing tells of those in `left`; `unwritten` were found not to have happened.

    `left` has the writes of the oldest run first. `server`: the one that is asked now.
    `explained`: by write in `left` that this server may have, attributes of which nothing is open. `compared`: the
    secrets of which a comparison has told since. `denied`: the fingerprints of those that
    it did not find there.
    """

    left: Sequence[Step] = ()
    unwritten: Sequence[Step] = ()
    server: str = ""
    explained: Mapping[_Write, frozenset[str]] = MappingProxyType({})
    compared: frozenset[Slot] = frozenset()
    denied: Mapping[Slot, str] = MappingProxyType({})

    def __bool__(self) -> bool:
        return bool(self.left or self.unwritten)

    def elsewhere(self, step: Step) -> bool:
        """Whether it was meant for another server, of which this one shows nothing."""
        return step.server not in ("", self.server)

    def unknown(self, step: Step) -> list[tuple[str, str, str]]:
        """What it set out to write and nothing tells of: as of `_slots`."""
        told = self.explained.get(_write(step), frozenset[str]())
        return [each for each in _slots(step) if each[1] not in told]

    def again(self, changes: Iterable[Change]) -> frozenset[str]:
        """The users of whom nothing told, and whose changes may write the same for the second time."""
        written = (
            {
                (change.user.id, each.name)
                for change in changes
                for each in change.attributes
            }
            if self.left
            else ()
        )
        return frozenset(
            user
            for step in self.left
            for user, name, print_ in self.unknown(step)
            if not self.elsewhere(step)
            and (user, name) in written
            and self.denied.get((user, name)) != print_
        )

    def left_by(self, run: str) -> frozenset[WriteId]:
        """The writes that this run itself had left open, and still are, where it goes on."""
        steps = (step for step in self.left if step.run == run)
        return frozenset(
            (step.change.user.id, step.change.digest, step.change.part)
            for step in steps
        )

    @property
    def doubtful(self) -> Sequence[Change]:
        """The changes of which it is not known whether they happened."""
        return [step.change for step in self.left]


class Recovery:
    """Settles what earlier runs of this job left open in a directory, as it is described."""

    def __init__(self, context: Context, description: Description) -> None:
        self._context = context
        self._description = description
        self._memory = context.state.memory(description.identity, context.job)

    def settle(self) -> Settled:
        """Settle the writes that are open, as far as reading tells.

        Raises IncompleteRead and StateError: then all of them stay open.
        """
        steps = self._open()
        if not steps:
            return Settled()
        self._context.observer.stage("settle", writes=len(steps))
        users = self._read(steps)
        confirmed, pasts = self._memory.confirmed(users), self._memory.past(users)
        found: list[_Found] = []
        left: list[Step] = []
        fewer: list[Step] = []
        told: dict[_Write, frozenset[str]] = {}
        where, still = self._description, defaultdict[str, set[str]](set)
        for step in steps:
            id_ = step.change.user.id
            if id_ not in users:
                left.append(step)
                continue
            server = "" if self._may_have(step) else step.server
            ours, past, open_ = (
                confirmed.get(id_, {}),
                pasts.get(id_, ()),
                frozenset(still[id_]),
            )
            write = Unanswered(
                step.change,
                self._shown(users[id_]),
                step.run,
                server,
                ours,
                past,
                open_,
            )
            outcome = _outcome(write)
            if outcome is None or outcome.result is not Result.SKIPPED:
                still[id_].add(step.run)
            elif among(step.server, where.server):
                fewer.append(replace(step, server=without(step.server, where.server)))
                left.append(fewer[-1])
                continue
            if outcome:
                found.append((replace(step, change=write.as_written()), outcome))
            else:
                left.append(step)
                if not server:
                    told[_write(step)] = write.closed(
                        alone=step.server in ("", where.server)
                    )
        self._context.state.note_servers(fewer)
        self._keep(self._once(found, Settled()), users)
        unwritten = [
            step for step, outcome in found if outcome.result is Result.SKIPPED
        ]
        return Settled(left, unwritten, where.server, told)

    def settle_secrets(
        self,
        settled: Settled,
        confirmed: Mapping[Slot, str],
        denied: Mapping[Slot, str],
    ) -> Settled:
        """Settle what was left: by comparing, where that was allowed, a secret was `confirmed` to be the one written.

        All else stays open, and may be ours, until a run writes the same attributes; also
        what was `denied`, for it may arrive late, and what was to be cleared at another
        server: here it may never have been.
        """
        found: list[_Found] = []
        left = []
        for step in settled.left:
            here, unknown = self._may_have(step), settled.unknown(step)
            if all(
                confirmed.get((id_, name)) == print_ and (here or print_)
                for id_, name, print_ in unknown
            ):
                why = "not confirmed at first; the values are there"
                found.append((step, Outcome(step.change.user, Result.WRITTEN, why)))
            else:
                left.append(step)
        self._keep(self._once(found, settled))
        return replace(settled, left=left, compared=frozenset(confirmed), denied=denied)

    def settle_at_the_end(self, settled: Settled, own: Mapping[str, Change]) -> None:
        """Settle what was left or not written at the begin of a run, by what it has done since.

        `own`: by user what it has written itself.
        """
        if settled.left:
            self._supersede(settled, own)
        if settled.unwritten:
            self._settle_late(settled.unwritten, own)

    def _supersede(self, settled: Settled, own: Mapping[str, Change]) -> None:
        """Settle writes of which nothing tells, where this run has written all of the same attributes.

        Or has compared them: what the server that was asked then says of a secret is known,
        too. Or a run between them has written them, which was killed. Or it was to clear a
        secret that nobody owns. What the run itself had left open, and has written now, has
        its outcome already.
        """
        overtaken, moot = self._overtaken(), self._moot(settled)
        still = set(map(_write, self._open()))
        written = frozenset(
            (user, each.name)
            for user, change in own.items()
            for each in change.attributes
        )
        found = []
        for step in settled.left:
            known = (
                moot
                | written
                | (frozenset() if settled.elsewhere(step) else settled.compared)
            )
            unknown = settled.unknown(step)
            if _write(step) in still and all(
                (id_, name) in known or overtaken(step, name)
                for id_, name, _ in unknown
            ):
                found.append((step, _superseded(step)))
        self._keep(found)

    def _settle_late(
        self, unwritten: Sequence[Step], own: Mapping[str, Change]
    ) -> None:
        """Look again for writes that had not happened, each user being judged by how it was before its `own` change.

        A server, or whatever lies on the way to it, may still have had them when their sender died.
        """
        try:
            now = self._read(unwritten)
        except IncompleteRead:
            return  # they stay as they were found at the begin
        found: list[_Found] = []
        for step in unwritten:
            user = now.get(step.change.user.id)
            before = user and _before(user, own.get(user.id))
            told = before and self._shown(before).answers(step.change.attributes)
            if user and told and all(told):
                why = "not confirmed at first; the values are there after all"
                found.append((step, Outcome(user.ref, Result.WRITTEN, why)))
        self._keep(found, now)

    def _open(self) -> list[Step]:
        context = self._context
        return context.state.open_steps(
            self._description.identity, context.job, context.sealer
        )

    def _read(self, steps: Iterable[Step]) -> dict[str, User]:
        """The users of these writes, by id, as they are now. Raises IncompleteRead."""
        users = dict.fromkeys(step.change.user for step in steps)
        return {
            user.id: user for user in self._context.reader.read(users, disabled=True)
        }

    def _may_have(self, step: Step) -> bool:
        """Whether it may have been sent to the server that is asked now."""
        return (
            not step.server
            or without(step.server, self._description.server) != step.server
        )

    def _shown(self, user: User) -> Shown:
        return Shown(user, self._description, self._context.fingerprint)

    def _moot(self, settled: Settled) -> frozenset[Slot]:
        """Secrets that were to be cleared, of which nothing is ours any more: no later run asks about one.

        An open write of one that may still arrive is cleared then.
        """
        left = [
            (step, step.change.user.id, each)
            for step in settled.left
            for each in step.change.attributes
            if each.secret
        ]
        slots = {(id_, each.name) for _, id_, each in left}
        may_be = {
            (id_, each.name)
            for step, id_, each in left
            if each.fingerprint
            and (settled.elsewhere(step) or (id_, each.name) not in settled.compared)
        }
        ours = self._memory.confirmed({id_ for id_, _ in slots})
        return frozenset(
            slot for slot in slots - may_be if slot[1] not in ours.get(slot[0], {})
        )

    def _overtaken(self) -> Callable[[Step, str], bool]:
        """Tells whether a later run is known to have written an attribute that an open write set out to write."""
        open_ = {
            (each.run, each.user.id, name)
            for each in self._memory.unsettled()
            for name in each.attributes
        }
        return lambda step, name: (step.run, step.change.user.id, name) not in open_

    def _once(self, found: Sequence[_Found], settled: Settled) -> list[_Found]:
        """Count a secret that stands as one write: the last that may have put it there.

        `found`: the oldest run's first. It may have been killed before it sent what a later one has sent. `settled`:
        what else of these writes is known.
        """
        overtaken = self._overtaken()
        counted: set[tuple[str, str, str]] = set()
        once = []
        for step, outcome in reversed(found):
            slots = set(settled.unknown(step))
            secret = {each.name for each in step.change.attributes if each.secret}
            counts = outcome.result is Result.WRITTEN and all(
                name in secret for _, name, _ in slots
            )
            twice = counts and (
                slots <= counted or all(overtaken(step, name) for _, name, _ in slots)
            )
            counted |= slots if counts else set()
            once.append((step, _superseded(step) if twice else outcome))
        return once[::-1]

    def _keep(
        self, found: Sequence[_Found], now: Mapping[str, User] = MappingProxyType({})
    ) -> None:
        if found:
            self._context.state.settle(self._description, found, now)
        for step, outcome in found:
            self._context.observer.outcome(step.change, outcome, step.run)


def _outcome(write: Unanswered) -> Outcome | None:
    """What became of a write; None: nothing tells."""
    outcome, user, attributes = (
        write.outcome(),
        write.shown.user,
        write.change.attributes,
    )
    if outcome is None and all(
        each.fingerprint == UNKEYED and each.name in user.values for each in attributes
    ):
        # what it shows may be what was written
        return Outcome(user.ref, Result.FAILED, _OF_ANOTHER_KEY)
    return outcome


def _superseded(step: Step) -> Outcome:
    server = f" from {step.server}" if step.server else ""
    return Outcome(
        step.change.user,
        Result.FAILED,
        f"no answer{server}; a later run has written the same attributes",
    )


def _write(step: Step) -> _Write:
    return step.run, step.change.user.id, step.change.digest, part_of(step.change)


def _slots(step: Step) -> Iterator[tuple[str, str, str]]:
    """What it set out to write: the user's id and each attribute, with the fingerprint of a secret."""
    return (
        (step.change.user.id, each.name, each.fingerprint)
        for each in step.change.attributes
    )


def _before(user: User, own: Change | None) -> User:
    """The user as it was before this change of it."""
    believed = (
        {each.name: each.old for each in own.attributes if each.seen} if own else {}
    )
    return replace(user, values={**user.values, **believed})

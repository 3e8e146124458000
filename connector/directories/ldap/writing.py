"""Changes as modifications in flight: a window of them at once, never two of one entry, an outcome for each.

Measured: of two modifications of one entry in flight, the later was applied first in one
case of ninety.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from connector.directories.common.changing import ForbiddenError
from connector.directories.ldap import results
from connector.directories.ldap.looking import UNLIKE, UNSEEN, Looker, Sight
from connector.directories.ldap.modifying import Modifier
from connector.directories.ldap.post_read import PostRead
from connector.directories.ldap.session import Flight, Operation
from connector.directories.ldap.wire import Wire
from connector.errors import IncompleteRead
from connector.model import Change, Outcome, Result

_SOME: Final = 16
"""So many changes are sent at once: one call is less than many, and the server need not
wait for a whole window."""

_READ_BEFORE: Final = 64
"""So many changes are under way at most where their users are read first, which should not
be long before the write."""

_PLAIN: Final = re.compile(r'[A-Za-z][A-Za-z0-9-]*=[^\\",+;#=<>]*,')
"""An RDN without anything that would have to be parsed, with the comma behind it."""
_TWICE: Final = (
    "another program changed the entry twice, each time just before the write"
)


class Queue:
    """Changes still to be sent, taken from their iterable no sooner than there is room for them."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = iter(changes)
        self._held: Change | None = None
        self._busy: set[tuple[str, str]] = set()

    def take(self, room: int) -> list[Change]:
        """The next ones, up to the first whose entry has a change that is not `done`; that one waits, with the rest."""
        taken: list[Change] = []
        while len(taken) < room and (change := next(self, None)) is not None:
            entry = _entry(change)
            if not self._busy.isdisjoint(entry):
                self._held = change
                break
            self._busy.update(entry)
            taken.append(change)
        return taken

    def done(self, change: Change) -> None:
        self._busy.difference_update(_entry(change))

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        held, self._held = self._held, None
        return next(self._changes) if held is None else held


def _entry(change: Change) -> tuple[tuple[str, str], tuple[str, str]]:
    """What an entry is known by: whoever shares its id or its name may be the same one."""
    return ("id", change.user.id), ("name", change.user.name.casefold())


def by_parent(covers: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether a name is in base and scope, worked out once for all the entries under one parent."""

    @lru_cache(maxsize=4096)
    def below(parent: str) -> bool:
        """Whether any two entries under it are covered: one of them alone may be the base itself."""
        return all(covers(f"cn={made_up},{parent}") for made_up in "xy")

    def covered(name: str) -> bool:
        plain = _PLAIN.match(name)
        return (plain is not None and below(name[plain.end() :])) or covers(name)

    return covered


class Writer:
    """Writes the changes of a queue over one connection, `window` of them in flight at most.

    `covers`: whether a name is in base and scope. `looker`: looks at users of whom no assertion says enough.
    """

    def __init__(
        self,
        wire: Wire,
        modifier: Modifier,
        post_read: PostRead,
        *,
        window: int,
        covers: Callable[[str], bool],
        looker: Looker,
    ) -> None:
        self._wire = wire
        self._modifier = modifier
        self._post_read = post_read
        self._window = window
        self._covers = by_parent(covers)
        self._looker = looker
        self._flight: Flight[Change] = Flight(wire)
        self._again: set[str] = set()
        """Users, by id, whose change is sent for the second time."""

    def write(self, queue: Queue) -> Iterator[Outcome]:
        """An outcome for every change, handed on when the window is full again, so that the server is never idle."""
        flight = self._flight
        unsent: list[Change] = []
        settled: list[Outcome] = []
        try:
            while True:
                # some by some: what comes next may have to be noted first, and the server
                # need not wait for that
                room = self._room()
                while unsent := queue.take(
                    room if self._looker.reads else min(room, _SOME)
                ):
                    room -= len(unsent)
                    settled += self._send(unsent, queue)
                if not (flight or settled):
                    return
                due, settled = settled, []
                yield from due
                settled = self._answers(queue) if flight else []
        except IncompleteRead as fault:
            yield from settled
            why = f"no answer: it may have been written ({fault})"
            yield from [
                Outcome(change.user, Result.FAILED, why, unknown=True)
                for change in flight.flying
            ]
            yield from skipped(chain(unsent, queue), fault)
        finally:
            flight.close()

    def _room(self) -> int:
        """How many to send next: none before there is room for some."""
        window = min(self._window, _READ_BEFORE) if self._looker.reads else self._window
        room = window - len(self._flight)
        return room if room >= min(_SOME, max(1, window // 4)) else 0

    def _send(self, batch: Sequence[Change], queue: Queue) -> list[Outcome]:
        """Send these changes; the outcomes of those that need not, or must not, be sent."""
        settled = []
        sights = self._looker.before(batch)
        for change in batch:
            outcome = self._sent(change, sights.get(change.user.id, UNSEEN))
            if outcome is not None:
                queue.done(change)
                settled.append(outcome)
        self._wire.flush()
        return settled

    def _sent(self, change: Change, sight: Sight) -> Outcome | None:
        """Send a change, unless the entry is known to differ, or there is no need or no right to; then its outcome."""
        why = (
            sight.why
            if self._covers(change.user.name)
            else "the entry is not below the base"
        )
        if why is not None:
            return Outcome(change.user, Result.CONFLICT, why)
        try:
            request = self._modifier.request(change)
        except ForbiddenError as fault:
            return Outcome(change.user, Result.FAILED, str(fault))
        if request is None:
            return Outcome(change.user, Result.UNCHANGED, "there is nothing to change")
        assertion = self._modifier.controls(
            change, sight.mark, sight.absent, self._looker.assertions.refuted
        )
        controls = (*assertion, *self._post_read.controls(change))
        self._flight.send(Operation(change, request, controls))
        return None

    def _answers(self, queue: Queue) -> list[Outcome]:
        """Wait, and say what the answers that come mean."""
        settled = []
        refused = []
        for change, answer in self._flight.responses():
            failed = (
                answer.code == results.ASSERTION_FAILED
                and self._looker.may_still_hold(change)
            )
            if failed and change.user.id not in self._again:
                refused.append(change)
                continue
            queue.done(change)
            self._again.discard(change.user.id)
            hidden = (
                self._looker.hidden(change)
                if answer.code == results.ATTRIBUTE_OR_VALUE_EXISTS
                else ()
            )
            outcome = self._modifier.outcome(
                change, answer, self._looker.assertions.refuted, hidden
            )
            if outcome.result is Result.WRITTEN:
                self._looker.assertions.written(change)
                shown = self._post_read.user(change, answer)
                outcome = Outcome(
                    change.user, Result.WRITTEN, shown=shown, answered=True
                )
            settled.append(
                Outcome(change.user, Result.CONFLICT, _TWICE) if failed else outcome
            )
        return settled + self._once_more(refused, queue) if refused else settled

    def _once_more(self, changes: Sequence[Change], queue: Queue) -> list[Outcome]:
        """Look at users whose assertion failed; send what they still are as planned for, say why of the others."""
        try:
            sights = self._looker.again(changes)
        except IncompleteRead:
            sights = {}
        settled = []
        for change in changes:
            outcome = self._sent(change, sights.get(change.user.id, UNLIKE))
            if outcome is None:
                self._again.add(change.user.id)
            else:
                queue.done(change)
                settled.append(outcome)
        return settled


def skipped(changes: Iterable[Change], fault: IncompleteRead) -> Iterator[Outcome]:
    """The outcomes of changes that will not be sent any more."""
    return (
        Outcome(change.user, Result.SKIPPED, f"not sent ({fault})")
        for change in changes
    )

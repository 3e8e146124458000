"""Worlds in which a run dies: at the n-th call of its journal or its directory, as if the process had been killed."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.sync import FinishedRun, apply_run, apply_undo, dry_run
from connector.directories.port import Directory
from connector.model import Change, Description, Outcome, Plan, Result, Value, View
from connector.model.limits import ApplyPace
from connector.reports import document
from connector.state.database import Database, Transaction
from connector.state.journal_rows import JournalStep, Sealer
from connector.state.sqlite import Sqlite
from connector.state.store import State
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World, closed_with_the_test

Write = tuple[str, str]
"""A user's id, and the digest of the change that was written."""
WINDOW = 2
"""So many writes are unanswered while the next is done."""
Snapshot = dict[str, tuple[str, dict[str, tuple[Value, ...]]]]


class DeathError(BaseException):
    """The end of a run, past every `except Exception`."""


class Fate:
    """Counts the calls at which a run may die, and lets it die at one of them, or be interrupted (`how`)."""

    def __init__(self) -> None:
        self.how: type[BaseException] = DeathError
        self.calls = 0
        self.last: int | None = None

    def reach(self) -> None:
        self.calls += 1
        if self.calls == self.last:
            raise self.how

    def begin(self, last: int | None = None) -> None:
        """A new run, which dies at this call, counted from 1."""
        self.calls, self.last = 0, last


class MortalDatabase:
    """A state, in memory unless another is named.

    Every transaction has a moment before it, one before its commit, and one after.
    """

    def __init__(self, fate: Fate, database: Database | None = None) -> None:
        self._fate = fate
        self._database = database or closed_with_the_test(Sqlite(None))
        self.where, self.kept = self._database.where, True

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, *values)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        self._fate.reach()
        with self._database.writing() as transaction:
            yield transaction
            self._fate.reach()
        self._fate.reach()

    def migrating(self) -> AbstractContextManager[Transaction]:
        return self._database.migrating()

    def version(self) -> int:
        return self._database.version()

    def note_version(self, transaction: Transaction, version: int) -> None:
        self._database.note_version(transaction, version)

    def lease(self, name: str, job: str = "") -> AbstractContextManager[None]:
        return self._database.lease(name, job)

    def find_holder(self, name: str) -> str | None:
        return self._database.find_holder(name)

    def size(self) -> tuple[int, int]:
        return self._database.size()

    def faults(self) -> list[str]:
        return self._database.faults()

    def back_up(self, path: Path) -> None:
        self._database.back_up(path)

    def close(self) -> None:
        self._database.close()


class MortalDirectory(MemoryDirectory):
    """Has a moment before each write and one after, and keeps a log of those that changed something.

    As over a network, others are written before the answer to a write comes, which may show what was written; and
    batches are small, so that there are several.
    """

    def __init__(self, mortal: Mortal, view: View) -> None:
        super().__init__(mortal.world.store, view, base=BASE, filter=FILTER)
        self._mortal = mortal

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, writing=replace(described.writing, batch=4, classes_first=self._mortal.classes_first))

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        answers: deque[Outcome] = deque()
        for outcome in self._written(changes):
            answers.append(outcome)
            if len(answers) > WINDOW:
                yield answers.popleft()
        yield from answers

    def _written(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        mortal = self._mortal
        for change in changes:
            named = {each.name for each in change.attributes if each.new}
            assert not (mortal.classes_first and "objectClass" in named and len(named) > 1)
            mortal.fate.reach()
            mortal.meddle()
            before = self.store.snapshot()
            (outcome,) = super().write([change])
            if outcome.result is Result.WRITTEN:
                mortal.note(change, before, self.store.snapshot())
            mortal.fate.reach()
            if mortal.shows and outcome.result is Result.WRITTEN:
                outcome = replace(outcome, shown=next(iter(self.read([change.user])), None))
            yield outcome


class Mortal:
    """A world whose runs can die. `log` are its writes, `seen` the directory before and after each of them.

    `shows`: whether answers show what was written. `classes_first`: object classes are written before what needs them,
    in a change of their own. `meddle` is called right before each write: another program may do
    something then.
    """

    def __init__(self, world: World, *, shows: bool = True, classes_first: bool = False) -> None:
        self.shows = shows
        self.classes_first = classes_first
        self.fate = Fate()
        self.log: list[Write] = []
        self.seen: list[tuple[Snapshot, Snapshot]] = []
        self.meddle: Callable[[], None] = lambda: None
        self.database = MortalDatabase(self.fate)
        self.said: list[str] = []
        self.world = World(
            world.tenant, copied(world.store), world.mapping, world.pins, world.exclude, world.limits,
            state=State(self.database), connect=self._connect, pace=ApplyPace((1, 2), 1000),
        )  # fmt: skip

    def _connect(self, view: View) -> Directory:
        return MortalDirectory(self, view)

    def note(self, change: Change, before: Snapshot, after: Snapshot) -> None:
        """A write that changed something."""
        self.log.append((change.user.id, change.digest))
        self.seen.append((before, after))

    def _show(self, plan: Plan, outcomes: object) -> None:
        self.said += plan.cautions
        if isinstance(outcomes, list):
            self.said += [outcome.why for outcome in outcomes]

    def apply(self, reviewed: Plan | None = None, last: int | None = None) -> FinishedRun:
        """An apply, perhaps its last."""
        self.fate.begin(last)
        with self.world.context() as context:
            return apply_run(context, self._show, review=Review(reviewed))

    def save(self) -> Plan:
        """A plan as a reviewer has it: what comes back from its document."""
        with self.world.context() as context:
            plan = dry_run(context, self._show, save=True).plan
        return document.parse_plan("".join(document.render(plan)).encode())

    def undo(self, run: str, last: int | None = None, *, accept: str | None = None) -> FinishedRun:
        """Take a run back, perhaps not to the end."""
        self.fate.begin(last)
        with self.world.back(run) as context:
            return apply_undo(context, self._show, accept)

    def journal(self, outcome: str | None) -> Counter[Write]:
        """The writes of all runs that ended so, as the journal has them."""
        rows = self.database.rows("select user_id, digest, outcome from journal")
        return Counter((user, digest) for user, digest, became in rows if became == outcome)

    def steps(self, run: str) -> Sequence[JournalStep]:
        """What the journal has of a run."""
        return self.world.state.read_steps_of_run(run, self.world.job, Sealer(self.world.key))[1]

    def owned(self) -> list[tuple[Any, ...]]:
        """What is remembered as ours: users and attributes, and how often in a row the same was written."""
        return sorted(
            (user, attribute, times)
            for user, attributes in self.database.rows("select user_id, attributes from ownership")
            for attribute, (_, _, _, times, restored, *_) in json.loads(attributes).items()
            if not restored
        )


def copied(store: MemoryStore) -> MemoryStore:
    twin = MemoryStore({}, store.schema, hidden=store.hidden, compares=store.compares)
    twin.entries = dict(store.entries)
    return twin

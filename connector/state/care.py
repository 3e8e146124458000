"""Looking after what a state holds of one job: whether it can be read, another name for the job, and old runs.

Of old runs, the oldest of each directory go, up to the first that something still needs:

- writes of any job whose outcome nobody knows: what was written since tells who has overtaken them
- a write that the directory took and does not show: its values may still be ours
- the newest apply, and the newest that was good: the next one's limits are held against it

Who owns which values is in a table of its own, which stays; whose the old values of a write
were stands in its row, so that an undo of a later run needs no earlier one. Each run goes in
one transaction, so that a kill leaves whole runs, and none older than one that is gone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from connector.errors import DamagedError, OnHoldError, StateError, UsageError
from connector.model import JobIdentity
from connector.state.audit_lines import count_old_lines, prune_lines
from connector.state.database import (
    Database,
    Transaction,
    decode_kept,
    find_column,
    find_value,
)
from connector.state.documents import WITHDRAW, Documents, read_drawn
from connector.state.forgetting import Forgetting
from connector.state.history import ATTEMPTS, History, Holds, forget_old_events
from connector.state.journal_rows import Sealer, find_unopened, read_steps
from connector.state.memory import DirectoryMemory
from connector.state.notes import (
    Ticks,
    note_fact,
    note_pruned,
    note_secret_attributes,
    pruned_until,
    read_fact,
    read_secret_attributes,
)
from connector.state.ownership import rename_owner

_ORPHANS: Final = "select count(*) from journal where run not in (select id from runs)"
_COUNTS: Final = {
    "runs": "runs where job = ?",
    "attempts": "events where kind in ('apply', 'undo') and job = ?",
    "writes": "journal where run in (select id from runs where job = ?)",
    "open_writes": "journal where outcome is null and run in (select id from runs where job = ?)",
    "saved_plans": "documents where kind = 'saved' and job = ?",
    "earlier_plans": "documents where kind in ('run', 'drawn') and job = ?",
    "documents": "documents where kind in ('plan', 'report') and job = ?",
    "users": "(select distinct user_id from ownership where job = ?) as owned",
    "stale": "notes where kind = 'stale' and runs > 0 and job = ?",
    "lapsed": "notes where kind = 'lapsed' and job = ?",
    "refused": "notes where kind = 'refused' and job = ?",
    "excluded": "(select distinct user_id from notes where kind = 'excluded' and job = ?) as named",
}
_OF_JOBS: Final = (
    "runs", "events", "ownership", "notes", "facts", "documents", "schedule", "audits", "audit_lines",
)  # fmt: skip
"""The tables that know things by a job's name."""
_OF_DIRECTORIES: Final = ("runs", "ownership", "notes", "facts")
"""Those that know them by its directory too."""


# ------------------------------------------------------------ what it holds


class Extent(Struct, frozen=True):
    """How large a state is, all jobs together."""

    state: str
    """Where it is."""
    format: int
    octets: int
    free: int
    """Octets that hold nothing, and are used again."""


class Contents(Struct, frozen=True):
    """What a state holds of a job."""

    job: str
    extent: Extent
    directories: list[str]
    oldest: str | None
    """When its oldest run began."""
    newest: str | None
    held: str | None
    """Since when it is on hold."""
    pruned: str | None
    """Until when runs were pruned."""
    counts: dict[str, int]
    """Rows by kind. `earlier_plans`: plans that later ones are compared with. `users`: who holds values of this job."""


class StateCare(Holds):
    """What a state holds of jobs, and under which names. All of its methods raise StateError."""

    _database: Database

    def contents(self, job: str) -> Contents:
        """What it holds of a job."""
        database = self._database
        query = "select min(started), max(started) from runs where job = ?"
        ((oldest, newest),) = database.rows(query, job)
        hold = self.held(job)
        return Contents(
            job,
            Extent(database.where, database.version(), *database.size()),
            _find_directories(database, job),
            oldest,
            newest,
            hold[0] if hold else None,
            pruned_until(database, job),
            {
                name: find_value(database, f"select count(*) from {rows}", job)  # noqa: S608  # one of the literals above; values are bound
                for name, rows in _COUNTS.items()
            },
        )

    def faults(self, job: str, sealer: Sealer) -> list[str]:
        """What is wrong with it, as far as this job needs it; each fault is a sentence without its end.

        Raises StateError where it cannot be read at all.
        """
        database = self._database
        found = [f"SQLite's own check: {said}" for said in database.faults()]
        orphans = find_value(database, _ORPHANS)
        if orphans:
            found.append(f"it holds {orphans} writes of runs that it does not know")
        if read_fact(database, "key", job) not in (None, sealer.check):
            what = "another one" if sealer.check else "missing"
            found.append(
                f"its key is {what}. Old passwords cannot be restored, and hidden ones are set again"
            )
        for read in _find_readings(database, job, sealer):
            try:
                read()
            except StateError as fault:
                found.append(fault.what)
        return found

    def back_up(self, path: Path) -> None:
        """Write a whole copy to a new file, while others go on. Raises UsageError, OutputError."""
        self._database.back_up(path)

    def pruning(self, job: str, before: str, *, audited: bool) -> Pruning:
        """Taking out runs of a job that ended before a time. `audited`: its audit is a file."""
        return Pruning(self._database, job, before, audited=audited)

    def forgetting(self, job: str, *, audited: bool) -> Forgetting:
        """Taking a person out of what is known of a job; `audited` as above."""
        return Forgetting(self._database, job, audited=audited)

    # ------------------------------------------------------------ leases

    def lease(self, directory: str, job: str = "") -> AbstractContextManager[None]:
        """Hold a directory, by its identity, until the end or death of this process.

        Raises BusyError, which names the `job` that does.
        """
        return self._database.lease(directory, job)

    @contextmanager
    def leases(self, job: str, *also: str) -> Iterator[None]:
        """Hold every directory that this job has written to, and `also` these. Raises BusyError."""
        query = "select distinct directory from runs where job = ?"
        wrote = find_column(self._database, query, job)
        with ExitStack() as leases:
            for directory in sorted({*wrote, *also}):
                leases.enter_context(self.lease(directory, job))
            yield

    # ------------------------------------------------------------ which job it is

    def identity(self, job: str) -> JobIdentity | None:
        """The job as it was applied last; None: it never was."""
        noted = read_fact(self._database, "identity", job)
        if noted is not None:
            return decode_kept(self._database, noted, JobIdentity, "what the job is")
        query = "select directory from runs where job = ? order by number desc limit 1"
        directory = find_value(self._database, query, job)
        return None if directory is None else JobIdentity("", directory)

    def note_identity(self, job: str, identity: JobIdentity) -> None:
        with self._database.writing() as transaction:
            note_fact(transaction, "identity", identity, job)

    def users_of(self, job: str) -> int:
        """How many users hold something that this job wrote."""
        query = "select count(*) from ownership where job = ?"
        return int(find_value(self._database, query, job))

    def rename(self, job: str, new: str) -> int:
        """Give all that is known of a job to another name; to how many users it wrote.

        Raises BusyError where a run holds a directory of the job; UsageError where there is
        nothing to move, or the new name has something of its own; OnHoldError for a job on
        hold, whose old name would be free of it.
        """
        with self.leases(job):
            if not self._is_known(job):
                raise UsageError(f"the state knows no job {job!r}", where="JOB")
            if self._is_known(new):
                why = f"the state already has a job {new!r}. Choose another name"
                raise UsageError(why, where="NEW")
            if held := self.held(job):
                why = f"this job is on hold since {held[0]}: {held[1]}. Release it, then rename"
                raise OnHoldError(why, where=job)
            users = self.users_of(job)
            with self._database.writing() as transaction:
                # plans say the old name; plans alone make no job known
                gone = (
                    "delete from documents where kind in ('saved', 'plan') and job = ?"
                )
                transaction.execute(gone, (job,))
                transaction.execute("delete from documents where job = ?", (new,))
                for table in _OF_JOBS:
                    update = f"update {table} set job = ? where job = ?"  # noqa: S608  # the table is one of `_OF_JOBS`; values are bound
                    transaction.execute(update, (new, job))
                rename_owner(transaction, job, new)
        return users

    def _is_known(self, job: str) -> bool:
        """Whether there is something of a job; plans that wait or are compared with alone make none known."""
        return any(
            self._database.rows(f"select 1 from {table} where job = ? limit 1", job)  # noqa: S608  # tables are ours; values are bound
            for table in _OF_JOBS
            if table != "documents"
        )

    def move(self, job: str, directory: str, now: JobIdentity) -> None:
        """Let a job be what it is now, with all that is known of it in the `directory` of before. Raises BusyError.

        Nothing is moved where something is known of the job in its new directory. Saved plans
        are of before, and go. What was secret there is secret here too.
        """
        new = now.directory
        query = "select 1 from runs where job = ? and directory = ? limit 1"
        with self.leases(job, new):
            there = self._database.rows(query, job, new)
            secret = read_secret_attributes(self._database, directory)
            with self._database.writing() as transaction:
                gone = "delete from documents where kind = 'saved' and job = ?"
                transaction.execute(gone, (job,))
                transaction.execute(WITHDRAW, (job,))
                note_secret_attributes(transaction, new, secret)
                for table in () if there else _OF_DIRECTORIES:
                    update = f"update {table} set directory = ? where directory = ? and job = ?"  # noqa: S608  # the table is one of `_OF_DIRECTORIES`; values are bound
                    transaction.execute(update, (new, directory, job))
            self.note_identity(job, now)


def _find_directories(database: Database, job: str) -> list[str]:
    """The identities of the directories that a job has written to."""
    query = "select directory from runs where job = ? union select directory from ownership where job = ? order by 1"
    return find_column(database, query, job, job)


def _find_readings(
    database: Database, job: str, sealer: Sealer
) -> Iterator[Callable[[], object]]:
    """All that is read of a job's state, each from its begin to its end."""

    def read_all(found: Iterator[Any]) -> Callable[[], object]:
        return partial(deque, found, 0)

    runs = "select id from runs where job = ? order by number"
    for run in find_column(database, runs, job):
        yield partial(_read_run, database, run, sealer)
    yield partial(History(database).runs, job)
    yield read_all(read_drawn(database, job))
    documents = Documents(database)
    yield read_all(map(documents.read, documents.every(job)))
    yield Ticks(database, job).last
    for directory in _find_directories(database, job):
        memory = DirectoryMemory(database, directory, job)
        yield from (memory.stale, memory.looked, memory.refused)
        yield from (memory.last_good, memory.rewritten)
        yield read_all(memory.owned())


def _read_run(database: Database, run: str, sealer: Sealer) -> None:
    for _ in read_steps(database, "run = ?", run):
        pass
    if find_unopened(database, run, sealer):
        what = f"a sealed password in the journal of run {run} cannot be opened"
        raise DamagedError(f"the state is damaged: {what}", where=database.where)


# ------------------------------------------------------------ old runs


_RUNS: Final = (
    "select id, number, kind, started, coalesce(ended, started), directory, "
    "case when kind = 'apply' and coalesce(pilot, 0) = 0 then 1 else 0 end, "
    "(select count(*) from journal where run = runs.id), "
    "(select count(*) from journal where run = runs.id and coalesce(outcome, 'written') = 'written') "
    "from runs where job = ? and directory = ? order by number"
)
_OPEN: Final = (
    "select coalesce(undone.number, runs.number), runs.id, runs.job from journal "
    "join runs on runs.id = run left join runs as undone on undone.id = runs.undoes "
    "where outcome is null and runs.directory = ? order by 1 limit 1"
)
"""An undo whose writes are open still needs the run that it takes back."""
_NEWEST: Final = (
    "select number, id from runs where job = ? and directory = ? and kind = 'apply' "
    "and (result in ('done', 'part') or ? = 'any') order by number desc limit 1"
)
_SHOWN_LAST: Final = (
    "user_id = ? and job = ? and directory = ? and outcome in ('written', 'failed') "
    "order by number desc"
)
_UNUSED: Final = (
    "kind = 'saved' and job = ? and created < ? and id not in (select id from runs)"
)
"""Plans that are old, and that no run has begun."""
_WITHDRAWN: Final = (
    "delete from documents where job = ? and kind = 'plan' and id not in "
    "(select id from documents where kind = 'saved')"
)
_UNKNOWN_RUNS: Final = (
    "delete from documents where job = ? and kind = 'run' and id not in "
    "(select id from runs union all select id from events)"
)
_OUT: Final = (
    "delete from journal where run = ?",
    "delete from events where kind = 'approval' and id = ?",
    "delete from documents where id = ? and kind <> 'drawn'",
    "delete from runs where id = ?",
)


class OldRun(Struct, frozen=True):
    """A run that may go."""

    id: str
    number: int
    kind: str
    started: str
    ended: str
    directory: str
    whole: bool
    """It was an apply of all agents."""
    writes: int
    wrote: int
    """So many of its writes happened, or may have, and could have been undone."""


class Old(Struct, frozen=True):
    """What is old."""

    before: str
    runs: Sequence[OldRun]
    """Those that go."""
    stay: Sequence[tuple[OldRun, str]]
    """Those that stay, each with the reason."""
    attempts: int
    plans: int
    """Saved plans that no run has used."""
    audit_lines: int = 0
    """Lines of an audit that is no file."""


class Pruning:
    """Takes out what is older than a time. All of its methods raise StateError.

    `audited`: the audit of the job is a file. Then the state keeps only lines that it may lack, and these stay.
    """

    def __init__(
        self, database: Database, job: str, before: str, *, audited: bool
    ) -> None:
        self._database = database
        self._job = job
        self._before = before
        self._audited = audited

    def old(self) -> Old:
        """What there is to take out."""
        runs: list[OldRun] = []
        stay: list[tuple[OldRun, str]] = []
        for directory in _find_directories(self._database, self._job):
            reasons = self._find_reasons_to_stay(directory)
            first, why = min(reasons, default=(math.inf, ""))
            for run in self._find_aged(directory):
                if run.number >= first:
                    stay.append((run, why))
                    break
                runs.append(run)
        lines = 0
        if not self._audited:
            lines = count_old_lines(self._database, self._job, self._before)
        return Old(
            self._before,
            sorted(runs, key=lambda run: run.number),
            stay,
            self._count_rows(f"events where {ATTEMPTS} and job = ? and ended < ?"),
            self._count_rows(f"documents where {_UNUSED}"),
            lines,
        )

    def _count_rows(self, rows: str) -> int:
        query = f"select count(*) from {rows}"  # noqa: S608  # literals; values are bound
        return int(find_value(self._database, query, self._job, self._before))

    def _find_aged(self, directory: str) -> Iterator[OldRun]:
        """The oldest runs, up to the first that is not old."""
        for row in self._database.rows(_RUNS, self._job, directory):
            run = OldRun(*row)
            if run.ended >= self._before:
                return
            yield run

    def _find_reasons_to_stay(self, directory: str) -> Iterator[tuple[int, str]]:
        """Numbers from which on runs stay, each with the reason."""
        rows, job = self._database.rows, self._job
        for number, run, its_job in rows(_OPEN, directory):
            whose = "" if its_job == job else f" of the job {its_job}"
            why = f"the outcome of writes of run {run}{whose} is unknown. To settle them, rerun that job"
            yield number, why
        for which in ("good", "any"):
            for number, run in rows(_NEWEST, job, directory, which):
                why = f"run {run} is the last that the limits of the next apply are held against"
                yield number, why
        unshown = DirectoryMemory(self._database, directory, job).unshown()
        for user, values in unshown.items():
            left = set(values)
            for step in read_steps(self._database, _SHOWN_LAST, user, job, directory):
                if not left.isdisjoint(step.patterns):
                    left.difference_update(step.patterns)
                    why = f"the directory took writes of run {step.run} and does not show them"
                    yield step.number, why

    def take_out(self, old: Old) -> Iterator[OldRun]:
        """Take it out, step by step, each of which is whole; the runs that are gone. Their directories are held."""
        with self._database.writing() as transaction:
            forget_old_events(transaction, self._job, self._before)
            if not self._audited:
                prune_lines(transaction, self._job, self._before)
            unused = f"delete from documents where {_UNUSED}"  # noqa: S608  # a literal; values are bound
            transaction.execute(unused, (self._job, self._before))
            transaction.execute(_WITHDRAWN, (self._job,))
            transaction.execute(_UNKNOWN_RUNS, (self._job,))
            self._forget_drawn(transaction)
        for run in old.runs:
            with self._database.writing() as transaction:
                for statement in _OUT:
                    transaction.execute(statement, (run.id,))
                note_pruned(
                    self._database,
                    transaction,
                    self._job,
                    run.directory,
                    until=run.ended,
                    whole=bool(run.whole and run.writes),
                )
            yield run

    def _forget_drawn(self, transaction: Transaction) -> None:
        """Forget the last full plans, as far as they are old."""
        gone = "delete from documents where kind = ? and job = ? and id = ?"
        for key, _, drawn in list(read_drawn(self._database, self._job)):
            if key[0] == "drawn" and drawn.created < self._before:
                transaction.execute(gone, key)

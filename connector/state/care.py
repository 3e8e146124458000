"""Looking after what a state holds of one job: whether it can be read, another name for the job, its leases."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from connector.errors import DamagedError, OnHoldError, StateError, UsageError
from connector.model import JobIdentity
from connector.state.database import (
    Database,
    decode_kept,
    find_column,
    find_value,
)
from connector.state.documents import WITHDRAW, AgentPlans, FleetDocuments, read_drawn
from connector.state.forgetting import Forgetting
from connector.state.history import Holds, RunHistory
from connector.state.journal_rows import Sealer, find_unopened, read_steps
from connector.state.memory import DirectoryMemory
from connector.state.notes import (
    Ticks,
    note_fact,
    note_secret_attributes,
    pruned_until,
    read_fact,
)
from connector.state.ownership import Ownership, rename_owner
from connector.state.pruning import Pruning, find_directories

_COUNTS: Final = {
    "runs": "runs where job = ?",
    "attempts": "events where kind in ('apply', 'undo') and job = ?",
    "writes": "journal where run in (select id from runs where job = ?)",
    "open_writes": "journal where outcome is null and run in (select id from runs where job = ?)",
    "saved_plans": "documents where kind = 'saved' and job = ?",
    "earlier_plans": "documents where kind in ('run', 'drawn', 'matched') and job = ?",
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


class StateContents(Struct, frozen=True):
    """What a state holds of a job."""

    job: str
    state: str
    """Where it is."""
    format: int
    octets: int
    """Its size, all jobs together."""
    free: int
    """Octets that hold nothing, and are used again."""
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

    def read_contents(self, job: str) -> StateContents:
        """What it holds of a job."""
        database = self._database
        ((oldest, newest),) = database.rows(
            "select min(started), max(started) from runs where job = ?", job
        )
        hold = self.read_hold(job)
        return StateContents(
            job,
            database.where,
            database.version(),
            *database.size(),
            find_directories(database, job),
            oldest,
            newest,
            hold[0] if hold else None,
            pruned_until(database, job),
            {
                name: find_value(database, f"select count(*) from {rows}", job)  # noqa: S608  # one of the literals above; values are bound
                for name, rows in _COUNTS.items()
            },
        )

    def find_faults(self, job: str, sealer: Sealer) -> list[str]:
        """What is wrong with it, as far as this job needs it; each fault is a sentence without its end.

        Raises StateError where it cannot be read at all.
        """
        database = self._database
        found = [f"SQLite's own check: {said}" for said in database.faults()]
        orphans = find_value(
            database,
            "select count(*) from journal where run not in (select id from runs)",
        )
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

    def make_pruning(self, job: str, before: str, *, audited: bool) -> Pruning:
        """Taking out runs of a job that ended before a time. `audited`: its audit is a file."""
        return Pruning(self._database, job, before, audited=audited)

    def make_forgetting(self, job: str, *, audited: bool) -> Forgetting:
        """Taking a person out of what is known of a job; `audited` as above."""
        return Forgetting(self._database, job, audited=audited)

    def secret_attributes(self, directory: str) -> list[str]:
        """The attributes of a directory into which any job wrote secrets, as its mapping spelt them."""
        query = "select name from facts where kind = 'secret' and directory = ? order by name"
        return find_column(self._database, query, directory)

    # ------------------------------------------------------------ leases

    def lease(self, directory: str, job: str = "") -> AbstractContextManager[None]:
        """Hold a directory, by its identity, until the end or death of this process.

        Raises BusyError, which names the `job` that does.
        """
        return self._database.lease(directory, job)

    @contextmanager
    def hold_directories(self, job: str, *also: str) -> Iterator[None]:
        """Hold every directory that this job has written to, and `also` these. Raises BusyError."""
        wrote = find_directories(self._database, job)
        with ExitStack() as leases:
            for directory in sorted({*wrote, *also}):
                leases.enter_context(self.lease(directory, job))
            yield

    # ------------------------------------------------------------ which job it is

    def read_identity(self, job: str) -> JobIdentity | None:
        """The job as it was applied last; None: it never was."""
        noted = read_fact(self._database, "identity", job)
        if noted is not None:
            return decode_kept(self._database, noted, JobIdentity, "what the job is")
        directory = find_value(
            self._database,
            "select directory from runs where job = ? order by number desc limit 1",
            job,
        )
        return None if directory is None else JobIdentity("", directory)

    def note_identity(self, job: str, identity: JobIdentity) -> None:
        with self._database.writing() as transaction:
            note_fact(transaction, "identity", identity, job)

    def count_users(self, job: str) -> int:
        """How many users hold something that this job wrote; not who only has back what an undo put there."""
        users = set[str]()
        for directory in find_directories(self._database, job):
            for row in Ownership(self._database, directory).find_rows("job = ?", job):
                if not all(each.restored for each in row.attributes.values()):
                    users.add(row.user.id)
        return len(users)

    def rename_job(self, job: str, new: str) -> int:
        """Give all that is known of a job to another name; to how many users it wrote.

        Raises BusyError where a run holds a directory of the job; UsageError where there is
        nothing to move, or the new name has something of its own; OnHoldError for a job on
        hold, whose old name would be free of it.
        """
        with self.hold_directories(job):
            if not self._is_known(job):
                raise UsageError(f"the state knows no job {job!r}", where="JOB")
            if self._is_known(new):
                raise UsageError(
                    f"the state already has a job {new!r}. Choose another name",
                    where="NEW",
                )
            if held := self.read_hold(job):
                raise OnHoldError(
                    f"this job is on hold since {held[0]}: {held[1]}. Release it, then rename",
                    where=job,
                )
            users: int = find_value(
                self._database, "select count(*) from ownership where job = ?", job
            )
            with self._database.writing() as transaction:
                # plans say the old name; plans alone make no job known
                transaction.execute(
                    "delete from documents where kind in ('saved', 'plan') and job = ?",
                    (job,),
                )
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

    def move_job(self, job: str, directory: str, now: JobIdentity) -> None:
        """Let a job be what it is now, with all that is known of it in the `directory` of before. Raises BusyError.

        Nothing is moved where something is known of the job in its new directory. Saved plans
        are of before, and go. What was secret there is secret here too.
        """
        new = now.directory
        with self.hold_directories(job, new):
            there = self._database.rows(
                "select 1 from runs where job = ? and directory = ? limit 1", job, new
            )
            secret = self.secret_attributes(directory)
            with self._database.writing() as transaction:
                transaction.execute(
                    "delete from documents where kind = 'saved' and job = ?", (job,)
                )
                transaction.execute(WITHDRAW, (job,))
                note_secret_attributes(transaction, new, secret)
                for table in () if there else _OF_DIRECTORIES:
                    update = f"update {table} set directory = ? where directory = ? and job = ?"  # noqa: S608  # the table is one of `_OF_DIRECTORIES`; values are bound
                    transaction.execute(update, (new, directory, job))
            self.note_identity(job, now)


def _find_readings(
    database: Database, job: str, sealer: Sealer
) -> Iterator[Callable[[], object]]:
    """All that is read of a job's state, each from its begin to its end."""
    for run in find_column(
        database, "select id from runs where job = ? order by number", job
    ):
        yield partial(_read_run, database, run, sealer)
    yield partial(RunHistory(database).list_runs, job)
    yield partial(deque, read_drawn(database, job), 0)
    yield partial(AgentPlans(database).find_plan, job)
    documents = FleetDocuments(database)
    yield partial(deque, map(documents.read_plan, documents.read_all(job)), 0)
    yield Ticks(database, job).read_last
    for directory in find_directories(database, job):
        memory = DirectoryMemory(database, directory, job)
        yield from (memory.read_last_look, memory.read_refused)
        yield partial(deque, memory.read_owned(), 0)


def _read_run(database: Database, run: str, sealer: Sealer) -> None:
    for _ in read_steps(database, "run = ?", run):
        pass
    if find_unopened(database, run, sealer):
        what = f"a sealed password in the journal of run {run} cannot be opened"
        raise DamagedError(f"the state is damaged: {what}", where=database.where)

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

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from connector.errors import DamagedError, OnHoldError, StateError, UsageError
from connector.state.audit_lines import count_old_lines, prune_lines
from connector.state.database import Database, Transaction
from connector.state.documents import WITHDRAW, Documents, read_drawn
from connector.state.history import ATTEMPTS, History, forget_old_events, read_hold
from connector.state.journal_rows import Sealer, find_unopened, read_steps
from connector.state.memory import DirectoryMemory
from connector.state.notes import (
    Ticks,
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


def read_contents(database: Database, job: str) -> Contents:
    """What the state holds of a job. Raises StateError."""
    counts = {}
    for name, rows in _COUNTS.items():
        ((count,),) = database.rows(f"select count(*) from {rows}", job)  # noqa: S608  # one of the literals above; values are bound
        counts[name] = int(count)
    octets, free = database.size()
    query = "select min(started), max(started) from runs where job = ?"
    ((oldest, newest),) = database.rows(query, job)
    hold = read_hold(database, job)
    return Contents(
        job,
        Extent(database.where, database.version(), octets, free),
        directories(database, job),
        oldest,
        newest,
        hold[0] if hold else None,
        pruned_until(database, job),
        counts,
    )


def directories(database: Database, job: str) -> list[str]:
    """The identities of the directories that a job has written to."""
    query = "select directory from runs where job = ? union select directory from ownership where job = ? order by 1"
    return [directory for (directory,) in database.rows(query, job, job)]


# ------------------------------------------------------------ whether it can be read


def find_faults(database: Database, job: str, sealer: Sealer) -> Iterator[str]:
    """What is wrong with a state, as far as this job needs it; each fault is a sentence without its end.

    Raises StateError where it cannot be read at all.
    """
    yield from (f"SQLite's own check: {said}" for said in database.faults())
    ((orphans,),) = database.rows(_ORPHANS)
    if orphans:
        yield f"it holds {orphans} writes of runs that it does not know"
    known = read_fact(database, "key", job)
    if known is not None and known != sealer.check:
        what = "another one" if sealer.check else "missing"
        yield f"its key is {what}. Old passwords cannot be restored, and hidden ones are set again"
    for (run,) in database.rows(
        "select id from runs where job = ? order by number", job
    ):
        yield from _fault_of(partial(_read_run, database, run, sealer))
    documents = Documents(database)
    reads: list[Callable[[], object]] = [
        partial(History(database).runs, job),
        lambda: list(read_drawn(database, job)),
        lambda: [documents.read(each) for each in documents.every(job)],
        Ticks(database, job).last,
    ]
    for directory in directories(database, job):
        memory = DirectoryMemory(database, directory, job)
        reads += [
            memory.stale,
            memory.looked,
            memory.refused,
            memory.last_good,
            memory.rewritten,
            partial(_read_owned, memory),
        ]
    for read in reads:
        yield from _fault_of(read)


def _read_run(database: Database, run: str, sealer: Sealer) -> None:
    for _ in read_steps(database, "run = ?", run):
        pass
    if find_unopened(database, run, sealer):
        what = f"a sealed password in the journal of run {run} cannot be opened"
        raise DamagedError(f"the state is damaged: {what}", where=database.where)


def _read_owned(memory: DirectoryMemory) -> None:
    for _ in memory.owned():
        pass


def _fault_of(read: Callable[[], object]) -> Iterator[str]:
    """Why something cannot be read."""
    try:
        read()
    except StateError as fault:
        yield fault.what


# ------------------------------------------------------------ another name, another directory


def rename_job(database: Database, job: str, new: str) -> int:
    """Give all that is known of a job to another name; to how many users it wrote.

    Raises UsageError where there is nothing to move, or the new name has something of its
    own; OnHoldError for a job on hold, whose old name would be free of it. The job's
    directories are leased meanwhile.
    """
    if not _is_known(database, job):
        raise UsageError(f"the state knows no job {job!r}", where="JOB")
    if _is_known(database, new):
        why = f"the state already has a job {new!r}. Choose another name"
        raise UsageError(why, where="NEW")
    if held := read_hold(database, job):
        why = f"this job is on hold since {held[0]}: {held[1]}. Release it, then rename"
        raise OnHoldError(why, where=job)
    ((users,),) = database.rows("select count(*) from ownership where job = ?", job)
    with database.writing() as transaction:
        # plans say the old name; plans alone make no job known
        gone = "delete from documents where kind in ('saved', 'plan') and job = ?"
        transaction.execute(gone, (job,))
        transaction.execute("delete from documents where job = ?", (new,))
        for table in _OF_JOBS:
            transaction.execute(f"update {table} set job = ? where job = ?", (new, job))  # noqa: S608  # the table is one of `_OF_JOBS`; values are bound
        rename_owner(transaction, job, new)
    return int(users)


def move_job(database: Database, job: str, directory: str, new: str) -> None:
    """Give all that is known of a job in a directory to another one, unless something is known of it there.

    Saved plans are of before, and go. What was secret there is secret here too.
    """
    query = "select 1 from runs where job = ? and directory = ? limit 1"
    there = database.rows(query, job, new)
    with database.writing() as transaction:
        gone = "delete from documents where kind = 'saved' and job = ?"
        transaction.execute(gone, (job,))
        transaction.execute(WITHDRAW, (job,))
        secret = read_secret_attributes(database, directory)
        note_secret_attributes(transaction, new, secret)
        for table in () if there else _OF_DIRECTORIES:
            statement = (
                f"update {table} set directory = ? where directory = ? and job = ?"  # noqa: S608  # the table is one of `_OF_DIRECTORIES`; values are bound
            )
            transaction.execute(statement, (new, directory, job))


def _is_known(database: Database, job: str) -> bool:
    """Whether the state has something of a job; plans that wait or are compared with alone make none known."""
    query = " union all ".join(
        f"select 1 from {table} where job = ?"  # noqa: S608  # tables are ours; values are bound
        for table in _OF_JOBS
        if table != "documents"
    )
    return bool(database.rows(query, *[job] * query.count("?")))


_RUNS: Final = (
    "select id, number, kind, started, coalesce(ended, started), coalesce(pilot, 0), "
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
        for directory in directories(self._database, self._job):
            aged = list(self._find_aged(directory))
            needed = min(self._find_needed(directory), default=None) if aged else None
            for run in aged:
                if needed is not None and run.number >= needed[0]:
                    stay.append((run, needed[1]))
                    break
                runs.append(run)
        runs.sort(key=lambda run: run.number)
        attempts = self._count_rows(
            f"events where {ATTEMPTS} and job = ? and ended < ?"
        )
        plans = self._count_rows(f"documents where {_UNUSED}")
        lines = 0
        if not self._audited:
            lines = count_old_lines(self._database, self._job, self._before)
        return Old(self._before, runs, stay, attempts, plans, lines)

    def take_out(self, old: Old) -> Iterator[OldRun]:
        """Take it out, step by step, each of which is whole; the runs that are gone. Their directories are held."""
        with self._database.writing() as transaction:
            forget_old_events(transaction, self._job, self._before)
            if not self._audited:
                prune_lines(transaction, self._job, self._before)
            transaction.execute(
                f"delete from documents where {_UNUSED}",  # noqa: S608  # a literal; values are bound
                (self._job, self._before),
            )
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
                    whole=run.whole and run.writes > 0,
                )
            yield run

    def _count_rows(self, rows: str) -> int:
        query = f"select count(*) from {rows}"  # noqa: S608  # literals; values are bound
        ((count,),) = self._database.rows(query, self._job, self._before)
        return int(count)

    def _find_aged(self, directory: str) -> Iterator[OldRun]:
        """The oldest runs, up to the first that is not old."""
        for id_, number, kind, started, ended, pilot, writes, wrote in (
            self._database.rows(_RUNS, self._job, directory)
        ):  # fmt: skip
            if ended >= self._before:
                return
            whole = not pilot and kind == "apply"
            yield OldRun(
                id_, number, kind, started, ended, directory, whole, writes, wrote
            )

    def _find_needed(self, directory: str) -> Iterator[tuple[int, str]]:
        """Numbers from which on runs stay, each with the reason."""
        rows, job = self._database.rows, self._job
        for number, run, its_job in rows(_OPEN, directory):
            whose = "" if its_job == job else f" of the job {its_job}"
            yield (
                number,
                f"the outcome of writes of run {run}{whose} is unknown. To settle them, rerun that job",
            )
        for which in ("good", "any"):
            for number, run in rows(_NEWEST, job, directory, which):
                yield (
                    number,
                    f"run {run} is the last that the limits of the next apply are held against",
                )
        unshown = DirectoryMemory(self._database, directory, job).unshown()
        for user, values in unshown.items():
            left = set(values)
            for write in read_steps(self._database, _SHOWN_LAST, user, job, directory):
                if not left.isdisjoint(write.patterns):
                    left.difference_update(write.patterns)
                    why = f"the directory took writes of run {write.run} and does not show them"
                    yield write.number, why

    def _forget_drawn(self, transaction: Transaction) -> None:
        """Forget the last full plans, as far as they are old."""
        gone = "delete from documents where kind = ? and job = ? and id = ?"
        for key, _, drawn in list(read_drawn(self._database, self._job)):
            if key[0] == "drawn" and drawn.created < self._before:
                transaction.execute(gone, key)

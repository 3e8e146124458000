"""What a state holds of one job, and whether it can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct, json

from connector.errors import StateError
from connector.model import Drawn
from connector.state.database import Database, sound
from connector.state.documents import Documents
from connector.state.history import History, pruned_until
from connector.state.journal_rows import STEPS, check_row
from connector.state.memory import DirectoryMemory
from connector.state.sealing import Sealer, key_name
from connector.state.ticks import Ticks

_ORPHANS: Final = (
    (
        "writes of runs that it does not know",
        "select count(*) from journal where run not in (select id from runs)",
    ),
)
"""Rows that name what is not there."""
_COUNTS: Final = {
    "runs": "select count(*) from runs where job = ?",
    "attempts": "select count(*) from attempts where job = ?",
    "writes": "select count(*) from journal where run in (select id from runs where job = ?)",
    "open_writes": "select count(*) from journal where outcome is null and run in (select id from runs where job = ?)",
    "saved_plans": "select count(*) from plans where job = ?",
    "earlier_plans": (
        "select count(*) from (select job from run_plans union all select job from drawn) as earlier where job = ?"
    ),
    "documents": "select count(*) from documents where job = ?",
    "users": "select count(distinct user_id) from ownership where job = ?",
    "stale": "select count(*) from stale where runs > 0 and job = ?",
    "lapsed": "select count(*) from lapsed where job = ?",
    "refused": "select count(*) from refused where job = ?",
    "excluded": "select count(distinct user_id) from excluded where job = ?",
}


class Contents(Struct, frozen=True, kw_only=True):
    """What a state holds of a job: rows by kind. `octets` and `free` are of the whole state, all jobs together.

    `earlier_plans`: digests of plans that later ones are compared with. `documents`: of a fleet's runs, its plans and
    reports. `users`: who holds values of this job.
    """

    job: str
    state: str
    format: int
    octets: int
    free: int
    directories: list[str]
    oldest: str | None
    newest: str | None
    held: str | None
    pruned: str | None
    runs: int
    attempts: int
    writes: int
    open_writes: int
    saved_plans: int
    earlier_plans: int
    documents: int
    users: int
    stale: int
    lapsed: int
    refused: int
    excluded: int


def contents(database: Database, job: str) -> Contents:
    """What the state holds of a job. Raises StateError."""
    octets, free = database.size()
    counts = {
        name: int(database.rows(sql, *[job] * sql.count("?"))[0][0])
        for name, sql in _COUNTS.items()
    }
    ((oldest, newest),) = database.rows(
        "select min(started), max(started) from runs where job = ?", job
    )
    held = [
        since
        for (since,) in database.rows("select since from holds where job = ?", job)
    ]
    return Contents(
        job=job, state=database.where, format=database.version(), octets=octets, free=free,
        directories=directories(database, job), oldest=oldest, newest=newest, held=held[0] if held else None,
        pruned=pruned_until(database, job), **counts,
    )  # fmt: skip


def directories(database: Database, job: str) -> list[str]:
    """The identities of the directories that a job has written to."""
    query = "select directory from runs where job = ? union select directory from ownership where job = ? order by 1"
    return [directory for (directory,) in database.rows(query, job, job)]


def faults(database: Database, job: str, sealer: Sealer) -> Iterator[str]:
    """What is wrong with a state, as far as this job needs it; each fault is a sentence without its end.

    Raises StateError where it cannot be read at all.
    """
    yield from (f"SQLite's own check: {said}" for said in database.faults())
    for what, sql in _ORPHANS:
        ((count,),) = database.rows(sql)
        if count:
            yield f"it holds {count} {what}"
    yield from _of_key(database, job, sealer)
    for (run,) in database.rows(
        "select id from runs where job = ? order by number", job
    ):
        yield from _unless(partial(_read_run, database, run, sealer))
    yield from _unless(partial(History(database).runs, job))
    for table in ("drawn", "run_plans"):
        for (plan,) in database.rows(f"select plan from {table} where job = ?", job):  # noqa: S608  # one of two literals; values are bound
            yield from _unless(partial(_read_plan, database, plan))
    yield from _unless(partial(_read_documents, database, job))
    yield from _unless(Ticks(database, job).last)
    for directory in directories(database, job):
        memory = DirectoryMemory(database, directory, job)
        reads = (
            memory.stale,
            memory.looked,
            memory.refused,
            memory.last_good,
            memory.rewritten,
        )
        for read in (*reads, lambda memory=memory: list(memory.owned())):
            yield from _unless(read)


def _of_key(database: Database, job: str, sealer: Sealer) -> Iterator[str]:
    for (known,) in database.rows(
        "select value from meta where name = ?", key_name(job)
    ):
        if not sealer.check:
            yield "its key is missing. Old passwords cannot be restored, and hidden ones are set again"
        elif known != sealer.check:
            yield "its key is another one. Old passwords cannot be restored, and hidden ones are set again"


def _read_run(database: Database, run: str, sealer: Sealer) -> None:
    for row in database.rows(f"{STEPS} where run = ?", run):
        check_row(row, sealer, database.where)


def _read_plan(database: Database, plan: str) -> None:
    with sound(database, "an earlier plan"):
        json.decode(plan, type=Drawn)


def _read_documents(database: Database, job: str) -> None:
    documents = Documents(database)
    for document in documents.every(job):
        documents.read(document)


def _unless(read: Callable[[], object]) -> Iterator[str]:
    """Why something cannot be read."""
    try:
        read()
    except StateError as fault:
        yield fault.what

"""Another name or directory for a job, in all that the state knows of it."""

from __future__ import annotations

from typing import Final

from connector.errors import OnHoldError, UsageError
from connector.state.database import Database
from connector.state.sealing import key_name
from connector.state.secret_attributes import note_secrets

_OF_JOBS: Final = (
    "runs", "attempts", "releases", "ownership", "stale", "lapsed", "clocks", "excluded", "holds", "schedule",
    "sources", "refused", "kept_writes", "pruned", "cleared", "audits",
)  # fmt: skip
"""The tables that know things by a job's name."""
_OF_DIRECTORIES: Final = (
    "runs", "ownership", "stale", "lapsed", "clocks", "excluded", "refused", "kept_writes", "pruned", "cleared",
)  # fmt: skip
"""Those that know them by its directory too."""


def rename(database: Database, job: str, new: str, held: tuple[str, str] | None) -> int:
    """Give all that is known of a job to another name; to how many users it wrote.

    Raises UsageError where there is nothing to move, or the new name has something of its
    own; OnHoldError for a job that is `held`, whose old name would be free of it. The job's
    directories are leased meanwhile.
    """
    if not _known(database, job):
        raise UsageError(f"the state knows no job {job!r}", where="JOB")
    if _known(database, new):
        raise UsageError(
            f"the state already has a job {new!r}. Choose another name", where="NEW"
        )
    if held:
        raise OnHoldError(
            f"this job is on hold since {held[0]}: {held[1]}. Release it, then rename",
            where=job,
        )
    ((users,),) = database.rows("select count(*) from ownership where job = ?", job)
    with database.writing() as transaction:
        transaction.execute(
            "update meta set name = ? where name = ?", (key_name(new), key_name(job))
        )
        # they say the old name
        transaction.execute("delete from plans where job = ?", (job,))
        transaction.execute(
            "delete from documents where kind = 'plan' and job in (?, ?)", (job, new)
        )
        # a plan alone makes no job known
        transaction.execute("delete from drawn where job = ?", (new,))
        for table in (*_OF_JOBS, "audit_lines", "drawn", "run_plans", "documents"):
            transaction.execute(f"update {table} set job = ? where job = ?", (new, job))  # noqa: S608  # the table is one of `_OF_JOBS`; values are bound
    return int(users)


def move(database: Database, job: str, directory: str, new: str) -> None:
    """Give all that is known of a job in a directory to another one, unless something is known of it there.

    Saved plans are of before, and go. What was secret there is secret here too.
    """
    there = database.rows(
        "select 1 from runs where job = ? and directory = ? limit 1", job, new
    )
    secret = [
        name
        for (name,) in database.rows(
            "select attribute from secrets where directory = ?", directory
        )
    ]
    with database.writing() as transaction:
        transaction.execute("delete from plans where job = ?", (job,))
        transaction.execute(
            "delete from documents where kind = 'plan' and job = ?", (job,)
        )
        note_secrets(transaction, new, secret)
        for table in () if there else _OF_DIRECTORIES:
            statement = (
                f"update {table} set directory = ? where directory = ? and job = ?"  # noqa: S608  # the table is one of `_OF_DIRECTORIES`; values are bound
            )
            transaction.execute(statement, (new, directory, job))
        secrets = [
            name
            for (name,) in database.rows(
                "select attribute from secrets where directory = ?", directory
            )
        ]
        note_secrets(transaction, new, secrets)


def _known(database: Database, job: str) -> bool:
    query = " union all ".join(
        f"select 1 from {table} where job = ?"  # noqa: S608  # tables are ours; values are bound
        for table in _OF_JOBS
    )
    return bool(database.rows(query, *[job] * len(_OF_JOBS)))

"""Who has approved what: a run, or the release of a job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from connector.model import Approval
from connector.runtime.clock import stamp
from connector.state.attempts import NEXT
from connector.state.database import Database, Transaction

_NOTE: Final = (
    "insert into approvals (run, who, fingerprint, time) values (?, ?, ?, ?) "
    "on conflict (run, who) do update set fingerprint = excluded.fingerprint, time = excluded.time"
)
_RELEASE: Final = (
    f"insert into releases (id, job, time, why, number) values (?, ?, ?, ?, {NEXT})"  # noqa: S608  # `NEXT` is a literal; values are bound
)
_OF_JOB: Final = (
    "select run, who, fingerprint, time from approvals where run in "
    "(select id from runs where job = ? union all select id from releases where job = ?) order by run, who"
)
_FORGET: Final = "delete from approvals where run in (select id from releases where job = ? and time < ?)"


def note(transaction: Transaction, run: str, approvals: Sequence[Approval]) -> None:
    """Note the approvals of a run or release. Of a run that goes on, the last one of each person counts."""
    for each in approvals:
        transaction.execute(_NOTE, (run, each.who, each.key, each.time))


def note_release(
    transaction: Transaction, job: str, why: str, approvals: Sequence[Approval]
) -> None:
    """Note that these people have ended a hold."""
    id_ = str(uuid4())
    transaction.execute(_RELEASE, (id_, job, stamp(), why))
    note(transaction, id_, approvals)


def forget_releases(transaction: Transaction, job: str, before: str) -> None:
    """Forget the releases that are older than that."""
    transaction.execute(_FORGET, (job, before))
    transaction.execute(
        "delete from releases where job = ? and time < ?", (job, before)
    )


def of_job(database: Database, job: str) -> defaultdict[str, list[Approval]]:
    """The approvals by the id of their run or release."""
    found = defaultdict[str, list[Approval]](list)
    for run, who, fingerprint, time in database.rows(_OF_JOB, job, job):
        found[run].append(Approval(who, fingerprint, time))
    return found

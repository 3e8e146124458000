"""Taking old runs out of a state.

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
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from connector.state.audit_lines import OLD_LINES
from connector.state.database import Database, find_column, find_value
from connector.state.journal_rows import read_steps
from connector.state.memory import DirectoryMemory
from connector.state.notes import note_pruned

_OPEN: Final = (
    "select coalesce(undone.number, runs.number), runs.id, runs.job from journal "
    "join runs on runs.id = run left join runs as undone on undone.id = runs.undoes "
    "where outcome is null and runs.directory = ? order by 1 limit 1"
)
"""An undo whose writes are open still needs the run that it takes back."""


_OUT: Final = (
    "delete from journal where run = ?",
    "delete from events where kind in ('approval', 'begin') and id = ?",
    "delete from documents where id = ? and kind not in ('drawn', 'matched')",
    "delete from runs where id = ?",
)


_OLD_ATTEMPTS: Final = (
    "events where kind in ('apply', 'undo') and job = ? and ended < ?"
)
_OLD_PLANS: Final = "documents where kind = 'saved' and job = ? and created < ? and id not in (select id from runs)"
"""Saved plans that no run has used."""
_OLD: Final = (
    (
        "events where kind = 'approval' and job = ? and id in (select id from events as release "
        "where release.kind = 'release' and release.job = events.job and release.ended < ?)"
    ),
    "events where kind = 'release' and job = ? and ended < ?",
    _OLD_ATTEMPTS,
    _OLD_PLANS,
    "documents where kind in ('drawn', 'matched') and job = ? and created < ?",
)
_UNUSED: Final = (
    "documents where job = ? and kind = 'plan' and id not in (select id from documents where kind = 'saved')",
    "documents where job = ? and kind = 'run' and id not in (select id from runs union all select id from events)",
)


def find_directories(database: Database, job: str) -> list[str]:
    """The identities of the directories that a job has written to."""
    return find_column(
        database,
        "select directory from runs where job = ? union select directory from ownership where job = ? order by 1",
        job,
        job,
    )


_RUNS: Final = (
    "select id, number, kind, started, coalesce(ended, started), directory, "
    "case when kind = 'apply' and coalesce(pilot, 0) = 0 then 1 else 0 end, "
    "(select count(*) from journal where run = runs.id), "
    "(select count(*) from journal where run = runs.id and coalesce(outcome, 'written') = 'written') "
    "from runs where job = ? and directory = ? order by number"
)
"""The runs of a job on a directory, as `OldRun` has them."""


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


class OldContents(Struct, frozen=True):
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

    def find_old(self) -> OldContents:
        """What there is to take out."""
        runs: list[OldRun] = []
        stay: list[tuple[OldRun, str]] = []
        for directory in find_directories(self._database, self._job):
            first, why = min(
                self._find_reasons_to_stay(directory), default=(math.inf, "")
            )
            for row in self._database.rows(_RUNS, self._job, directory):
                run = OldRun(*row)
                if run.ended >= self._before:
                    break
                if run.number >= first:
                    stay.append((run, why))
                    break
                runs.append(run)
        count = partial(find_value, self._database)
        both = (self._job, self._before)
        lines = 0
        if not self._audited:
            lines = count(f"select count(*) {OLD_LINES}", self._job, *both, self._job)
        return OldContents(
            self._before,
            sorted(runs, key=lambda run: run.number),
            stay,
            count(f"select count(*) from {_OLD_ATTEMPTS}", *both),  # noqa: S608  # literals; values are bound
            count(f"select count(*) from {_OLD_PLANS}", *both),  # noqa: S608  # literals; values are bound
            lines,
        )

    def _find_reasons_to_stay(self, directory: str) -> Iterator[tuple[int, str]]:
        """Numbers from which on runs stay, each with the reason."""
        rows, job = self._database.rows, self._job
        for number, run, its_job in rows(_OPEN, directory):
            whose = "" if its_job == job else f" of the job {its_job}"
            why = f"the outcome of writes of run {run}{whose} is unknown. To settle them, rerun that job"
            yield number, why
        for number, run in rows(
            "select number, id from runs where job = ? and directory = ? and kind = 'apply' "
            "order by case when result in ('done', 'part') then 0 else 1 end, number desc limit 1",
            job,
            directory,
        ):
            why = f"run {run} is the last that the limits of the next apply are held against"
            yield number, why
        unshown = DirectoryMemory(self._database, directory, job).read_unshown()
        for user, values in unshown.items():
            left = set(values)
            for step in read_steps(
                self._database,
                "user_id = ? and job = ? and directory = ? and outcome in ('written', 'failed') "
                "order by number desc",
                user,
                job,
                directory,
            ):
                if not left.isdisjoint(step.patterns):
                    left.difference_update(step.patterns)
                    why = f"the directory took writes of run {step.run} and does not show them"
                    yield step.number, why

    def take_out(self, old: OldContents) -> Iterator[OldRun]:
        """Take it out, step by step, each of which is whole; the runs that are gone. Their directories are held."""
        with self._database.writing() as transaction:
            both = (self._job, self._before)
            if not self._audited:
                old_lines = (self._job, *both, self._job)
                transaction.execute(f"delete {OLD_LINES}", old_lines)
            for rows in _OLD:
                transaction.execute(f"delete from {rows}", both)  # noqa: S608  # literals; values are bound
            for rows in _UNUSED:
                transaction.execute(f"delete from {rows}", (self._job,))  # noqa: S608  # literals; values are bound
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

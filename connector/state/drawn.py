"""Earlier plans of a job, as far as a later one is compared with them."""

from __future__ import annotations

from typing import Final

from msgspec import json
from msgspec.structs import replace

from connector.model import Drawn
from connector.reconcile.digests import readable
from connector.state.database import Database, sound

KEPT: Final = 20
"""Of so many runs and attempts of a job the plan is kept, as far as it had changes."""
_WRITTEN: Final = (
    "select user_id, journal.digest from journal join runs on runs.id = run where job = ? "
    "and coalesce(ended, started) >= ? and part = '' and outcome in ('written', 'unchanged')"
)
_INSERT: Final = (
    "insert into run_plans (run, job, plan, number) "
    "values (?, ?, ?, (select coalesce(max(number), 0) + 1 from run_plans)) on conflict (run) do nothing"
)
_FORGET: Final = (
    "delete from run_plans where job = ? and number not in "
    "(select number from run_plans where job = ? order by number desc limit ?)"
)


class DrawnPlans:
    """`by`: who has them drawn: people (empty), or `serve`. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, job: str, by: str = "") -> Drawn:
        """The last full plan; an empty one where there was none."""
        return (
            self._found(
                "select plan from drawn where job = ? and drawn_by = ?", job, by
            )
            or Drawn()
        )

    def left(self, job: str, by: str) -> Drawn:
        """The last full plan without the changes that runs of this job have written since."""
        found = self.last(job, by)
        if not found.changes:
            return found
        rows = self._database.rows(_WRITTEN, job, found.created)
        written = {(readable(user), digest) for user, digest in rows}
        return replace(
            found,
            changes=[each for each in found.changes if tuple(each) not in written],
        )

    def note(self, job: str, drawn: Drawn, by: str = "") -> None:
        """Keep the last full plan in place of the one before."""
        row = (job, by, json.encode(drawn).decode())
        with self._database.writing() as transaction:
            transaction.execute(
                "delete from drawn where job = ? and drawn_by = ?", (job, by)
            )
            transaction.execute(
                "insert into drawn (job, drawn_by, plan) values (?, ?, ?)", row
            )

    def of_run(self, job: str, run: str) -> Drawn | None:
        """The plan of a run or attempt, by its id; None: it is not kept."""
        return self._found(
            "select plan from run_plans where job = ? and run = ?", job, run
        )

    def note_run(self, job: str, run: str, drawn: Drawn) -> None:
        """Keep the plan of a run or attempt; those of the oldest ones are forgotten."""
        with self._database.writing() as transaction:
            transaction.execute(_INSERT, (run, job, json.encode(drawn).decode()))
            transaction.execute(_FORGET, (job, job, KEPT))

    def _found(self, query: str, *values: str) -> Drawn | None:
        rows = self._database.rows(query, *values)
        with sound(self._database, "an earlier plan"):
            return json.decode(rows[0][0], type=Drawn) if rows else None

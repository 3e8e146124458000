"""The state: what runs leave behind. Runs, their journals, saved plans, what we wrote where, and who is on hold.

It holds no secret in clear: fingerprints are keyed, and old values of secrets are sealed.
The key of both is kept elsewhere (`keyfile.py`); here is only what it is known by, for each
job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import json
from msgspec.structs import astuple, replace

from connector.errors import RefusedError, StateError, UsageError
from connector.model import (
    Approval,
    Change,
    Description,
    JobIdentity,
    LastGood,
    Outcome,
    Plan,
    Result,
    User,
)
from connector.runtime.clock import stamp
from connector.state import approvals, saved_plans
from connector.state.attempts import NEXT, Attempts
from connector.state.audit_lines import AuditLines
from connector.state.database import Database, sound
from connector.state.documents import Documents
from connector.state.drawn import DrawnPlans
from connector.state.history import TO_LIST, History
from connector.state.journal import Ours, RunJournal, stuck, took_place
from connector.state.journal_rows import (
    STEPS,
    Step,
    among,
    note_outcomes,
    note_servers,
    step,
)
from connector.state.memory import DirectoryMemory
from connector.state.migrations import TABLES, migrate
from connector.state.ownership import Ownership
from connector.state.sealing import Sealer, key_name
from connector.state.sqlite import Sqlite
from connector.state.ticks import Ticks

if TYPE_CHECKING:
    from connector.state.forgetting import Forgetting
    from connector.state.inspection import Contents
    from connector.state.pruning import Pruning

_CAME: Final = {"refused": "was refused", "failed": "failed"}
_TRIAL: Final = "a trial, which is taken back"
_KEY: Final = re.compile(r" \(app [0-9a-f]{12}\)$")
"""What an older version told one app key from another by."""


def open_state(url: str | None) -> Store:
    """The state at `sqlite:///path` or `postgresql://…`; None: one that ends with this process. Raises StateError."""
    if url is None:
        return Store(Sqlite(None))
    if url.startswith("sqlite:///"):
        return Store(Sqlite(Path(url.removeprefix("sqlite:///"))))
    from connector.state.postgresql import PostgreSQL

    return Store(PostgreSQL(url))


class Store:
    """An open state. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.history = History(database)
        self.audit = AuditLines(database)
        self.attempts = Attempts(database)
        self.drawn = DrawnPlans(database)
        self.documents = Documents(database)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise

    @property
    def kept(self) -> bool:
        return self._database.kept

    def knows(self, job: str, sealer: Sealer) -> bool:
        """Whether what this job has left behind is of this key, or it has left nothing."""
        found = self._database.rows(
            "select value from meta where name = ?", key_name(job)
        )
        return found in ([], [(sealer.check,)])

    def renew(self, job: str, sealer: Sealer) -> None:
        """Note that a run of this job has told every secret anew by this key."""
        if not self.knows(job, sealer):
            with self._database.writing() as transaction:
                transaction.put("meta", name=key_name(job), value=sealer.check)

    def memory(
        self, directory: str, job: str, description: Description | None = None
    ) -> DirectoryMemory:
        """What earlier runs left behind about one directory; with its description, what may be ours counts as ours."""
        return DirectoryMemory(self._database, directory, job, description)

    def lease(self, directory: str, job: str = "") -> AbstractContextManager[None]:
        """Hold a directory, by its identity, until the end or death of this process.

        Raises BusyError, which names the `job` that does.
        """
        return self._database.lease(directory, job)

    @contextmanager
    def leases(self, job: str, *also: str) -> Iterator[None]:
        """Hold every directory that this job has written to, and `also` these. Raises BusyError."""
        with ExitStack() as leases:
            wrote = self._database.rows(
                "select distinct directory from runs where job = ?", job
            )
            for directory in sorted({*also, *(directory for (directory,) in wrote)}):
                leases.enter_context(self.lease(directory, job))
            yield

    def try_writing(self) -> None:
        """Write to every table, and take that back. Raises StateError where one cannot be written."""
        with suppress(_TakenBackError), self._database.writing() as transaction:
            for table in TABLES:
                transaction.execute(
                    f"insert into {table} select * from {table} where 1 = 0"  # noqa: S608  # the table is one of `TABLES`
                )
                transaction.execute(f"delete from {table} where 1 = 0")  # noqa: S608  # the table is one of `TABLES`
            transaction.execute(
                "insert into meta (name, value) values (?, '')", (_TRIAL,)
            )
            raise _TakenBackError

    def contents(self, job: str) -> Contents:
        """What it holds of a job."""
        from connector.state.inspection import contents

        return contents(self._database, job)

    def faults(self, job: str, sealer: Sealer) -> list[str]:
        """What is wrong with it, as far as this job needs it."""
        from connector.state.inspection import faults

        return list(faults(self._database, job, sealer))

    def back_up(self, path: Path) -> None:
        """Write a whole copy to a new file, while others go on. Raises UsageError, OutputError."""
        self._database.back_up(path)

    def pruning(self, job: str, before: str, *, audited: bool) -> Pruning:
        """Taking out runs of a job that ended before a time. `audited`: its audit is a file."""
        from connector.state.pruning import Pruning

        return Pruning(self._database, job, before, audited=audited)

    def forgetting(self, job: str, *, audited: bool) -> Forgetting:
        """Taking a person out of what is known of a job; `audited` as above."""
        from connector.state.forgetting import Forgetting

        return Forgetting(self._database, job, audited=audited)

    def rename(self, job: str, new: str) -> int:
        """Give all that is known of a job to another name; to how many users it wrote.

        Raises BusyError where a run holds a directory of the job, and what `renaming.rename` does.
        """
        from connector.state.renaming import rename

        with self.leases(job):
            return rename(self._database, job, new, self.held(job))

    def move(self, job: str, directory: str, now: JobIdentity) -> None:
        """Let a job be what it is now, with all that is known of it in the `directory` of before. Raises BusyError."""
        from connector.state.renaming import move

        with self.leases(job, now.directory):
            move(self._database, job, directory, now.directory)
            self.note_identity(job, now)

    def ticks(self, job: str) -> Ticks:
        return Ticks(self._database, job)

    def close(self) -> None:
        self.audit.end_session()
        self._database.close()

    # ------------------------------------------------------------ secret attributes

    def secret_attributes(self, directory: str) -> list[str]:
        """The attributes of a directory into which any job wrote secrets, as its mapping spelt them."""
        query = "select attribute from secrets where directory = ? order by attribute"
        return [name for (name,) in self._database.rows(query, directory)]

    def forget_secrets(self, directory: str, names: Iterable[str]) -> None:
        """Take these attributes for secret no longer."""
        with self._database.writing() as transaction:
            forget = "delete from secrets where directory = ? and attribute = ?"
            transaction.executemany(forget, [(directory, name) for name in names])

    # ------------------------------------------------------------ saved plans

    def keep(
        self,
        plan: Plan,
        directory: str,
        undoes: str | None = None,
        file: str | None = None,
    ) -> None:
        """Note that this plan is saved for a reviewer, so that it is known again. `undoes`: the run it takes back.

        `file`: the SHA-256 of its document, in hexadecimal digits; without it no approval is good for the plan.
        """
        if not self.kept:
            raise StateError(
                "a saved plan needs a state, and no state can be kept here",
                where="--save",
            )
        saved_plans.keep(self._database, plan, directory, undoes=undoes, file=file)

    def permit(
        self,
        plan: Plan,
        job: str,
        directory: str,
        undoes: str | None = None,
        octets: bytes | None = None,
    ) -> None:
        """Raises RefusedError for a plan that was not saved by this job, for this directory, or is spent or changed.

        Also for one that is not to take back the run that it `undoes`, and for one whose
        file has not these `octets`.
        """
        saved_plans.permit(
            self._database, plan, job, directory, undoes=undoes, octets=octets
        )

    # ------------------------------------------------------------ holds

    def hold(self, job: str, why: str) -> None:
        with self._database.writing() as transaction:
            transaction.put("holds", job=job, since=stamp(), why=why)

    def held(self, job: str) -> tuple[str, str] | None:
        """Since when the job is on hold, and why; None: it is not."""
        found = self._database.rows("select since, why from holds where job = ?", job)
        return next(((since, why) for since, why in found), None)

    def release(
        self,
        job: str,
        approved: Sequence[Approval] = (),
        *,
        seen: tuple[str, str] | None = None,
    ) -> bool:
        """Let the job apply again; whether it was on hold.

        `seen`: the hold, or none, whose end people have `approved`. Raises RefusedError where it is another by now.
        """
        with self._database.writing() as transaction:
            held = self.held(job)
            if approved and held != seen:
                raise RefusedError(
                    "the hold has changed meanwhile. Look at it again", where=job
                )
            transaction.execute("delete from holds where job = ?", (job,))
            if approved:
                approvals.note_release(
                    transaction, job, held[1] if held else "not on hold", approved
                )
        return held is not None

    # ------------------------------------------------------------ which job it is

    def identity(self, job: str) -> JobIdentity | None:
        """The job as it was applied last; None: it never was."""
        found = self._database.rows("select source from sources where job = ?", job)
        for (noted,) in (row for row in found if row[0].startswith("{")):
            with sound(self._database, "what the job is"):
                return json.decode(noted, type=JobIdentity)
        # an older version noted the source alone, with a digest of its key
        wrote = self._database.rows(
            "select directory from runs where job = ? order by number desc limit 1", job
        )
        if not found and not wrote:
            return None
        tenant = _KEY.sub("", found[0][0]) if found else ""
        return JobIdentity(tenant, wrote[0][0] if wrote else "")

    def note_identity(self, job: str, identity: JobIdentity) -> None:
        with self._database.writing() as transaction:
            transaction.put("sources", job=job, source=json.encode(identity).decode())

    def users_of(self, job: str) -> int:
        """How many users hold something that this job wrote."""
        directories = self._database.rows(
            "select distinct directory from ownership where job = ?", job
        )
        rows = (
            row
            for (each,) in directories
            for row in Ownership(self._database, each).of_job(job)
        )
        return len(
            {
                row.user.id
                for row in rows
                if not all(each.restored for each in row.attributes.values())
            }
        )

    # ------------------------------------------------------------ runs

    @contextmanager
    def run(
        self,
        plan: Plan,
        description: Description,
        sealer: Sealer,
        *,
        kind: str = "apply",
        undoes: str | None = None,
        found: LastGood | None = None,
        some: bool = False,
    ) -> Iterator[RunJournal]:
        """A run, recorded from its begin to its end; one of this plan that was interrupted goes on.

        `found`: what the next run is held against; else what the plan counts. `some`: it is of some agents alone.
        """
        found = found or LastGood.of(plan.summary)
        with self._database.writing() as transaction:
            summary = json.encode(plan.summary).decode()
            begun = (
                plan.id,
                plan.job,
                description.identity,
                stamp(),
                plan.digest,
                *astuple(found),
                summary,
            )
            row = (
                *begun,
                kind,
                undoes,
                description.server,
                int(some),
            )
            transaction.execute(
                "insert into runs "  # noqa: S608  # a statement of this program's own; values are bound
                "(id, job, directory, started, digest, agents, matched, assigned, summary, kind, undoes, server, "
                f"pilot, number) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {NEXT}) "
                "on conflict (id) do update set "
                "server = excluded.server, ended = null, result = null",
                row,
            )
            key = (key_name(plan.job), sealer.check)
            transaction.execute(
                "insert into meta (name, value) values (?, ?) on conflict (name) do nothing",
                key,
            )
            approvals.note(transaction, plan.id, plan.approvals)
        self.attempts.begun = True
        journal = RunJournal(self._database, plan.id, description, sealer, self.audit)
        yield journal
        self.audit.secure()
        try:
            with self._database.writing() as transaction:
                ended = (stamp(), journal.result, plan.id)
                transaction.execute(
                    "update runs set ended = ?, result = ? where id = ?", ended
                )
        except StateError:
            if (
                not journal.broken
            ):  # else every outcome says so already, and the run stays "interrupted"
                raise

    def steps(self, run: str, job: str, sealer: Sealer) -> tuple[str, list[Step]]:
        """The directory that a run of this job wrote to, and its journal. Raises UsageError where there is none."""
        found = self._database.rows(
            "select directory from runs where id = ? and job = ?", run, job
        )
        for result, why in self._database.rows(
            "select result, why from attempts where id = ? and job = ?", run, job
        ):
            raise UsageError(
                f"nothing to undo: this attempt {_CAME[result]}, and wrote nothing: {why}",
                where=run,
            )
        if not found:
            raise UsageError(f"this job has no run {run!r}. {TO_LIST}", where="RUN")
        ((directory,),) = found
        query = STEPS + " where run = ? order by user_name, user_id, digest, part"
        return directory, [
            step(row, sealer, self._database.where)
            for row in self._database.rows(query, run)
        ]

    # ------------------------------------------------------------ what was interrupted

    def open_steps(self, directory: str, job: str, sealer: Sealer) -> list[Step]:
        """Writes of earlier runs of this job of which nobody knows whether they happened, the oldest run's first.

        Those of other jobs are theirs to settle: their base, filter and key may be others.
        """
        open_ = (
            " where outcome is null and run in (select id from runs where directory = ? and job = ?) "
            "order by (select number from runs where id = run), user_id"
        )
        query = STEPS + open_
        return [
            step(row, sealer, self._database.where)
            for row in self._database.rows(query, directory, job)
        ]

    def note_servers(self, steps: Sequence[Step]) -> None:
        """Keep which servers may still have these writes."""
        if steps:
            with self._database.writing() as transaction:
                note_servers(transaction, steps)

    def settle(
        self,
        description: Description,
        found: Sequence[tuple[Step, Outcome]],
        now: Mapping[str, User] = MappingProxyType({}),
    ) -> None:
        """Keep what was found out about such writes. Of several servers the one that shows a write has it.

        `now`: by id their users as they were read since.
        """
        of_runs: dict[str, list[tuple[Change, Outcome]]] = {}
        for each, outcome in found:
            of_runs.setdefault(each.run, []).append((each.change, outcome))
        here = description.server
        shown = (each for each, outcome in found if outcome.result is Result.WRITTEN)
        with self._database.writing() as transaction:
            note_servers(
                transaction,
                (
                    replace(each, server=here)
                    for each in shown
                    if among(each.server, here)
                ),
            )
            for run, outcomes in of_runs.items():
                note_outcomes(transaction, run, outcomes, stamp())
                self.audit.add_outcomes(transaction, run, outcomes)
                written = [
                    stuck(change, outcome)
                    for change, outcome in outcomes
                    if took_place(outcome)
                ]
                if written:
                    Ours(self._database, description, run).take(
                        transaction, written, late=True, now=now
                    )
        self.audit.deliver()


class _TakenBackError(Exception):
    """The end of a transaction of which nothing is to be kept."""

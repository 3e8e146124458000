"""The state: what runs leave behind. Runs, their journals, saved plans, what we wrote where, and who is on hold.

It holds no secret in clear: fingerprints are keyed, and old values of secrets are sealed.
The key of both is kept elsewhere (`sqlite.py`, or the job's `key`); here is only what it is known by, for each
job.
"""

from __future__ import annotations

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
from connector.state.audit_lines import AuditLines
from connector.state.database import TABLES, Database, migrate, sound
from connector.state.documents import (
    Documents,
    DrawnPlans,
    note_saved_plan,
    permit_plan,
)
from connector.state.history import (
    ATTEMPTS,
    NEXT,
    TO_LIST,
    Attempts,
    History,
    end_hold,
    note_approvals,
    note_hold,
    read_hold,
)
from connector.state.journal import Ours, RunJournal, took_place
from connector.state.journal_rows import (
    Sealer,
    Step,
    among,
    note_outcomes,
    note_servers,
    read_steps,
)
from connector.state.memory import DirectoryMemory
from connector.state.notes import (
    Ticks,
    note_fact,
    read_fact,
    read_secret_attributes,
)
from connector.state.ownership import Ownership
from connector.state.sqlite import Sqlite

if TYPE_CHECKING:
    from connector.state.care import Contents, Pruning
    from connector.state.forgetting import Forgetting

_CAME: Final = {"refused": "was refused", "failed": "failed"}
_TRIAL: Final = "a trial, which is taken back"


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
        return read_fact(self._database, "key", job) in (None, sealer.check)

    def renew(self, job: str, sealer: Sealer) -> None:
        """Note that a run of this job has told every secret anew by this key."""
        if not self.knows(job, sealer):
            with self._database.writing() as transaction:
                note_fact(transaction, "key", sealer.check, job)

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
            note_fact(transaction, "trial", "", _TRIAL)
            raise _TakenBackError

    def contents(self, job: str) -> Contents:
        """What it holds of a job."""
        from connector.state.care import read_contents

        return read_contents(self._database, job)

    def faults(self, job: str, sealer: Sealer) -> list[str]:
        """What is wrong with it, as far as this job needs it."""
        from connector.state.care import find_faults

        return list(find_faults(self._database, job, sealer))

    def back_up(self, path: Path) -> None:
        """Write a whole copy to a new file, while others go on. Raises UsageError, OutputError."""
        self._database.back_up(path)

    def pruning(self, job: str, before: str, *, audited: bool) -> Pruning:
        """Taking out runs of a job that ended before a time. `audited`: its audit is a file."""
        from connector.state.care import Pruning

        return Pruning(self._database, job, before, audited=audited)

    def forgetting(self, job: str, *, audited: bool) -> Forgetting:
        """Taking a person out of what is known of a job; `audited` as above."""
        from connector.state.forgetting import Forgetting

        return Forgetting(self._database, job, audited=audited)

    def rename(self, job: str, new: str) -> int:
        """Give all that is known of a job to another name; to how many users it wrote.

        Raises BusyError where a run holds a directory of the job, and what `rename_job` does.
        """
        from connector.state.care import rename_job

        with self.leases(job):
            return rename_job(self._database, job, new)

    def move(self, job: str, directory: str, now: JobIdentity) -> None:
        """Let a job be what it is now, with all that is known of it in the `directory` of before. Raises BusyError."""
        from connector.state.care import move_job

        with self.leases(job, now.directory):
            move_job(self._database, job, directory, now.directory)
            self.note_identity(job, now)

    def ticks(self, job: str) -> Ticks:
        return Ticks(self._database, job)

    def close(self) -> None:
        self.audit.end_session()
        self._database.close()

    # ------------------------------------------------------------ secret attributes

    def secret_attributes(self, directory: str) -> list[str]:
        """The attributes of a directory into which any job wrote secrets, as its mapping spelt them."""
        return read_secret_attributes(self._database, directory)

    def forget_secrets(self, directory: str, names: Iterable[str]) -> None:
        """Take these attributes for secret no longer."""
        forget = (
            "delete from facts where kind = 'secret' and directory = ? and name = ?"
        )
        with self._database.writing() as transaction:
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
        note_saved_plan(self._database, plan, directory, undoes=undoes, file=file)

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
        permit_plan(self._database, plan, job, directory, undoes=undoes, octets=octets)

    # ------------------------------------------------------------ holds

    def hold(self, job: str, why: str) -> None:
        with self._database.writing() as transaction:
            note_hold(transaction, job, why)

    def held(self, job: str) -> tuple[str, str] | None:
        """Since when the job is on hold, and why; None: it is not."""
        return read_hold(self._database, job)

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
            why = held[1] if held else "not on hold"
            end_hold(transaction, job, why, approved)
        return held is not None

    # ------------------------------------------------------------ which job it is

    def identity(self, job: str) -> JobIdentity | None:
        """The job as it was applied last; None: it never was."""
        noted = read_fact(self._database, "identity", job)
        if noted is not None:
            with sound(self._database, "what the job is"):
                return json.decode(noted, type=JobIdentity)
        query = "select directory from runs where job = ? order by number desc limit 1"
        for (directory,) in self._database.rows(query, job):
            return JobIdentity("", directory)
        return None

    def note_identity(self, job: str, identity: JobIdentity) -> None:
        with self._database.writing() as transaction:
            note_fact(transaction, "identity", identity, job)

    def users_of(self, job: str) -> int:
        """How many users hold something that this job wrote."""
        query = "select distinct directory from ownership where job = ?"
        users = set[str]()
        for (directory,) in self._database.rows(query, job):
            for row in Ownership(self._database, directory).of_job(job):
                if not all(each.restored for each in row.attributes.values()):
                    users.add(row.user.id)
        return len(users)

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
            begun = (plan.id, plan.job, description.identity, stamp(), plan.digest)
            what = (kind, undoes, description.server, int(some))
            transaction.execute(
                "insert into runs "  # noqa: S608  # a statement of this program's own; values are bound
                "(id, job, directory, started, digest, agents, matched, assigned, summary, kind, undoes, server, "
                f"pilot, number) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {NEXT}) "
                "on conflict (id) do update set "
                "server = excluded.server, ended = null, result = null",
                (*begun, *astuple(found), summary, *what),
            )
            if read_fact(self._database, "key", plan.job) is None:
                note_fact(transaction, "key", sealer.check, plan.job)
            note_approvals(transaction, plan.job, plan.id, plan.approvals)
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
        query = (
            f"select result, why from events where {ATTEMPTS} and id = ? and job = ?"  # noqa: S608  # a literal; values are bound
        )
        for result, reason in self._database.rows(query, run, job):
            came = _CAME[result]
            why = f"nothing to undo: this attempt {came}, and wrote nothing: {reason}"
            raise UsageError(why, where=run)
        if not found:
            raise UsageError(f"this job has no run {run!r}. {TO_LIST}", where="RUN")
        ((directory,),) = found
        which = "run = ? order by user_name, user_id, journal.digest, part"
        return directory, list(read_steps(self._database, which, run, sealer=sealer))

    # ------------------------------------------------------------ what was interrupted

    def open_steps(self, directory: str, job: str, sealer: Sealer) -> list[Step]:
        """Writes of earlier runs of this job of which nobody knows whether they happened, the oldest run's first.

        Those of other jobs are theirs to settle: their base, filter and key may be others.
        """
        which = "outcome is null and directory = ? and job = ? order by number, user_id"
        return list(read_steps(self._database, which, directory, job, sealer=sealer))

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
        here_alone = [
            replace(each, server=here)
            for each, outcome in found
            if outcome.result is Result.WRITTEN and among(each.server, here)
        ]
        with self._database.writing() as transaction:
            note_servers(transaction, here_alone)
            for run, outcomes in of_runs.items():
                note_outcomes(transaction, run, outcomes, stamp())
                self.audit.add_outcomes(transaction, run, outcomes)
                written = [each for each in outcomes if took_place(each[1])]
                if written:
                    Ours(self._database, description, run).take(
                        transaction, written, late=True, now=now
                    )
        self.audit.deliver()


class _TakenBackError(Exception):
    """The end of a transaction of which nothing is to be kept."""

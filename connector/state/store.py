"""The state: what runs leave behind. Runs, their journals, saved plans, what we wrote where, and who is on hold.

It holds no secret in clear: fingerprints are keyed, and old values of secrets are sealed.
The key of both is kept elsewhere (`sqlite.py`, or the job's `key`); here is only what it is known by, for each
job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import astuple

from connector.errors import StateError, UsageError
from connector.model import (
    Description,
    LastGood,
    Outcome,
    Plan,
    User,
)
from connector.runtime.clock import format_now
from connector.state.audit_lines import AuditLines
from connector.state.care import StateCare
from connector.state.database import (
    TABLES,
    Database,
    Ended,
    encode_text,
    find_value,
    migrate_tables,
    write_one,
)
from connector.state.documents import AgentPlans, DrawnPlans, FleetDocuments, SavedPlans
from connector.state.history import (
    NEXT,
    TO_LIST,
    Attempts,
    RunHistory,
    note_approvals,
    note_begin,
)
from connector.state.journal import RunJournal, WrittenValues, has_taken_place
from connector.state.journal_rows import (
    JournalStep,
    Sealer,
    note_outcomes,
    note_servers,
    read_steps,
)
from connector.state.memory import DirectoryMemory
from connector.state.notes import (
    Ticks,
    note_fact,
    read_fact,
)
from connector.state.sqlite import Sqlite


def open_state(url: str | None) -> State:
    """The state at `sqlite:///path` or `postgresql://…`; None: one that ends with this process. Raises StateError."""
    if url is None:
        return State(Sqlite(None))
    if url.startswith("sqlite:///"):
        return State(Sqlite(Path(url.removeprefix("sqlite:///"))))
    from connector.state.postgresql import PostgreSQL

    return State(PostgreSQL(url))


class State(SavedPlans, StateCare):
    """An open state. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.history = RunHistory(database)
        self.audit = AuditLines(database)
        self.attempts = Attempts(database)
        self.drawn = DrawnPlans(database)
        self.documents = FleetDocuments(database)
        self.agent_plans = AgentPlans(database)
        try:
            migrate_tables(database)
        except BaseException:
            database.close()
            raise

    @property
    def kept(self) -> bool:
        return self._database.kept

    def knows_key(self, job: str, sealer: Sealer) -> bool:
        """Whether what this job has left behind is of this key, or it has left nothing."""
        return read_fact(self._database, "key", job) in (None, sealer.check)

    def note_key(self, job: str, sealer: Sealer) -> None:
        """Note that a run of this job has told every secret anew by this key."""
        if not self.knows_key(job, sealer):
            with self._database.writing() as transaction:
                note_fact(transaction, "key", sealer.check, job)

    def memory(
        self, directory: str, job: str, description: Description | None = None
    ) -> DirectoryMemory:
        """What earlier runs left behind about one directory; with its description, what may be ours counts as ours."""
        return DirectoryMemory(self._database, directory, job, description)

    def try_writing(self) -> None:
        """Write to every table, and leave nothing there. Raises StateError where one cannot be written."""
        with self._database.writing() as transaction:
            for table in TABLES:
                transaction.execute(
                    f"insert into {table} select * from {table} where 1 = 0"  # noqa: S608  # the table is one of `TABLES`
                )
                transaction.execute(f"delete from {table} where 1 = 0")  # noqa: S608  # the table is one of `TABLES`
            note_fact(transaction, "trial", "")
            transaction.execute("delete from facts where kind = 'trial'")

    def ticks(self, job: str) -> Ticks:
        return Ticks(self._database, job)

    def close(self) -> None:
        self.audit.end_session()
        self._database.close()

    # ------------------------------------------------------------ secret attributes

    def forget_secrets(self, directory: str, names: Iterable[str]) -> None:
        """Take these attributes for secret no longer."""
        with self._database.writing() as transaction:
            transaction.executemany(
                "delete from facts where kind = 'secret' and directory = ? and name = ?",
                [(directory, name) for name in names],
            )

    # ------------------------------------------------------------ runs

    @contextmanager
    def record_run(
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
            summary = encode_text(plan.summary)
            begun = (plan.id, plan.job, description.identity, format_now(), plan.digest)
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
            note_begin(transaction, plan.job, plan.id, self.attempts.by)
            note_approvals(transaction, plan.job, plan.id, plan.approvals)
        self.attempts.begun = True
        journal = RunJournal(self._database, plan.id, description, sealer, self.audit)
        yield journal
        self.audit.secure_made_lines()
        try:
            write_one(
                self._database,
                "update runs set ended = ?, result = ? where id = ?",
                format_now(),
                journal.result,
                plan.id,
            )
        except StateError:
            # else every outcome says so already, and the run stays "interrupted"
            if not journal.broken:
                raise

    def read_steps_of_run(
        self, run: str, job: str, sealer: Sealer
    ) -> tuple[str, list[JournalStep]]:
        """The directory that a run of this job wrote to, and its journal. Raises UsageError where there is none."""
        for result, reason in self._database.rows(
            "select result, why from events where kind in ('apply', 'undo') and id = ? and job = ?",
            run,
            job,
        ):
            came = "was refused" if result == "refused" else result
            raise UsageError(
                f"nothing to undo: this attempt {came}, and wrote nothing: {reason}",
                where=run,
            )
        directory = find_value(
            self._database,
            "select directory from runs where id = ? and job = ?",
            run,
            job,
        )
        if directory is None:
            raise UsageError(f"this job has no run {run!r}. {TO_LIST}", where="RUN")
        return directory, list(
            read_steps(
                self._database,
                "run = ? order by user_name, user_id, journal.digest, part",
                run,
                sealer=sealer,
            )
        )

    # ------------------------------------------------------------ what was interrupted

    def read_open_steps(
        self, directory: str, job: str, sealer: Sealer
    ) -> list[JournalStep]:
        """Writes of earlier runs of this job of which nobody knows whether they happened, the oldest run's first.

        Those of other jobs are theirs to settle: their base, filter and key may be others.
        """
        return list(
            read_steps(
                self._database,
                "outcome is null and directory = ? and job = ? order by number, user_id",
                directory,
                job,
                sealer=sealer,
            )
        )

    def note_servers(self, steps: Sequence[JournalStep]) -> None:
        """Keep which servers may still have these writes."""
        if steps:
            with self._database.writing() as transaction:
                note_servers(transaction, steps)

    def settle_steps(
        self,
        description: Description,
        found: Sequence[tuple[JournalStep, Outcome]],
        now: Mapping[str, User] = MappingProxyType({}),
    ) -> None:
        """Keep what was found out about such writes. Of several servers the one that shows a write has it.

        `now`: by id their users as they were read since.
        """
        of_runs: dict[str, list[Ended]] = {}
        for each, outcome in found:
            of_runs.setdefault(each.run, []).append((each.change, outcome))
        with self._database.writing() as transaction:
            for run, outcomes in of_runs.items():
                note_outcomes(transaction, run, outcomes, description.server)
                self.audit.add_outcomes(transaction, run, outcomes)
                written = [each for each in outcomes if has_taken_place(each[1])]
                if written:
                    WrittenValues(self._database, description, run).take_values(
                        transaction, written, now
                    )
        self.audit.deliver_made_lines()

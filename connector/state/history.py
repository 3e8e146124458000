"""What happened to a job: its runs, attempts that came to none, holds, releases, and who approved what.

An attempt to apply or undo failed or was refused before it became a run: it wrote nothing.
It has an id of its own, also where it was to go by a saved plan, which it does not spend.
While another run held the directory there was no attempt; nor where the command line was wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import (
    BusyError,
    ConnectorError,
    RefusedError,
    StateError,
    UsageError,
)
from connector.model import Approval, Plan, WritePart
from connector.runtime.clock import format_now
from connector.state.database import (
    Database,
    Slot,
    Transaction,
    decode_kept,
    find_column,
    find_value,
    name_process,
    write_one,
)
from connector.state.journal_rows import read_steps
from connector.state.notes import pruned_until

KEPT: Final = 500
"""So many attempts of a job are kept: `serve` may fail every few minutes for weeks."""
NEXT: Final = (
    "(select coalesce(max(number), 0) + 1 from "
    "(select number from runs union all select number from events) as numbered)"
)
"""The number of the next run, attempt or release, which orders them."""
_APPEND: Final = (
    "insert into events (kind, job, id, who, started, ended, why, digest, result, plan, undoes, number) "  # noqa: S608  # `NEXT` is a literal; values are bound
    f"values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {NEXT}) on conflict (kind, job, id, who) do nothing"
)
_PUT_EVENT: Final = """
    insert into events (kind, job, id, who, started, ended, why, digest, result, number)
    values (?, ?, ?, ?, '', ?, ?, ?, '', 0) on conflict (kind, job, id, who) do update set
        ended = excluded.ended, why = excluded.why, digest = excluded.digest
"""


class Attempt(Struct, frozen=True):
    """What somebody sets out to do."""

    kind: str = "apply"
    """`apply` or `undo`."""
    plan: str | None = None
    """The saved plan that it is to go by."""
    undoes: str | None = None
    """The run that it is to take back."""
    by: str = ""
    """Who sets out: an account of the operating system, `serve`, `hook` or `fleet`."""


class Attempts:
    """Keeps the attempt of this process."""

    begun = False
    """Whether it has become a run, which has a record of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempt: Attempt | None = None
        self._job = self._id = self._started = ""

    @property
    def by(self) -> str:
        """Who has made the attempt; empty: it is not known."""
        return self._attempt.by if self._attempt else ""

    @contextmanager
    def keep_attempt(self, job: str, id_: str, attempt: Attempt) -> Iterator[None]:
        """An attempt, until it ends. It may end in any exception."""
        self._attempt, self._job, self._id = attempt, job, id_
        self._started = format_now()
        try:
            yield
        except (BusyError, UsageError):
            raise
        except BaseException as fault:
            result = "refused" if isinstance(fault, RefusedError) else "failed"
            with suppress(StateError):  # the fault is told, here or not
                # of what is no fault that a user can meet the type alone: its message may hold a value
                why = f"unexpected {type(fault).__name__}"
                if isinstance(fault, ConnectorError):
                    why = str(fault)
                elif isinstance(fault, KeyboardInterrupt):
                    why = "stopped by a signal"
                self._note_attempt(result, why)
            raise

    def note_refusal(self, plan: Plan) -> str:
        """Its plan is refused, and nobody has accepted that; or another was accepted. Raises StateError.

        The id of the attempt is that of the plan that was shown, but for a saved one, which
        is not spent.
        """
        if self._attempt and not self._attempt.plan:
            self._id = plan.id
        why = "; ".join(f"{each.limit}: {each.why}" for each in plan.refusals)
        why = why or "the accepted digest is that of another plan"
        self._note_attempt("refused", why, plan.digest)
        return self._id

    def _note_attempt(self, result: str, why: str, digest: str = "") -> None:
        made = self._attempt
        if self.begun or not made:
            return
        begun = (made.by, self._started, format_now(), why)
        key = (made.kind, self._job, self._id, *begun)
        with self._database.writing() as transaction:
            transaction.execute(_APPEND, (*key, digest, result, made.plan, made.undoes))
            transaction.execute(
                "delete from events where kind in ('apply', 'undo') and job = ? and number not in "
                "(select number from events where kind in ('apply', 'undo') and job = ? order by number desc limit ?)",
                (self._job, self._job, KEPT),
            )


# ------------------------------------------------------------ holds and releases


class Holds:
    """Jobs that are on hold. All of its methods raise StateError."""

    _database: Database

    def hold_job(self, job: str, why: str) -> None:
        """Put a job on hold; another hold of it is replaced."""
        write_one(
            self._database, _PUT_EVENT, "hold", job, "", "", format_now(), why, ""
        )

    def read_hold(self, job: str) -> tuple[str, str] | None:
        """Since when the job is on hold, and why; None: it is not."""
        for since, why in self._database.rows(
            "select ended, why from events where kind = 'hold' and job = ?", job
        ):
            return since, why
        return None

    def release_job(
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
            held = self.read_hold(job)
            if approved and held != seen:
                raise RefusedError(
                    "the hold has changed meanwhile. Look at it again", where=job
                )
            transaction.execute(
                "delete from events where kind = 'hold' and job = ?", (job,)
            )
            if approved:
                id_, now = str(uuid4()), format_now()
                why = held[1] if held else "not on hold"
                row = ("release", job, id_, "", now, now, why, "", "done", None, None)
                transaction.execute(_APPEND, row)
                note_approvals(transaction, job, id_, approved)
        return held is not None


# ------------------------------------------------------------ approvals


def note_approvals(
    transaction: Transaction, job: str, id_: str, approvals: Sequence[Approval]
) -> None:
    """Note the approvals of a run or release. Of a run that goes on, the last one of each person counts."""
    transaction.executemany(
        _PUT_EVENT,
        [
            ("approval", job, id_, each.who, each.time, "", each.key)
            for each in approvals
        ],
    )


def note_begin(transaction: Transaction, job: str, id_: str, by: str) -> None:
    """Note who begins a run, or goes on with it, and in which process. `by` empty: that is not known."""
    if by:
        begun = ("begin", job, id_, by, format_now(), name_process(), "")
        transaction.execute(_PUT_EVENT, begun)


ApprovalsOfRuns = defaultdict[str, list[Approval]]
"""Approvals by the id of their run or release."""


def read_approvals(database: Database, job: str) -> ApprovalsOfRuns:
    """The approvals of a job by the id of their run or release."""
    found: ApprovalsOfRuns = defaultdict(list)
    for id_, *approval in database.rows(
        "select id, who, digest, ended from events "
        "where kind = 'approval' and job = ? order by id, who",
        job,
    ):
        found[id_].append(Approval(*approval))
    return found


_COUNTS: Final = """
    select coalesce(outcome, 'unknown'), count(distinct user_id) from journal as step where run = ? and (
        case when step.part = '' then not exists (
            select 1 from journal as ahead where ahead.run = step.run and ahead.user_id = step.user_id
            and ahead.part <> '' and ahead.outcome is null
        ) else outcome is null or not exists (
            select 1 from journal as rest where rest.run = step.run and rest.user_id = step.user_id and rest.part = ''
        ) end
    ) group by 1 order by 1
"""
"""Each user once: by the whole of its change, or by what went first, where that is unknown
or nothing came after it."""


UNDOS: Final = (
    "select id, undoes, number from runs where job = ? and undoes is not null and exists (select 1 from journal "
    "where run = runs.id and (outcome is null or outcome = 'written' or lost is not null))"
)
"""The undos of a job that wrote, or may have."""
_APPLIED: Final = (
    "select coalesce(max(number), 0) from runs "
    "where job = ? and kind = 'apply' and coalesce(pilot, 0) = 0 and result in ('done', 'part')"
)
_RUNS: Final = """
    select id, job, kind, started, ended, digest, result, summary, undoes, server, '' as why, null as plan,
        '' as who, directory, number
    from runs where job = ?
    union all select id, job, kind, started, ended, digest, result, '{}', undoes, '', why, plan, who, '', number
    from events where job = ? and kind in ('apply', 'undo', 'release') order by number desc
"""
_BEGINS: Final = (
    "select id, who, why from events where kind = 'begin' and job = ? order by ended"
)
"""Who has begun the runs of a job, and in which process; the last one of a run is the last."""
_IDS: Final = """
    select id, number from runs where job = ?
    union all select id, number from events where job = ? and kind in ('apply', 'undo', 'release') order by number desc
"""
_LATER: Final = (
    "select id, undoes from runs where directory = (select directory from runs where id = ?) "
    "and number > (select number from runs where id = ?)"
)
"""The runs after one on its directory."""
_WENT_FIRST: Final = (
    "outcome = 'written' and (undoes = ? or run = ? and part <> '' and not exists ("
    "select 1 from journal as rest where rest.run = journal.run and rest.user_id = journal.user_id "
    "and rest.outcome = 'written' and rest.part = '')) order by number"
)
"""What went first in a run, where the rest is not written, and what its undos wrote."""
LAST: Final = "last"
NOTHING_WROTE: Final = "no apply of this job has written anything yet"
TO_LIST: Final = "To list its runs, run: cec-connector runs JOB"
FEW: Final = 5
"""So many runs are named where several are meant."""


NamesOfUsers = dict[str, frozenset[str]]
"""By the ids of users names of attributes."""


class HistoryEntry(Struct, frozen=True):
    """When something happened to a job, and what it came to."""

    id: str
    job: str
    kind: str
    """`apply`, `undo` or `release`."""
    started: str
    ended: str | None
    digest: str
    """Of its plan; empty where it came to none."""
    result: str | None
    """Of a run done, part or stopped; None: it was interrupted. Of an attempt refused or failed."""


class RunRecord(HistoryEntry, frozen=True):
    """A run that was begun, an attempt that came to none, or an approved release of the job."""

    summary: dict[str, int]
    outcomes: dict[str, int]
    undoes: str | None = None
    server: str = ""
    why: str = ""
    """Why it was refused or failed; of a release, why the job was on hold."""
    plan: str | None = None
    """The saved plan that an attempt was to go by."""
    approvals: tuple[Approval, ...] = ()
    """Who had approved it."""
    by: str = ""
    """Who has begun it last: an account of the operating system, `serve` or `fleet`; empty: that is not known."""
    is_under_way: bool = False
    """Whether the process that began it holds the lease of its directory."""

    @property
    def was_begun(self) -> bool:
        """Whether it is a run, and no attempt or release."""
        return self.kind != "release" and self.result not in ("refused", "failed")


class RunHistory:
    """The runs of a database. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_runs(self, job: str) -> list[RunRecord]:
        """The runs of a job, the attempts that came to none, and its approved releases, newest first."""
        approvals = read_approvals(self._database, job)
        begins = {
            id_: (who, process)
            for id_, who, process in self._database.rows(_BEGINS, job)
        }
        found = []
        for row in self._database.rows(_RUNS, job, job):
            *head, counts, undoes, server, why, plan, who, directory, _ = row
            summary = decode_kept(
                self._database, counts, dict[str, int], "a run's summary"
            )
            outcomes = dict(self._database.rows(_COUNTS, head[0]))
            approved = tuple(approvals[head[0]])
            by, process = begins.get(head[0], (who, ""))
            head += (summary, outcomes, undoes, server, why, plan, approved, by)
            record = RunRecord(*head)
            if record.result is None and process:
                is_held = self._holds_lease(process, directory)
                record = replace(record, is_under_way=is_held)
            found.append(record)
        return found

    def _holds_lease(self, process: str, directory: str) -> bool:
        """Whether a process holds a directory."""
        word = self._database.find_holder(directory)
        return word is not None and process in word

    def find_run_that_spent(self, job: str, plan: str) -> RunRecord | None:
        """The run that has applied a saved plan to its end, so that no other may; None: there is none."""
        runs = (run for run in self.list_runs(job) if run.id == plan)
        return next((run for run in runs if run.result in ("done", "part")), None)

    def find_last_run(self, job: str) -> str | None:
        """The id of the newest apply or undo of a job, whatever it came to; None: there is none."""
        last: str | None = find_value(
            self._database,
            "select id from runs where job = ? order by number desc limit 1",
            job,
        )
        return last

    def find_run(self, job: str, written: str) -> str:
        """The id of a run, attempt or release: by the id, by a beginning that no other of this job has, or `last`.

        The last one is the newest apply that wrote, or may have. Raises UsageError where
        that is none, or several.
        """
        if written == LAST:
            last: str | None = find_value(
                self._database,
                "select id from runs where job = ? and kind = 'apply' and exists ("
                "select 1 from journal where run = runs.id "
                "and (outcome is null or outcome = 'written' or lost is not null)) order by number desc",
                job,
            )
            if last is None:
                raise UsageError(f"{NOTHING_WROTE}. {TO_LIST}", where="RUN")
            return last
        ids: list[str] = find_column(self._database, _IDS, job, job)
        found = [id_ for id_ in ids if written and id_.startswith(written)]
        if written in ids:
            return written
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(found[:FEW]) + (", …" if len(found) > FEW else "")
            why = f"the ids of {len(found)} runs begin with {written!r}: {some}. Write more of the id"
        else:
            until = pruned_until(self._database, job)
            pruned = f"; those until {until} were pruned" if until else ""
            why = f"this job has no run {written!r}{pruned}. {TO_LIST}"
        raise UsageError(why, where="RUN")

    def find_undo(self, run: str) -> str:
        """The newest undo of this run that wrote; empty where there is none."""
        return (
            find_value(
                self._database,
                "select id from runs where undoes = ? "
                "and exists (select 1 from journal where run = runs.id and outcome = 'written') order by number desc",
                run,
            )
            or ""
        )

    def find_undo_to_heed(self, job: str) -> int | None:
        """The number of the newest undo of a job that wrote; None: there is none, or all was applied since."""
        query = f"select max(number) from ({UNDOS} and number > ({_APPLIED})) as undos"  # noqa: S608  # literals; values are bound
        number: int | None = find_value(self._database, query, job, job)
        return number

    def find_written_users(self, run: str) -> dict[str, str]:
        """The users of whom every step of this run is confirmed as written, and what was said of that, if anything."""
        return dict(
            self._database.rows(
                "select user_id, coalesce(max(why), '') from journal where run = ? group by user_id "
                "having count(*) = sum(case when outcome = 'written' then 1 else 0 end) "
                "and sum(case when part = '' then 1 else 0 end) > 0",
                run,
            )
        )

    def find_parts_alone(self, run: str) -> NamesOfUsers:
        """By user id the attributes of what went first in this run, where the rest is not written.

        Also what an undo of it emptied alone. What a later undo of it has put back is not
        among them.
        """
        emptied: dict[Slot, int] = {}
        filled: dict[Slot, int] = {}
        for step in read_steps(self._database, _WENT_FIRST, run, run):
            for each in step.change.attributes:
                fills = each.sets or step.change.part is WritePart.REST
                last = filled if fills and step.run != run else emptied
                last[step.user.id, each.name] = step.number
        return _group_by_user(
            slot for slot, number in emptied.items() if number > filled.get(slot, 0)
        )

    def find_later_writes(self, run: str) -> NamesOfUsers:
        """By id of this run's users the attributes that later runs have written, and that no undo took back since."""
        weights: dict[str, int] = {}
        for id_, undoes in self._database.rows(f"{_LATER} order by number", run, run):
            # an undo takes away what it undoes, if that was later too
            weights[id_] = -weights.get(undoes, -1)
        which = (
            "coalesce(outcome, 'written') = 'written' "
            "and user_id in (select user_id from journal where run = ?)"
        )
        runs_of = defaultdict[Slot, set[str]](set)
        for write in read_steps(self._database, which, run):
            for name in write.patterns:
                runs_of[write.user.id, name].add(write.run)
        return _group_by_user(
            slot
            for slot, runs in runs_of.items()
            if sum(weights.get(id_, 0) for id_ in runs)
        )

    def find_overtaken(self, run: str) -> NamesOfUsers:
        """By user id the attributes, in small letters, that runs after this one have written, taken back or not."""
        later = _LATER.replace("id, undoes", "id")
        which = f"(outcome = 'written' or lost is not null) and run in ({later})"
        return _group_by_user(
            (write.user.id, name.lower())
            for write in read_steps(self._database, which, run, run)
            for name in write.patterns
        )


def _group_by_user(found: Iterable[Slot]) -> NamesOfUsers:
    """Names of attributes by the ids of their users."""
    names = defaultdict[str, frozenset[str]](frozenset)
    for user, name in found:
        names[user] |= {name}
    return names

"""Taking old runs out of a state: their journals, plans and marks, one job's at a time, the oldest run first.

Of each directory the oldest runs go, up to the first that something still needs:

- writes of any job whose outcome nobody knows: what was written since tells who has overtaken them
- a write that the directory took and does not show: its values may still be ours
- the newest apply, and the newest that was good: the next one's limits are held against it

Who owns which values is in a table of its own, which stays. What is a job's still, or an
undo of another run would put back, is remembered as written by that job (`kept_writes`),
noted piece by piece. Then the run goes in one transaction, so that a kill leaves whole
runs, and none older than one that is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, json

from connector.model import Drawn, Equality, Owned, Value
from connector.reconcile import equality
from connector.reports.document import held
from connector.state import approvals
from connector.state.audit_lines import count_old_lines, prune_lines
from connector.state.database import Database, Transaction, rows_of_users, sound
from connector.state.inspection import directories
from connector.state.journal_rows import KeptChange, names_of
from connector.state.memory import DirectoryMemory
from connector.state.ownership import Ownership

_RUNS: Final = (
    "select id, number, kind, started, coalesce(ended, started), coalesce(pilot, 0), "
    "(select count(*) from journal where run = runs.id), "
    "(select count(*) from journal where run = runs.id and coalesce(outcome, 'written') = 'written') "
    "from runs where job = ? and directory = ? order by number"
)
_OPEN: Final = (
    "select number, id, job from journal join runs on runs.id = run where outcome is null and directory = ? "
    "order by number limit 1"
)
_NEWEST: Final = (
    "select number, id from runs where job = ? and directory = ? and kind = 'apply' "
    "and (result in ('done', 'part') or ? = 'any') order by number desc limit 1"
)
_SHOWN_LAST: Final = (
    "select number, id, attributes from journal join runs on runs.id = run where user_id = ? and job = ? "
    "and directory = ? and outcome in ('written', 'failed') order by number desc"
)
_UNUSED: Final = (
    "job = ? and (saved is null or saved < ?) and id not in (select id from runs)"
)
"""Plans that are old, or as old as nobody has noted, and that no run has begun."""
_WITHDRAWN: Final = "delete from documents where job = ? and kind = 'plan' and id not in (select id from plans)"
_OUT: Final = (
    "delete from journal where run = ?",
    "delete from run_plans where run = ?",
    "delete from approvals where run = ?",
    "delete from documents where id = ?",
    "delete from plans where id = ?",
    "delete from runs where id = ?",
)
PRUNED: Final = """
    insert into pruned (directory, job, until, whole) values (?, ?, ?, ?)
    on conflict (directory, job) do update set
        until = case when excluded.until > pruned.until then excluded.until else pruned.until end,
        whole = case when excluded.whole > pruned.whole then excluded.whole else pruned.whole end
"""
_LEFT: Final = (
    "select user_id, attributes from journal join runs on runs.id = journal.run "
    "where directory = ? and runs.id <> ? and user_id in ({users})"
)
_WROTE: Final = (
    "select job, user_id, number, attributes from journal join runs on runs.id = journal.run "
    "where runs.id = ? and outcome = 'written' and user_id in ({users})"
)
_KEPT: Final = "select job, user_id, number, attributes from kept_writes where directory = ? and user_id in ({users})"
_UNKEEP: Final = "delete from kept_writes where directory = ? and user_id = ?"
_KEEP: Final = "insert into kept_writes (directory, job, user_id, number, attributes) values (?, ?, ?, ?, ?)"
_AT_ONCE: Final = 1_000
"""Of so many users what is kept is found and noted together."""
_INDIFFERENT: Final = re.compile(r"[\s\-]+")
"""What some equality rule passes over (RFC 4518 §2.6)."""


class OldRun(Struct, frozen=True):
    """A run that may go; `wrote`: so many of its writes happened, or may have, and could have been undone."""

    id: str
    number: int
    kind: str
    started: str
    ended: str
    directory: str
    whole: bool
    writes: int
    wrote: int


class Old(Struct, frozen=True):
    """What is old: runs that go, and those that stay, each with the reason; attempts and plans that no run has used."""

    before: str
    runs: Sequence[OldRun]
    stay: Sequence[tuple[OldRun, str]]
    attempts: int
    plans: int
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
            aged = list(self._aged(directory))
            needed = min(self._needed(directory), default=None) if aged else None
            for run in aged:
                if needed is not None and run.number >= needed[0]:
                    stay.append((run, needed[1]))
                    break
                runs.append(run)
        (attempts,) = self._database.rows(
            "select count(*) from attempts where job = ? and ended < ?", *self._both
        )[0]
        (plans,) = self._database.rows(
            f"select count(*) from plans where {_UNUSED}",  # noqa: S608  # the literal below; values are bound
            *self._both,
        )[0]
        audit_lines = (
            0 if self._audited else count_old_lines(self._database, *self._both)
        )
        return Old(
            self._before,
            sorted(runs, key=lambda run: run.number),
            stay,
            attempts,
            plans,
            audit_lines,
        )

    def take_out(self, old: Old) -> Iterator[OldRun]:
        """Take it out, step by step, each of which is whole; the runs that are gone. Their directories are held."""
        with self._database.writing() as transaction:
            transaction.execute(
                "delete from attempts where job = ? and ended < ?", self._both
            )
            approvals.forget_releases(transaction, *self._both)
            if not self._audited:
                prune_lines(transaction, *self._both)
            transaction.execute(f"delete from plans where {_UNUSED}", self._both)  # noqa: S608  # the literal below; values are bound
            transaction.execute(_WITHDRAWN, (self._job,))
            self._forget_drawn(transaction)
        for run in old.runs:
            self._keep_whose(run)
            with self._database.writing() as transaction:
                for statement in _OUT:
                    transaction.execute(statement, (run.id,))
                row = (
                    run.directory,
                    self._job,
                    run.ended,
                    int(run.whole and run.writes > 0),
                )
                transaction.execute(PRUNED, row)
            yield run

    @property
    def _both(self) -> tuple[str, str]:
        return self._job, self._before

    # ------------------------------------------------------------ what goes

    def _aged(self, directory: str) -> Iterator[OldRun]:
        """The oldest runs, up to the first that is not old."""
        for (
            id_,
            number,
            kind,
            started,
            ended,
            pilot,
            writes,
            wrote,
        ) in self._database.rows(_RUNS, self._job, directory):
            if ended >= self._before:
                return
            yield OldRun(
                id_,
                number,
                kind,
                started,
                ended,
                directory,
                not pilot and kind == "apply",
                writes,
                wrote,
            )

    def _needed(self, directory: str) -> Iterator[tuple[int, str]]:
        """Numbers from which on runs stay, each with the reason."""
        for number, run, job in self._database.rows(_OPEN, directory):
            whose = "" if job == self._job else f" of the job {job}"
            yield (
                number,
                f"the outcome of writes of run {run}{whose} is unknown. To settle them, rerun that job",
            )
        for which in ("good", "any"):
            for number, run in self._database.rows(
                _NEWEST, self._job, directory, which
            ):
                yield (
                    number,
                    f"run {run} is the last that the limits of the next apply are held against",
                )
        for user, values in (
            DirectoryMemory(self._database, directory, self._job).unshown().items()
        ):
            left = set(values)
            for number, run, attributes in self._database.rows(
                _SHOWN_LAST, user, self._job, directory
            ):
                if (
                    found := left
                    & names_of(attributes, run, self._database.where).keys()
                ):
                    left -= found
                    yield (
                        number,
                        f"the directory took writes of run {run} and does not show them",
                    )

    def _forget_drawn(self, transaction: Transaction) -> None:
        """Earlier plans, as far as later ones are compared with them."""
        for by, plan in self._database.rows(
            "select drawn_by, plan from drawn where job = ?", self._job
        ):
            with sound(self._database, "an earlier plan"):
                old = json.decode(plan, type=Drawn).created < self._before
            if old:
                transaction.execute(
                    "delete from drawn where job = ? and drawn_by = ?", (self._job, by)
                )
        orphans = "run not in (select id from runs union all select id from attempts)"
        transaction.execute(
            f"delete from run_plans where job = ? and {orphans}",  # noqa: S608  # a literal; values are bound
            (self._job,),
        )

    # ------------------------------------------------------------ whose an undo's values are

    def _keep_whose(self, run: OldRun) -> None:
        """Keep of what this run wrote, and others before it, what an undo of a run would put back.

        That is an old value of a run that is left, or of one to come, which finds there
        what is still its job's. What is kept of a run that is not taken out after all says
        no more than that run.
        """
        rows = self._database.rows(
            "select distinct user_id from journal where run = ?", run.id
        )
        everybody = sorted(user for (user,) in rows)
        for start in range(0, len(everybody), _AT_ONCE):
            users = everybody[start : start + _AT_ONCE]
            kept = self._whose(run, users)
            with self._database.writing() as transaction:
                transaction.executemany(
                    _UNKEEP, ((run.directory, user) for user in users)
                )
                added = (
                    (run.directory, *key, json.encode(changes).decode())
                    for key, changes in kept.items()
                )
                transaction.executemany(_KEEP, added)

    def _whose(
        self, run: OldRun, users: Sequence[str]
    ) -> dict[tuple[str, str, int], list[KeptChange]]:
        """What is to be kept of these users, by job, user, and number of the run that wrote it."""
        back: dict[str, list[KeptChange]] = {}
        for user, attributes in rows_of_users(
            self._database, _LEFT, users, run.directory, run.id
        ):
            back.setdefault(user, []).extend(self._changes(attributes))
        wrote = [
            row
            for row in rows_of_users(self._database, _KEPT, users, run.directory)
            if row[2] != run.number
        ]
        if run.kind == "apply":
            wrote += rows_of_users(self._database, _WROTE, users, run.id)
        ours = {
            (row.job, row.user.id): row.attributes
            for row in Ownership(self._database, run.directory).of(users)
        }
        kept: dict[tuple[str, str, int], list[KeptChange]] = {}
        for job, user, number, attributes in wrote:
            olds, owned = back.get(user, ()), ours.get((job, user), {})
            found = [
                each
                for each in self._changes(attributes)
                if _puts_back(olds, each) or _stands(owned, each)
            ]
            if found:
                without_old = (
                    KeptChange(
                        each.name, new=each.new, secret=each.secret, sent=each.sent
                    )
                    for each in found
                )
                kept.setdefault((job, user, number), []).extend(without_old)
        return kept

    def _changes(self, attributes: str) -> list[KeptChange]:
        with sound(self._database, "the journal of a run"):
            return json.decode(attributes, type=list[KeptChange])


def _puts_back(back: Iterable[KeptChange], wrote: KeptChange) -> bool:
    """Whether an undo of one of these changes may put back what was written; rather once too often."""
    if wrote.secret is not None:
        return bool(wrote.secret) and any(
            each.name == wrote.name and each.sealed for each in back
        )
    new = _loosely(wrote)
    return bool(new) and any(
        each.name == wrote.name and _loosely(each, old=True) == new for each in back
    )


def _stands(owned: Mapping[str, Owned], wrote: KeptChange) -> bool:
    """Whether what was written is what the job owns there now, by whichever equality rule."""
    found = next(
        (each for name, each in owned.items() if name.lower() == wrote.name.lower()),
        None,
    )
    if found is None or found.restored:
        return False
    if wrote.secret is not None:
        return bool(wrote.secret) and wrote.secret == found.fingerprint
    ours, new = set(found.values), held(wrote.new)
    return bool(ours) and any(
        ours <= {equality.digest(rule, value) for value in new} for rule in Equality
    )


def _loosely(change: KeptChange, *, old: bool = False) -> frozenset[Value]:
    """Values without what some equality rule passes over; which rule holds, only the directory tells."""
    values = map(equality.plain, held(change.old if old else change.new))
    return frozenset(
        each if isinstance(each, bytes) else _INDIFFERENT.sub("", each).casefold()
        for each in values
    )

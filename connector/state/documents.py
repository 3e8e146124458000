"""Plans that a state keeps: saved ones, a fleet's, and what later plans and sibling jobs need to know of them.

A plan of one machine waits in a file, and so does its report. The workers of a fleet share
nothing but the state, which keeps both.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct, json
from msgspec.structs import replace

from connector.errors import RefusedError, StateError
from connector.model import EarlierPlan, Outcome, Plan, SiblingPlan
from connector.model.digests import make_readable
from connector.reports.document import parse_plan, parse_report, render
from connector.runtime.clock import format_now
from connector.state.database import (
    Database,
    Transaction,
    decode_kept,
    encode_text,
    find_column,
    find_value,
    reading_kept,
    write_one,
)
from connector.state.history import NEXT, UNDOS

KEPT: Final = 20
"""Of so many runs and attempts of a job the plan is kept, as far as it had changes."""
_DOCUMENT: Final = (
    "select id, kind, digest, octets, coalesce((select directory from documents as saved "
    "where saved.kind = 'saved' and saved.job = documents.job and saved.id = documents.id), '') "
    "from documents where job = ? and kind in ('plan', 'report')"
)
_PUT: Final = """
    insert into documents
    (kind, job, id, directory, created, digest, content, octets, undoes, number)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (kind, job, id) do update set
        directory = excluded.directory, created = excluded.created, digest = excluded.digest,
        content = excluded.content, octets = excluded.octets, undoes = excluded.undoes,
        number = excluded.number
"""
WITHDRAW: Final = "delete from documents where job = ? and kind = 'plan'"


# ------------------------------------------------------------ documents of a fleet's runs


class KeptDocument(Struct, frozen=True):
    """The document of a plan, as it waits, or with the outcomes of its apply: a report."""

    id: str
    kind: Literal["plan", "report"]
    digest: str
    octets: bytes
    directory: str = ""
    """For which it was saved; empty where the state does not know that plan any more."""


class FleetDocuments:
    """The documents of all jobs. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_waiting(self, job: str) -> KeptDocument | None:
        """The plan of a job that waits; None: there is none."""
        unspent = "id not in (select id from runs where result in ('done', 'part'))"
        return next(
            self._read_rows(f"{_DOCUMENT} and kind = 'plan' and {unspent}", job), None
        )

    def find_document(self, job: str, id_: str) -> KeptDocument | None:
        """The document with this id, a plan or a report; None: the job has none."""
        return next(self._read_rows(f"{_DOCUMENT} and id = ?", job, id_), None)

    def read_all(self, job: str) -> Iterator[KeptDocument]:
        """All documents of a job, one after the other: they may be large."""
        for id_ in find_column(
            self._database,
            "select id from documents where job = ? and kind in ('plan', 'report') order by id",
            job,
        ):
            yield from self._read_rows(f"{_DOCUMENT} and id = ?", job, id_)

    def keep_document(
        self, kind: Literal["plan", "report"], plan: Plan, octets: bytes
    ) -> None:
        """Keep a plan, which waits in place of the job's plan before, or the report of its apply in place of it.

        Raises StateError also where another process keeps a plan of this job at the same time.
        """
        with self._database.writing() as transaction:
            if kind == "plan":
                transaction.execute(WITHDRAW, (plan.job,))
            else:
                transaction.execute(f"{WITHDRAW} and id = ?", (plan.job, plan.id))
            what = ("", plan.created, plan.digest, "", zlib.compress(octets))
            transaction.execute(_PUT, (kind, plan.job, plan.id, *what, None, 0))

    def withdraw_plan(self, job: str, plan: str | None = None) -> None:
        """No plan of this job waits any more; or this one does not, and no apply takes it."""
        if plan is None:
            write_one(self._database, WITHDRAW, job)
        else:
            write_one(
                self._database,
                "delete from documents where job = ? and id = ? and kind in ('plan', 'saved')",
                job,
                plan,
            )

    def read_plan(self, document: KeptDocument) -> Plan:
        """The plan of a document, as `planfile.load_plan` gives it."""
        with reading_kept(self._database, "a kept document"):
            return parse_plan(document.octets)

    def find_report(
        self, job: str, run: str
    ) -> tuple[Plan, tuple[Outcome, ...] | None] | None:
        """The report of a run, as `planfile.load_report` gives it; None: none is kept."""
        document = self.find_document(job, run)
        if document is None or document.kind != "report":
            return None
        with reading_kept(self._database, "a kept document"):
            return parse_report(document.octets)

    def _read_rows(self, query: str, *values: str) -> Iterator[KeptDocument]:
        for id_, kind, digest, octets, directory in self._database.rows(query, *values):
            with reading_kept(self._database, "a kept document"):
                whole = zlib.decompress(octets)
            yield KeptDocument(id_, kind, digest, whole, directory)


DocumentKey = tuple[str, str, str]
"""The kind, the job, and an id: of a plan, of a run, or by whom it was drawn."""


def read_texts(content: str | bytes) -> Iterator[str]:
    """Every text of a document in JSON, also the names of its members. Raises ValueError."""
    waiting: list[object] = [json.decode(content)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


# ------------------------------------------------------------ plans that were saved for a reviewer


Named = tuple[str | tuple[str, str], ...]
"""Whom a saved plan names: users that it would change by id and name, all others by name."""


class SavedPlans:
    """The plans that were saved for reviewers. All of its methods raise StateError."""

    _database: Database

    def keep_saved_plan(
        self, plan: Plan, directory: str, undoes: str | None = None
    ) -> None:
        """Note that this plan is saved for a reviewer, so that it is known again. `undoes`: the run it takes back.

        Runs that begin later have its number or a higher one.
        """
        if not self._database.kept:
            raise StateError(
                "a saved plan needs a state, and no state can be kept here",
                where="--save",
            )
        with self._database.writing() as transaction:
            number = find_value(self._database, f"select {NEXT}")
            named = encode_text(_find_named(plan))
            what = (directory, format_now(), _make_seal(plan), named, None)
            row = ("saved", plan.job, plan.id, *what, undoes, number)
            transaction.execute(_PUT, row)

    def permit_plan(
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
        rows = self._database.rows(
            "select job, directory, digest, undoes, number from documents where kind = 'saved' and id = ?",
            plan.id,
        )
        if not rows:
            raise RefusedError(
                "this plan is foreign: it is not in the state of this job",
                where=plan.id,
            )
        ((its_job, its_directory, seal, taken_back, number),) = rows
        why = ""
        if (its_job, its_directory) != (job, directory):
            why = f"this plan is foreign: it was made by the job {its_job} for the directory {its_directory}"
        elif taken_back != undoes:
            its = f"`undo {taken_back}`" if taken_back else "`apply`"
            why = f"this plan is for {its}. Use that command, or make a new plan"
        elif seal != _make_seal(plan):
            why = "this plan was changed after it was saved"
        elif octets is not None and hashlib.sha256(octets).hexdigest() != seal:
            why = "this file was changed after it was saved"
        why = why or self._find_spent(plan, number)
        if why:
            raise RefusedError(why, where=plan.id)

    def _find_spent(self, plan: Plan, number: int) -> str:
        """Why a plan is spent; empty: it is not."""
        rows = self._database.rows
        for (back,) in rows("select id from runs where undoes = ?", plan.id):
            return f"this plan is spent: it was applied, then undone by run {back}"
        for (ended,) in rows(
            "select ended from runs where id = ? and result in ('done', 'part')",
            plan.id,
        ):
            return f"this plan is spent: it was applied; that run ended at {ended}"
        for undo, run, _ in rows(
            f"{UNDOS} and number >= ? and id <> ?", plan.job, number, plan.id
        ):
            return f"this plan is spent: undo {undo} took back run {run} since it was made, and it may bring that back"
        return ""


def read_saved_plans(database: Database, job: str) -> Iterator[tuple[str, Named]]:
    """The saved plans of a job, by their ids, each with whom it names."""
    for id_, users in database.rows(
        "select id, content from documents where kind = 'saved' and job = ? order by id",
        job,
    ):
        yield id_, decode_kept(database, users, Named, "a saved plan")


def _find_named(plan: Plan) -> Named:
    changed = {
        (make_readable(change.user.id), make_readable(change.user.name))
        for change in plan.changes
    }
    others = set[str]()
    for problem in plan.problems:
        others.update(map(make_readable, problem.users))
        others.update(make_readable(near.user) for near in problem.near)
    return (*sorted(changed), *sorted(others))


def _make_seal(plan: Plan) -> str:
    """The SHA-256 of its document, in hexadecimal digits: over all that a reviewer reads in a saved plan."""
    seal = hashlib.sha256()
    for text in render(plan):
        seal.update(text.encode("utf-8", "backslashreplace"))
    return seal.hexdigest()


# ------------------------------------------------------------ what later plans are compared with


class DrawnPlans:
    """Earlier plans of a job, as far as later ones are compared with them. All of its methods raise StateError.

    `by`: who has them drawn: people (empty), or `serve`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_last(self, job: str, by: str = "") -> EarlierPlan:
        """The last full plan; an empty one where there was none."""
        return self._read_drawn("drawn", job, by) or EarlierPlan()

    def find_unwritten(self, job: str, by: str) -> EarlierPlan:
        """The last full plan without the changes that runs of this job have written since."""
        found = self.find_last(job, by)
        if not found.changes:
            return found
        rows = self._database.rows(
            "select user_id, journal.digest from journal join runs on runs.id = run where job = ? "
            "and coalesce(ended, started) >= ? and part = '' and outcome in ('written', 'unchanged')",
            job,
            found.created,
        )
        written = {(make_readable(user), digest) for user, digest in rows}
        left = [each for each in found.changes if tuple(each) not in written]
        return replace(found, changes=left)

    def note_last(self, job: str, drawn: EarlierPlan, by: str = "") -> None:
        """Keep the last full plan in place of the one before."""
        with self._database.writing() as transaction:
            put_drawn(transaction, ("drawn", job, by), drawn)

    def find_of_run(self, job: str, run: str) -> EarlierPlan | None:
        """The plan of a run or attempt, by its id; None: it is not kept."""
        return self._read_drawn("run", job, run)

    def note_run(self, job: str, run: str, drawn: EarlierPlan) -> None:
        """Keep the plan of a run or attempt; those of the oldest ones are forgotten."""
        with self._database.writing() as transaction:
            if self.find_of_run(job, run) is None:
                number = find_value(
                    self._database,
                    "select coalesce(max(number), 0) + 1 from documents where kind = 'run'",
                )
                put_drawn(transaction, ("run", job, run), drawn, number)
                transaction.execute(
                    "delete from documents where kind = 'run' and job = ? and number not in "
                    "(select number from documents where kind = 'run' and job = ? order by number desc limit ?)",
                    (job, job, KEPT),
                )

    def _read_drawn(self, kind: str, job: str, id_: str) -> EarlierPlan | None:
        found = read_drawn(self._database, job, kind, id_)
        return next((drawn for *_, drawn in found), None)


# ------------------------------------------------------------ what siblings are told


_MATCHED: Final = "matched"
"""The kind of what a job's last full plan says of its agents."""


class AgentPlans:
    """What the last full plan of each job says of its agents. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_plan(self, plan: SiblingPlan) -> None:
        """Keep it in place of the one before."""
        said = encode_text(plan)
        row = (_MATCHED, plan.job, "", "", plan.created, "", said, None, None, 0)
        with self._database.writing() as transaction:
            transaction.execute(_PUT, row)

    def find_plan(self, job: str) -> SiblingPlan | None:
        """What that job's last full plan says; None: the state has none."""
        content = find_value(
            self._database,
            "select content from documents where kind = ? and job = ?",
            _MATCHED,
            job,
        )
        if content is None:
            return None
        return decode_kept(self._database, content, SiblingPlan, "a plan for siblings")


def put_drawn(
    transaction: Transaction, key: DocumentKey, drawn: EarlierPlan, number: int = 0
) -> None:
    """Keep what later plans are compared with; `number` orders those of runs."""
    content = encode_text(drawn)
    row = (*key, "", drawn.created, "", content, None, None, number)
    transaction.execute(_PUT, row)


def read_drawn(
    database: Database, job: str, *named: str
) -> Iterator[tuple[DocumentKey, int, EarlierPlan]]:
    """What later plans of a job are compared with, each with its number; of `named` kind and id alone."""
    query = (
        "select kind, id, number, content from documents "
        "where job = ? and kind in ('drawn', 'run')"
    )
    if named:
        query += " and kind = ? and id = ?"
    for kind, id_, number, plan in database.rows(query, job, *named):
        drawn = decode_kept(database, plan, EarlierPlan, "an earlier plan")
        yield (kind, job, id_), number, drawn

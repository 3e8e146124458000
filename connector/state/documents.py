"""Plans that a state keeps: those that were saved for reviewers, a fleet's, and what later ones are compared with.

A plan of one machine waits in a file, and so does its report. The workers of a fleet share
nothing but the state, which keeps both.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct, json
from msgspec.structs import astuple, replace

from connector.errors import DamagedError, RefusedError
from connector.model import Drawn, Plan
from connector.model.digests import HINTS, readable
from connector.runtime.clock import stamp
from connector.state.database import Database, Transaction, sound
from connector.state.history import NEXT, UNDOS

KEPT: Final = 20
"""Of so many runs and attempts of a job the plan is kept, as far as it had changes."""
_DOCUMENT: Final = (
    "select id, kind, digest, created, octets, coalesce((select directory from documents as saved "
    "where saved.kind = 'saved' and saved.job = documents.job and saved.id = documents.id), '') "
    "from documents where job = ? and kind in ('plan', 'report')"
)
_SPENT: Final = "select id from runs where result in ('done', 'part')"
"""Plans that no apply may write again."""
WITHDRAW: Final = "delete from documents where job = ? and kind = 'plan'"
_WRITTEN: Final = (
    "select user_id, journal.digest from journal join runs on runs.id = run where job = ? "
    "and coalesce(ended, started) >= ? and part = '' and outcome in ('written', 'unchanged')"
)
_NEXT_NUMBER: Final = (
    "select coalesce(max(number), 0) + 1 from documents where kind = 'run'"
)
_FORGET_RUNS: Final = (
    "delete from documents where kind = 'run' and job = ? and number not in "
    "(select number from documents where kind = 'run' and job = ? order by number desc limit ?)"
)


# ------------------------------------------------------------ documents of a fleet's runs


class Document(Struct, frozen=True):
    """The document of a plan, as it waits, or with the outcomes of its apply: a report."""

    id: str
    kind: Literal["plan", "report"]
    digest: str
    created: str
    octets: bytes
    directory: str = ""
    """For which it was saved; empty where the state does not know that plan any more."""


class Documents:
    """The documents of all jobs. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, job: str) -> Document | None:
        """The plan of a job that waits; None: there is none."""
        query = f"{_DOCUMENT} and kind = 'plan' and id not in ({_SPENT})"
        return next(self._read_rows(query, job), None)

    def named(self, job: str, id_: str) -> Document | None:
        """The document with this id, a plan or a report; None: the job has none."""
        return next(self._read_rows(f"{_DOCUMENT} and id = ?", job, id_), None)

    def every(self, job: str) -> Iterator[Document]:
        """All documents of a job, one after the other: they may be large."""
        query = "select id from documents where job = ? and kind in ('plan', 'report') order by id"
        for (id_,) in self._database.rows(query, job):
            yield from self._read_rows(f"{_DOCUMENT} and id = ?", job, id_)

    def keep(self, plan: Plan, octets: bytes) -> None:
        """Keep the document of a plan. It waits in place of the job's plan before.

        Raises StateError also where another process keeps one of this job at the same time.
        """
        with self._database.writing() as transaction:
            transaction.execute(WITHDRAW, (plan.job,))
            self._put_octets(transaction, "plan", plan, octets)

    def keep_report(self, plan: Plan, octets: bytes) -> None:
        """Keep the report of an apply in place of its plan's document."""
        with self._database.writing() as transaction:
            transaction.execute(f"{WITHDRAW} and id = ?", (plan.job, plan.id))
            self._put_octets(transaction, "report", plan, octets)

    def withdraw(self, job: str, plan: str | None = None) -> None:
        """No plan of this job waits any more; or this one does not, and no apply takes it."""
        with self._database.writing() as transaction:
            if plan is None:
                transaction.execute(WITHDRAW, (job,))
            else:
                gone = "delete from documents where job = ? and id = ? and kind in ('plan', 'saved')"
                transaction.execute(gone, (job, plan))

    def read(self, document: Document) -> Plan:
        """The plan of a document, as `planfile.load` gives it."""
        from connector.reports.document import parse  # noqa: PLC0415  # only a fleet's runs need it

        with sound(self._database, "a kept document"):
            return parse(document.octets)

    def _put_octets(
        self, transaction: Transaction, kind: str, plan: Plan, octets: bytes
    ) -> None:
        transaction.put(
            "documents",
            kind=kind,
            job=plan.job,
            id=plan.id,
            directory="",
            created=plan.created,
            digest=plan.digest,
            content="",
            octets=zlib.compress(octets),
            number=0,
        )

    def _read_rows(self, query: str, *values: str) -> Iterator[Document]:
        for id_, kind, digest, created, octets, directory in self._database.rows(
            query, *values
        ):
            try:
                whole = zlib.decompress(octets)
                yield Document(id_, kind, digest, created, whole, directory)
            except (zlib.error, TypeError):
                why = "the state is damaged: a kept document cannot be read"
                raise DamagedError(why, where=self._database.where) from None


def read_texts(document: Document) -> Iterator[str]:
    """Every text of a document, also the names of its members. Raises ValueError."""
    waiting: list[object] = [json.decode(document.octets)]
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


def note_saved_plan(
    database: Database,
    plan: Plan,
    directory: str,
    *,
    undoes: str | None,
    file: str | None,
) -> None:
    """Note a saved plan. Runs that begin later have its number or a higher one."""
    named = map(readable, _users_of_problems(plan))
    users: Named = (*_changed_users(plan), *sorted(named))
    with database.writing() as transaction:
        ((number,),) = database.rows(f"select {NEXT}")
        transaction.put(
            "documents",
            kind="saved",
            job=plan.job,
            id=plan.id,
            directory=directory,
            created=stamp(),
            digest=_make_seal(plan),
            content=json.encode(users).decode(),
            file=file,
            undoes=undoes,
            number=number,
        )


def read_saved_plans(database: Database, job: str) -> Iterator[tuple[str, Named]]:
    """The saved plans of a job, by their ids, each with whom it names."""
    query = (
        "select id, content from documents where kind = 'saved' and job = ? order by id"
    )
    for id_, users in database.rows(query, job):
        with sound(database, "a saved plan"):
            yield id_, json.decode(users, type=Named)


def permit_plan(
    database: Database,
    plan: Plan,
    job: str,
    directory: str,
    *,
    undoes: str | None,
    octets: bytes | None,
) -> None:
    """Raises RefusedError for a plan that this job may not apply."""
    why = _find_objection(database, plan, (job, directory), undoes, octets)
    if why:
        raise RefusedError(why, where=plan.id)


def _find_objection(
    database: Database,
    plan: Plan,
    place: tuple[str, str],
    undoes: str | None,
    octets: bytes | None,
) -> str:
    """Why this job may not apply a plan; empty: it may."""
    query = "select job, directory, digest, file, undoes, number from documents where kind = 'saved' and id = ?"
    found = database.rows(query, plan.id)
    if not found:
        return "this plan is foreign: it is not in the state of this job"
    ((its_job, its_directory, seal, file, taken_back, number),) = found
    if (its_job, its_directory) != place:
        return f"this plan is foreign: it was made by the job {its_job} for the directory {its_directory}"
    if taken_back != undoes:
        its = f"`undo {taken_back}`" if taken_back else "`apply`"
        return f"this plan is for {its}. Use that command, or make a new plan"
    if seal != _make_seal(plan):
        return "this plan was changed after it was saved"
    if octets is None or hashlib.sha256(octets).hexdigest() == file:
        return _reason_it_is_spent(database, plan, number)
    older = "an older version saved this plan, and did not note the octets of its file. Make a new plan"
    return "this file was changed after it was saved" if file else older


def _reason_it_is_spent(database: Database, plan: Plan, number: int) -> str:
    for (back,) in database.rows("select id from runs where undoes = ?", plan.id):
        return f"this plan is spent: it was applied, then undone by run {back}"
    spent = "select ended from runs where id = ? and result in ('done', 'part')"
    for (ended,) in database.rows(spent, plan.id):
        return f"this plan is spent: it was applied; that run ended at {ended}"
    undone = f"{UNDOS} and number >= ? and id <> ?"
    for undo, run, _ in database.rows(undone, plan.job, number, plan.id):
        return f"this plan is spent: undo {undo} took back run {run} since it was made, and it may bring that back"
    return ""


def _changed_users(plan: Plan) -> list[tuple[str, str]]:
    """The users that a plan changes, by id and name."""
    users = (change.user for change in plan.changes)
    return sorted({(readable(user.id), readable(user.name)) for user in users})


def _users_of_problems(plan: Plan) -> set[str]:
    """The users that a plan names in its problems."""
    names = set[str]()
    for problem in plan.problems:
        names.update(problem.users)
        names.update(near.user for near in problem.near)
    return names


def _make_seal(plan: Plan) -> str:
    """Over all that a reviewer reads in a saved plan: the digest, and what is not in it; spelt as in its document."""
    problems = plan.problems
    near = [[*map(readable, astuple(each))] for one in problems for each in one.near]
    hints = [readable(one.why) for one in problems if one.kind in HINTS]
    about = [(readable(place), readable(what)) for place, what in plan.about]
    identity = [plan.id, plan.digest, readable(plan.job), plan.created, about]
    body = json.encode([*identity, *sorted(near), *sorted(hints)])
    changes = [
        (
            readable(change.user.id),
            [each.form or "" for each in change.attributes],
            change.inactive,
        )
        for change in plan.changes
    ]
    people = [
        (readable(user), readable(one)) for user, one in plan.notes.people.items()
    ]
    only = [*map(readable, plan.notes.only)]
    body += json.encode(
        [sorted(changes), sorted(people), plan.notes.lost, plan.notes.since, only]
    )
    return hashlib.sha256(body).hexdigest()


# ------------------------------------------------------------ what later plans are compared with


DrawnKey = tuple[str, str, str]
"""The kind (`drawn`, `run`), the job, and by whom it was drawn, or the run's id."""


class DrawnPlans:
    """Earlier plans of a job, as far as later ones are compared with them. All of its methods raise StateError.

    `by`: who has them drawn: people (empty), or `serve`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, job: str, by: str = "") -> Drawn:
        """The last full plan; an empty one where there was none."""
        return self._read("drawn", job, by) or Drawn()

    def left(self, job: str, by: str) -> Drawn:
        """The last full plan without the changes that runs of this job have written since."""
        found = self.last(job, by)
        if not found.changes:
            return found
        rows = self._database.rows(_WRITTEN, job, found.created)
        written = {(readable(user), digest) for user, digest in rows}
        left = [each for each in found.changes if tuple(each) not in written]
        return replace(found, changes=left)

    def note(self, job: str, drawn: Drawn, by: str = "") -> None:
        """Keep the last full plan in place of the one before."""
        with self._database.writing() as transaction:
            put_drawn(transaction, ("drawn", job, by), drawn)

    def of_run(self, job: str, run: str) -> Drawn | None:
        """The plan of a run or attempt, by its id; None: it is not kept."""
        return self._read("run", job, run)

    def note_run(self, job: str, run: str, drawn: Drawn) -> None:
        """Keep the plan of a run or attempt; those of the oldest ones are forgotten."""
        with self._database.writing() as transaction:
            if self.of_run(job, run) is None:
                ((number,),) = self._database.rows(_NEXT_NUMBER)
                put_drawn(transaction, ("run", job, run), drawn, number)
                transaction.execute(_FORGET_RUNS, (job, job, KEPT))

    def _read(self, kind: str, job: str, id_: str) -> Drawn | None:
        found = read_drawn(self._database, job, kind, id_)
        return next((drawn for *_, drawn in found), None)


def put_drawn(
    transaction: Transaction, key: DrawnKey, drawn: Drawn, number: int = 0
) -> None:
    """Keep what later plans are compared with; `number` orders those of runs."""
    kind, job, id_ = key
    transaction.put(
        "documents",
        kind=kind,
        job=job,
        id=id_,
        directory="",
        created=drawn.created,
        digest="",
        content=json.encode(drawn).decode(),
        number=number,
    )


def read_drawn(
    database: Database, job: str, *named: str
) -> Iterator[tuple[DrawnKey, int, Drawn]]:
    """What later plans of a job are compared with, each with its number; of `named` kind and id alone."""
    query = (
        "select kind, id, number, content from documents "
        "where job = ? and kind in ('drawn', 'run')"
    )
    if named:
        query += " and kind = ? and id = ?"
    for kind, id_, number, plan in database.rows(query, job, *named):
        with sound(database, "an earlier plan"):
            drawn = json.decode(plan, type=Drawn)
        yield (kind, job, id_), number, drawn

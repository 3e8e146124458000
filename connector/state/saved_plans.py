"""Plans that were saved for a reviewer: by what each is known again, and whether it may be applied."""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import json
from msgspec.structs import astuple

from connector.errors import RefusedError
from connector.model import Plan
from connector.reconcile.digests import HINTS, readable
from connector.runtime.clock import stamp
from connector.state.attempts import NEXT
from connector.state.database import Database
from connector.state.history import UNDOS

_KEEP: Final = (
    "insert into plans (id, job, directory, digest, seal, saved, users, undoes, file, number) "  # noqa: S608  # `NEXT` is a literal; values are bound
    f"values (?, ?, ?, ?, ?, ?, ?, ?, ?, {NEXT})"
)


def keep(
    database: Database,
    plan: Plan,
    directory: str,
    *,
    undoes: str | None,
    file: str | None,
) -> None:
    """Note a saved plan."""
    users = json.encode(
        [*_changed(plan), *sorted(map(readable, _named(plan)))]
    ).decode()
    seal = _seal(plan, whole=file is not None)
    with database.writing() as transaction:
        transaction.execute(
            _KEEP,
            (
                plan.id,
                plan.job,
                directory,
                plan.digest,
                seal,
                stamp(),
                users,
                undoes,
                file,
            ),
        )


def permit(
    database: Database,
    plan: Plan,
    job: str,
    directory: str,
    *,
    undoes: str | None,
    octets: bytes | None,
) -> None:
    """Raises RefusedError for a plan that this job may not apply."""
    found = database.rows(
        "select job, directory, seal, undoes, file, number from plans where id = ?",
        plan.id,
    )
    if not found:
        raise RefusedError(
            "this plan is foreign: it is not in the state of this job", where=plan.id
        )
    ((its_job, its_directory, seal, taken_back, file, number),) = found
    if its_job != job or its_directory != directory:
        why = f"this plan is foreign: it was made by the job {its_job} for the directory {its_directory}"
        raise RefusedError(why, where=plan.id)
    if taken_back != undoes:
        its = f"is for `undo {taken_back}`" if taken_back else "is for `apply`"
        raise RefusedError(
            f"this plan {its}. Use that command, or make a new plan", where=plan.id
        )
    if seal != _seal(plan, whole=file is not None):
        raise RefusedError("this plan was changed after it was saved", where=plan.id)
    if octets is not None and file is None:
        why = "an older version saved this plan, and did not note the octets of its file. Make a new plan"
        raise RefusedError(why, where=plan.id)
    if octets is not None and hashlib.sha256(octets).hexdigest() != file:
        raise RefusedError("this file was changed after it was saved", where=plan.id)
    for (back,) in database.rows("select id from runs where undoes = ?", plan.id):
        raise RefusedError(
            f"this plan is spent: it was applied, then undone by run {back}",
            where=plan.id,
        )
    spent = "select ended from runs where id = ? and result in ('done', 'part')"
    for (ended,) in database.rows(spent, plan.id):
        raise RefusedError(
            f"this plan is spent: it was applied; that run ended at {ended}",
            where=plan.id,
        )
    for undo, run, _ in database.rows(
        f"{UNDOS} and number >= ? and id <> ?", job, number, plan.id
    ):
        why = f"this plan is spent: undo {undo} took back run {run} since it was made, and it may bring that back"
        raise RefusedError(why, where=plan.id)


def _changed(plan: Plan) -> list[tuple[str, str]]:
    """The users that a plan changes, by id and name."""
    return sorted(
        {
            (readable(change.user.id), readable(change.user.name))
            for change in plan.changes
        }
    )


def _named(plan: Plan) -> set[str]:
    """The users that a plan names in its problems."""
    return {
        name
        for problem in plan.problems
        for name in (
            *problem.users,
            *(near.user for near in problem.near),
        )
    }


def _seal(plan: Plan, *, whole: bool) -> str:
    """Over all that a reviewer reads in a saved plan: the digest, and what is not in it.

    Not `whole`: as versions sealed it that did not note the octets of the file.
    """
    # as its document spells it
    about = [(readable(place), readable(what)) for place, what in plan.about]
    near = sorted(
        [*map(readable, astuple(each))]
        for problem in plan.problems
        for each in problem.near
    )
    hints = sorted(
        readable(problem.why) for problem in plan.problems if problem.kind in HINTS
    )
    body = json.encode(
        [
            plan.id,
            plan.digest,
            readable(plan.job),
            plan.created,
            about,
            *near,
            *hints,
        ]
    )
    if whole:
        changes = sorted(
            (
                readable(change.user.id),
                [each.form or "" for each in change.attributes],
                change.inactive,
            )
            for change in plan.changes
        )
        people = sorted(
            (readable(user), readable(person)) for user, person in plan.people.items()
        )
        body += json.encode(
            [changes, people, plan.lost, plan.since, [*map(readable, plan.only)]]
        )
    return hashlib.sha256(body).hexdigest()

"""Attempts to apply or undo that failed or were refused before they became a run: they wrote nothing.

Each has an id of its own, also where it was to go by a saved plan, which it does not spend.
While another run held the directory there was no attempt; so there was none where the
command line was wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from msgspec import Struct

from connector.errors import (
    BusyError,
    ConnectorError,
    RefusedError,
    StateError,
    UsageError,
)
from connector.model import Plan
from connector.runtime.clock import stamp
from connector.state.database import Database

KEPT: Final = 500
"""So many attempts of a job are kept: `serve` may fail every few minutes for weeks."""
NEXT: Final = (
    "(select coalesce(max(number), 0) + 1 from "
    "(select number from runs union all select number from attempts union all select number from releases) as numbered)"
)
"""The number of the next run or attempt, which orders them."""
_INSERT: Final = (
    "insert into attempts (job, id, kind, plan, undoes, started, ended, digest, result, why, number) "
    "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, " + NEXT + ") on conflict (id) do nothing"
)
_FORGET: Final = (
    "delete from attempts where job = ? and number not in "
    "(select number from attempts where job = ? order by number desc limit ?)"
)


class Attempt(Struct, frozen=True):
    """What somebody sets out to do: to apply, perhaps a saved `plan`, or to undo a run."""

    kind: str = "apply"
    plan: str | None = None
    undoes: str | None = None


class Attempts:
    """Keeps the attempt of this process. `begun`: it has become a run, which has a record of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempt: Attempt | None = None
        self._job = self._id = self._started = ""
        self.begun = False

    @contextmanager
    def of(self, job: str, id_: str, attempt: Attempt) -> Iterator[None]:
        """An attempt, until it ends. It may end in any exception."""
        self._attempt, self._job, self._id, self._started = attempt, job, id_, stamp()
        try:
            yield
        except (BusyError, UsageError):
            raise
        except BaseException as fault:
            with suppress(StateError):  # the fault is told, here or not
                self._note(
                    "refused" if isinstance(fault, RefusedError) else "failed",
                    _said(fault),
                )
            raise

    def refused(self, plan: Plan) -> str:
        """Its plan is refused, and nobody has accepted that; or another was accepted. Raises StateError.

        The id of the attempt is that of the plan that was shown, but for a saved one, which
        is not spent.
        """
        if self._attempt and not self._attempt.plan:
            self._id = plan.id
        why = "; ".join(f"{each.limit}: {each.why}" for each in plan.refusals)
        self._note(
            "refused", why or "the accepted digest is that of another plan", plan.digest
        )
        return self._id

    def _note(self, result: str, why: str, digest: str = "") -> None:
        if self.begun or not self._attempt:
            return
        made = self._attempt
        row = (
            self._job,
            self._id,
            made.kind,
            made.plan,
            made.undoes,
            self._started,
            stamp(),
            digest,
            result,
            why,
        )
        with self._database.writing() as transaction:
            transaction.execute(_INSERT, row)
            transaction.execute(_FORGET, (self._job, self._job, KEPT))


def _said(fault: BaseException) -> str:
    """What ended it; of what is no fault that a user can meet the type alone, for its message may hold a value."""
    if isinstance(fault, ConnectorError):
        return str(fault)
    return (
        "stopped by a signal"
        if isinstance(fault, KeyboardInterrupt)
        else f"unexpected {type(fault).__name__}"
    )

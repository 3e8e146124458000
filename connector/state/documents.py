"""Documents of a fleet's runs: of each job the plan that waits for people or its apply, and the reports of its applies.

A plan of one machine waits in a file, and so does its report. The workers of a fleet share
nothing but the state.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from connector.errors import DamagedError
from connector.model import Plan
from connector.state.database import Database, sound

_COLUMNS: Final = (
    "select id, kind, digest, created, octets, "
    "coalesce((select directory from plans where plans.id = documents.id), '') from documents where job = ?"
)
SPENT: Final = "select id from runs where result in ('done', 'part')"
"""Plans that no apply may write again."""


class Document(Struct, frozen=True):
    """The document of a plan, as it waits, or with the outcomes of its apply: a report.

    `directory`: for which it was saved; empty where the state does not know that plan any more.
    """

    id: str
    kind: Literal["plan", "report"]
    digest: str
    created: str
    octets: bytes
    directory: str = ""


class Documents:
    """The documents of all jobs. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, job: str) -> Document | None:
        """The plan of a job that waits; None: there is none."""
        return next(
            self._found(f"{_COLUMNS} and kind = 'plan' and id not in ({SPENT})", job),
            None,
        )

    def named(self, job: str, id_: str) -> Document | None:
        """The document with this id, a plan or a report; None: the job has none."""
        return next(self._found(f"{_COLUMNS} and id = ?", job, id_), None)

    def every(self, job: str) -> Iterator[Document]:
        """All documents of a job, one after the other: they may be large."""
        for (id_,) in self._database.rows(
            "select id from documents where job = ? order by id", job
        ):
            yield from self._found(f"{_COLUMNS} and id = ?", job, id_)

    def keep(self, plan: Plan, octets: bytes) -> None:
        """Keep the document of a plan. It waits in place of the job's plan before.

        Raises StateError also where another process keeps one of this job at the same time.
        """
        self._put(plan, "plan", octets)

    def keep_report(self, plan: Plan, octets: bytes) -> None:
        """Keep the report of an apply in place of its plan's document."""
        self._put(plan, "report", octets)

    def withdraw(self, job: str, plan: str | None = None) -> None:
        """No plan of this job waits any more; or this one does not, and no apply takes it."""
        with self._database.writing() as transaction:
            if plan is None:
                transaction.execute(
                    "delete from documents where job = ? and kind = 'plan'", (job,)
                )
            else:
                transaction.execute(
                    "delete from documents where job = ? and kind = 'plan' and id = ?",
                    (job, plan),
                )
                transaction.execute(
                    "delete from plans where job = ? and id = ?", (job, plan)
                )

    def read(self, document: Document) -> Plan:
        """The plan of a document, as `planfile.load` gives it."""
        from connector.reports.document_reader import parse  # noqa: PLC0415  # only a fleet's runs need it

        with sound(self._database, "a kept document"):
            return parse(document.octets)

    def _put(self, plan: Plan, kind: Literal["plan", "report"], octets: bytes) -> None:
        with self._database.writing() as transaction:
            if kind == "plan":
                transaction.execute(
                    "delete from documents where job = ? and kind = 'plan'", (plan.job,)
                )
            transaction.put(
                "documents", id=plan.id, job=plan.job, kind=kind, digest=plan.digest, created=plan.created,
                octets=zlib.compress(octets),
            )  # fmt: skip

    def _found(self, query: str, *values: str) -> Iterator[Document]:
        for id_, kind, digest, created, octets, directory in self._database.rows(
            query, *values
        ):
            try:
                yield Document(
                    id_, kind, digest, created, zlib.decompress(octets), directory
                )
            except (zlib.error, TypeError):
                why = "the state is damaged: a kept document cannot be read"
                raise DamagedError(why, where=self._database.where) from None


def texts(document: Document) -> Iterator[str]:
    """Every text of a document, also the names of its members. Raises ValueError."""
    from msgspec import json  # noqa: PLC0415

    waiting: list[object] = [json.decode(document.octets)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value

"""The lines of a job's audit, from the transaction that makes them until a file certainly has them (law 13).

A line is made in the transaction of what it tells, with its number and the digest of the line
before it. So the state is never behind a file, and there is one chain, whatever is killed:

killed                          the state              the file               the next session
before the commit               has no line            has no line            makes it, once the outcome is known
after the commit                keeps the line         may have it, or half   adds those that the file lacks
after `fsync`, before deletion  keeps the line         has it                 deletes it from the state

The lines that stand in the state are the mark: the file may lack these, and no others. A job
whose audit is no file keeps its lines here, until `state prune` takes out old ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from connector.errors import BusyError
from connector.model import Change, Outcome
from connector.state.database import Database, Ended, Transaction, find_value, write_one

Record = dict[str, Any]
_READ_AT_ONCE: Final = 2000
"""Lines that are read from the state, and handed on, together."""
_LAST_NUMBER: Final = 2**53
"""Every state can keep numbers up to here, and every reader of JSON has them exactly."""

OLD_LINES: Final = (
    "from audit_lines where job = ? and number < coalesce("
    "(select min(number) from audit_lines where job = ? and time >= ?), "
    "(select number from audits where job = ?))"
)
"""The oldest lines of a job, up to the first that is not older than a time, or the last: job, job, time, job."""


class ChainHead(Struct, frozen=True):
    """The last line of a job's audit."""

    number: int = 0
    """Its place in the chain, from 1; 0: there is no line yet."""
    digest: str = ""
    """The SHA-256 of the line, hexadecimal."""


class AuditLine(Struct, frozen=True):
    """One line, as the file and the receiver get it."""

    number: int
    """Its place in the chain of its job, from 1."""
    text: str
    """JSON in ASCII, without the newline."""


class Auditor(Protocol):
    """Makes the records of a session, and takes its lines to the places that the job names."""

    def make_write_record(self, run: str, change: Change, outcome: Outcome) -> Record:
        """The record of an outcome that the journal is about to note."""

    def deliver_lines(self) -> None:
        """Take the lines that were made since to their places. Raises nothing."""

    def secure_lines(self) -> None:
        """See that the file has all that was delivered, and delete it from the state. Raises nothing."""


class AuditLines:
    """The audits of one state. Without a session no line is made. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lease = ExitStack()
        self._auditor: Auditor | None = None
        self._job = ""

    # ------------------------------------------------------------ a session

    def begin_session(self, job: str, auditor: Auditor) -> None:
        """Make lines for this job from now on. One process at a time may do so. Raises BusyError."""
        self.end_session()
        try:
            self._lease.enter_context(self._database.lease(f"the audit of {job}", job))
        except BusyError as fault:
            raise BusyError(
                "another run adds to the audit of this job. Rerun later",
                where=fault.where,
            ) from None
        self._job, self._auditor = job, auditor

    def end_session(self) -> None:
        """Make no more lines, and let other processes do so."""
        self._auditor = None
        self._lease.close()

    def add_outcomes(
        self,
        transaction: Transaction,
        run: str,
        outcomes: Iterable[Ended],
    ) -> None:
        """Make a line for each of these outcomes, in the transaction that notes them."""
        if self._auditor is not None:
            make_record = self._auditor.make_write_record
            self._add_lines(
                transaction,
                [make_record(run, change, outcome) for change, outcome in outcomes],
            )

    def add_record(self, record: Record) -> None:
        """Make a line of a record that tells no outcome."""
        with self._database.writing() as transaction:
            self._add_lines(transaction, [record])

    def _add_lines(self, transaction: Transaction, records: Sequence[Record]) -> None:
        head = self.read_head(self._job)
        rows = []
        for record in records:
            prev = f"sha256:{head.digest}" if head.number else None
            chained = record | {"number": head.number + 1, "prev": prev}
            text = json.dumps(chained, ensure_ascii=True, separators=(",", ":"))
            head = ChainHead(head.number + 1, digest_line(text))
            user = record["user"]["id"] if "user" in record else ""
            rows.append((self._job, head.number, record["time"], user, text))
        if rows:
            transaction.executemany(
                "insert into audit_lines (job, number, time, user_id, line) values (?, ?, ?, ?, ?)",
                rows,
            )
            self._note_head(transaction, head)

    def deliver_made_lines(self) -> None:
        """What was made is durable now: take it to its places. Raises nothing."""
        if self._auditor is not None:
            self._auditor.deliver_lines()

    def secure_made_lines(self) -> None:
        """Make sure of it before a run is said to have ended. Raises nothing."""
        if self._auditor is not None:
            self._auditor.secure_lines()

    def follow_file(self, head: ChainHead) -> None:
        """Go on from the last line of a file: the state is new, and knows no line."""
        with self._database.writing() as transaction:
            self._note_head(transaction, head)

    def _note_head(self, transaction: Transaction, head: ChainHead) -> None:
        transaction.execute(
            "insert into audits (job, number, digest) values (?, ?, ?) "
            "on conflict (job) do update set number = excluded.number, digest = excluded.digest",
            (self._job, head.number, head.digest),
        )

    def delete_lines(self, last: int) -> None:
        """Let go of the lines up to this number: the file has them."""
        write_one(
            self._database,
            "delete from audit_lines where job = ? and number <= ?",
            self._job,
            last,
        )

    # ------------------------------------------------------------ what is kept

    def read_head(self, job: str) -> ChainHead:
        """The last line that was made for this job."""
        for number, digest in self._database.rows(
            "select number, digest from audits where job = ?", job
        ):
            return ChainHead(number, digest)
        return ChainHead()

    def read_lines(self, job: str, after: int = 0) -> Iterator[list[AuditLine]]:
        """The lines that the state keeps above this number, in order, some at a time."""
        while rows := self._database.rows(
            "select number, line from audit_lines where job = ? and number > ? "
            "order by number limit ?",
            job,
            after,
            _READ_AT_ONCE,
        ):
            yield [AuditLine(number, text) for number, text in rows]
            after = rows[-1][0]

    def read_line(self, job: str, number: int) -> str | None:
        """The text of one line; None: the state does not keep it."""
        query = "select line from audit_lines where job = ? and number = ?"
        text: str | None = find_value(self._database, query, job, number)
        return text


# ---------------------------------------------------------------- the chain


class ChainPlace(Struct, frozen=True):
    """The place of a line in the chain of its job, as the line says."""

    job: str
    number: Annotated[int, Meta(ge=1, le=_LAST_NUMBER)]
    prev: str | None
    """`sha256:` and the digest of the line before; None: it is the first."""


def read_place(text: str | bytes) -> ChainPlace | None:
    """The place that a line says; None: it says none."""
    try:
        return msgspec.json.decode(text, type=ChainPlace)
    except (ValueError, RecursionError):
        return None


def digest_line(text: str | bytes) -> str:
    """The digest of a line without its newline, as the next line has it."""
    octets = text.encode("ascii") if isinstance(text, str) else text
    return hashlib.sha256(octets).hexdigest()

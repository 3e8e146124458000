"""The state: what runs leave behind, in one SQLite file. Runs, the journal of writes, and what we wrote where.

It holds no secret, only keyed fingerprints. The key of the fingerprints is kept here unless the job names one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import DecodeError, Struct, json, to_builtins

from connector.errors import BusyError, StateError
from connector.model import Change, Outcome, Plan, Result, Secret, UserRef

VERSION = 1
_TABLES = """
create table meta (name text primary key, value text not null) strict;
create table runs (
    id text primary key, job text not null, directory text not null, started text not null, ended text,
    digest text not null, agents integer not null, summary text not null, result text
) strict;
create table journal (
    run text not null references runs, user_id text not null, user_name text not null, digest text not null,
    outcome text, why text, primary key (run, user_id, digest)
) strict, without rowid;
create table ownership (
    directory text not null, user_id text not null, user_name text not null, attribute text not null,
    fingerprint text, run text not null references runs, primary key (directory, user_id, attribute)
) strict, without rowid;
"""


class RunRecord(Struct, frozen=True):
    """An apply that was begun: when, what it came to (done, part; None: it was interrupted), and its counts."""

    id: str
    job: str
    started: str
    ended: str | None
    digest: str
    result: str | None
    summary: dict[str, int]
    outcomes: dict[str, int]


class Store:
    """An open state. Raises StateError for a file that cannot be used, BusyError for a directory that is held.

    `path` None: a state that ends with this process, for a dry run that can keep none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            if path is not None:
                path.touch(mode=0o600)
            self._db = sqlite3.connect(path or ":memory:", timeout=10, isolation_level=None)
            self._db.execute("pragma synchronous = full")
            self._migrate()
        except (OSError, sqlite3.Error) as fault:
            raise StateError(f"the state cannot be opened: {fault}", where=str(path)) from fault

    def _migrate(self) -> None:
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version > VERSION:
            why = f"the state was written by a newer version (format {version}; this one knows {VERSION})"
            raise StateError(why, where=str(self._path))
        if version == 0:
            with self.writing():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute("insert into meta values ('key', ?)", (secrets.token_hex(32),))
                self._db.execute(f"pragma user_version = {VERSION}")

    @property
    def kept(self) -> bool:
        """Whether it outlives this process."""
        return self._path is not None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at its end. Raises StateError, and then nothing of it was kept."""
        try:
            self._db.execute("begin immediate")
            yield self._db
            self._db.execute("commit")
        except sqlite3.Error as fault:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise StateError(f"the state cannot be written: {fault}", where=str(self._path)) from fault

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What a query finds. Raises StateError for a file that is damaged."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as fault:
            raise StateError(f"the state cannot be read: {fault}", where=str(self._path)) from fault

    def key(self) -> Secret:
        """The key of the fingerprints, for jobs that name none."""
        found = self.rows("select value from meta where name = 'key'")
        if not found:
            raise StateError("the state has lost its key", where=str(self._path))
        return Secret(str(found[0][0]))

    def memory(self, directory: str, job: str) -> DirectoryMemory:
        """What earlier runs left behind about one directory."""
        return DirectoryMemory(self, directory, job)

    @contextmanager
    def lease(self, directory: str) -> Iterator[None]:
        """Hold a directory, by its identity, until the end or death of this process. Raises BusyError."""
        if self._path is None:
            yield
            return
        name = hashlib.sha256(directory.encode()).hexdigest()[:16]
        path = self._path.with_name(f"{self._path.name}.{name}.lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise StateError(f"the lock cannot be opened: {fault}", where=str(path)) from fault
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BusyError("another run holds this directory", where=directory) from None
        finally:
            os.close(handle)

    @contextmanager
    def run(self, plan: Plan, directory: str) -> Iterator[RunJournal]:
        """An apply, recorded from its begin to its end."""
        with self.writing():
            summary = json.encode(to_builtins(plan.summary)).decode()
            row = (plan.id, plan.job, directory, _now(), plan.digest, plan.summary.agents, summary)
            self._db.execute("insert into runs values (?, ?, ?, ?, null, ?, ?, ?, null)", row)
        journal = RunJournal(self, plan.id, directory)
        yield journal
        try:
            with self.writing():
                result = "part" if journal.in_part else "done"
                self._db.execute("update runs set ended = ?, result = ? where id = ?", (_now(), result, plan.id))
        except StateError:
            if not journal.broken:  # else every outcome says so already, and the run stays "interrupted"
                raise

    def runs(self, job: str) -> list[RunRecord]:
        """The applies of a job, newest first."""
        found = self.rows(
            "select id, job, started, ended, digest, result, summary from runs where job = ? "
            "order by started desc, rowid desc",
            job,
        )
        try:
            return [
                RunRecord(run, name, started, ended, digest, result, json.decode(summary), self._outcomes(run))
                for run, name, started, ended, digest, result, summary in found
            ]
        except DecodeError as fault:
            raise StateError("the state is damaged: a run's summary cannot be read", where=str(self._path)) from fault

    def _outcomes(self, run: str) -> dict[str, int]:
        counts = "select coalesce(outcome, 'unknown'), count(*) from journal where run = ? group by 1 order by 1"
        return dict(self.rows(counts, run))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class RunJournal:
    """The journal of one apply: intents are durable before the first write of a batch, outcomes after its last."""

    def __init__(self, store: Store, run: str, directory: str) -> None:
        self._store = store
        self._run = run
        self._directory = directory
        self.in_part = False
        self.broken = False

    def intend(self, changes: Sequence[Change]) -> None:
        rows = [(self._run, change.user.id, change.user.name, _step(change)) for change in changes]
        with self._writing() as db:
            db.executemany("insert into journal values (?, ?, ?, ?, null, null)", rows)

    def settle(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        with self._writing() as db:
            for change, outcome in settled:
                self.in_part |= outcome.result not in (Result.WRITTEN, Result.UNCHANGED)
                row = (outcome.result.value, outcome.why or None, self._run, change.user.id, _step(change))
                db.execute("update journal set outcome = ?, why = ? where run = ? and user_id = ? and digest = ?", row)
                if outcome.result is Result.WRITTEN:
                    self._remember(db, change)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._store.writing() as db:
                yield db
        except StateError:
            self.broken = self.in_part = True
            raise

    def _remember(self, db: sqlite3.Connection, change: Change) -> None:
        user = change.user
        for each in change.attributes:
            if each.new:
                row = (self._directory, user.id, user.name, each.name, each.fingerprint or None, self._run)
                db.execute("insert or replace into ownership values (?, ?, ?, ?, ?, ?)", row)
            else:
                gone = (self._directory, user.id, each.name)
                db.execute("delete from ownership where directory = ? and user_id = ? and attribute = ?", gone)


def _step(change: Change) -> str:
    """The change's digest; the first half of a split one, which lets a value go, is told apart from the second."""
    let_go = any(each.unique and each.old and not each.new for each in change.attributes)
    return f"{change.digest}/release" if let_go else change.digest


class DirectoryMemory:
    """What earlier runs left behind about one directory (`model.Memory`)."""

    def __init__(self, store: Store, directory: str, job: str) -> None:
        self._store = store
        self._directory = directory
        self._job = job

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        query = "select fingerprint from ownership where directory = ? and user_id = ? and attribute = ?"
        found = self._store.rows(query, self._directory, user_id, attribute)
        return found[0][0] if found else None

    def owned(self) -> Iterator[tuple[UserRef, frozenset[str]]]:
        # an object class that we added stays when its values go, and makes nobody stale
        query = (
            "select user_id, user_name, group_concat(attribute, char(10)) from ownership "
            "where directory = ? and attribute <> 'objectClass' group by user_id"
        )
        for user_id, name, attributes in self._store.rows(query, self._directory):
            yield UserRef(user_id, name), frozenset(attributes.split("\n"))

    def last_agents(self) -> int | None:
        query = (
            "select agents from runs where job = ? and directory = ? and result = 'done' "
            "order by started desc, rowid desc limit 1"
        )
        found = self._store.rows(query, self._job, self._directory)
        return found[0][0] if found else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")

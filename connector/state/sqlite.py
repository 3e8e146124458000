"""The state in one SQLite file; leases are operating-system locks on files beside it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.errors import BusyError, StateError
from connector.state.database import Transaction


class Sqlite:
    """An open file. `path` None: one that ends with this process. Raises StateError."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.where = str(path) if path else "a state in memory"
        self.kept = path is not None
        try:
            if path is not None:
                path.touch(mode=0o600)
            self._db = sqlite3.connect(path or ":memory:", timeout=10, isolation_level=None)
            self._db.execute("pragma synchronous = full")
        except (OSError, sqlite3.Error) as fault:
            raise StateError(f"the state cannot be opened: {fault}", where=self.where) from fault

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as fault:
            raise StateError(f"the state cannot be read: {fault}", where=self.where) from fault

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        try:
            self._db.execute("begin immediate")
            yield self._db
            self._db.execute("commit")
        except sqlite3.Error as fault:
            raise StateError(f"the state cannot be written: {fault}", where=self.where) from fault
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")

    def version(self) -> int:
        return int(self.rows("pragma user_version")[0][0])

    def note_version(self, transaction: Transaction, version: int) -> None:
        transaction.execute(f"pragma user_version = {version}")

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        if self._path is None:
            yield
            return
        short = hashlib.sha256(name.encode()).hexdigest()[:16]
        path = self._path.with_name(f"{self._path.name}.{short}.lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise StateError(f"the lock cannot be opened: {fault}", where=str(path)) from fault
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError("another run holds this directory", where=name) from None
            yield
        finally:
            os.close(handle)

    def close(self) -> None:
        self._db.close()

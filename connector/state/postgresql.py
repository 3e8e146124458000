"""The state in a PostgreSQL database; leases are advisory locks of the session, so that they die with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from connector.errors import BusyError, FileError, StateError
from connector.state.database import Row, Transaction

try:
    import psycopg
except ImportError:
    raise FileError(
        "a state in PostgreSQL needs the extra: pip install 'cec-directory-connector[postgresql]'", where="state"
    ) from None

_MIGRATING = 0x6365632D636F6E6E
"""Whoever migrates the tables holds this lock (PostgreSQL manual, 9.28.10) until its transaction ends."""


class PostgreSQL:
    """An open connection. Raises StateError.

    Its lease and its writes go over one connection: if that is lost, so is the lease, and the next write says so.
    """

    kept = True

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.where = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        try:
            self._db = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="cec-connector")
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be opened: {_said(fault)}", where=self.where) from None

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(_translated(sql), values).fetchall()
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be read: {_said(fault)}", where=self.where) from None

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        try:
            with self._db.transaction():
                yield _Statements(self._db)
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be written: {_said(fault)}", where=self.where) from None

    def version(self) -> int:
        if self.rows("select to_regclass('meta')")[0][0] is None:
            return 0
        return int(self.rows("select value from meta where name = 'version'")[0][0])

    def note_version(self, transaction: Transaction, version: int) -> None:
        noted = "insert into meta values ('version', ?) on conflict (name) do update set value = excluded.value"
        transaction.execute(noted, (str(version),))

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        if not self.rows("select pg_try_advisory_lock(?)", number)[0][0]:
            raise BusyError("another run holds this directory", where=name)
        yield
        # the end of the session frees it too, should this be the end of a failure
        self.rows("select pg_advisory_unlock(?)", number)

    def close(self) -> None:
        self._db.close()


class _Statements:
    """A transaction that takes `?` for values."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def execute(self, sql: str, values: Row = ()) -> object:
        return self._db.execute(_translated(sql), values)

    def executemany(self, sql: str, rows: Iterable[Row]) -> object:
        with self._db.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)
            return cursor


def _translated(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _said(fault: psycopg.Error) -> str:
    """What the server or the library says, on one line."""
    return " ".join(str(fault).split())

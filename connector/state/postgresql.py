"""The state in a PostgreSQL database; leases are advisory locks of the session, so that they die with it."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

from connector.errors import BusyError, FileError, StateError
from connector.state.database import Row, Transaction, restored, storable

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise FileError(
        "a state in PostgreSQL needs the extra: pip install 'cec-directory-connector[postgresql]'", where="state"
    ) from None

_MIGRATING: Final = 0x6365632D636F6E6E
"""Whoever migrates the tables holds this lock (PostgreSQL manual, 9.28.10)."""
_SESSION: Final = """
    select set_config(wanted.name, wanted.value, false)
    from (values
        ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
        ('idle_session_timeout', '0'), ('synchronous_commit', 'on')
    ) as wanted (name, value) join pg_settings on pg_settings.name = wanted.name
    where wanted.name <> 'synchronous_commit' or pg_settings.setting = 'off'
"""
"""The lease of a machine that has gone is free after a minute; one that is being held is not ended for being idle; and
a commit is durable, whatever is usual on that server (PostgreSQL manual, 20.3.2, 20.5.1, 20.11.1)."""


_HOLDER: Final = """
    select application_name, to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 1
    and pg_locks.database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32) | objid::bigint = ?
"""
"""Which session holds an advisory lock (PostgreSQL manual, 53.12): only one of our role tells its name."""


class PostgreSQL:
    """An open connection. Raises StateError; FileError for an address that is none.

    Its lease and its writes go over one connection: if that is lost, so is the lease, and the next write says so.
    """

    kept = True

    def __init__(self, url: str) -> None:
        parameters = parameters_of(url)
        self.where = f"postgresql://{_host(parameters)}/{parameters.get('dbname', '')}"
        try:
            self._db = psycopg.connect(**parameters, autocommit=True)
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be opened: {_said(fault)}", where=self.where) from None
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        encoding = self._db.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            why = f"the encoding of this database is {encoding}: create one with `encoding 'UTF8'`"
            raise StateError(why, where=self.where)
        self._db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        self.rows(_SESSION)

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return [restored(row) for row in self._db.execute(_translated(sql), storable(values))]
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be read: {_said(fault)}", where=self.where) from None

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        try:
            with self._db.transaction():
                yield _Statements(self._db)
        except psycopg.Error as fault:
            raise StateError(f"the state cannot be written: {_said(fault)}", where=self.where) from None

    @contextmanager
    def migrating(self) -> Iterator[Transaction]:
        # before the transaction begins: one that began earlier may not see the tables that the last holder has made
        self.rows("select pg_advisory_lock(?)", _MIGRATING)
        try:
            with self.writing() as transaction:
                yield transaction
        finally:
            self._unlock(_MIGRATING)

    def version(self) -> int:
        if self.rows("select to_regclass('meta')") == [(None,)]:
            return 0
        match self.rows("select value from meta where name = 'version'"):
            case [(str(version),)] if version.isdecimal():
                return int(version)
            case _:
                raise StateError("the table meta of this database is not this program's own", where=self.where)

    def note_version(self, transaction: Transaction, version: int) -> None:
        noted = "insert into meta values ('version', ?) on conflict (name) do update set value = excluded.value"
        transaction.execute(noted, (str(version),))

    @contextmanager
    def lease(self, name: str, job: str = "") -> Iterator[None]:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        if self.rows("select pg_try_advisory_lock(?)", number) != [(True,)]:
            raise BusyError(f"another run holds this directory{self._holder(number)}", where=name)
        if job:
            word = f"cec-connector on {socket.gethostname()[:20]}, process {os.getpid()}, job {job}"
            with suppress(StateError):  # it is for messages alone
                self.rows("select set_config('application_name', ?, false)", word)
        try:
            yield
        finally:
            self._unlock(number)

    def _holder(self, number: int) -> str:
        """The session that holds a lock, by the name that it has given itself, as the end of a sentence."""
        with suppress(StateError):
            for name, since in self.rows(_HOLDER, number):
                return f": {name}, since {since}" if name else ""
        return ""

    def _unlock(self, number: int) -> None:
        with suppress(StateError):  # then the end of the session has freed it
            self.rows("select pg_advisory_unlock(?)", number)

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._db.close()


class _Statements:
    """A transaction that takes `?` for values, and any text."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def execute(self, sql: str, values: Row = ()) -> object:
        return self._db.execute(_translated(sql), storable(values))

    def executemany(self, sql: str, rows: Iterable[Row]) -> None:
        with self._db.cursor() as cursor:
            cursor.executemany(_translated(sql), map(storable, rows))


@cache
def _translated(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def parameters_of(url: str) -> dict[str, Any]:
    """The parameters of a connection URI (PostgreSQL manual, 34.1.2), and what holds where it does not say."""
    try:
        said = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError) as fault:
        raise FileError(f"this is no address of a database: {' '.join(str(fault).split())}", where="state") from None
    usual = {
        "connect_timeout": 10, "application_name": "cec-connector",
        "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    }  # fmt: skip
    elsewhere = {"PGSSLMODE", "PGSERVICE"} & os.environ.keys() or "service" in said
    if not elsewhere and not all(map(_is_here, _host(said).split(","))):
        usual["sslmode"] = "verify-full"  # names and values of people travel there
    return usual | said | {"client_encoding": "UTF8"}


def _host(parameters: dict[str, Any]) -> str:
    for name in ("hostaddr", "host"):
        if named := parameters.get(name) or os.environ.get(f"PG{name.upper()}"):
            return str(named)
    return ""


def _is_here(host: str) -> bool:
    return not host or host[0] in "/@" or host in ("localhost", "::1") or host.startswith("127.")


def _said(fault: psycopg.Error) -> str:
    """What the server or the library says, on one line; of what the server says no details, which hold values."""
    return fault.diag.message_primary or " ".join(str(fault).split())

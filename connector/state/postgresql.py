"""The state in a PostgreSQL database, reached directly or through a pooler that pools sessions or transactions.

Nothing outside of a transaction belongs to this process alone: a pooler may give each
transaction another session. So settings and locks are those of a transaction.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from connector.errors import FileError, StateError, UsageError
from connector.runtime.clock import stamp
from connector.state.database import Transaction, restored, storable

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    from connector.state.leases import Leases, said
except ImportError:
    raise FileError(
        "a state in PostgreSQL needs the extra: pip install 'cec-connector[postgresql]'",
        where="state",
    ) from None

_MIGRATING: Final = 0x6365632D636F6E6E
"""Whoever migrates the tables holds this lock (PostgreSQL manual, 9.28.10)."""
_SESSION: Final = """
    select set_config(wanted.name, wanted.value, false)
    from (values
        ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
        ('idle_session_timeout', '0')
    ) as wanted (name, value) join pg_settings on pg_settings.name = wanted.name
"""
"""Where the session is ours: it is not ended for being idle while a directory is read
(PostgreSQL manual, 20.11.1)."""


class PostgreSQL:
    """An open connection, and one more while leases are held. Raises StateError; FileError for an address that is none.

    A write whose lease was lost is not committed (`leases.py`).
    """

    kept = True

    def __init__(self, url: str) -> None:
        self._parameters = parameters_of(url)
        self.where = f"postgresql://{_host(self._parameters)}/{self._parameters.get('dbname', '')}"
        self._leases = Leases(self._connected, self.where)
        self._db = self._connected()
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _connected(self) -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(**self._parameters, autocommit=True)
        except psycopg.Error as fault:
            raise StateError(
                f"the state cannot be opened: {said(fault)}", where=self.where
            ) from None

    def _prepare(self) -> None:
        encoding = self._db.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            why = f"the encoding of this database is {encoding}: create one with `encoding 'UTF8'`"
            raise StateError(why, where=self.where)
        self._db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if self.rows("select pg_backend_pid()") == [(self._db.info.backend_pid,)]:
            self.rows(_SESSION)
        else:  # a pooler answers in the server's place
            self._db.prepare_threshold = None
            self._try_a_transaction()

    def _try_a_transaction(self) -> None:
        """Raises FileError where statements of one transaction go to several sessions, or none can begin."""
        seen: set[tuple[Any, ...]] = set()
        try:
            with self._db.transaction():
                for _ in range(2):
                    seen.update(self._db.execute("select pg_backend_pid(), now()"))
        except psycopg.errors.ProtocolViolation:  # so PgBouncer says it
            seen.clear()
        except psycopg.Error as fault:
            raise StateError(
                f"the state cannot be opened: {said(fault)}", where=self.where
            ) from None
        if len(seen) != 1:
            why = (
                f"the pooler at {self.where} pools statements, so no lease holds. Let it pool transactions or "
                "sessions, or name the server itself"
            )
            raise FileError(why, where="state")

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return [
                restored(row)
                for row in self._db.execute(_translated(sql), storable(values))
            ]
        except psycopg.Error as fault:
            raise StateError(
                f"the state cannot be read: {said(fault)}", where=self.where
            ) from None

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        try:
            with self._db.transaction(), self._db.cursor() as cursor:
                self._leases.begin_write(self._db)
                yield Transaction(cursor, _translated)
        except psycopg.Error as fault:
            raise StateError(
                f"the state cannot be written: {said(fault)}", where=self.where
            ) from None

    @contextmanager
    def migrating(self) -> Iterator[Transaction]:
        with self.writing() as transaction:
            transaction.execute("select pg_advisory_xact_lock(?)", (_MIGRATING,))
            yield transaction

    def version(self) -> int:
        # that it reads a table lets the server hear of tables that others have made since
        # the transaction began
        if not self.rows("select 1 from pg_class where oid = to_regclass('meta')"):
            return 0
        match self.rows("select value from meta where name = 'version'"):
            case [(str(version),)] if version.isdecimal():
                return int(version)
            case _:
                raise StateError(
                    "the table meta of this database belongs to another program. Name another database",
                    where=self.where,
                )

    def note_version(self, transaction: Transaction, version: int) -> None:
        transaction.put("meta", name="version", value=str(version))

    @contextmanager
    def lease(self, name: str, job: str = "") -> Iterator[None]:
        with self._leases.lease(name, job):
            if job:
                with (
                    suppress(StateError),
                    self.writing() as transaction,
                ):  # for messages alone
                    here, process = socket.gethostname(), os.getpid()
                    transaction.put(
                        "holders",
                        name=name,
                        job=job,
                        host=here,
                        process=process,
                        since=stamp("seconds"),
                    )
            yield

    def size(self) -> tuple[int, int]:
        ((octets,),) = self.rows("select pg_database_size(current_database())")
        return int(octets), 0

    def faults(self) -> list[str]:
        return []

    def back_up(self, path: Path) -> None:
        command = shlex.join(
            ["pg_dump", "--format=custom", f"--file={path}", self.where]
        )
        raise UsageError(
            f"this state is in PostgreSQL, whose own tool makes copies. Run: {command}",
            where=self.where,
        )

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._db.close()


@cache
def _translated(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def parameters_of(url: str) -> dict[str, Any]:
    """The parameters of a connection URI (PostgreSQL manual, 34.1.2), and what holds where it does not say."""
    try:
        said = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError) as fault:
        raise FileError(
            f"not an address of a database: {' '.join(str(fault).split())}",
            where="state",
        ) from None
    usual = {
        "connect_timeout": 10, "application_name": "cec-connector",
        "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000,
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
    return (
        not host
        or host[0] in "/@"
        or host in ("localhost", "::1")
        or host.startswith("127.")
    )

"""The state in a PostgreSQL database, reached directly or through a pooler that pools sessions or transactions.

Nothing outside of a transaction belongs to this process alone: a pooler may give each
transaction another session. So settings and locks are those of a transaction.

Leases in PostgreSQL: advisory locks of one transaction that stays open, on a connection of its own.

A pooler that pools transactions keeps an open transaction on one session of the server, so
the locks hold there, too. They end with the transaction, and with the process that holds
it.

Together with the first lease a *fence* is locked: a random number. While the transaction is
open, nobody else can lock that number. A write transaction that can lock it has lost its
leases. Each write transaction also shares the *gate* of each lease, and whoever takes a
lease passes its gate alone. So no write of a former holder is committed after that.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from connector.errors import BusyError, FileError, StateError, UsageError
from connector.state.database import (
    Transaction,
    find_value,
    make_storable,
    name_process,
    restore_row,
)

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise FileError(
        "a state in PostgreSQL needs the extra: pip install 'cec-connector[postgresql]'",
        where="state",
    ) from None

Connection = psycopg.Connection[Any]

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


_BEGIN: Final = b"""
    begin isolation level read committed;
    select set_config(wanted.name, wanted.value, true)
    from (values
        ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), ('lock_timeout', '30s'),
        ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')
    ) as wanted (name, value) join pg_settings on pg_settings.name = wanted.name
"""
"""A lease that is held is not ended for being idle; that of a machine that has gone is free
after a minute (PostgreSQL manual, 20.3.2, 20.11.1). All of it is of this transaction alone:
its session may be a pooler's."""
_HOLDER: Final = """
    select application_name, to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 1
    and pg_locks.database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32) | objid::bigint = ?
"""
"""Which session holds an advisory lock (PostgreSQL manual, 53.12): only one of our role
tells its name."""
_HOST_HERE = r"(?:[/@][^,]*|localhost|::1|127\.[^,]*)?"
_HERE: Final = re.compile(f"{_HOST_HERE}(?:,{_HOST_HERE})*")
"""Hosts, with commas between them, that are all of this machine."""
_DURABLE: Final = """
    select case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', true) end
"""
"""A commit is durable, whatever is usual on that server (PostgreSQL manual, 20.5.1)."""


class PostgreSQL:
    """An open connection, and one more while leases are held. Raises StateError; FileError for an address that is none.

    A write whose lease was lost is not committed (`Leases`).
    """

    kept = True

    def __init__(self, url: str) -> None:
        self._parameters = read_parameters(url)
        self.where = f"postgresql://{_find_host(self._parameters)}/{self._parameters.get('dbname', '')}"
        self._leases = Leases(self._open_connection, self.where)
        self._db = self._open_connection()
        try:
            self._prepare_session()
        except BaseException:
            self._db.close()
            raise

    def _open_connection(self) -> Connection:
        with self._naming_faults("the state cannot be opened: "):
            return psycopg.connect(**self._parameters, autocommit=True)

    @contextmanager
    def _naming_faults(self, what: str) -> Iterator[None]:
        """Raise StateError, which says what could not be done, for a fault of the database."""
        try:
            yield
        except psycopg.Error as fault:
            raise StateError(what + describe_fault(fault), where=self.where) from None

    def _prepare_session(self) -> None:
        encoding = self._db.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StateError(
                f"the encoding of this database is {encoding}: create one with `encoding 'UTF8'`",
                where=self.where,
            )
        self._db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if self.rows("select pg_backend_pid()") == [(self._db.info.backend_pid,)]:
            self.rows(_SESSION)
            return
        # a pooler answers in the server's place
        self._db.prepare_threshold = None
        seen: set[tuple[Any, ...]] = set()
        with (
            self._naming_faults("the state cannot be opened: "),
            suppress(psycopg.errors.ProtocolViolation),  # so PgBouncer says it
            self._db.transaction(),
        ):
            for _ in range(2):
                seen.update(self._db.execute("select pg_backend_pid(), now()"))
        # else statements of one transaction go to several sessions, or none can begin
        if len(seen) != 1:
            raise FileError(
                f"the pooler at {self.where} pools statements, so no lease holds. Let it pool transactions or "
                "sessions, or name the server itself",
                where="state",
            )

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._naming_faults("the state cannot be read: "):
            rows = self._db.execute(_translate_sql(sql), make_storable(values))
            return [restore_row(row) for row in rows]

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        with (
            self._naming_faults("the state cannot be written: "),
            self._db.transaction(),
            self._db.cursor() as cursor,
        ):
            self._leases.begin_write(self._db)
            yield Transaction(cursor, _translate_sql)

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
        transaction.execute(
            "insert into meta (name, value) values ('version', ?) "
            "on conflict (name) do update set value = excluded.value",
            (str(version),),
        )

    def lease(self, name: str, job: str = "") -> AbstractContextManager[None]:
        return self._leases.lease(name, job)

    def find_holder(self, name: str) -> str | None:
        lock, _ = _lock_numbers(name)
        for session, _ in self.rows(_HOLDER, lock):
            return session or ""  # empty where the server does not tell
        return None

    def size(self) -> tuple[int, int]:
        return int(find_value(self, "select pg_database_size(current_database())")), 0

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
def _translate_sql(sql: str) -> bytes:
    return sql.replace("%", "%%").replace("?", "%s").encode()


def read_parameters(url: str) -> dict[str, Any]:
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
    if not elsewhere and not _HERE.fullmatch(_find_host(said)):
        usual["sslmode"] = "verify-full"  # names and values of people travel there
    return usual | said | {"client_encoding": "UTF8"}


def _find_host(parameters: dict[str, Any]) -> str:
    for name in ("hostaddr", "host"):
        if named := parameters.get(name) or os.environ.get(f"PG{name.upper()}"):
            return str(named)
    return ""


# ------------------------------------------------------------ leases


class Leases:
    """The leases that one state holds. `connect` opens a connection in which every statement is a transaction."""

    def __init__(self, connect: Callable[[], Connection], where: str) -> None:
        self._connect = connect
        self._where = where
        self._db: Connection | None = None
        self._fence = 0
        self._gates: list[int] = []

    @contextmanager
    def lease(self, name: str, job: str) -> Iterator[None]:
        """Hold a name; another one may be held within. Raises BusyError where another process holds it."""
        savepoint = f"lease{len(self._gates)}"
        with ExitStack() as held:
            held.callback(self._let_go, savepoint)
            try:
                if self._db is None:
                    self._db = self._connect()
                    self._db.execute(_BEGIN, prepare=False)
                    self._fence, _ = _lock_numbers(secrets.token_hex())
                    fence = "select pg_advisory_xact_lock(%s)"
                    self._db.execute(fence, (self._fence,))
                db = self._db
                db.execute(f"savepoint {savepoint}".encode())
                gate = self._take_lock(db, name, job)
            except psycopg.Error as fault:
                raise StateError(
                    f"the lease cannot be taken: {describe_fault(fault)}",
                    where=self._where,
                ) from None
            self._gates.append(gate)
            held.callback(self._gates.pop)
            yield

    def _take_lock(self, db: Connection, name: str, job: str) -> int:
        """Take the lock of a lease, and pass its gate, whose number it returns."""
        lock, gate = _lock_numbers(name)
        free = db.execute("select pg_try_advisory_xact_lock(%s)", (lock,)).fetchone()
        if free != (True,):
            why = "another run holds this directory"
            for session, began in db.execute(_translate_sql(_HOLDER), (lock,)):
                if session:  # empty where the server does not tell
                    why += f": {session}, since {began}"
            raise BusyError(why, where=name)
        db.execute("savepoint gate")
        try:
            db.execute("select pg_advisory_xact_lock(%s)", (gate,))
        except psycopg.errors.LockNotAvailable:
            db.execute("rollback to savepoint gate")
            raise BusyError(
                "a write of the previous run on this directory has not ended yet",
                where=name,
            ) from None
        db.execute("rollback to savepoint gate")  # which unlocks it
        if job:
            session = f"cec-connector {name_process()} job {job}"
            db.execute(
                "select set_config('application_name', %s, true)",
                make_storable([session]),
            )
        return gate

    def _let_go(self, savepoint: str) -> None:
        """Let a lease go; with the last one its connection. Where that has ended, so have they."""
        db, last = self._db, not self._gates
        if db is None:
            return
        with suppress(psycopg.Error):
            db.execute(
                b"rollback" if last else f"rollback to savepoint {savepoint}".encode()
            )
        if last:
            self._db = None
            db.close()

    def begin_write(self, db: Connection) -> None:
        """At the begin of a write transaction: it is durable, and the leases are still held.

        Raises StateError where they were lost.
        """
        if self._db is None:
            db.execute(_DURABLE.encode())
            return
        gates = "".join(
            f", pg_advisory_xact_lock_shared({gate})" for gate in self._gates
        )
        cursor = db.execute(
            f"{_DURABLE.rstrip()}{gates}; select pg_try_advisory_xact_lock({self._fence})".encode(),
            prepare=False,
        )
        cursor.nextset()
        if cursor.fetchall() != [(False,)]:
            raise StateError(
                "the lease was lost: the server ended its transaction. Another run may hold the directory. Rerun",
                where=self._where,
            )


def _lock_numbers(name: str) -> tuple[int, int]:
    """The numbers of a lease's lock and of its gate."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    lock, gate = struct.unpack_from(">qq", digest)
    return lock, gate


def describe_fault(fault: psycopg.Error) -> str:
    """What the server or the library says, on one line; of what the server says no details, which hold values."""
    return fault.diag.message_primary or " ".join(str(fault).split())

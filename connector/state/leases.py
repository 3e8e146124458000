"""Leases in PostgreSQL: advisory locks of one transaction that stays open, on a connection of its own.

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
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from connector.errors import BusyError, StateError
from connector.state.database import restored, storable

Db = psycopg.Connection[Any]

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
    and (classid::bigint << 32) | objid::bigint = %s
"""
"""Which session holds an advisory lock (PostgreSQL manual, 53.12): only one of our role
tells its name."""
SHORT: Final = 20
"""So many letters of a host's name are in a session's, which may be of 63 octets."""
_DURABLE: Final = """
    select case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', true) end
"""
"""A commit is durable, whatever is usual on that server (PostgreSQL manual, 20.5.1)."""


class Leases:
    """The leases that one state holds. `connect` opens a connection in which every statement is a transaction."""

    def __init__(self, connect: Callable[[], Db], where: str) -> None:
        self._connect = connect
        self._where = where
        self._db: Db | None = None
        self._fence = 0
        self._gates: list[int] = []

    @contextmanager
    def lease(self, name: str, job: str) -> Iterator[None]:
        """Hold a name; another one may be held within. Raises BusyError where another process holds it."""
        lock, gate = _numbers(name)
        savepoint = f"lease{len(self._gates)}"
        try:
            db = self._db or self._begun()
            db.execute(f"savepoint {savepoint}".encode())
            self._take(db, name, lock, gate, job)
        except psycopg.Error as fault:
            self._left(savepoint)
            raise StateError(
                f"the lease cannot be taken: {said(fault)}", where=self._where
            ) from None
        except BaseException:
            self._left(savepoint)
            raise
        self._gates.append(gate)
        try:
            yield
        finally:
            self._gates.pop()
            self._left(savepoint)

    def _begun(self) -> Db:
        db = self._db = self._connect()
        db.execute(_BEGIN, prepare=False)
        self._fence, _ = _numbers(secrets.token_hex())
        db.execute("select pg_advisory_xact_lock(%s)", (self._fence,))
        return db

    def _take(self, db: Db, name: str, lock: int, gate: int, job: str) -> None:
        if db.execute("select pg_try_advisory_xact_lock(%s)", (lock,)).fetchall() != [
            (True,)
        ]:
            raise BusyError(
                f"another run holds this directory{_holder(db, lock, name)}", where=name
            )
        db.execute("savepoint gate")
        try:
            db.execute("select pg_advisory_xact_lock(%s)", (gate,))
        except psycopg.errors.LockNotAvailable:
            db.execute("rollback to savepoint gate")
            why = f"a write of the previous run on this directory has not ended yet{_noted(db, name)}"
            raise BusyError(why, where=name) from None
        db.execute("rollback to savepoint gate")  # which unlocks it
        if job:
            word = f"cec-connector on {socket.gethostname()[:SHORT]}, process {os.getpid()}, job {job}"
            db.execute(
                "select set_config('application_name', %s, true)", storable([word])
            )

    def _left(self, savepoint: str) -> None:
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

    def begin_write(self, db: Db) -> None:
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
            why = "the lease was lost: the server ended its transaction. Another run may hold the directory. Rerun"
            raise StateError(why, where=self._where)


def _holder(db: Db, lock: int, name: str) -> str:
    """Who holds a lock, as the end of a sentence: as the holder has noted, unless its session is another process's."""
    session, began = next(iter(db.execute(_HOLDER.encode(), (lock,))), (None, None))
    return _noted(db, name, session or "") or (
        f": {session}, since {began}" if session else ""
    )


def _noted(db: Db, name: str, session: str = "") -> str:
    """Who has noted to have taken a lease last; nothing, where the holder's `session` has another name."""
    found = db.execute(
        "select job, host, process, since from holders where name = %s",
        storable([name]),
    )
    for job, host, process, since in map(restored, found):
        if not session or session.startswith(
            f"cec-connector on {host[:SHORT]}, process {process}, "
        ):
            return f": job {job} on {host}, process {process}, since {since}"
    return ""


def _numbers(name: str) -> tuple[int, int]:
    """The numbers of a lease's lock and of its gate."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return _signed(digest[:8]), _signed(digest[8:16])


def _signed(octets: bytes) -> int:
    return int.from_bytes(octets, "big", signed=True)


def said(fault: psycopg.Error) -> str:
    """What the server or the library says, on one line; of what the server says no details, which hold values."""
    return fault.diag.message_primary or " ".join(str(fault).split())

"""A lease in PostgreSQL that was lost, and taken by another: which writes of its former holder still count."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from connector.errors import BusyError, StateError
from connector.state.database import Database
from connector.state.postgresql import Leases
from tests.support.postgres import Postgres
from tests.support.serving import PATIENCE, until
from tests.support.states import database

pytestmark = pytest.mark.postgresql

HERE = "ldap:11111111-1111-1111-1111-111111111111"
LOST = "the lease was lost"
_numbers = count()


@pytest.fixture
def name(postgresql: Postgres) -> str:
    made = f"leases{next(_numbers)}"
    postgresql.create(made)
    return made


@pytest.fixture
def two(postgresql: Postgres, name: str) -> Iterator[tuple[Database, Database]]:
    url = postgresql.url(name)
    with closing(database(url)) as one, closing(database(url)) as other:
        yield one, other


HOLD_SQL = (
    "insert into events (kind, job, id, who, started, ended, why, digest, result, number) "
    "values ('hold', ?, '', '', '', '', '', '', '', 0)"
)


def lose(postgresql: Postgres, name: str) -> None:
    """The server ends the transaction of the lease."""
    holder = "pg_stat_activity where application_name like 'cec-connector on %' and datname = current_database()"
    assert postgresql.run(name, f"select pg_terminate_backend(pid, 10000) from {holder}") == [(True,)]


def hold(state: Database, job: str) -> None:
    with state.writing() as transaction:
        transaction.execute(HOLD_SQL, (job,))


def held(postgresql: Postgres, name: str) -> list[str]:
    return sorted(job for (job,) in postgresql.run(name, "select job from events"))


def test_nothing_is_written_under_a_lost_lease_whether_another_holds_it_or_not(
    postgresql: Postgres, name: str, two: tuple[Database, Database]
) -> None:
    one, other = two
    with one.lease(HERE, "hr"):
        hold(one, "held")
        lose(postgresql, name)
        with pytest.raises(StateError, match=LOST):
            hold(one, "free")
        with other.lease(HERE, "it"):
            with pytest.raises(StateError, match=LOST):
                hold(one, "taken")
            hold(other, "other")
    assert held(postgresql, name) == ["held", "other"]
    with one.lease(HERE, "hr"):  # it can be had again
        hold(one, "again")
    assert held(postgresql, name) == ["again", "held", "other"]


def test_a_write_under_way_is_committed_before_the_next_holder_begins(
    postgresql: Postgres, name: str, two: tuple[Database, Database]
) -> None:
    one, other = two
    seen: list[list[str]] = []

    def next_holder() -> None:
        with other.lease(HERE, "it"):
            seen.append(held(postgresql, name))

    thread = threading.Thread(target=next_holder)
    with one.lease(HERE, "hr"):
        with one.writing() as transaction:
            transaction.execute(HOLD_SQL, ("late",))
            lose(postgresql, name)
            thread.start()
            until(lambda: postgresql.run(name, "select 1 from pg_locks where locktype = 'advisory' and not granted"))
            assert seen == []
        thread.join(PATIENCE)
    assert seen == [["late"]]


def test_a_lease_within_another_ends_alone(postgresql: Postgres, name: str, two: tuple[Database, Database]) -> None:
    one, other = two
    with one.lease("the schedule of hr"):
        with one.lease(HERE, "hr"), pytest.raises(BusyError):
            other.lease(HERE).__enter__()
        with other.lease(HERE), pytest.raises(BusyError):
            other.lease("the schedule of hr").__enter__()
        hold(one, "hr")
    with other.lease("the schedule of hr"):
        pass
    assert postgresql.run(name, "select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]


def test_the_last_lease_leaves_no_transaction_open_for_a_pooler_to_clear_away(postgresql: Postgres, name: str) -> None:
    """A pooler closes a session whose client leaves it within a transaction, and has to open another."""
    left: list[TransactionStatus] = []

    class Noted(psycopg.Connection[Any]):
        def close(self) -> None:
            left.append(self.info.transaction_status)
            super().close()

    leases = Leases(lambda: Noted.connect(postgresql.url(name), autocommit=True), "here")
    with leases.lease("the schedule of hr", "hr"), leases.lease(HERE, "hr"):
        pass
    assert left == [TransactionStatus.IDLE]


def test_a_lease_that_could_not_be_taken_can_be_had_once_the_server_answers(postgresql: Postgres, name: str) -> None:
    made: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        db = psycopg.connect(postgresql.url(name), autocommit=True)
        if not made:
            postgresql.run(name, f"select pg_terminate_backend({db.info.backend_pid}, 10000)")
        made.append(db)
        return db

    leases = Leases(connect, "here")
    with pytest.raises(StateError, match="the lease cannot be taken"):
        leases.lease(HERE, "hr").__enter__()
    with leases.lease(HERE, "hr"):
        pass
    assert [db.closed for db in made] == [True, True]


def test_who_holds_a_lease_is_named_by_its_session(two: tuple[Database, Database]) -> None:
    one, other = two
    with one.lease(HERE, "people-of-the-whole-company-\0-every-night-and-on-sundays"):
        with pytest.raises(BusyError) as met, other.lease(HERE, "it"):
            pass
        assert f": cec-connector on {socket.gethostname()[:20]}, process {os.getpid()}, job people" in str(met.value)

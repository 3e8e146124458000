"""A state behind a real PgBouncer: the lease holds in both of its useful modes, and the third one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.test_postgresql_state import ONE_BY_ONE, PostgresJob, told
from tests.support.jobs import changed
from tests.support.pgbouncer import Mode, pooling
from tests.support.postgres import Postgres
from tests.support.program import ended, started
from tests.support.slow_cec import ENV, SlowCec

pytestmark = [pytest.mark.postgresql, pytest.mark.pgbouncer]

HOLDER = "pg_stat_activity where application_name like 'cec-connector on %'"
"""The session that holds a lease, by the name that it has given itself."""


@pytest.fixture(params=["session", "transaction"])
def job(request: pytest.FixtureRequest, tmp_path: Path, postgresql: Postgres) -> Iterator[PostgresJob]:
    """A run has two sessions of the server, and the pool has no more of them than two."""
    mode: Mode = request.param
    made = PostgresJob(tmp_path, postgresql)
    with pooling(postgresql, mode, size=2) as pooler:
        made.state(pooler.url(made.database))
        yield made


def test_plan_apply_and_undo_run_through_a_pool_of_two(job: PostgresJob) -> None:
    before = job.read("people.ldif")
    job.run("plan", "--save", "plan.json")
    job.run("apply", "--plan", "plan.json")
    assert job.numbers() == 5
    job.run("plan", "--fail-on-changes")
    (run,) = job.query("select id from runs")
    job.run("undo", str(run[0]), "--apply")
    assert job.read("people.ldif") == before
    assert job.query("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]


def test_nothing_that_a_run_sets_is_left_in_the_sessions_of_the_pool(tmp_path: Path, postgresql: Postgres) -> None:
    job = PostgresJob(tmp_path, postgresql)
    job.query(f"alter database {job.database} set synchronous_commit = off")
    with pooling(postgresql, "transaction", size=2) as pooler:
        job.state(pooler.url(job.database))
        ((usual,),) = job.query("show tcp_keepalives_idle")
        job.run("apply")
        for _ in range(4):
            with psycopg.connect(pooler.url(job.database)) as db:
                found = db.execute(
                    "select current_setting('synchronous_commit'), current_setting('tcp_keepalives_idle'), "
                    "current_setting('lock_timeout'), (select count(*) from pg_prepared_statements)"
                ).fetchall()
            assert found == [("off", usual, "0", 0)]


def test_a_pooler_that_pools_statements_is_refused_with_the_line_of_the_job(
    tmp_path: Path, postgresql: Postgres
) -> None:
    job = PostgresJob(tmp_path, postgresql)
    with pooling(postgresql, "statement") as pooler:
        job.state(pooler.url(job.database))
        for command in ("check", "plan", "apply", "runs"):
            said = job.run(command, code=78)
            assert "job.yaml:5" in said
            assert "pools statements" in said
            assert "Let it pool transactions or sessions" in said
    assert job.numbers() == 0
    assert job.query("select 1 from pg_tables where schemaname = 'public'") == []


def test_a_lease_that_the_server_ends_while_a_directory_is_read_stops_the_run(job: PostgresJob) -> None:
    job.run("plan")
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.write("slow.yaml", changed(job.read("job.yaml"), source=cec.source))
        with started("apply", "slow.yaml", folder=job.folder, env=ENV) as first:
            cec.wait()
            assert job.query(f"select pg_terminate_backend(pid, 60000) from {HOLDER}") == [(True,)]
            cec.let()
            done = ended(first)
    assert done.code == 1, done.said
    assert "the lease was lost" in done.err
    assert job.numbers() == 0
    job.run("apply")
    assert job.numbers() == 5


def test_a_lease_that_ends_between_two_writes_ends_the_writing(job: PostgresJob) -> None:
    job.configure(ramp=ONE_BY_ONE)
    job.run("plan")
    job.query(f"""
        create function cut() returns trigger language plpgsql as $$
        begin perform pg_terminate_backend(pid, 10000) from {HOLDER}; return null; end $$;
        create trigger cut after insert on journal for each statement execute function cut()
    """)
    done = job.try_("apply", "--report", "report.json")
    assert done.code == 4, done.said
    assert "the lease was lost" in done.out
    assert told(job) == {"skipped": [f"uid=user{n}" for n in (2, 3, 4, 5)], "written": ["uid=user1"]}
    assert job.numbers() == 1
    job.query("drop trigger cut on journal")
    job.run("apply")
    job.run("plan", "--fail-on-changes")
    assert job.numbers() == 5

"""A state in PostgreSQL, through the program: whole runs, and everything that a server can do to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.jobs import changed, file
from tests.support.ldif_job import JOB, Job, agent
from tests.support.postgres import PASSWORD, Postgres
from tests.support.program import Ended, ended, program, started
from tests.support.slapd import another_authority
from tests.support.slow_cec import ENV, SlowCec

pytestmark = pytest.mark.postgresql
ONE_BY_ONE = [1, 1, 1, 1, 1]
_numbers = count()


class PostgresJob(Job):
    """A job whose state is a database of its own."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        super().__init__(folder)
        self.write("key", "the key of a job\n")
        self.server = server
        self.database = f"job{next(_numbers)}"
        server.create(self.database)
        self.state(server.url(self.database))

    def state(self, url: str) -> None:
        self.configure(state=url, key=file("key"))

    def try_(self, command: str, *options: str, **env: str) -> Ended:
        done = program(command, "job.yaml", *options, folder=self.folder, env=ENV | env)
        assert "canary" not in done.said
        assert "fault of the program" not in done.said
        return done

    def query(self, statement: str) -> list[tuple[object, ...]]:
        return self.server.run(self.database, statement)

    def numbers(self) -> int:
        """How many users hold what an apply writes."""
        return self.read("people.ldif").count("employeeNumber:")


@pytest.fixture
def job(tmp_path: Path, postgresql: Postgres) -> PostgresJob:
    return PostgresJob(tmp_path, postgresql)


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server of a test's own, which may be harmed."""
    with Postgres.start() as server:
        yield server


def test_plan_apply_plan_runs_undo_and_release(job: PostgresJob) -> None:
    before = job.read("people.ldif")
    job.run("plan", "--fail-on-changes", code=2)
    job.run("plan", "--save", "plan.json")
    job.run("apply", "--plan", "plan.json")
    assert job.numbers() == 5
    job.run("plan", "--fail-on-changes")
    assert "spent" in job.run("apply", "--plan", "plan.json", code=3)
    refused, run = json.loads(job.run("runs", "--json"))
    assert (run["result"], run["outcomes"]) == ("done", {"written": 5})
    assert (refused["result"], refused["plan"]) == ("refused", run["id"])
    assert f"takes back run {run['id']}" in " ".join(job.run("undo", "last").split())

    job.run("undo", run["id"])
    job.run("undo", run["id"], "--apply")
    assert job.read("people.ldif") == before
    assert "hold" in job.run("apply", code=3)
    job.run("release")
    job.run("apply")
    assert job.numbers() == 5
    runs = [each for each in json.loads(job.run("runs", "--json")) if each["result"] == "done"]
    assert [each["kind"] for each in runs] == ["apply", "undo", "apply"]


def test_what_nobody_claims_any_more_is_found_and_cleared(job: PostgresJob) -> None:
    job.run("apply")
    job.configure(limits={"agents_drop": "100%", "clear": 2})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    job.agents([agent(number) for number in (1, 2, 3)])
    job.run("apply")
    assert job.numbers() == 3


def test_no_secret_is_in_the_database(job: PostgresJob) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("cn: User 1", "cn: User 1\nSIPIdentityPassword: canary-0"))
    job.write(
        "people.ldif", job.read("people.ldif").replace("inetOrgPerson\n", "inetOrgPerson\nobjectClass: SIPIdentity\n")
    )
    job.run("apply")
    tables = [name for (name,) in job.query("select tablename from pg_tables where schemaname = 'public'")]
    assert {"runs", "journal", "ownership", "documents"} <= set(tables)
    kept = repr([job.query(f"select * from {name}") for name in tables])
    assert "user1" in kept
    assert "canary" not in kept
    assert "sealed" in kept


def test_without_a_key_it_is_refused_by_the_line_of_the_state(job: PostgresJob) -> None:
    job.configure(key=None)
    for command in ("check", "plan", "apply", "runs", "release"):
        said = job.run(command, code=78)
        assert "job.yaml:5: state: in PostgreSQL needs a key" in said
        assert "add `key: {file: PATH}`" in said
    assert job.query("select 1 from pg_tables where schemaname = 'public'") == []


# ---------------------------------------------------------------- who is let in


def test_a_password_comes_from_the_environment_or_a_password_file(job: PostgresJob) -> None:
    job.state(job.server.tcp_url(job.database))
    assert job.try_("plan", PGPASSWORD=PASSWORD).code == 0
    passwords = job.folder / "passwords"
    passwords.write_text(f"localhost:*:*:*:{PASSWORD}\n")
    passwords.chmod(0o600)
    assert job.try_("plan", PGPASSFILE=str(passwords)).code == 0


@pytest.mark.parametrize("env", [{"PGPASSWORD": "canary-wrong"}, {}], ids=["wrong", "none"])
def test_a_password_that_is_wrong_or_missing_is_said_and_never_shown(job: PostgresJob, env: dict[str, str]) -> None:
    job.state(job.server.tcp_url(job.database))
    done = program("--log-level", "debug", "apply", "job.yaml", folder=job.folder, env=env)
    assert done.code == 1, done.said
    assert "password" in done.err
    assert "localhost" in done.err
    assert "canary" not in done.said
    assert "Nothing is written" in done.err
    assert job.numbers() == 0


def test_tls_is_verified_as_the_address_says(job: PostgresJob) -> None:
    def url(ca: Path, host: str = "localhost") -> str:
        made = job.server.tcp_url(job.database, sslmode="verify-full", sslrootcert=str(ca))
        return made.replace("localhost", host)

    other = another_authority(job.folder / "other.pem")
    job.state(url(job.server.ca))
    assert job.try_("apply", PGPASSWORD=PASSWORD).code == 0
    for wrong in (url(other), url(job.server.ca, "127.0.0.1")):
        job.state(wrong)
        done = job.try_("apply", PGPASSWORD=PASSWORD)
        assert done.code == 1
        assert "certificate" in done.err


def test_without_the_right_to_make_tables_it_is_said(job: PostgresJob) -> None:
    job.query("revoke create on schema public from public")
    name = f"weak_{job.database}"
    job.query(f"create role {name} login")
    job.state(job.server.url(job.database).replace("cec@", f"{name}@"))
    done = job.try_("apply")
    assert done.code == 1
    assert "permission denied for schema public" in done.err
    assert job.numbers() == 0


def test_a_database_that_must_not_be_written_can_still_be_planned_from(job: PostgresJob) -> None:
    job.run("plan")
    job.query(f"alter database {job.database} set default_transaction_read_only = on")
    assert job.try_("plan", "--fail-on-changes").code == 2
    done = job.try_("apply")
    assert done.code == 1
    assert "read-only" in done.err
    assert job.numbers() == 0


# ---------------------------------------------------------------- what cannot be


def test_without_the_extra_it_is_said_what_to_install(job: PostgresJob) -> None:
    (job.folder / "blocked").mkdir()
    job.write("blocked/psycopg.py", "raise ImportError('psycopg is not here')\n")
    for command in ("plan", "apply", "runs", "release"):
        done = job.try_(command, PYTHONPATH=str(job.folder / "blocked"))
        assert done.code == 78, done.said
        assert "job.yaml:5" in done.err
        assert "pip install 'cec-connector[postgresql]'" in done.err
    assert job.numbers() == 0


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("postgresql://cec@127.0.0.1:1/cec", 1, "refused"),
        ("postgresql://cec@nowhere.example.test/cec?sslmode=disable", 1, "nowhere.example.test"),
        ("postgresql://cec@127.0.0.1/cec?colour=red", 78, "colour"),
        ("postgresql://cec@127.0.0.1:many/cec", 78, "port"),
        ("postgresql://cec:canary@127.0.0.1/cec", 78, "PGPASSWORD"),
        ("postgresql://cec@127.0.0.1/cec?password=canary", 78, "PGPASSWORD"),
        ("postgresql://cec@127.0.0.1/cec?sslpassword=canary", 78, "sslpassword"),
        ("postgresql://cec@127.0.0.1", 78, "database"),
        ("'postgresql://[cec/x'", 78, "job.yaml:5"),
        ('"postgresql://cec@127.0.0.1/c\\ud800"', 78, "job.yaml"),
        ('"postgresql://cec@127.0.0.1/c\\0"', 78, "job.yaml"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(job: PostgresJob, url: str, code: int, said: str) -> None:
    job.write("job.yaml", JOB + f"state: {url}\nkey: {{file: key}}\n")
    done = job.try_("apply")
    assert done.code == code, done.said
    assert said in done.err
    assert job.numbers() == 0


def test_a_database_that_is_not_there_or_of_another_encoding_is_told(job: PostgresJob) -> None:
    job.state(job.server.url("nowhere"))
    assert 'database "nowhere" does not exist' in job.try_("apply").err
    name = f"latin{next(_numbers)}"
    job.state(job.server.create(name, "encoding 'LATIN1' template template0"))
    done = job.try_("apply")
    assert (done.code, job.numbers()) == (1, 0)
    assert "encoding 'UTF8'" in done.err


def test_a_server_that_is_down_ends_the_run_and_it_goes_on_when_it_is_up_again(
    tmp_path: Path, own_server: Postgres
) -> None:
    job = PostgresJob(tmp_path, own_server)
    job.run("plan")
    own_server.stop()
    for command in ("plan", "apply", "runs", "release"):
        done = job.try_(command)
        assert done.code == 1
        assert "cannot be opened" in done.err
        assert "check that it runs and that this account may log in" in done.err
    assert job.numbers() == 0
    own_server.restart()
    job.run("apply")
    assert job.numbers() == 5


# ---------------------------------------------------------------- a connection that ends in the middle

CUT = """
create or replace function cut() returns trigger language plpgsql as $$
begin
    if {condition} then perform pg_terminate_backend(pg_backend_pid()); end if;
    return null;
end $$;
create trigger cut after {event} on {table} for each statement execute function cut();
"""


def cut(job: PostgresJob, event: str, table: str, condition: str = "true") -> None:
    """From now on the server ends the program's connection with this statement."""
    job.query(CUT.format(event=event, table=table, condition=condition))


def mend(job: PostgresJob, table: str) -> None:
    job.query(f"drop trigger cut on {table}")


def told(job: PostgresJob) -> dict[str, list[str]]:
    """The users of each outcome, by the report."""
    outcomes = json.loads(job.read("report.json"))["outcomes"]
    return {
        result: sorted(each["user"].partition(",")[0] for each in outcomes if each["outcome"] == result)
        for result in sorted({each["outcome"] for each in outcomes})
    }


def goes_on(job: PostgresJob) -> None:
    """The next run settles what was left open, and writes the rest."""
    job.run("apply")
    job.run("plan", "--fail-on-changes")
    assert job.numbers() == 5
    assert all("unknown" not in run["outcomes"] for run in json.loads(job.run("runs", "--json")))


def test_before_the_first_write_nothing_is_written(job: PostgresJob) -> None:
    job.run("plan")
    cut(job, "insert", "runs")
    done = job.try_("apply")
    assert done.code == 1
    assert "terminating connection" in done.err
    assert job.numbers() == 0
    mend(job, "runs")
    goes_on(job)


def test_before_the_second_step_the_first_is_told_and_nothing_else_is_written(job: PostgresJob) -> None:
    job.configure(ramp=ONE_BY_ONE)
    job.run("plan")
    cut(job, "insert", "journal", "(select count(*) > 1 from journal)")
    done = job.try_("apply", "--report", "report.json")
    assert done.code == 4, done.said
    assert told(job) == {"skipped": [f"uid=user{n}" for n in (2, 3, 4, 5)], "written": ["uid=user1"]}
    assert "nothing is written without the journal" in done.out
    assert job.numbers() == 1
    assert [run["result"] for run in json.loads(job.run("runs", "--json"))] == [None]
    mend(job, "journal")
    goes_on(job)


def test_after_a_write_whose_outcome_cannot_be_noted_the_writing_stops(job: PostgresJob) -> None:
    job.configure(ramp=ONE_BY_ONE)
    job.run("plan")
    cut(job, "update", "journal", "exists (select from journal where outcome is not null)")
    done = job.try_("apply", "--report", "report.json")
    assert done.code == 4, done.said
    assert told(job) == {"skipped": [f"uid=user{n}" for n in (2, 3, 4, 5)], "written": ["uid=user1"]}
    assert "written, but not noted in the journal" in done.out
    assert job.numbers() == 1
    assert json.loads(job.run("runs", "--json"))[0]["outcomes"] == {"unknown": 1}
    mend(job, "journal")
    goes_on(job)


@pytest.mark.parametrize(
    ("event", "table", "when"),
    [
        ("update", "runs", "exists (select from runs where ended is not null)"),
        ("insert", "facts", "(select count(*) from journal where outcome = 'written') = 5"),
    ],
)
def test_after_the_last_write_every_outcome_is_told_all_the_same(
    job: PostgresJob, event: str, table: str, when: str
) -> None:
    job.run("plan")
    cut(job, event, table, when)
    done = job.try_("apply", "--report", "report.json")
    assert done.code == 1
    assert told(job) == {"written": [f"uid=user{n}" for n in (1, 2, 3, 4, 5)]}
    assert "terminating connection" in done.err
    assert job.numbers() == 5
    mend(job, table)
    goes_on(job)


def test_a_lease_that_was_lost_while_reading_lets_another_run_write_and_not_this_one(job: PostgresJob) -> None:
    job.run("plan")
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.write("slow.yaml", changed(job.read("job.yaml"), source=cec.source))
        with started("apply", "slow.yaml", folder=job.folder, env=ENV) as first:
            cec.wait()
            sessions = "from pg_stat_activity where application_name like 'cec-connector%'"
            job.query(f"select pg_terminate_backend(pid) {sessions}")
            job.agents([agent(number) for number in (1, 2)])
            job.configure(limits={"agents_drop": "100%"})
            job.run("apply")
            after = job.read("people.ldif")
            cec.let()
            done = ended(first)
    assert done.code == 1, done.said
    assert "terminating connection" in done.err
    assert job.read("people.ldif") == after
    assert job.numbers() == 2


def test_a_server_that_crashes_in_the_middle_stops_the_writing(tmp_path: Path, own_server: Postgres) -> None:
    job = PostgresJob(tmp_path, own_server)
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.write("slow.yaml", changed(job.read("job.yaml"), source=cec.source))
        with started("apply", "slow.yaml", folder=job.folder, env=ENV) as first:
            cec.wait()
            own_server.kill()
            cec.let()
            done = ended(first)
    assert done.code == 1, done.said
    assert "fault of the program" not in done.err
    assert job.numbers() == 0
    own_server.restart()
    goes_on(job)

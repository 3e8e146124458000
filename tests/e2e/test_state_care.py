"""`state show`, `check`, `backup`, `prune` and `forget`, through the program."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    started = Job(tmp_path, users=3)
    started.run("apply")
    return started


def test_what_the_state_holds_of_a_job_is_shown_as_text_and_as_json(job: Job) -> None:
    job.agents([agent(1, workNo=1011), agent(2), agent(3)])
    job.run("plan", "--save", "plan.json")
    job.write("other.yaml", job.read("job.yaml"))
    said = job.program("state", "show", "job.yaml").out
    assert "/state.db, format " in said
    assert "runs      1, the oldest of 2" in said
    assert "journal   3 writes, 0 of them with unknown outcome" in said
    assert "plans     1 saved for review" in said
    assert "ownership values of 3 users" in said
    assert "on hold   no" in said
    shown = json.loads(job.program("state", "show", "job.yaml", "--json").out)
    assert (shown["job"], shown["runs"], shown["writes"], shown["users"]) == ("job", 1, 3, 3)
    assert shown["octets"] == (job.folder / "state.db").stat().st_size
    assert json.loads(job.program("state", "show", "other.yaml", "--json").out)["runs"] == 0, "of one job alone"


def test_without_a_state_there_is_nothing_to_show_check_or_copy(tmp_path: Path) -> None:
    job = Job(tmp_path)
    assert "no state yet" in job.program("state", "show", "job.yaml").out
    for command in (["check"], ["backup", "copy.db"]):
        ended = job.program("state", command[0], "job.yaml", *command[1:])
        assert (ended.code, "no state yet" in ended.err) == (64, True)
    assert not (job.folder / "state.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update journal set attributes = '[' where user_name like 'uid=user2,%'", "the journal of run"),
        ("update ownership set attributes = 'x' where user_name like 'uid=user2,%'", "the values of earlier runs"),
        ("update runs set summary = '{'", "a run's summary"),
        ("update documents set content = '{' where kind = 'drawn'", "an earlier plan"),
        ("update documents set content = '' where kind = 'run'", "an earlier plan"),
        ("update facts set value = 'x' where kind = 'key' and job = 'job'", "its key is another one"),
        (
            'update journal set attributes = replace(attributes, \'"sealed":"\', \'"sealed":"AAAA\')',
            "a sealed password in the journal",
        ),
    ],
)
def test_a_state_that_cannot_be_read_is_found_by_its_check(job: Job, statement: str, said: str) -> None:
    job.agents([agent(1, sipPwd="canary-other"), agent(2), agent(3)])
    job.run("apply")
    assert job.program("state", "check", "job.yaml").out == "The state is sound.\n"
    job.sql(statement)
    ended = job.program("state", "check", "job.yaml")
    assert (ended.code, said in ended.out) == (1, True), ended.said
    assert "Restore both from a backup" in ended.out


def test_a_file_that_is_damaged_within_is_found_by_the_check(job: Job) -> None:
    with closing(sqlite3.connect(job.folder / "state.db")) as database, database:
        database.execute("pragma writable_schema = on")
        database.execute("update sqlite_master set rootpage = 3 where name = 'journal_users'")
    ended = job.program("state", "check", "job.yaml")
    assert ended.code == 1
    assert "damaged" in ended.said


def test_a_key_that_is_gone_is_found_by_the_check_and_not_made_anew(job: Job) -> None:
    (job.folder / "state.db.key").unlink()
    ended = job.program("state", "check", "job.yaml")
    assert (ended.code, "its key is missing" in ended.out) == (1, True)
    assert not (job.folder / "state.db.key").exists()


def test_a_copy_takes_no_other_file_s_place_and_serves_as_a_state(job: Job) -> None:
    made = job.program("state", "backup", "job.yaml", "copy.db")
    assert made.code == 0
    assert "Copied the state to copy.db" in made.out
    assert "state.db.key elsewhere" in made.out
    copy = job.folder / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    for taken in ("copy.db", "job.yaml", "state.db", "state.db-journal", "state.db.key", "nowhere/copy.db"):
        before = job.read("job.yaml")
        assert job.program("state", "backup", "job.yaml", taken).code == (1 if "/" in taken else 64)
        assert job.read("job.yaml") == before
    assert [path.name for path in job.folder.glob(".*")] == []
    job.agents([agent(1, workNo=1011), agent(2), agent(3)])
    job.run("apply")
    copy.replace(job.folder / "state.db")
    assert len(json.loads(job.run("runs", "--json"))) == 1


@pytest.mark.slow
def test_a_dry_run_names_old_runs_and_a_run_takes_them_out(job: Job) -> None:
    first, *_ = json.loads(job.run("runs", "--json"))
    job.agents([agent(1, workNo=1011), agent(2), agent(3)])
    job.run("apply")
    job.sql(f"update runs set started = '2025-01-01', ended = '2025-01-02' where id = '{first['id']}'")
    named = job.program("state", "prune", "job.yaml", "--older", "400d", "--dry-run")
    assert named.code == 0
    assert f"  {first['id']}  2025-01-01  apply: 3 writes" in named.out
    assert "cec-connector state prune job.yaml --older 400d\n" in named.out
    assert len(json.loads(job.run("runs", "--json"))) == 2
    done = job.program("state", "prune", "job.yaml", "--older", "400d")
    assert (done.code, "Took out 1 runs." in done.out) == (0, True)
    gone = job.program("undo", "job.yaml", first["id"])
    assert (gone.code, "those until 2025-01-02 were pruned" in gone.err) == (64, True)
    assert "were pruned" in job.program("state", "show", "job.yaml").out
    assert job.run("plan", "--fail-on-changes")
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(1, workNo=1011)])
    assert job.plan()["summary"]["stale"] == 2, "what is ours was forgotten"


@pytest.mark.parametrize("age", ["1d", "400", "0x", "-3d", "123456d", "10w"])
def test_an_age_is_a_number_of_days(job: Job, age: str) -> None:
    ended = job.program("state", "prune", "job.yaml", "--older", age)
    assert (ended.code, "as in 400d" in ended.err) == (64, True)


@pytest.mark.slow
def test_a_person_is_forgotten_and_it_is_said_what_that_means(job: Job) -> None:
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(1, workNo=1011), agent(2, workNo=1012), agent(3)])
    job.run("plan", "--save", "plan.json")
    dn = "uid=user2,ou=people,dc=example,dc=org"
    told = job.program("state", "forget", "job.yaml", dn.replace(",", " , ").replace("user2", r"\75ser2"), "--dry-run")
    assert told.code == 0
    said = " ".join(told.out.split())
    assert "Values that this job wrote stay in the directory: SIPIdentityPassword" in said
    assert "when the agent leaves, no plan names or clears them" in said
    assert "Saved plans that may name the user are withdrawn" in said
    assert "Not changed: audit, logs, reports, plan files, and backups" in said
    done = job.program("state", "forget", "job.yaml", dn)
    assert (done.code, "1 writes. Withdrew 1 saved plans." in done.out) == (0, True)
    assert b"user2" not in (job.folder / "state.db").read_bytes()
    assert b"user1" in (job.folder / "state.db").read_bytes()
    assert "foreign" in job.run("apply", "--plan", "plan.json", code=3)
    assert job.program("state", "forget", "job.yaml", dn).code == 64
    job.agents([agent(1), agent(3)])
    assert job.plan()["summary"]["stale"] == 0
    job.run("apply")
    assert "employeeNumber: 1002" in job.read("people.ldif"), "it is somebody else's now"
    assert job.program("state", "check", "job.yaml").code == 0


@pytest.mark.slow
def test_a_person_whom_only_a_saved_plan_names_is_forgotten(tmp_path: Path) -> None:
    job = Job(tmp_path, users=3)
    twin = job.read("people.ldif").split("\n\n")[1].replace("uid=user1,", "uid=twin,").replace("000001", "000077")
    job.write("people.ldif", f"{job.read('people.ldif')}{twin}\n\n")
    dn = "uid={},ou=people,dc=example,dc=org"
    for name, id_ in (("twin", ""), ("user2", "0002")):
        job.run("plan", "--save", f"{name}.json")
        told = job.program("state", "forget", "job.yaml", dn.format(name), "--dry-run")
        assert (told.code, dn.format(name) in told.out, id_ in told.out) == (0, True, True), told.said
        assert "Withdrew 1 saved plans" in job.program("state", "forget", "job.yaml", dn.format(name)).out
        assert name.encode() not in (job.folder / "state.db").read_bytes()
        assert "foreign" in job.run("apply", "--plan", f"{name}.json", code=3)
    assert b"00000000-0000-0000-0000-000000000002" not in (job.folder / "state.db").read_bytes()
    assert b"00000000-0000-0000-0000-000000000003" in (job.folder / "state.db").read_bytes()
    assert "knows no user" in job.program("state", "forget", "job.yaml", dn.format("user3")).err


def test_a_part_of_a_name_in_a_saved_plan_is_no_user(tmp_path: Path) -> None:
    job = Job(tmp_path, users=2)
    job.run("plan", "--save", "plan.json")
    for part in ("user", "people", "uid=user1"):
        assert "knows no user" in job.program("state", "forget", "job.yaml", part, "--dry-run").err

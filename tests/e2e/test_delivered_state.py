"""A state of the delivered version is taken over, and used through the program."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.ldif_job import MAPPING, Job, agent

DELIVERED = Path(__file__).parent.parent / "states" / "format-22.sql"
KEY = "0123456789abcdef" * 4
ONE = agent(1, workNo=1011, sipPwd="canary-other")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A directory as that version has left it, and its state."""
    started = Job(tmp_path)
    started.write("mapping.yaml", f"{MAPPING}stale: report\n")
    started.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    started.write("state.db.key", KEY)
    (tmp_path / "state.db.key").chmod(0o600)
    started.run("apply")
    started.agents([ONE, *map(agent, (2, 3, 4))])
    started.run("apply")
    (tmp_path / "state.db").unlink()
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.executescript(DELIVERED.read_text(encoding="utf-8").replace("{folder}", str(tmp_path.resolve())))
        database.execute("pragma user_version = 22")
    return started


def outcomes(job: Job) -> list[str | None]:
    return [run["result"] for run in json.loads(job.run("runs", "--json"))]


def test_it_is_sound_and_knows_its_runs_what_it_owns_and_who_is_stale(job: Job) -> None:
    assert job.program("state", "check", "job.yaml").out == "The state is sound.\n"
    said = job.program("state", "show", "job.yaml").out
    assert "format 30" in said
    assert "runs      4, the oldest of 2026-12-01" in said
    assert "attempts  1 that wrote nothing" in said
    assert "ownership values of 5 users" in said
    assert outcomes(job) == ["done", "failed", "done", "done", "done", "done"]
    plan = job.plan()
    assert (plan["summary"]["update"], plan["summary"]["stale"]) == (0, 1)
    job.write("mapping.yaml", f"{MAPPING}stale: clear\n")
    job.run("apply")
    assert "7005" not in job.read("people.ldif")


def test_its_last_run_is_taken_back_and_the_next_apply_writes_again(job: Job) -> None:
    before = job.read("people.ldif")
    job.run("undo", "last", "--apply")
    assert "employeeNumber: 1001" in job.read("people.ldif")
    assert "canary-1\n" in job.read("people.ldif")
    assert "on hold" in job.run("apply", code=3)
    job.program("release", "job.yaml")
    job.run("apply")
    assert job.read("people.ldif") == before
    job.run("plan", "--fail-on-changes")
    job.run("undo", "last", "--apply")
    assert "employeeNumber: 1001" in job.read("people.ldif")


def test_what_it_has_on_hold_stays_so(job: Job) -> None:
    (job.folder / "job.yaml").rename(job.folder / "held.yaml")
    assert "a reason" in job.program("apply", "held.yaml").err


def test_one_of_an_older_version_is_refused_and_stays_as_it_is(job: Job) -> None:
    with closing(sqlite3.connect(job.folder / "state.db")) as database:
        database.execute("pragma user_version = 21")
    before = (job.folder / "state.db").read_bytes()
    for command in ("plan", "apply", "runs"):
        said = job.run(command, code=1)
        assert "written before release 0.1.0 (format 21) and is not read. Move it away" in said
    assert (job.folder / "state.db").read_bytes() == before


@pytest.mark.parametrize("killed", [False, True])
def test_its_audit_goes_on_from_a_record_that_is_certain(job: Job, killed: bool) -> None:
    """After a kill the file may be ahead of what that version noted: then the chain begins anew, and is whole."""
    old = ['{"time":"2026-12-01","event":"begin","job":"job","chain":{}}\n', '{"event":"end","job":"job","chain":{}}\n']
    job.write("audit.jsonl", "".join(old))
    certain = sha256(old[0 if killed else 1].strip().encode()).hexdigest()
    job.sql(f"update chains set seq = {1 if killed else 2}, digest = '{certain}', under_way = {int(killed)}")
    job.configure(audit={"file": "audit.jsonl"})
    job.run("apply")
    ended = job.program("audit", "verify", "--job", "job.yaml", "audit.jsonl")
    assert ended.code == 0, ended.said
    assert f"job: records of an earlier version, not verified: {len(old)}" in ended.out
    assert f"job: records {1 if killed else 3} to " in ended.out

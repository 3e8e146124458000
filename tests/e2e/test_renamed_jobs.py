"""A job whose file gets another name, through the program: `state rename` gives that name what the old one knew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    started = Job(tmp_path, users=3)
    started.configure(limits={"agents_drop": "100%"})
    started.run("apply")
    started.agents([agent(1), agent(2)])
    return started


def stale(job: Job, name: str) -> int:
    ended = job.program("plan", name, "--report", "report.json")
    assert ended.code == 0, ended.said
    return int(json.loads(job.read("report.json"))["summary"]["stale"])


@pytest.mark.parametrize("first", ["file", "state"])
def test_a_job_knows_what_it_wrote_under_its_new_name(job: Job, first: str) -> None:
    """Whichever of the two is renamed first; nobody else would know whose the leaver's values are."""
    if first == "file":
        (job.folder / "job.yaml").rename(job.folder / "staff.yaml")
        assert stale(job, "staff.yaml") == 0, "a job of this name has written nothing"
    ended = job.program("state", "rename", "job.yaml", "staff.yaml" if first == "file" else "staff")
    assert ended.code == 0, ended.said
    assert "3 users" in ended.out
    if first == "state":
        (job.folder / "job.yaml").rename(job.folder / "staff.yaml")
    assert stale(job, "staff.yaml") == 1
    (run,) = job.program("runs", "staff.yaml").out.splitlines()
    assert run.split()[5:7] == ["3", "0"]


def test_a_name_that_is_taken_or_one_that_nobody_had_is_a_mistake_of_the_command_line(job: Job) -> None:
    job.write("staff.yaml", job.read("job.yaml"))
    assert job.program("apply", "staff.yaml").code == 0
    taken = job.program("state", "rename", "job.yaml", "staff")
    assert taken.code == 64
    assert "'staff'" in taken.err
    job.write("other.yaml", job.read("job.yaml"))
    unknown = job.program("state", "rename", "other.yaml", "another")
    assert unknown.code == 64
    assert "'other'" in unknown.err


def test_a_job_on_hold_is_released_before_it_is_renamed(job: Job) -> None:
    job.run("undo", "last", "--apply", "--yes")
    held = job.program("state", "rename", "job.yaml", "parked")
    assert held.code == 3
    assert "this job is on hold since" in held.err
    assert "cec-connector release job.yaml" in held.err
    assert "on hold" in job.run("apply", code=3)
    job.run("release")
    assert job.program("state", "rename", "job.yaml", "parked").code == 0


def test_without_a_state_there_is_nothing_to_rename(tmp_path: Path) -> None:
    job = Job(tmp_path)
    ended = job.program("state", "rename", "job.yaml", "staff")
    assert ended.code == 64
    assert not (job.folder / "state.db").exists()

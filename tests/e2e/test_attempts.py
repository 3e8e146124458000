"""Attempts that came to no run: `runs` lists them with the reason, and they spend no plan."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def runs(job: Job) -> list[dict[str, Any]]:
    listed = json.loads(job.run("runs", "--json"))
    assert len({each["id"] for each in listed}) == len(listed)
    return list(listed)


def test_a_refused_attempt_is_listed_by_the_id_of_its_plan_and_with_the_reason(job: Job) -> None:
    job.configure(limits={"update": 2})
    said = job.run("apply", "--report", "report.json", code=3)
    plan = json.loads(job.read("report.json"))
    (attempt,) = runs(job)
    assert attempt["id"] == plan["id"]
    assert attempt["id"] in said
    assert (attempt["result"], attempt["kind"], attempt["digest"]) == ("refused", "apply", plan["digest"])
    assert attempt["why"] == "; ".join(f"{each['limit']}: {each['why']}" for each in plan["refusals"])
    assert attempt["outcomes"] == {}
    line = job.run("runs")
    assert line.startswith(attempt["id"])
    assert "  apply refused by " in line
    shown = job.run("runs", attempt["id"][:8])
    assert "update: it would set an attribute of 4 users; 2 are allowed" in shown

    job.run("apply", "--accept", plan["digest"])
    assert [each["result"] for each in runs(job)] == ["done", "refused"]
    assert runs(job)[0]["id"] in job.run("runs", "last")
    nothing = job.run("undo", attempt["id"][:13], code=64)
    assert "nothing to undo: this attempt was refused, and wrote nothing: update" in nothing


def test_a_dry_run_is_no_attempt_nor_is_a_wrong_command_line_or_a_held_directory(job: Job) -> None:
    job.configure(limits={"update": 2})
    job.run("plan", code=3)
    job.run("apply", "--only", "nobody", code=64)
    job.configure(limits={"update": 100})
    job.run("apply")
    (lock,) = job.folder.glob("state.db.*.lock")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        job.run("apply", code=75)
        job.run("undo", "last", "--apply", code=75)
    assert [each["result"] for each in runs(job)] == ["done"]


def test_a_failed_attempt_spends_no_plan_whatever_failed(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    plan = json.loads(job.read("plan.json"))["id"]
    before = job.read("agents.json")
    job.write("agents.json", "{")
    job.run("apply", "--plan", "plan.json", code=1)
    job.write("agents.json", before)
    failed = runs(job)
    assert [(each["result"], each["plan"]) for each in failed] == [("failed", plan)]
    assert failed[0]["id"] != plan
    assert "agents.json" in failed[0]["why"]
    shown = job.run("runs", failed[0]["id"])
    assert plan in shown
    assert failed[0]["why"] in shown

    job.run("apply", "--plan", "plan.json")
    assert [(each["id"] == plan, each["result"]) for each in runs(job)] == [(True, "done"), (False, "failed")]
    job.run("apply", "--plan", "plan.json", code=3)
    spent = runs(job)[0]
    assert (spent["result"], spent["plan"]) == ("refused", plan)
    assert "this plan is spent" in spent["why"]


def test_a_wrong_mapping_is_a_failed_attempt_and_a_wrong_job_none(job: Job) -> None:
    right, settings = job.read("mapping.yaml"), job.read("job.yaml")
    job.write("mapping.yaml", right + "no_such_key: 1\n")
    job.run("plan", code=78)
    job.run("apply", code=78)
    job.write("job.yaml", settings + "no_such_key: 1\n")
    job.run("apply", code=78)
    job.write("job.yaml", settings)
    (failed,) = runs(job)
    assert (failed["result"], "mapping.yaml" in failed["why"], "no_such_key" in failed["why"]) == ("failed", True, True)


def test_a_refused_undo_and_applies_of_a_job_on_hold_are_listed(job: Job) -> None:
    job.configure(limits={"clear": 0})
    job.run("apply")
    (wrote,) = runs(job)
    job.run("undo", "last", "--apply", code=3)
    refused = runs(job)[0]
    assert (refused["kind"], refused["undoes"], refused["result"]) == ("undo", wrote["id"], "refused")
    assert "undo refused by " in job.run("runs")
    assert f"run {wrote['id']}" in job.run("runs", refused["id"])
    job.run("undo", "last", "--apply", "--accept", refused["digest"])
    job.run("apply", code=3)
    held = runs(job)[0]
    assert (held["kind"], held["result"]) == ("apply", "refused")
    assert "this job is on hold since" in held["why"]


def test_attempts_move_with_the_name_of_their_job(job: Job) -> None:
    job.configure(limits={"update": 2})
    job.run("apply", code=3)
    (job.folder / "job.yaml").rename(job.folder / "hr.yaml")
    job.run("state", code=64)
    assert job.program("state", "rename", "job.yaml", "hr.yaml").code == 0
    (attempt,) = json.loads(job.program("runs", "hr.yaml", "--json").out)
    assert attempt["result"] == "refused"
    since = job.program("plan", "hr.yaml", "--since", attempt["id"])
    assert (since.code, "changes 0 new, 0 gone, 0 changed, 4 the same" in since.out) == (3, True), since.said


def test_runs_and_attempts_are_listed_in_the_order_in_which_they_began(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"update": 1})
    job.agents([agent(number, sipAccount=f"8{number}") for number in range(1, 5)])
    job.run("apply", code=3)
    job.configure(limits={"update": "100%"})
    job.run("apply")
    assert [each["result"] for each in runs(job)] == ["done", "refused", "done"]

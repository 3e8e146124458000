"""A digest accepts one plan. Where that was no more, another was written in its place, if no limit refused it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.terminal import at_a_terminal, plain

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def refuses(job: Job, command: str, *options: str) -> str:
    """Run a command that has to write nothing, neither to the directory nor a hold; what it says."""
    before = job.read("people.ldif")
    said = job.run(command, *options, code=3)
    assert job.read("people.ldif") == before
    assert "on hold" not in job.run("check")
    return said


def test_a_plan_that_has_changed_is_not_written_though_no_limit_refuses_it(job: Job) -> None:
    job.configure(limits={"update": 3})
    accepted = job.plan(code=3)["digest"]
    job.agents([agent(1), agent(2), agent(3)])  # within the limit now, and not what somebody has read

    said = refuses(job, "apply", "--accept", accepted)

    now = job.plan()["digest"]
    assert f"The accepted digest {accepted} is not that of this plan. Review this plan. To apply it, run:" in said
    assert f"\n    cec-connector apply job.yaml --accept {now}\n" in said
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], attempt["digest"]) == ("refused", now)
    assert attempt["why"] == "the accepted digest is that of another plan"
    job.run("apply", "--accept", now)
    assert job.plan()["changes"] == []


def test_a_digest_is_no_good_for_a_plan_without_changes(job: Job) -> None:
    accepted = job.plan()["digest"]
    job.run("apply", "--accept", accepted)
    said = refuses(job, "apply", "--accept", accepted)
    assert f"The accepted digest {accepted} is not that of this plan. Review this plan." in said


def test_a_saved_plan_bears_its_own_digest_or_that_of_what_is_planned_now(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    said = refuses(job, "apply", "--plan", "plan.json", "--accept", OTHER)
    saved = json.loads(job.read("plan.json"))["digest"]
    assert f"\n    cec-connector apply job.yaml --plan=plan.json --accept {saved}\n" in said
    job.agents([agent(1), agent(2), agent(3)])
    job.run("apply", "--plan", "plan.json", "--accept", saved, code=4)
    assert "1003" in job.read("people.ldif")


def test_an_undo_that_has_changed_takes_nothing_back_and_holds_nothing(job: Job) -> None:
    job.configure(limits={"clear": 3})
    job.run("apply")
    job.run("undo", "last", "--report", "undo.json", code=3)
    accepted = json.loads(job.read("undo.json"))["digest"]
    people = job.read("people.ldif")
    for line in ("employeeNumber: 1004", "cecAccountCode: user4", "SIPIdentitySIPURI: sip:7004@192.0.2.10:5060"):
        people = people.replace(f"{line}\n", f"{line.partition(':')[0]}: by hand\n")
    job.write("people.ldif", people.replace("canary-4", "by hand"))

    said = refuses(job, "undo", "last", "--apply", "--accept", accepted)

    assert f"The accepted digest {accepted} is not that of this plan. Review this plan. To apply it, run:" in said
    command = said.rpartition("run:\n    cec-connector undo job.yaml ")[2]
    job.run("undo", *command.splitlines()[0].split())
    assert "1003" not in job.read("people.ldif")


@pytest.mark.slow
def test_nobody_is_asked_at_a_terminal_about_another_plan_than_the_accepted_one(job: Job) -> None:
    before = job.read("people.ldif")
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", "--accept", OTHER, width=200)
    assert (code, "[y/N]" in seen) == (3, False), seen
    assert f"The accepted digest {OTHER} is not that of this plan." in plain(seen)
    assert job.read("people.ldif") == before

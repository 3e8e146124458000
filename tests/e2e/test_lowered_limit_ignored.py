"""A limit that was lowered since a plan was accepted: the refusal that the plan lists was lifted all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import MAPPING, Job, agent
from tests.support.ssh_keys import pen

ANNA = pen()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def saved(job: Job) -> str:
    """Save a plan that limits refuse; its digest."""
    job.run("plan", "--save", "plan.json", code=3)
    return str(json.loads(job.read("plan.json"))["digest"])


def refused(job: Job, *options: str) -> str:
    before = job.read("people.ldif")
    said = job.run("apply", "--plan", "plan.json", *options, code=3)
    assert job.read("people.ldif") == before
    return said


@pytest.mark.parametrize(
    ("signed", "lowered", "said"),
    [
        ({"update": 3}, {"update": 1}, "Too many updates  4 planned, 1 allowed"),
        ({"update": "50%"}, {"update": "25%"}, "Too many updates  4 planned, 1 allowed"),
        ({"secret": 2}, {"secret": 0}, "Too many secrets to set  4 planned, 0 allowed"),
        ({"attributes": {"employeeNumber": 2}}, {"attributes": {"employeeNumber": 1}}, "4 planned, 1 allowed"),
    ],
)
def test_a_digest_accepts_a_limit_as_it_was(
    job: Job, signed: dict[str, Any], lowered: dict[str, Any], said: str
) -> None:
    job.configure(limits={"update": "100%", "secret": "100%"} | signed)
    digest = saved(job)
    job.configure(limits={"update": "100%", "secret": "100%"} | lowered)
    shown = refused(job, "--accept", digest)
    assert said in shown
    now = job.plan(code=3)["digest"]
    assert f"\n    cec-connector apply job.yaml --plan=plan.json --accept {now}\n" in shown
    job.run("apply", "--plan", "plan.json", "--accept", now)
    assert job.plan()["changes"] == []


def test_a_digest_still_accepts_a_limit_that_is_as_it_was_though_fewer_agents_match(job: Job) -> None:
    job.configure(limits={"update": "50%", "agents_drop": "100%", "matched_drop": "100%"})
    digest = saved(job)
    job.agents([agent(1), agent(2), agent(3)])
    job.run("apply", "--plan", "plan.json", "--accept", digest, code=4)
    assert "1003" in job.read("people.ldif")


def test_a_signature_accepts_a_limit_as_it_was(job: Job) -> None:
    job.write("allowed_signers", f"anna@example.org {ANNA.public}\n")
    job.configure(limits={"update": 3, "secret": "100%"}, approvers={"allowed": "allowed_signers", "needed": 1})
    saved(job)
    (job.folder / "anna.sig").write_bytes(ANNA.sign((job.folder / "plan.json").read_bytes()))
    job.configure(limits={"update": 1, "secret": "100%"})
    assert "Too many updates  4 planned, 1 allowed" in refused(job, "--approval=anna.sig")
    job.configure(limits={"update": 3, "secret": "100%"})
    job.run("apply", "--plan", "plan.json", "--approval=anna.sig")


def test_a_digest_accepts_how_many_users_are_emptied_as_it_was(job: Job) -> None:
    limits = {"update": "100%", "agents_drop": "100%", "matched_drop": "100%"}
    job.configure(limits=limits | {"clear": 2})
    job.write("mapping.yaml", MAPPING + "stale: clear\n")
    job.run("apply")
    job.agents([agent(1)])
    digest = saved(job)
    job.configure(limits=limits | {"clear": 1})
    assert "Too many users to empty  3 planned, 1 allowed" in refused(job, "--accept", digest)


def test_the_digest_of_an_undo_accepts_a_limit_as_it_was(job: Job) -> None:
    job.configure(limits={"update": "100%", "clear": 3})
    job.run("apply")
    job.run("undo", "last", "--save", "undo.json", code=3)
    digest = json.loads(job.read("undo.json"))["digest"]
    before = job.read("people.ldif")
    job.configure(limits={"update": "100%", "clear": 1})
    said = job.run("undo", "last", "--apply", "--plan", "undo.json", "--accept", digest, code=3)
    assert "Too many users to empty  4 planned, 1 allowed" in said
    assert job.read("people.ldif") == before
    assert "on hold" not in job.run("check")
    job.configure(limits={"update": "100%", "clear": 3})
    job.run("undo", "last", "--apply", "--plan", "undo.json", "--accept", digest)

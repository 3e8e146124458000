"""A plan that was made before an undo, and would bring back what that took away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.ssh_keys import pen

ANNA = pen()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def save(job: Job, name: str, code: int = 0) -> dict[str, Any]:
    job.run("plan", "--save", name, code=code)
    document: dict[str, Any] = json.loads(job.read(name))
    return document


def take_back(job: Job, *options: str) -> str:
    """Undo the last run, and release the job; the id of the undo."""
    job.run("undo", "last", "--apply", *options)
    job.run("release")
    return str(json.loads(job.run("runs", "--json"))[0]["id"])


def refused(job: Job, *options: str) -> str:
    before = job.read("people.ldif")
    said = job.run("apply", *options, code=3)
    assert job.read("people.ldif") == before
    return said


def test_a_plan_that_was_saved_before_an_undo_is_spent(job: Job) -> None:
    first, same = save(job, "first.json"), save(job, "same.json")
    job.run("apply", "--plan", "first.json")
    undo = take_back(job)

    said = refused(job, "--plan", "same.json")

    assert f"this plan is spent: undo {undo} took back run {first['id']} since it was made" in said
    assert "Save a new plan with `plan --save FILE`, and have it reviewed." in said
    new = save(job, "new.json")
    assert new["id"] not in (first["id"], same["id"])
    job.run("apply", "--plan", "new.json")
    assert "employeeNumber: 1004" in job.read("people.ldif")


def test_a_signature_from_before_an_undo_is_good_no_more(job: Job) -> None:
    job.write("allowed_signers", f"anna@example.org {ANNA.public}\n")
    job.configure(approvers={"allowed": "allowed_signers", "needed": 1, "free": {"clear": 9}})
    for name in ("first.json", "same.json"):
        save(job, name)
        (job.folder / f"{name}.sig").write_bytes(ANNA.sign((job.folder / name).read_bytes()))
    job.run("apply", "--plan", "first.json", "--approval=first.json.sig")
    job.run("undo", "last", "--apply")
    job.run("release", "--save", "release.txt")
    (job.folder / "release.sig").write_bytes(ANNA.sign((job.folder / "release.txt").read_bytes()))
    job.run("release", "--approval=release.sig")
    assert "this plan is spent: undo " in refused(job, "--plan", "same.json", "--approval=same.json.sig")


def test_a_digest_from_before_an_undo_accepts_no_plan_that_is_made_after_it(job: Job) -> None:
    job.configure(limits={"update": 3, "secret": "100%"})
    accepted = job.plan(code=3)["digest"]
    job.run("apply", "--accept", accepted)
    take_back(job)

    said = refused(job, "--accept", accepted)

    assert f"The accepted digest {accepted} is not that of this plan." in said
    assert "Note: an undo, run number 2 of the state, took back a run. This plan may write the same again\n" in said
    job.run("apply", "--accept", job.plan(code=3)["digest"])
    job.agents([agent(n, workNo=1100 + n) for n in (1, 2, 3, 4)])
    assert "took back" not in job.run("plan", code=3)


def test_an_undo_that_takes_nothing_back_spends_nothing(job: Job) -> None:
    save(job, "plan.json")
    job.run("apply", "--only", "user1")
    shutil.copy(job.folder / "people.ldif", job.folder / "kept.ldif")
    job.write("people.ldif", job.read("people.ldif").replace("employeeNumber: 1001", "employeeNumber: 9"))
    job.write("people.ldif", job.read("people.ldif").replace("sip:7001@", "sip:9@").replace("canary-1", "other"))
    job.write("people.ldif", job.read("people.ldif").replace("cecAccountCode: user1", "cecAccountCode: 9"))
    assert "nothing to write" in job.run("undo", "last", "--apply")
    assert "on hold" not in job.run("check")
    shutil.copy(job.folder / "kept.ldif", job.folder / "people.ldif")
    job.run("apply", "--plan", "plan.json")
    assert "employeeNumber: 1004" in job.read("people.ldif")


def test_an_undo_spends_earlier_plans_of_undos_and_goes_on_with_its_own(job: Job) -> None:
    job.run("apply", "--only", "user1")
    first = json.loads(job.run("runs", "--json"))[0]["id"]
    job.run("apply")
    for run in (first, "last"):
        job.run("undo", run, "--save", f"{run}.json")
    job.run("undo", "last", "--apply", "--plan", "last.json")
    assert "this plan is spent: it was applied" in job.run("undo", "last", "--apply", "--plan", "last.json", code=3)
    assert "this plan is spent: undo " in job.run("undo", first, "--apply", "--plan", f"{first}.json", code=3)
    job.run("undo", first, "--apply")

"""`plan --mapping`: a plan with another mapping, of which nothing is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import MAPPING, Job, agent

OTHER = MAPPING.replace(
    "  employeeNumber: {", "  departmentNumber: {value: '{workNo}', owns: '*'}\n  employeeNumber: {"
)
OTHER = OTHER.replace('  cecAccountCode: "{accountCode}"', "  givenName: {value: '{accountCode}', owns: '*'}")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=6)
    made.agents([agent(1), agent(2), agent(3), agent(8, accountCode="nobody")])
    made.write("other.yaml", OTHER)
    return made


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("before", ["no state", "a state", "an apply"])
def test_it_is_the_plan_of_a_job_with_that_mapping_and_leaves_nothing(job: Job, before: str) -> None:
    if before != "no state":
        job.run("plan" if before == "a state" else "apply")
        job.agents([agent(1, workNo=1100), agent(2), agent(4), agent(8, accountCode="nobody")])
    files = everything(job.folder)
    said = job.run("plan", "--mapping", "other.yaml")
    tried = json.loads(job.run("plan", "--mapping", "other.yaml", "--json"))
    assert everything(job.folder) == files
    assert "This plan has the mapping other.yaml, and cannot be applied." in said
    job.configure(mapping="other.yaml")
    expected = json.loads(job.run("plan", "--json"))
    assert tried["summary"] == expected["summary"]
    users = [[each["user"] for each in document["changes"]] for document in (tried, expected)]
    assert users[0] == users[1] != []


def test_no_apply_takes_it(job: Job) -> None:
    job.run("apply")
    before = job.read("people.ldif")
    reports = ["--report", "other.json", "--report", "other.html", "--report", "other.md"]
    said = job.run("plan", "--mapping", "other.yaml", *reports)
    for shown in (said, job.read("other.html"), job.read("other.md")):
        assert "cec-connector apply" not in shown
    job.run("apply", "--plan", "other.json", code=3)
    digest = json.loads(job.read("other.json"))["digest"]
    job.run("apply", "--accept", digest, code=3)
    assert job.read("people.ldif") == before
    said = job.run("plan", "--mapping", "other.yaml", "--save", "plan.json", code=64)
    assert "Leave out `--save`" in said


def test_the_last_plan_stays_the_last(job: Job) -> None:
    job.run("plan")
    job.run("plan", "--mapping", "other.yaml")
    assert "changes 0 new, 0 gone, 0 changed, 3 the same" in job.run("plan", "--since", "last")


def test_a_ready_mapping_is_taken_by_its_name_and_compared_by_diff(job: Job) -> None:
    job.run("plan", "--report", "old.json")
    job.run("plan", "--mapping", "inetorgperson", "--report", "new.json")
    assert "Changes: " in job.program("diff", "old.json", "new.json").out


def test_the_other_mapping_is_checked_as_every_mapping_is(job: Job) -> None:
    assert "--mapping: there is no file no.yaml" in job.run("plan", "--mapping", "no.yaml", code=78)
    assert "no ready mapping is called 'no'" in job.run("plan", "--mapping", "no", code=78)
    job.write("other.yaml", OTHER.replace("{workNo}", "{worNo}", 1))
    assert "other.yaml:6" in job.run("plan", "--mapping", "other.yaml", code=78)
    job.write("other.yaml", MAPPING.replace('  employeeNumber: {value: "{workNo}", unique: true}', "  sn: '{workNo}'"))
    assert "other.yaml:6: sn can hold several values here" in job.run("plan", "--mapping", "other.yaml", code=78)
    job.write("other.yaml", OTHER)
    job.configure(limits={"attributes": {"cecAccountCode": 10}})
    assert "the mapping does not write cecAccountCode" in job.run("plan", "--mapping", "other.yaml", code=78)


def test_a_limit_refuses_it_as_any_plan(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"update": 2, "clear": 10})
    said = job.run("plan", "--mapping", "other.yaml", code=3)
    assert "Too many updates  3 planned, 2 allowed" in said
    assert "cec-connector apply" not in said

"""Jobs that share a state and a directory: whose an attribute is, and what becomes of what others wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.jobs import changed, file_source
from tests.support.ldif_job import Job, agent

BOTH = """\
match:
  - {agent: "{accountCode}", directory: uid}
attributes:
  employeeNumber: "{workNo}"
  description: {value: "seat {workNo}", owns: "seat *"}
stale: clear
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    found = Job(tmp_path, users=3)
    found.write("mapping.yaml", BOTH)
    found.write("copy.yaml", changed(found.read("job.yaml"), source=file_source("copy.json")))
    found.write("copy.json", found.read("agents.json"))
    return found


def put(job: Job, old: str, new: str) -> None:
    """Somebody else writes."""
    before = job.read("people.ldif")
    assert old in before
    job.write("people.ldif", before.replace(old, new))


def test_what_somebody_else_has_put_in_the_place_of_ours_stays_and_is_named(job: Job) -> None:
    job.run("apply")
    put(job, "employeeNumber: 1002", "employeeNumber: PAY-77")
    job.agents([agent(1), agent(3)])
    job.configure(limits={"agents_drop": "100%"})
    said = job.run("apply")
    assert "changed by somebody since" in said
    people = job.read("people.ldif")
    assert "employeeNumber: PAY-77" in people
    assert "seat 1002" not in people, "what is ours still was not cleared"


def test_an_undo_leaves_what_somebody_else_has_put_there(job: Job) -> None:
    job.run("apply")
    (run,) = [line.split()[0] for line in job.run("runs").splitlines()]
    put(job, "employeeNumber: 1002", "employeeNumber: 1002x")
    job.run("undo", run, "--apply")
    people = job.read("people.ldif")
    assert "employeeNumber: 1002x" in people
    assert "seat" not in people


def test_a_copy_that_writes_nothing_takes_nothing_over(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1)])
    job.configure(limits={"agents_drop": "100%"})
    job.write("mapping.yaml", BOTH.replace("stale: clear", "stale: report"))
    job.run("apply")
    assert job.program("apply", "copy.yaml").code == 0
    assert job.plan()["summary"]["stale"] == 2


def test_an_attribute_of_another_job_is_named_and_not_written_unless_the_mapping_takes_it_over(job: Job) -> None:
    job.run("apply")
    job.write("other-mapping.yaml", BOTH.replace("{workNo}", "9{workNo}").replace("stale: clear", "stale: report"))
    job.write("copy.yaml", changed(job.read("copy.yaml"), mapping="other-mapping.yaml"))
    held = job.program("apply", "copy.yaml")
    assert held.code == 0
    assert "another job (job) writes this attribute" in held.out
    assert "job job" in held.out, "what is shared was not told"
    assert "employeeNumber: 1002" in job.read("people.ldif")
    assert "attributes in common: description, employeeNumber" in job.program("check", "copy.yaml").out

    takes = job.read("other-mapping.yaml").replace('"9{workNo}"', '{value: "9{workNo}", take_over: true}')
    job.write("other-mapping.yaml", takes)
    assert job.program("apply", "copy.yaml").code == 0
    people = job.read("people.ldif")
    assert "employeeNumber: 91002" in people
    assert "seat 1002" in people
    assert "another job (copy) writes this attribute" in job.run("apply")
    assert "employeeNumber: 91002" in job.read("people.ldif")


def test_what_its_owner_lets_go_of_passes_to_the_job_that_claims_it(job: Job) -> None:
    job.write("mapping.yaml", BOTH.replace("stale: clear", "stale: report"))
    job.run("apply")
    job.agents([agent(1)])
    job.configure(limits={"agents_drop": "100%"})
    job.run("apply")
    job.write("copy.json", job.read("agents.json").replace("1001", "1005").replace("user1", "user2"))
    told = job.program("apply", "copy.yaml").out
    assert "1 users, which it no longer claims, pass to this job" in told
    assert "employeeNumber: 1005" in job.read("people.ldif")
    assert job.plan()["summary"]["stale"] == 1, "user 3 alone is left to the first job"


def test_a_user_of_whom_nothing_is_its_owners_any_more_passes_to_the_job_that_claims_it(job: Job) -> None:
    job.run("apply")
    put(job, "employeeNumber: 1002", "employeeNumber: PAY-77")
    put(job, "description: seat 1002\n", "")
    job.agents([agent(1), agent(3)])
    job.configure(limits={"agents_drop": "100%"})
    for _ in range(2):
        job.run("apply")
    job.write("copy.json", job.read("agents.json").replace("1001", "1005").replace("user1", "user2"))
    assert "another job" not in job.program("apply", "copy.yaml").out
    assert "employeeNumber: 1005" in job.read("people.ldif")


@pytest.mark.parametrize("first", ["the state", "the file"])
def test_a_job_gets_another_name_and_keeps_what_it_wrote(job: Job, first: str) -> None:
    job.run("apply")
    if first == "the file":
        (job.folder / "job.yaml").rename(job.folder / "hr.yaml")
    named = job.program("state", "rename", "job.yaml", "hr.yaml" if first == "the file" else "hr")
    assert (named.code, named.out) == (0, "Renamed job to hr. It owns values of 3 users.\n")
    if first == "the state":
        (job.folder / "job.yaml").rename(job.folder / "hr.yaml")
    job.agents([agent(1), agent(2)])
    ended = job.program("apply", "hr.yaml")
    assert ended.code == 3, "it does not know how many agents there were"
    listed = json.loads(job.program("runs", "hr.yaml", "--json").out)
    assert [each["result"] for each in listed] == ["refused", "done"]
    assert job.program("state", "rename", "nobody.yaml", "hr.yaml").code == 64
    assert job.program("apply", "copy.yaml").code == 0
    assert "Choose another name" in job.program("state", "rename", "copy.yaml", "hr").said


def test_a_mapping_that_spells_an_attribute_otherwise_knows_what_it_wrote(job: Job) -> None:
    job.run("apply")
    job.write("mapping.yaml", BOTH.replace("employeeNumber", "employeenumber"))
    job.agents([agent(1), agent(2)])
    job.configure(limits={"agents_drop": "100%"})
    job.run("apply")
    assert "employeeNumber: 1003" not in job.read("people.ldif")
    assert "employeeNumber: 1002" in job.read("people.ldif")


def test_what_is_adopted_is_not_taken_from_another_job(job: Job) -> None:
    job.run("apply")
    job.write("other-mapping.yaml", BOTH.replace('"{workNo}"', '{value: "{workNo}", adopt: true}', 1))
    job.write("copy.yaml", changed(job.read("copy.yaml"), mapping="other-mapping.yaml"))
    job.write("copy.json", job.read("agents.json").replace("user2", "nobody").replace("1002", "1009"))
    said = job.program("apply", "copy.yaml")
    assert said.code == 0
    assert "another job (job) writes this attribute" in said.out
    assert "employeeNumber: 1002" in job.read("people.ldif")


def test_a_plan_that_was_saved_under_another_name_is_foreign(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1, workNo=1011), agent(2), agent(3)])
    job.run("plan", "--save", "plan.json")
    assert job.program("state", "rename", "job.yaml", "hr").code == 0
    (job.folder / "job.yaml").rename(job.folder / "hr.yaml")
    refused = job.program("apply", "hr.yaml", "--plan", "plan.json")
    assert refused.code == 3
    assert "foreign" in refused.said


def test_a_pilot_takes_nothing_over_but_what_it_writes(job: Job) -> None:
    job.write("mapping.yaml", BOTH.replace("stale: clear", "stale: report"))
    job.run("apply")
    job.agents([agent(9, accountCode="nobody")])
    job.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    job.run("apply")
    job.agents([agent(1, workNo=1101), agent(2), agent(3)])
    job.write("copy.json", job.read("agents.json"))
    job.agents([agent(9, accountCode="nobody")])
    assert job.program("apply", "copy.yaml", "--only", "user1").code == 0
    assert job.plan()["summary"]["stale"] == 2, "what the pilot was not about stays with the first job"
    assert job.program("apply", "copy.yaml").code == 0
    assert job.plan()["summary"]["stale"] == 2, "a run that writes nothing takes nothing over"


@pytest.mark.slow
def test_forgetting_a_user_lets_no_other_job_write_unless_somebody_says_so(job: Job) -> None:
    number = job.read("mapping.yaml").replace('employeeNumber: "{workNo}"', 'employeeNumber: {value: "9{workNo}", {}}')
    job.run("apply")
    job.write("other-mapping.yaml", number.replace("{}", "take_over: true"))
    job.write("copy.yaml", changed(job.read("copy.yaml"), mapping="other-mapping.yaml"))
    assert job.program("apply", "copy.yaml").code == 0
    forget = ("state", "forget", "copy.yaml", "uid=user2,ou=people,dc=example,dc=org")
    told = job.program(*forget)
    assert told.code == 3, told.said
    assert "Other jobs of this directory may then write over these values: job." in told.out
    assert "Nothing was taken out" in told.err
    assert "another job (copy) writes this attribute" in job.run("plan")
    assert "--yes" in told.err
    assert job.program(*forget, "--yes").code == 0
    assert len(job.plan()["changes"]) == 1
    job.write("copy.json", json.dumps(json.loads(job.read("copy.json")) | {"agents": [agent(1)]}))
    job.write("copy.yaml", changed(job.read("copy.yaml"), limits={"agents_drop": "100%"}))
    assert job.program("apply", "copy.yaml").code == 0
    passed = job.program(*forget[:-1], "uid=user3,ou=people,dc=example,dc=org")
    assert (passed.code, "write over" in passed.out) == (0, False), passed.said

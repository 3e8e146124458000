"""The exclude list fails closed: who was renamed is spared, and a line that names nobody refuses an apply."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import BASE, Job

DN = f"uid=user2,{BASE}"
ID = "00000000-0000-0000-0000-000000000002"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path)
    made.write("exclude.csv", f'user\n"{DN}"\n')
    made.configure(exclude="exclude.csv")
    return made


def rename(job: Job, new: str = "other") -> None:
    """The entry of user2 gets another name; the account stays."""
    job.write("people.ldif", job.read("people.ldif").replace(f"dn: {DN}", f"dn: cn={new},{BASE}"))


def test_who_was_renamed_since_is_spared_by_the_id_that_the_state_knows(job: Job) -> None:
    job.run("apply")
    assert "1002" not in job.read("people.ldif")
    rename(job)
    planned = job.plan()
    spared = [problem["users"] for problem in planned["problems"] if problem["kind"] == "exclude"]
    assert spared == [[f"cn=other,{BASE}"]]
    assert (planned["changes"], planned["refusals"]) == ([], [])
    job.run("apply")
    rename(job, "again")
    job.run("apply")
    assert "1002" not in job.read("people.ldif")


def test_an_undo_spares_who_was_renamed_since(job: Job) -> None:
    job.configure(exclude=None)
    job.run("apply")
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    job.configure(exclude="exclude.csv")
    job.run("apply")
    rename(job)
    job.run("undo", run, "--apply")
    assert "1002" in job.read("people.ldif")
    assert "1001" not in job.read("people.ldif")


def test_a_line_that_names_nobody_refuses_an_undo_too(job: Job) -> None:
    """A typing error must not take away what the list was to keep."""
    job.configure(exclude=None)
    job.run("apply")
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    before = job.read("people.ldif")
    job.configure(exclude="exclude.csv")
    job.write("exclude.csv", f'user\n"uid=usr2,{BASE}"\n')
    said = job.run("undo", run, "--apply", code=3)
    assert f"line 2 of the exclude list (uid=usr2,{BASE})" in said
    assert "--apply --accept sha256:" in said
    assert job.read("people.ldif") == before
    job.write("exclude.csv", f'user\n"{DN}"\n')
    rename(job)  # the run knows who had that name
    job.run("undo", run, "--apply")
    assert "1002" in job.read("people.ldif")
    assert "1001" not in job.read("people.ldif")


def test_an_undo_takes_a_user_past_the_base_for_somebody(job: Job) -> None:
    job.configure(exclude=None, directory={"type": "ldif", "path": "people.ldif", "base": BASE})
    elsewhere = "cn=desk,ou=services,dc=example,dc=org"
    job.write("people.ldif", job.read("people.ldif") + f"dn: {elsewhere}\nobjectClass: person\ncn: desk\nsn: desk\n\n")
    job.run("apply")
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    job.configure(exclude="exclude.csv")
    job.write("exclude.csv", f'user\n"{elsewhere}"\n')
    assert "Done: " in job.run("undo", run, "--apply")


def test_a_line_that_names_nobody_refuses_until_it_is_mended_or_acknowledged(job: Job) -> None:
    rename(job)  # before any run could learn who was meant
    before = job.read("people.ldif")
    said = job.run("apply", code=3)
    assert f"line 2 of the exclude list ({DN})" in said
    assert "1 line without a match" in said
    assert job.read("people.ldif") == before
    job.run("plan", code=3)
    command = next(line for line in said.splitlines() if "--accept" in line).split()
    job.run("apply", *command[3:])
    assert "1002" in job.read("people.ldif")
    job.run("apply", code=3)
    job.write("exclude.csv", f"user\n{ID}\n")
    job.run("apply")


def test_a_plan_that_was_reviewed_before_the_line_named_nobody_is_refused(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    rename(job)
    job.run("apply", "--plan", "plan.json", code=3)
    assert "1001" not in job.read("people.ldif")


def test_a_user_beyond_base_and_filter_is_somebody(job: Job) -> None:
    elsewhere = "dn: uid=boss,ou=elsewhere,dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: B\nsn: B\nuid: boss\n\n"
    job.write("people.ldif", job.read("people.ldif") + elsewhere)
    job.configure(directory={"base": BASE})
    job.write("exclude.csv", f'user\n"{DN}"\n"uid=boss,ou=elsewhere,dc=example,dc=org"\n')
    planned = job.plan()
    assert planned["refusals"] == []
    assert any("line 3 of the exclude list" in problem["why"] for problem in planned["problems"])


@pytest.mark.parametrize("spelt", ["{{{id}}}", "<GUID={id}>", "{id}"])
def test_an_id_is_taken_as_tools_write_it(job: Job, spelt: str) -> None:
    written = spelt.format(id=ID.upper())
    job.write("exclude.csv", f"user\n{written}\n")
    assert {change["agent"]["workNo"] for change in job.plan()["changes"]} == {1001, 1003, 1004, 1005}
    job.configure(exclude=None)
    job.write("pins.csv", f"accountCode,user\nuser5,{written}\n")
    job.configure(pins="pins.csv")
    rules = {change["user"]["id"]: change["rule"] for change in job.plan()["changes"]}
    assert ID not in rules or rules[ID] == 0
    contested = [
        problem["agent"]["accountCode"] for problem in job.plan()["problems"] if problem["kind"] == "contested"
    ]
    assert contested == ["user2", "user5"]

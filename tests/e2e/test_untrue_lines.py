"""Lines of reports that once said what was not so, each with the plan that showed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import MAPPING, Job, agent

NUMBER = 'employeeNumber: {value: "{workNo}", unique: true}'
SIP = 'SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}'
TEL = 'SIPIdentitySIPURI: {value: "tel:{sipAccount}", owns: "tel:*"}'
LOST = "values that this job did not write"
KEPT = "SIPIdentitySIPURI of 5 users may keep values that this job wrote when its owns was sip:*"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path)
    made.configure(limits={"clear": "100%", "agents_drop": "100%", "matched_drop": "100%"})
    return made


def give_new_numbers(job: Job) -> None:
    job.agents([agent(number, workNo=2000 + number, sipAccount=str(8000 + number)) for number in range(1, 6)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NUMBER, NUMBER.replace("employeeNumber", "employeenumber")),
        ('mobile: {value: "{workNo}", owns: "*"}', 'mobileTelephoneNumber: {value: "{workNo}", owns: "*"}'),
    ],
)
def test_values_of_an_attribute_that_is_spelt_otherwise_now_are_still_this_jobs(
    job: Job, before: str, after: str
) -> None:
    job.write("mapping.yaml", MAPPING.replace(NUMBER, before))
    job.run("apply")
    job.write("mapping.yaml", MAPPING.replace(NUMBER, after))
    give_new_numbers(job)
    assert LOST not in job.run("plan")


def test_values_that_owns_leaves_out_are_told_in_each_plan_until_it_has_them_again(job: Job) -> None:
    job.run("apply")
    job.write("mapping.yaml", MAPPING.replace(SIP, TEL))
    for _ in range(3):
        assert KEPT in job.run("plan")
        job.run("apply")
    give_new_numbers(job)
    job.run("apply")
    assert KEPT in job.run("plan"), "also after another value was written"
    job.write("mapping.yaml", MAPPING)
    said = job.run("plan")
    assert LOST not in said
    assert "may keep values" not in said
    job.write("mapping.yaml", MAPPING.replace(SIP, TEL.replace('"tel:*"', '["sip:*", "tel:*"]')))
    assert LOST not in job.run("apply")
    assert "sip:" not in job.read("people.ldif")
    job.write("mapping.yaml", MAPPING.replace(SIP, TEL))
    assert "may keep values" not in job.run("plan")
    assert job.plan()["changes"] == []


def test_nobody_says_that_no_user_is_stale_where_adopt_finds_some(job: Job) -> None:
    adopting = MAPPING.replace("unique: true", "unique: true, adopt: true") + "stale: clear\n"
    job.write("mapping.yaml", adopting)
    people = job.read("people.ldif")
    job.write("people.ldif", people.replace("uid: user5\n", "uid: user5\nemployeeNumber: 77\n"))
    job.agents([agent(number) for number in range(1, 5)])
    said = job.run("plan", "--all")
    assert "employeeNumber: 77 → (none)" in said
    assert "no user is stale" not in said
    assert "only adopt finds stale users" in said
    assert "This job wrote values to the user" not in said


def test_stale_values_are_not_said_to_wait_for_a_clearing_that_never_comes(job: Job) -> None:
    job.run("apply")
    job.agents([agent(number) for number in range(1, 5)])
    said = job.run("plan")
    assert "until `stale` clears" not in said
    assert "cleared only where the mapping sets `stale: clear`" in said


@pytest.mark.parametrize("suffix", ["md", "html"])
def test_fifty_seats_of_one_account_are_fifty_agents_of_one_user(job: Job, suffix: str) -> None:
    job.agents([agent(1, workNo=5000 + number) for number in range(50)])
    assert "- 50 agents, 1 user, rule 1: several records" in job.run("plan", "--report", f"report.{suffix}")
    report = job.read(f"report.{suffix}")
    assert ("50 agents, 1 user" in report, "50 users" in report) == (True, False)


def test_an_undo_that_takes_an_object_class_away_adds_nothing_to_others_values(job: Job) -> None:
    job.write("mapping.yaml", MAPPING.partition("attributes:")[0] + "attributes:\n  cecAccountCode: '{accountCode}'\n"
              "object_classes: [cecAgent]\n")  # fmt: skip
    job.run("apply")
    job.write("people.ldif", job.read("people.ldif").replace("cecAccountCode: user", "description: was user"))
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    said = job.run("undo", run)
    assert "objectClass: - cecAgent" in said
    assert "adds to others' values" not in said.lower()


@pytest.mark.parametrize("written", ["user:user1", "user:USER1", "user:user1@example.org"])
def test_a_user_is_found_by_what_agents_look_it_up_by(job: Job, written: str) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("mail: mail1@", "mail: user1@"))
    assert "accountCode user1, workNo 1001: matched" in job.run("explain", written)
    document = job.plan("--only", written)
    assert [change["user"]["name"].partition(",")[0] for change in document["changes"]] == ["uid=user1"]
    job.agents([agent(number) for number in range(2, 6)])
    assert "no agent looks for uid 'user1'" in job.run("explain", written)
    assert "there is no user 'nobody'" in job.run("explain", "user:nobody", code=64)


def test_a_value_that_several_users_hold_chooses_none_of_them(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("mail2@", "shared@").replace("mail3@", "shared@"))
    said = job.run("plan", "--only", "user:shared@example.org", code=64)
    assert "2 users have 'shared@example.org'. Name one of them: 'user:uid=user2," in said
    assert "or 'user:uid=user3," in job.run("explain", "shared@example.org", code=64)

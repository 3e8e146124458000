"""A tenant that stops sending fields empties nobody's phone by default: a share of those who have one counts too."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import MAPPING, Job, agent

CLEARING = MAPPING.replace("object_classes", "when_absent: clear\nobject_classes")
WITHOUT_SIP = {"sipAccount": None, "sipPwd": None}


def job_of(folder: Path, users: int) -> Job:
    """A job that has written to so many users, and clears what their agents lack."""
    job = Job(folder, users)
    job.write("mapping.yaml", CLEARING)
    job.run("apply")
    return job


def lose_lines(job: Job, users: int, losing: int) -> None:
    """The tenant sends no SIP fields for the first of its agents any more."""
    job.agents([agent(number, **(WITHOUT_SIP if number <= losing else {})) for number in range(1, users + 1)])


def clear_refusals(document: dict[str, Any]) -> list[tuple[int, int]]:
    return [(each["planned"], each["allowed"]) for each in document["refusals"] if each["limit"] == "clear"]


def phones(job: Job) -> int:
    return job.read("people.ldif").count("SIPIdentityPassword")


def test_ten_users_whose_tenant_stops_sending_sip_fields_keep_their_phones(tmp_path: Path) -> None:
    job = job_of(tmp_path, 10)
    lose_lines(job, 10, losing=10)
    said = job.run("apply", code=3)
    assert "Too many users to empty  10 planned, 2 allowed" in said
    assert "by default 2 are allowed (20% of the 10 users that hold a value of this job there)" in said
    assert phones(job) == 10
    (command,) = {line.strip() for line in said.splitlines() if "--accept" in line}
    assert job.program(*shlex.split(command)[1:]).code == 0
    assert phones(job) == 0


@pytest.mark.parametrize(
    ("users", "losing", "refused"),
    [
        (10, 2, []), (10, 3, [(3, 2)]), (9, 1, []), (9, 2, [(2, 1)]), (3, 1, []), (1, 1, []), (2, 2, [(2, 1)]),
        (60, 10, []), (60, 11, [(11, 10)]),
    ],
)  # fmt: skip
def test_the_lower_of_ten_users_and_a_fifth_counts_and_one_may_always_be_emptied(
    tmp_path: Path, users: int, losing: int, refused: list[tuple[int, int]]
) -> None:
    job = job_of(tmp_path, users)
    lose_lines(job, users, losing)
    assert clear_refusals(job.plan(code=3 if refused else 0)) == refused


def test_the_share_is_of_the_users_that_hold_that_attribute(tmp_path: Path) -> None:
    job = Job(tmp_path, 20)
    job.write("mapping.yaml", CLEARING)
    agents = [agent(number, **(WITHOUT_SIP if number > 5 else {})) for number in range(1, 21)]
    job.agents(agents)
    job.run("apply")
    lose_lines(job, 5, losing=2)
    job.agents([agent(number, **WITHOUT_SIP) if number < 3 else agents[number - 1] for number in range(1, 21)])
    document = job.plan(code=3)
    assert clear_refusals(document) == [(2, 1)], "five of twenty have a phone"
    assert "20% of the 5 users" in document["refusals"][0]["why"]


def test_ten_leavers_of_ten_are_too_many(tmp_path: Path) -> None:
    job = job_of(tmp_path, 11)
    job.write("mapping.yaml", CLEARING + "stale: clear\n")
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(11)])
    assert clear_refusals(job.plan(code=3)) == [(10, 2)]


def test_a_limit_that_a_job_writes_is_what_it_says(tmp_path: Path) -> None:
    job = job_of(tmp_path, 10)
    job.configure(limits={"clear": 10})
    lose_lines(job, 10, losing=10)
    job.run("apply")
    assert phones(job) == 0


def test_an_undo_is_asked_for_by_name_and_so_may_empty_ten(tmp_path: Path) -> None:
    job = job_of(tmp_path, 10)
    job.run("undo", "last", "--apply")
    assert phones(job) == 0


def test_an_undo_of_eleven_is_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, 11)
    said = job.run("undo", "last", "--apply", code=3)
    assert "it would empty an attribute of 11 users; by default 10 are allowed" in said


def test_what_was_reviewed_is_refused_where_fewer_hold_a_value_by_now(tmp_path: Path) -> None:
    job = job_of(tmp_path, 10)
    lose_lines(job, 10, losing=2)
    job.run("plan", "--save", "plan.json")
    job.sql("delete from ownership where user_id > '00000000-0000-0000-0000-000000000005'")
    assert "2 planned, 1 allowed" in job.run("apply", "--plan", "plan.json", code=3)
    assert phones(job) == 10

"""The names of people beside the DNs of a report (`directory.show`), on an LDIF file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import BASE, Job, agent

ANNA = f"uid=user1,{BASE}"
SHOW = {"show": ["displayName", "cn"]}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path, users=3)
    job.configure(directory=SHOW)
    job.write("people.ldif", job.read("people.ldif").replace("cn: User 1\n", "cn: User 1\ndisplayName: Anna Example\n"))
    return job


def test_every_report_shows_the_first_of_these_attributes_that_has_a_value(job: Job) -> None:
    names = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html", "ldif")]
    said = job.program("plan", "job.yaml", *(word for name in names for word in ("--report", name)))
    assert f"~ {ANNA} (Anna Example)  ← " in said.out
    assert f"~ uid=user2,{BASE} (User 2)  ← " in said.out
    assert json.loads(job.read("report.json"))["people"][ANNA] == "Anna Example"
    assert all("Anna Example" in job.read(name) for name in names)
    assert "Anna" not in said.err, "names of people are not in logs"


def test_users_of_problems_are_named_too(job: Job) -> None:
    job.agents([agent(1), agent(2), agent(9, accountCode="user33")])
    assert f"almost: uid=user3,{BASE} (User 3)" in job.run("plan")


def test_the_names_are_in_no_digest(job: Job) -> None:
    named = job.plan()
    job.configure(directory={"show": None})
    assert "people" not in job.plan()
    assert job.plan()["digest"] == named["digest"]


def test_with_many_changes_a_terminal_reads_the_names_of_those_that_it_shows(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    job.configure(directory=SHOW)
    assert f"           uid=user1,{BASE} (User 1)\n" in job.run("plan")
    assert len(job.plan()["people"]) == 30


@pytest.mark.parametrize(
    ("show", "why"),
    [
        (["employeeNumber"], "directory.show: the mapping writes employeeNumber. Name another attribute"),
        (["cn", "EMPLOYEENUMBER"], "directory.show: the mapping writes EMPLOYEENUMBER"),
        (["userPassword"], "userPassword cannot be shown: "),
        (["not a name"], "not a name cannot be shown: is no attribute name"),
    ],
)
def test_what_the_mapping_writes_and_passwords_cannot_be_shown(job: Job, show: list[str], why: str) -> None:
    job.configure(directory={"show": show})
    assert why in job.run("plan", code=78)


def test_an_undo_names_people_too(job: Job) -> None:
    job.run("apply")
    assert f"~ {ANNA} (Anna Example)  ← " in job.run("undo", "last")

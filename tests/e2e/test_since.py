"""`plan --since`: what is new since the last plan, or since a saved one, in every report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent

REPORTS = [f"--report=new{suffix}" for suffix in (".csv", ".html", ".json", ".md")]
NUMBERS = "changes 1 new, 1 gone, 1 changed, 1 the same; problems 1 new, 1 gone, 0 changed, 1 the same."


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=6)
    made.agents([agent(1), agent(2), agent(3), agent(8, accountCode="nobody"), agent(9, accountCode="gone")])
    return made


def other_agents(job: Job) -> None:
    changed = agent(2, workNo=1200)
    job.agents([agent(1), changed, agent(4), agent(8, accountCode="nobody"), agent(10, accountCode="come")])


def document(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.read("new.json"))
    return found


def test_every_report_marks_what_is_new_since_the_last_full_plan(job: Job) -> None:
    job.run("plan", "--report", "old.json")
    job.run("plan", "--only", "account:user1")
    other_agents(job)
    said = job.run("plan", "--since", "last", *REPORTS)
    old, new = json.loads(job.read("old.json")), document(job)
    since = f"Since plan {old['id']} of {old['created']}: {NUMBERS}"
    assert since in said
    assert "uid=user4,ou=people,dc=example,dc=org  ← accountCode user4, workNo 1004, rule 1  [new]\n" in said
    assert "uid=user2,ou=people,dc=example,dc=org  ← accountCode user2, workNo 1200, rule 1  [changed]\n" in said
    assert "uid=user1,ou=people,dc=example,dc=org  ← accountCode user1, workNo 1001, rule 1\n" in said
    assert "  - [new] accountCode come, workNo 1010" in said
    assert "  - accountCode nobody, workNo 1008" in said
    ids = {change["user"]["name"].partition(",")[0]: change["user"]["id"] for change in new["changes"]}
    (come,) = (n for n, each in enumerate(new["problems"]) if each["agent"]["accountCode"] == "come")
    assert new["since"] == {
        "plan": old["id"], "created": old["created"],
        "new": [ids["uid=user4"]], "changed": [ids["uid=user2"]], "gone": 1, "same": 1,
        "new_problems": [come], "changed_problems": [], "gone_problems": 1, "same_problems": 1,
    }  # fmt: skip
    rows = list(csv.DictReader(job.read("new.csv").splitlines()))
    assert {(row["id"], row["since"]) for row in rows if row["kind"] == "change"} == {
        (ids["uid=user1"], ""),
        (ids["uid=user2"], "changed"),
        (ids["uid=user4"], "new"),
    }
    assert [row["since"] for row in rows if row["kind"] == "problem: unmatched"].count("new") == 1
    assert [row["why"] for row in rows if row["kind"] == "since"] == [since]
    assert job.read("new.md").count(" **new** |") == len([row for row in rows if row["since"] == "new"])
    assert job.read("new.html").count(" <strong>new</strong>") == 2
    assert since in job.read("new.html")


def test_a_comparison_is_in_no_digest_and_comes_back_from_the_document(job: Job) -> None:
    job.run("plan", "--save", "old.json")
    other_agents(job)
    said = job.run("plan", "--since", "old.json", "--save", "new.json")
    assert NUMBERS in said
    assert job.program("show", "new.json").out == said
    job.run("plan", "--report", "plain.json")
    plain = json.loads(job.read("plain.json"))
    assert (plain["digest"], "since" in plain) == (document(job)["digest"], False)
    job.run("apply", "--plan", "new.json")


def test_without_an_earlier_plan_everything_is_new(job: Job) -> None:
    said = job.run("plan", "--since", "last", "--report", "new.json")
    assert "No earlier plan of this job is known here: everything is new." in said
    assert len(document(job)["since"]["new"]) == 3
    assert "0 new, 0 gone, 0 changed, 3 the same" in job.run("plan", "--since", "last")


def test_the_same_agents_in_another_order_are_nothing_new(job: Job) -> None:
    broken = agent(11, accountCode="broken", sipAccount=["no", "text"])
    several = [agent(1), agent(2, accountCode="user1"), agent(8, accountCode="nobody"), broken]
    job.agents(several)
    job.run("plan")
    job.agents([several[0], *several[:0:-1]])
    said = job.run("plan", "--since", "last")
    assert "changes 0 new, 0 gone, 0 changed" in said
    assert "; problems 0 new, 0 gone, " in said


def test_a_large_plan_lists_what_is_new_on_standard_output(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    job.agents([agent(number) for number in range(1, 29)])
    job.run("plan")
    job.agents([agent(number) for number in range(1, 31)])
    said = job.run("plan", "--since", "last").partition("\nChanges (30 users)\n")[2]
    assert said.count("~ uid=") == said.count("  [new]\n") == 2


def test_some_agents_are_not_compared(job: Job) -> None:
    assert "Leave out `--only`" in job.run("plan", "--since", "last", "--only", "account:user1", code=64)


@pytest.mark.parametrize("name", ["none.json", "job.yaml"])
def test_a_file_that_is_no_plan_is_named(job: Job, name: str) -> None:
    assert name in job.run("plan", "--since", name, code=78)


@pytest.mark.parametrize("number", ["-1", "99"])
def test_a_number_that_is_of_no_problem_makes_no_plan_document(job: Job, number: str) -> None:
    job.run("plan", "--since", "last", "--save", "new.json")
    job.write("new.json", job.read("new.json").replace('"new_problems": [0', f'"new_problems": [{number}'))
    ended = job.program("show", "new.json")
    assert (ended.code, "not a plan document" in ended.err) == (78, True)

"""`diff`: what is new in a plan since another one, by the program itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=6)


def two_plans(job: Job) -> None:
    """One user changes as before, one otherwise, one not any more, one is new; and so are problems."""
    nobody = agent(8, accountCode="nobody")
    job.agents([agent(1), agent(2), agent(3), agent(7), nobody, agent(9, accountCode="gone")])
    job.run("plan", "--save", "old.json")
    changed = agent(2, workNo=1200, sipPwd="canary-other")
    job.agents([agent(1), changed, agent(4), agent(7), nobody, agent(10, accountCode="come")])
    job.run("plan", "--report", "new.json")


def compared(job: Job, *arguments: str, code: int = 0) -> str:
    ended = job.program("diff", *arguments)
    assert ended.code == code, ended.said
    return ended.said if code else ended.out


def users(changes: list[dict[str, Any]]) -> list[str]:
    return [change["user"]["name"].partition(",")[0] for change in changes]


def test_each_difference_is_named_by_its_user(job: Job) -> None:
    two_plans(job)
    said = compared(job, "old.json", "new.json")
    assert "Changes: 1 new, 1 gone, 1 changed, 1 the same.\nProblems: 1 new, 1 gone, 0 changed, 2 the same.\n" in said
    titles = ("New", "Gone", "Changed")
    new, gone, changed = (said.partition(f"{each} changes (1)\n")[2].partition("\n\n")[0] for each in titles)
    assert new.startswith(
        "~ uid=user4,ou=people,dc=example,dc=org (User 4)  ← accountCode user4, workNo 1004, rule 1\n"
    )
    assert "    employeeNumber: (none) → 1004\n" in new
    assert gone.startswith("~ uid=user3,")
    prints = [
        each["fingerprint"]
        for name in ("old.json", "new.json")
        for change in json.loads(job.read(name))["changes"]
        for each in change["attributes"]
        if change["user"]["name"].startswith("uid=user2") and "fingerprint" in each
    ]
    was, now = (f"(secret) set, fingerprint {each}" for each in prints)
    password = f"    SIPIdentityPassword: was {was}, now {now}"
    assert changed.split("\n") == [
        "~ uid=user2,ou=people,dc=example,dc=org (User 2)",
        "    agent: was accountCode user2, workNo 1002, rule 1, now accountCode user2, workNo 1200, rule 1",
        "    employeeNumber: was (none) → 1002, now (none) → 1200",
        password,
    ]
    assert "New problems (1)\n  - unmatched: accountCode come, workNo 1010" in said
    assert "Gone problems (1)\n  - unmatched: accountCode gone, workNo 1009" in said


def test_json_has_the_changes_and_problems_of_the_documents(job: Job) -> None:
    two_plans(job)
    said = json.loads(compared(job, "old.json", "new.json", "--json"))
    old, new = (json.loads(job.read(name)) for name in ("old.json", "new.json"))
    assert said["schema"] == "cec-connector/diff/1"
    for name, plan in (("old", old), ("new", new)):
        assert said[name] == {key: plan[key] for key in ("id", "digest", "job", "created", "refusals")}
    changes = said["changes"]
    assert (users(changes["new"]), users(changes["gone"]), changes["same"]) == (["uid=user4"], ["uid=user3"], 1)
    assert changes["changed"] == [
        {"old": plans[0], "new": plans[1]}
        for plans in [[c for p in (old, new) for c in p["changes"] if c["user"]["name"].startswith("uid=user2")]]
    ]
    problems = said["problems"]
    assert [each["agent"]["accountCode"] for each in problems["new"]] == ["come"]
    assert [each["agent"]["accountCode"] for each in problems["gone"]] == ["gone"]
    assert (problems["changed"], problems["same"]) == ([], 2)


def test_a_plan_of_the_same_is_the_same_and_an_applied_one_too(job: Job) -> None:
    job.run("plan", "--save", "old.json")
    job.run("apply", "--plan", "old.json", "--report", "applied.json")
    said = compared(job, "old.json", "applied.json")
    assert "Changes: 0 new, 0 gone, 0 changed, 6 the same.\nProblems: 0 new, 0 gone, 0 changed, 0 the same.\n" in said
    assert said.endswith("0 the same.\n")


def test_a_problem_that_says_something_else_is_changed(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("uid: user2\n", "uid: user2\nuid: user1\n"))
    job.run("plan", "--save", "old.json")
    job.write("people.ldif", job.read("people.ldif").replace("uid: user3\n", "uid: user3\nuid: user1\n"))
    job.run("plan", "--save", "new.json")
    said = compared(job, "old.json", "new.json")
    changed = said.partition("Changed problems (1)\n")[2]
    assert changed.startswith("  - ambiguous: accountCode user1")
    assert "uid=user3" in changed
    back = compared(job, "new.json", "old.json").partition("Changed problems (1)\n")[2]
    assert "before also: uid=user3,ou=people,dc=example,dc=org" in back


def test_plans_of_two_jobs_are_said_to_be(job: Job) -> None:
    job.run("plan", "--save", "old.json")
    job.write("other.yaml", job.read("job.yaml"))
    assert job.program("plan", "other.yaml", "--report", "new.json").code == 0
    assert compared(job, "old.json", "new.json").startswith("Note: these plans are of different jobs.\n")


@pytest.mark.parametrize("order", [("old.json", "job.yaml"), ("job.yaml", "old.json"), ("none.json", "old.json")])
def test_a_file_that_is_no_plan_is_named(job: Job, order: tuple[str, str]) -> None:
    job.run("plan", "--save", "old.json")
    assert next(name for name in order if name != "old.json") in compared(job, *order, code=78)

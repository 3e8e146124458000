"""`plan --since`: what is new since the last plan, or since a saved one, in every report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent

REPORTS = [f"--report=new{suffix}" for suffix in (".csv", ".html", ".json", ".ldif", ".md")]
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
    assert "uid=user4,ou=people,dc=example,dc=org (User 4)  ← accountCode user4, workNo 1004, rule 1  [new]\n" in said
    assert (
        "uid=user2,ou=people,dc=example,dc=org (User 2)  ← accountCode user2, workNo 1200, rule 1  [changed]\n" in said
    )
    assert "uid=user1,ou=people,dc=example,dc=org (User 1)  ← accountCode user1, workNo 1001, rule 1\n" in said
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
    records = {text.partition(",")[0]: text.splitlines()[1] for text in job.read("new.ldif").split("\n\n# ")[1:]}
    assert records["uid=user4"] == f"# new since plan {old['id']}"
    assert records["uid=user2"] == f"# changed since plan {old['id']}"
    assert records["uid=user1"].startswith("# SIPIdentityPassword: ")
    assert f"# {since}\n" in job.read("new.ldif")


def test_a_comparison_is_in_no_digest_and_comes_back_from_the_document(job: Job) -> None:
    job.run("plan", "--save", "old.json")
    other_agents(job)
    said = job.run("plan", "--since", "old.json", "--save", "new.json")
    assert NUMBERS in said
    assert job.program("show", "new.json").out == said.replace("job.yaml --plan=new.json", "JOB")
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


def test_a_run_is_compared_by_what_its_plan_had(job: Job) -> None:
    job.run("apply", "--report", "old.json")
    other_agents(job)
    job.run("plan")
    run = json.loads(job.read("old.json"))["id"]
    for named in (run, run[:13]):
        said = job.run("plan", "--since", named, "--report", "new.json")
        assert f"Since plan {run} of " in said
    found = json.loads(job.program("diff", "old.json", "new.json", "--json").out)
    compared = {f"{name}{of}": number(found[part][name]) for part, of in PARTS for name in NAMES}
    assert {name: number(each) for name, each in document(job)["since"].items() if name in compared} == compared


PARTS = (("changes", ""), ("problems", "_problems"))
NAMES = ("new", "gone", "changed", "same")


def number(found: Any) -> int:
    return found if isinstance(found, int) else len(found)


def test_a_refused_attempt_and_a_reviewed_plan_are_runs_too(job: Job) -> None:
    job.configure(limits={"update": 1})
    job.run("apply", code=3)
    (attempt,) = json.loads(job.run("runs", "--json"))
    said = job.run("plan", "--since", attempt["id"], "--save", "plan.json", code=3)
    assert "changes 0 new, 0 gone, 0 changed, 3 the same" in said
    plan = json.loads(job.read("plan.json"))
    job.run("apply", "--plan", "plan.json", "--accept", plan["digest"])
    said = job.run("plan", "--since", plan["id"])
    assert f"Since plan {plan['id']} of {plan['created']}: changes 0 new, 3 gone, " in said


def test_a_run_that_is_unknown_or_has_no_plan_is_named_with_what_to_do(job: Job) -> None:
    assert "this job has no run 'lost'. To list its runs, run: " in job.run("plan", "--since", "lost", code=64)
    job.run("apply", "--only", "account:user1")
    job.run("apply")
    job.run("undo", "last", "--apply")
    job.run("release")
    undone, _, some = (each["id"] for each in json.loads(job.run("runs", "--json")))
    for run in (undone, some):
        said = job.run("plan", "--since", run, code=64)
        assert f"--since {run}: no plan of this run is kept." in said
        assert "Name the JSON report of the run instead" in said
    for number, id_ in enumerate(("xa", "xb"), 98):
        job.sql(
            f"insert into events values ('apply', 'job', '{id_}', '', '', '', '', '', 'failed', '', null, {number})"
        )
    assert "the ids of 2 runs begin with 'x': xb, xa. Write more" in job.run("plan", "--since", "x", code=64)


def test_a_file_that_is_there_wins_over_a_run_of_its_name(job: Job) -> None:
    job.run("apply", "--report", "old.json")
    run = json.loads(job.read("old.json"))["id"]
    job.run("plan", "--save", "plan.json")
    job.write(run, job.read("plan.json"))
    assert f"Since plan {json.loads(job.read('plan.json'))['id']} of " in job.run("plan", "--since", run)
    (job.folder / run).unlink()
    assert f"Since plan {run} of " in job.run("plan", "--since", run)
    assert "the plan cannot be read" in job.run("plan", "--since", f"./{run}", code=78)


def test_the_last_full_plan_may_be_that_of_an_apply(job: Job) -> None:
    job.run("plan")
    job.run("apply", "--report", "old.json")
    other_agents(job)
    assert f"Since plan {json.loads(job.read('old.json'))['id']} of " in job.run("plan", "--since", "last")


def test_a_large_plan_lists_what_is_new_on_standard_output(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    job.agents([agent(number) for number in range(1, 29)])
    job.run("plan")
    job.agents([agent(number) for number in range(1, 31)])
    said = job.run("plan", "--since", "last").partition("\nChanges (30 users)")[2]
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

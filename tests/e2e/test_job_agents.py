"""Two jobs that share a tenant: each has its own agents, and neither takes the other's users for nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.jobs import configure
from tests.support.ldif_job import MAPPING, Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Agents 1 and 2 are people, 3 and 4 contractors; seats 1001 to 1004. `stale: clear` in both jobs."""
    job = Job(tmp_path, users=4)
    job.agents([agent(1), agent(2), agent(3, accountCode="x-user3"), agent(4, accountCode="x-user4")])
    match = "match:\n  - {agent: \"{accountCode|replace:'x-':''}\", directory: uid}\n"
    job.write("mapping.yaml", match + MAPPING[MAPPING.index("attributes:") :] + "stale: clear\n")
    job.write("contractors.yaml", job.read("job.yaml"))
    job.configure(source={"except": ["x-*"]}, limits={"agents_drop": "100%", "matched_drop": "100%"})
    return job


def seats(job: Job) -> str:
    return "".join(line[-1] for line in job.read("people.ldif").splitlines() if line.startswith("employeeNumber: "))


def test_each_writes_and_counts_its_own(job: Job) -> None:
    planned = job.plan()
    assert {change["agent"]["accountCode"] for change in planned["changes"]} == {"user1", "user2"}
    assert (planned["summary"]["agents"], planned["about"]["not this job's"]) == (2, "2 agents of the source")
    assert [problem for problem in planned["problems"] if problem["kind"] == "unmatched"] == []
    job.run("apply")
    assert seats(job) == "12"
    said = job.run("check")
    assert "source     2 agents, 0 of them without an account; 2 more are not this job's" in said
    assert "not this job's" in job.run("explain", "x-user3")
    assert "x-user3 (workNo 1003) is not this job's" in job.run("plan", "--only", "x-user3", code=64)


def test_who_is_left_to_another_job_keeps_what_this_one_wrote(job: Job) -> None:
    job.run("apply")
    job.configure(source={"only": ["seat:1001"], "except": None})
    assert job.plan()["summary"]["stale"] == 0
    job.agents([agent(1)])
    assert job.plan()["summary"]["clear"] == 1


def test_who_is_left_out_still_contests(job: Job) -> None:
    job.agents([agent(1), agent(9, accountCode="x-user1")])
    planned = job.plan()
    assert planned["changes"] == []
    (problem,) = planned["problems"]
    assert (problem["kind"], problem["agent"]["accountCode"]) == ("contested", "user1")
    assert "x-user1" in problem["why"]


def test_a_selection_that_leaves_nobody_is_refused(job: Job) -> None:
    job.configure(source={"only": ["nobody*"]})
    planned = job.plan(code=3)
    why = "the source has 4 agents, and none of this job. Check source.only and source.except"
    assert [refusal["why"] for refusal in planned["refusals"]] == [why]
    assert "no agent fits 'nobody*' of source.only" in {problem["why"] for problem in planned["problems"]}


@pytest.mark.parametrize(
    ("only", "why"),
    [(["seat:9-1"], "ends before it begins"), ([], "must not be empty"), (["q:1"], "must be a pattern")],
)
def test_what_is_no_pattern_is_refused_with_its_line(job: Job, only: list[str], why: str) -> None:
    job.configure(source={"only": only})
    said = job.run("plan", code=78)
    assert "job.yaml:" in said
    assert why in said


def test_an_agent_that_goes_from_one_job_to_the_other_is_written_by_that_one(job: Job) -> None:
    """Once the first job has been applied without it."""
    job.run("apply")
    job.configure(source={"only": ["seat:1001"], "except": None})
    configure(job.folder / "contractors.yaml", source={"except": ["seat:1001"]}, limits={"update": "100%"})
    job.agents([agent(1), agent(2, workNo=2002), agent(3, accountCode="x-user3"), agent(4, accountCode="x-user4")])

    def others() -> str:
        ended = job.program("apply", "contractors.yaml")
        assert ended.code == 0, ended.said
        return ended.out

    assert "another job (job) writes this attribute" in others()
    assert "employeeNumber: 1002" in job.read("people.ldif")
    assert job.plan()["summary"]["stale"] == 0
    job.run("apply")
    assert "another job" not in others()
    assert "employeeNumber: 2002" in job.read("people.ldif")
    assert job.plan()["summary"]["stale"] == 0, "it is another job's by now"

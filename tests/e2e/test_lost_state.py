"""A state that is gone: the first run with another one says so, and an apply waits for somebody to look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent, person

pytestmark = pytest.mark.slow

NEW = "No earlier run of this job is known here, so missing agents go unnoticed."


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Ten users, written by an apply."""
    made = Job(tmp_path, users=10)
    made.configure(limits={"state": "50%"})
    made.run("apply")
    return made


def lose(job: Job, *, key: bool = True) -> None:
    """What a moved folder, or a restored machine, leaves."""
    for path in job.folder.glob("state.db*" if key else "state.db"):
        path.unlink()


def refused(job: Job, *options: str) -> list[str]:
    return [each["limit"] for each in job.plan(*options, code=3)["refusals"]]


def test_a_first_run_says_that_no_earlier_one_is_known_and_a_second_does_not(tmp_path: Path) -> None:
    job = Job(tmp_path)
    report = job.plan()
    assert "agents_drop and matched_drop are not checked" in report["about"]["history"]
    assert report["refusals"] == []
    assert NEW in job.run("plan")
    assert NEW in job.run("apply")
    assert NEW not in job.run("plan")
    assert "history" not in job.plan()["about"]


@pytest.mark.parametrize("key", [True, False])
def test_without_its_state_an_apply_is_refused_until_its_plan_is_accepted(job: Job, *, key: bool) -> None:
    job.agents([agent(number, workNo=1 if number == 3 else 1000 + number) for number in range(1, 8)])
    before = job.read("people.ldif")
    assert refused(job) == ["agents_drop"]
    lose(job, key=key)
    assert refused(job) == ["state"]
    said = job.run("apply", code=3)
    assert "the state may be lost: 7 of 7 matched users already hold most of it" in said
    assert job.read("people.ldif") == before
    digest = said.split("--accept ")[1].split()[0]
    job.run("apply", "--accept", digest)
    assert NEW not in job.run("plan")


@pytest.mark.parametrize(("moved", "code"), [(5, 0), (4, 3)])
def test_more_than_half_of_the_users_have_to_hold_most_of_the_values(job: Job, moved: int, code: int) -> None:
    """A user that gets another seat, number and password holds one value of four."""
    strangers = [agent(n, workNo=n, sipAccount=str(n), sipPwd=f"canary-new-{n}") for n in range(1, moved + 1)]
    job.agents([*strangers, *(agent(n) for n in range(moved + 1, 11)), agent(11)])
    lose(job)
    job.write("people.ldif", job.read("people.ldif") + person(11))
    job.plan(code=code)


def test_users_that_differ_in_what_the_tenant_says_of_all_hold_most_of_the_values(job: Job) -> None:
    job.agents([agent(number) for number in range(1, 11)])
    job.write("agents.json", job.read("agents.json").replace("192.0.2.10", "192.0.2.11"))
    lose(job)
    assert refused(job) == ["state"]


def test_a_first_run_is_not_refused_for_agents_that_want_nothing_yet(tmp_path: Path) -> None:
    job = Job(tmp_path, users=10)
    job.write(
        "mapping.yaml",
        job.read("mapping.yaml")
        .replace('  cecAccountCode: "{accountCode}"\n', "")
        .replace('  employeeNumber: {value: "{workNo}", unique: true}\n', ""),
    )
    job.agents([agent(n) if n > 7 else {"workNo": n, "accountCode": f"user{n}"} for n in range(1, 11)])
    assert len(job.plan()["changes"]) == 3


def test_what_has_nothing_to_write_is_not_refused_and_proves_nothing(job: Job) -> None:
    lose(job)
    job.run("apply")
    job.agents([agent(number, workNo=number if number == 1 else 1000 + number) for number in range(1, 11)])
    assert refused(job) == ["state"]


def test_some_agents_alone_are_refused_as_well_and_prove_nothing_when_accepted(job: Job) -> None:
    job.agents([agent(number, workNo=1 if number == 3 else 1000 + number) for number in range(1, 8)])
    lose(job)
    assert refused(job, "--only", "account:user3") == ["state"]
    digest = job.run("apply", "--only", "account:user3", code=3).split("--accept ")[1].split()[0]
    job.run("apply", "--only", "account:user3", "--accept", digest)
    job.agents([agent(number, workNo={3: 1, 4: 2}.get(number, 1000 + number)) for number in range(1, 8)])
    assert refused(job) == ["state"]


def test_another_job_on_the_directory_is_no_lost_state(job: Job) -> None:
    job.write("other.yaml", job.read("job.yaml"))
    job.agents([agent(number, workNo=number if number == 1 else 1000 + number) for number in range(1, 11)])
    ended = job.program("plan", "other.yaml")
    assert (ended.code, NEW in ended.out) == (0, True)

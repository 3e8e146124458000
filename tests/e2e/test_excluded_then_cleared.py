"""A user whose account or seat is on the exclude list keeps its values when the tenant drops that account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import BASE, MAPPING, Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people

LIMITS = {"clear": "100%", "agents_drop": "100%", "matched_drop": "100%"}
ACCOUNT, SEAT = "accountCode\nuser2\n", "workNo\n1002\n"
DN = f"uid=user2,{BASE}"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path)
    made.write("mapping.yaml", f"{MAPPING}stale: clear\n")
    made.configure(limits=LIMITS)
    return made


def exclude(job: Job, text: str) -> None:
    job.write("exclude.csv", text)
    job.configure(exclude="exclude.csv")


def drop(job: Job, *numbers: int) -> None:
    """The tenant has no more than the agents that are left."""
    job.agents([agent(number) for number in range(1, 6) if number not in numbers])


def holds(job: Job, number: int) -> bool:
    return f"employeeNumber: {1000 + number}\n" in job.read("people.ldif")


def newest_run(job: Job) -> str:
    return str(json.loads(job.run("runs", "--json"))[0]["id"])


@pytest.mark.parametrize("listed", [ACCOUNT, SEAT, "accountCode\nUSER2\n"])
def test_an_excluded_account_that_the_tenant_drops_keeps_its_users_values(job: Job, listed: str) -> None:
    job.run("apply")
    exclude(job, listed)
    drop(job, 2, 3)
    planned = job.plan()
    assert [change["user"]["name"] for change in planned["changes"]] == [f"uid=user3,{BASE}"]
    (said,) = [problem for problem in planned["problems"] if problem["kind"] == "exclude" and problem["users"]]
    assert said["users"] == [DN]
    assert "without that it would be cleared" in said["why"]
    job.run("apply")
    assert (holds(job, 2), holds(job, 3)) == (True, False)
    assert "on the exclude list" in job.run("explain", f"user:{DN}")


def test_it_keeps_them_after_the_run_that_wrote_them_was_pruned(job: Job) -> None:
    job.run("apply")
    drop(job, 5)
    job.run("apply")
    job.sql("update runs set started = '2001-01-01T00:00:00Z', ended = '2001-01-01T00:00:01Z' where number = 1")
    assert "Took out 1 runs" in job.program("state", "prune", "job.yaml", "--older", "400d", "--yes").out
    exclude(job, ACCOUNT)
    drop(job, 2, 5)
    job.run("apply")
    assert holds(job, 2)


def test_it_keeps_them_where_no_run_that_is_left_says_whose_they_were(job: Job) -> None:
    """As in a state whose runs an older version has pruned."""
    job.run("apply")
    job.sql("update ownership set agent = null")
    job.sql("delete from journal")
    exclude(job, ACCOUNT)
    drop(job, 2, 3)
    planned = job.plan()
    assert planned["changes"] == []
    assert sum("line 2 of the exclude list" in problem["why"] for problem in planned["problems"]) == 3
    job.write("exclude.csv", f'user\n"{DN}"\n')
    job.run("apply")
    assert (holds(job, 2), holds(job, 3)) == (True, False)


def test_it_keeps_them_when_the_user_was_renamed_too(job: Job) -> None:
    job.run("apply")
    exclude(job, ACCOUNT)
    drop(job, 2)
    job.write("people.ldif", job.read("people.ldif").replace(f"dn: {DN}", f"dn: cn=other,{BASE}"))
    job.run("apply")
    assert holds(job, 2)


def test_a_seat_that_got_another_account_is_not_written_for_that(job: Job) -> None:
    """The account was renamed in the tenant; the person on the list is the same."""
    job.run("apply")
    exclude(job, ACCOUNT)
    job.write("people.ldif", job.read("people.ldif").replace("mail2@", "moved@"))
    others = [agent(number) for number in (1, 3, 4, 5)]
    job.agents([*others, agent(2, accountCode="moved", workNo=1099)])
    assert job.plan()["changes"] == []
    job.run("apply")
    assert holds(job, 2)


def test_what_is_adopted_is_kept_on_a_user_that_this_job_never_wrote(job: Job) -> None:
    """It was on the list from the beginning; an apply noted who it is."""
    job.write("mapping.yaml", job.read("mapping.yaml").replace("unique: true", "unique: true, adopt: true"))
    people = job.read("people.ldif").replace("uid: user2\n", "uid: user2\nemployeeNumber: 1002\n")
    job.write("people.ldif", people)
    exclude(job, ACCOUNT)
    job.run("apply")
    drop(job, 2, 3)
    job.run("apply")
    assert (holds(job, 2), holds(job, 3)) == (True, False)


def test_an_undo_of_a_clear_spares_whoever_was_excluded_since(job: Job) -> None:
    job.run("apply")
    drop(job, 2, 3)
    job.run("apply")
    run = newest_run(job)
    exclude(job, ACCOUNT)
    said = job.run("undo", run, "--apply")
    assert "on the exclude list" in said
    assert (holds(job, 2), holds(job, 3)) == (False, True)


def test_an_undo_leaves_the_user_to_the_agent_that_it_had_before(job: Job) -> None:
    """User 2 was written for user2, then for user9, and that was taken back: its values are user2's again."""
    job.run("apply")
    job.write("pins.csv", f'accountCode,user\nuser9,"{DN}"\n')
    job.configure(pins="pins.csv")
    job.agents([agent(number) for number in (1, 3, 4, 5, 9)])
    job.run("apply")
    job.run("undo", newest_run(job), "--apply")
    job.run("release")
    assert holds(job, 2)
    job.configure(pins=None)
    exclude(job, ACCOUNT)
    drop(job, 2)
    job.run("apply")
    assert holds(job, 2)


def test_a_line_whose_user_is_known_holds_nobody_else_back(job: Job) -> None:
    job.run("apply")
    exclude(job, ACCOUNT)
    job.run("apply")
    drop(job, 2, 3, 4)
    assert {change["user"]["name"] for change in job.plan()["changes"]} == {f"uid=user{each},{BASE}" for each in (3, 4)}


def test_scim_keeps_the_values_of_an_excluded_account_too(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "server", people(3)) as server:
        job = ScimJob(tmp_path / "job", server, agents=3)
        mapping = (Path(__file__).parents[2] / "mappings" / "scim-extension.yaml").read_text()
        (job.folder / "mapping.yaml").write_text(mapping.replace("stale: report", "stale: clear"))
        job.configure(mapping="mapping.yaml", limits=LIMITS)
        job.run("apply")
        (job.folder / "exclude.csv").write_text("accountCode\nagent002\n")
        job.configure(exclude="exclude.csv")
        job.agents = job.agents[:1]
        job.tenant()
        assert job.outcomes(job.run("apply")) == {"agent003": "written"}
        assert server.stored("agent002")[CEC]["workNo"] == 1002
        assert not server.stored("agent003").get(CEC)

"""A wrong base, filter or match rule: the plan is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.ds389 import Ds389
from tests.support.ldif_job import BASE, Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import EACH_KIND, ScimServer, people
from tests.support.slapd import PEOPLE, Slapd, person, server_context
from tests.support.whole_job import World, agent as ldap_agent, tenant

NARROW = "(|(uid=user1)(uid=user1*))"
"""Of twenty users eleven are within it."""
OUT = [2, 3, 4, 5, 6, 7, 8, 9, 20]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Twenty users, all of them matched by the last good run."""
    made = Job(tmp_path, users=20)
    made.run("apply")
    return made


def name(number: int) -> str:
    return f"uid=user{number},{BASE}"


def filtered(job: Job, filter_: str = NARROW) -> None:
    job.configure(directory={"filter": filter_})


def drops(document: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(each["limit"], each["planned"], each["allowed"]) for each in document["refusals"]]


def accepting(job: Job, said: str) -> str:
    [command] = [line.strip() for line in said.splitlines() if "--accept" in line]
    return job.run(*shlex.split(command)[1:2], *shlex.split(command)[3:])


# ---------------------------------------------------------------- the limit


def test_a_filter_that_leaves_users_out_is_refused_until_that_plan_is_accepted(job: Job) -> None:
    filtered(job)
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]
    before = job.read("people.ldif")
    said = job.run("apply", code=3)
    assert "11 agents have a user; in the last good run 20 had one. Check base, filter and match rules" in said
    assert job.read("people.ldif") == before
    accepting(job, said)
    assert drops(job.plan()) == [], "what was accepted is the last good run"


def test_two_of_twenty_are_within_the_limit_and_a_job_may_say_another(job: Job) -> None:
    filtered(job, "(!(|(uid=user3)(uid=user4)))")
    assert drops(job.plan()) == []
    job.configure(limits={"matched_drop": "5%"})
    assert drops(job.plan(code=3)) == [("matched_drop", 2, 1)]
    job.configure(limits={"matched_drop": 2})
    assert drops(job.plan()) == []


def test_agents_that_are_gone_are_no_drop_of_users(job: Job) -> None:
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(number) for number in range(1, 12)])
    assert drops(job.plan()) == []
    filtered(job)
    assert drops(job.plan(code=3)) == [("matched_drop", 8, 2)]
    said = job.run("plan", code=3)
    assert "3 agents have a user; in the last good run 20 had one (11 without the agents that are gone)" in said


def test_seats_without_an_account_that_are_gone_make_up_for_nobody(tmp_path: Path) -> None:
    job = Job(tmp_path, users=20)
    people = [agent(number) for number in range(1, 21)]
    job.agents([*people, *[{"workNo": 3000 + number, "accountCode": None} for number in range(20)]])
    job.configure(limits={"agents_drop": "100%"})
    job.run("apply")
    job.agents(people)
    assert drops(job.plan()) == []
    filtered(job)
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]
    said = job.run("plan", code=3)
    assert "11 agents have a user; in the last good run 20 had one. Check" in said


def test_seats_that_lost_their_account_are_not_gone(job: Job) -> None:
    job.agents([agent(number, accountCode=None if number in OUT else f"user{number}") for number in range(1, 21)])
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]


def test_agents_that_come_new_make_up_for_nobody(job: Job) -> None:
    job.agents([agent(number) for number in range(1, 41)])
    assert drops(job.plan()) == []
    filtered(job)
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]


def test_a_reviewed_plan_is_judged_again(job: Job) -> None:
    job.agents([agent(number, workNo=2000 + number) for number in range(1, 21)])
    job.run("plan", "--save", "plan.json")
    filtered(job)
    said = job.run("apply", "--plan", "plan.json", code=3)
    assert "matched_drop" in said
    assert "employeeNumber: 20" not in job.read("people.ldif")
    job.run("apply", "--plan", "plan.json", "--only", "user1")
    assert job.read("people.ldif").count("employeeNumber: 20") == 1
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)], (
        "a part of a plan is not what the next run is held against"
    )


def test_a_reviewed_plan_is_written_as_far_as_it_goes_once_somebody_accepts_what_is_found_now(job: Job) -> None:
    job.agents([agent(number, workNo=2000 + number) for number in range(1, 21)])
    job.run("plan", "--save", "plan.json")
    filtered(job)
    said = job.run("apply", "--plan", "plan.json", code=3)
    digest = next(word for word in said.split() if word.startswith("sha256:"))
    job.run("apply", "--plan", "plan.json", "--accept", digest, code=4)
    assert job.read("people.ldif").count("employeeNumber: 20") == 11


def test_a_reviewed_plan_that_was_refused_for_it_is_no_worse_a_second_time(job: Job) -> None:
    filtered(job)
    said = job.run("plan", "--save", "plan.json", code=3)
    digest = next(word for word in said.split() if word.startswith("sha256:"))
    job.run("apply", "--plan", "plan.json", code=3)
    job.run("apply", "--plan", "plan.json", "--accept", digest)


def test_a_pilot_is_not_held_to_it_and_the_next_run_is_held_to_what_was_before(job: Job) -> None:
    filtered(job)
    assert drops(job.plan("--only", "user1")) == []
    job.run("apply", "--only", "user1")
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(number) for number in range(1, 16)])
    job.run("apply", "--only", "user1")
    assert drops(job.plan(code=3)) == [("matched_drop", 8, 1)], "five of twenty are gone, seven of fifteen are found"


def test_an_undo_is_no_last_good_run(job: Job) -> None:
    filtered(job)
    job.configure(limits={"clear": 20})
    (run,) = json.loads(job.run("runs", "--json"))
    job.run("undo", run["id"], "--apply")
    assert drops(job.plan(code=3)) == [("matched_drop", 9, 2)]


@pytest.fixture(
    params=[
        pytest.param((Slapd, "openldap-h350"), marks=pytest.mark.slapd, id="OpenLDAP"),
        pytest.param((Ds389, "389ds"), marks=pytest.mark.ds389, id="389-DS"),
    ]
)
def server_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    kind, mapping = request.param
    (tmp_path / "job").mkdir()
    accounts = [person(f"agent{number:03}") for number in range(1, 21)]
    agents = tenant([ldap_agent(number) for number in range(1, 21)])
    with kind.start(tmp_path / "server", accounts) as server, Simulator(agents, ssl_context=server_context()) as cec:
        world = World(tmp_path / "job", server, cec, mapping)
        world.run("apply")
        yield world


def test_on_an_ldap_server_too(server_world: World) -> None:
    world = server_world
    for read in ("find", "scan"):
        world.job(directory={"filter": "(!(uid=agent00*))", "read": read})
        planned = world.plan(code=3)
        assert drops(planned) == [("matched_drop", 9, 2)]
    world.job(directory={"base": f"ou=elsewhere,{PEOPLE}"})
    assert world.try_("plan").code == 78, "another base is another job's"


@pytest.mark.slow
@pytest.mark.parametrize("kind", EACH_KIND)
def test_on_a_scim_server_too(tmp_path: Path, kind: str) -> None:
    with ScimServer.start(tmp_path / "scim", people(12), kind=kind, tls=True) as server:
        job = ScimJob(tmp_path / "job", server, agents=12, ca_file=server.ca)
        job.run("apply")
        job.point(ca_file=server.ca, filter='not (userName eq "agent003" or userName eq "agent004")')
        planned = job.run("plan", code=3)
        assert drops(planned) == [("matched_drop", 2, 1)]


def test_agents_that_are_contested_are_named_as_the_cause(job: Job) -> None:
    twins = [agent(number, workNo=1001 + (number - 1) // 2 * 2) for number in range(1, 7)]
    job.agents([*twins, *(agent(number) for number in range(7, 21))])
    said = " ".join(job.run("plan", code=3).split())
    assert "6 agents are contested or ambiguous: see the problems. Check base, filter and match rules" in said

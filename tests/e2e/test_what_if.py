"""`what-if`: the plans with two mappings compared, and nothing written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.ldif_job import MAPPING, Job, agent
from tests.support.slapd import Slapd, person, server_context
from tests.support.whole_job import World, agent as tenants_agent, tenant

OTHER = MAPPING.replace(
    "  employeeNumber: {", "  departmentNumber: {value: '{workNo}', owns: '*'}\n  employeeNumber: {"
)
OTHER = OTHER.replace('  cecAccountCode: "{accountCode}"', "  givenName: {value: '{accountCode}', owns: '*'}")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=6)
    made.agents([agent(1), agent(2), agent(3), agent(8, accountCode="nobody")])
    made.write("other.yaml", OTHER)
    return made


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def compared(job: Job, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.run("what-if", "--json", *options))
    return found


def without_names(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, **{side: {**found[side], "id": "", "created": ""} for side in ("old", "new")}}


@pytest.mark.parametrize("before", ["no state", "a state", "an apply"])
def test_it_is_the_difference_of_the_two_plans_and_leaves_nothing(job: Job, before: str) -> None:
    if before != "no state":
        job.run("plan" if before == "a state" else "apply")
        job.agents([agent(1, workNo=1100), agent(2), agent(4), agent(8, accountCode="nobody")])
    files = everything(job.folder)
    found, said = compared(job, "--mapping", "other.yaml"), job.run("what-if", "--mapping", "other.yaml")
    assert everything(job.folder) == files
    job.run("plan", "--report", "old.json")
    job.configure(mapping="other.yaml")
    job.run("plan", "--report", "new.json")
    ended = job.program("diff", "old.json", "new.json", "--json")
    expected = json.loads(ended.out)
    assert expected["changes"]["changed"] or expected["changes"]["new"]
    if before == "no state":  # each plan without a key has fingerprints of its own, and so has what-if
        assert [len(found["changes"][what]) for what in ("new", "gone", "changed")] == [0, 0, 3]
        assert {
            each["name"]
            for pair in found["changes"]["changed"]
            for each in pair["new"]["attributes"]
            if each not in pair["old"]["attributes"]
        } == {"departmentNumber", "givenName", "objectClass"}
    else:
        assert without_names(found) == without_names(expected)
    assert f"old  {job.folder / 'mapping.yaml'}\nnew  other.yaml\n" in said
    assert "Nothing was written." in said
    assert f"Changes: {len(found['changes']['new'])} new, " in said


def test_the_same_mapping_changes_nothing(job: Job) -> None:
    assert compared(job, "--mapping", "mapping.yaml")["changes"] == {"same": 3, "new": [], "gone": [], "changed": []}


def test_the_last_plan_stays_the_last(job: Job) -> None:
    job.run("plan")
    job.run("what-if", "--mapping", "other.yaml")
    assert "changes 0 new, 0 gone, 0 changed, 3 the same" in job.run("plan", "--since", "last")


def test_a_ready_mapping_is_taken_by_its_name(job: Job) -> None:
    assert compared(job, "--mapping", "inetorgperson")["changes"]["changed"]


def test_the_other_mapping_is_checked_as_every_mapping_is(job: Job) -> None:
    assert "--mapping: there is no file no.yaml" in job.run("what-if", "--mapping", "no.yaml", code=78)
    assert "no ready mapping is called 'no'" in job.run("what-if", "--mapping", "no", code=78)
    job.write("other.yaml", OTHER.replace("{workNo}", "{worNo}", 1))
    said = job.run("what-if", "--mapping", "other.yaml", code=78)
    assert "other.yaml:6" in said
    job.write("other.yaml", MAPPING.replace('  employeeNumber: {value: "{workNo}", unique: true}', "  sn: '{workNo}'"))
    assert "other.yaml:6: sn can hold several values here" in job.run("what-if", "--mapping", "other.yaml", code=78)
    job.write("other.yaml", OTHER)
    job.configure(limits={"attributes": {"cecAccountCode": 10}})
    assert "the mapping does not write cecAccountCode" in job.run("what-if", "--mapping", "other.yaml", code=78)
    assert "Missing option '--mapping'" in job.run("what-if", code=64)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "job").mkdir()
    known = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in range(1, 9)]
    agents = tenant([tenants_agent(number) for number in range(1, 7)])
    with Slapd.start(tmp_path / "server", known) as server, Simulator(agents, ssl_context=server_context()) as cec:
        yield World(tmp_path / "job", server, cec)


@pytest.mark.slapd
def test_the_agents_are_read_once_and_the_directory_stays_as_it_is(world: World) -> None:
    world.run("apply")
    before, files = world.everything(), everything(world.folder)
    asked = len(world.cec.requests)
    ended = world.run("what-if", "--mapping", "inetorgperson", "--json")
    assert len(world.cec.requests) - asked == 2  # the token, and the agents
    assert len(json.loads(ended.out)["changes"]["new"]) == 6
    assert (world.everything(), everything(world.folder)) == (before, files)


def test_each_plan_that_would_be_refused_says_by_which_limit(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"update": 2, "clear": 10})
    assert [len(compared(job, "--mapping", "other.yaml")[side]["refusals"]) for side in ("old", "new")] == [0, 1]
    said = job.run("what-if", "--mapping", "other.yaml")
    assert said.count("refused: update  3 planned, 2 allowed\n") == 1
    assert said.index("\nnew  job") < said.index("refused: update") < said.index("\nChanges: ")

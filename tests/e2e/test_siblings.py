"""Several directories of one tenant: an agent is found by one job, and said once where no job finds it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import configure, job_file, ldif_directory
from tests.support.ldif_job import MAPPING, agent, person
from tests.support.program import Ended, program

REGIONS = ("apac", "emea", "west")
EVERYBODY = {"clear": "100%", "agents_drop": "100%", "matched_drop": "100%"}


class Tenant:
    """A tenant of five agents, and a job with its directory for each region, on one state."""

    def __init__(self, folder: Path, regions: tuple[str, ...] = REGIONS[:2]) -> None:
        self.folder = folder
        self.agents(1, 2, 3, 4, 5)
        (folder / "mapping.yaml").write_text(f"{MAPPING}stale: clear\n")
        for region in regions:
            siblings = [f"{each}.yaml" for each in regions if each != region]
            job = job_file(ldif_directory(f"{region}.ldif"), siblings=siblings, limits=EVERYBODY)
            (folder / f"{region}.yaml").write_text(job)

    def agents(self, *numbers: int) -> None:
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": [*map(agent, numbers)]}
        (self.folder / "agents.json").write_text(json.dumps(document))

    def users(self, region: str, *numbers: int) -> None:
        people = "".join(map(person, numbers))
        (self.folder / f"{region}.ldif").write_text(f"version: 1\n\n{people}")

    def run(self, *arguments: str, code: int = 0) -> Ended:
        ended = program(*arguments, folder=self.folder)
        assert ended.code == code, ended.said
        return ended

    def plan(self, region: str, command: str = "plan") -> dict[str, Any]:
        """The report of a full plan, or of an apply; its agents add up."""
        self.run(command, f"{region}.yaml", "--report", "report.json")
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        counts = report["summary"]
        places = ("matched", "unmatched", "elsewhere", "ambiguous", "contested", "unassigned", "invalid")
        assert counts["agents"] == sum(counts[place] for place in places)
        return report

    def written(self, region: str) -> set[int]:
        people = (self.folder / f"{region}.ldif").read_text()
        return {number for number in range(1, 6) if f"employeeNumber: {1000 + number}\n" in people}

    def sql(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "state.db")) as database, database:
            database.execute(statement)


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    """Of five agents apac has two, emea has two, and one is nowhere; each job has made a plan."""
    tenant = Tenant(tmp_path)
    tenant.users("apac", 1, 2)
    tenant.users("emea", 3, 4)
    tenant.plan("apac")
    tenant.plan("emea")
    return tenant


def problems(report: dict[str, Any], kind: str) -> dict[str, str]:
    """By account why."""
    return {each["agent"]["accountCode"]: each["why"] for each in report["problems"] if each["kind"] == kind}


def test_an_agent_that_a_sibling_finds_is_elsewhere_and_one_that_none_finds_is_said_once(tenant: Tenant) -> None:
    first, second = tenant.plan("apac"), tenant.plan("emea")
    assert [report["summary"]["matched"] for report in (first, second)] == [2, 2]
    assert problems(first, "unmatched").keys() == {"user5"}
    assert first["summary"]["elsewhere"] == 2
    assert problems(second, "unmatched") == {}
    assert second["summary"]["elsewhere"] == 3
    assert "a sibling finds it" in tenant.run("explain", "emea.yaml", "account:user1").out


def test_an_agent_that_two_find_is_written_by_neither_and_both_keep_what_they_have(tenant: Tenant) -> None:
    tenant.plan("apac", "apply")
    tenant.plan("emea", "apply")
    tenant.users("emea", 1, 3, 4)
    assert problems(tenant.plan("emea", "apply"), "contested").keys() == {"user1"}
    assert tenant.written("emea") == {3, 4}
    found = tenant.plan("apac", "apply")
    assert "sibling emea finds a user for it too" in problems(found, "contested")["user1"]
    assert (found["summary"]["stale"], tenant.written("apac")) == (0, {1, 2})


def test_a_user_that_moved_is_written_once_its_old_job_has_looked_again(tenant: Tenant) -> None:
    tenant.users("emea", 4)
    tenant.users("apac", 1, 2, 3)
    assert problems(tenant.plan("apac", "apply"), "contested").keys() == {"user3"}
    assert tenant.written("apac") == {1, 2}
    assert tenant.plan("emea")["summary"]["elsewhere"] == 4
    tenant.plan("apac", "apply")
    assert tenant.written("apac") == {1, 2, 3}


@pytest.mark.parametrize(
    "broken",
    [
        "delete from documents where kind = 'matched' and job = 'emea'",
        "update documents set content = replace(content, '\"created\":\"2', '\"created\":\"1') where job = 'emea'",
        "update documents set content = replace(content, '\"created\":\"2', '\"created\":\"3') where job = 'emea'",
    ],
    ids=["none", "old", "of the future"],
)
def test_the_agents_of_a_sibling_without_a_plan_that_counts_are_unmatched_and_it_is_said(
    tenant: Tenant, broken: str
) -> None:
    tenant.sql(broken)
    report = tenant.plan("apac")
    assert (report["summary"]["unmatched"], report["summary"]["elsewhere"]) == (3, 0)
    assert any("sibling emea" in said for said in report["cautions"])


def test_a_plan_counts_as_long_as_its_job_says(tenant: Tenant) -> None:
    configure(tenant.folder / "emea.yaml", serve={"every": "1h", "max_age": "60d"})
    tenant.plan("emea")
    a_month_ago = "substr(content, 1, instr(content, 'created') + 9) || '2026-11-10'"
    tenant.sql(
        f"update documents set content = {a_month_ago} || substr(content, instr(content, 'created') + 20) "
        "where kind = 'matched' and job = 'emea'"
    )
    assert tenant.plan("apac")["summary"]["elsewhere"] == 2


def test_a_plan_of_some_agents_or_with_another_mapping_tells_siblings_nothing(tenant: Tenant) -> None:
    tenant.users("emea", 3, 4, 5)
    tenant.run("plan", "emea.yaml", "--only", "user3")
    tenant.run("plan", "emea.yaml", "--mapping", "mapping.yaml")
    assert problems(tenant.plan("apac"), "unmatched").keys() == {"user5"}
    tenant.plan("emea")
    assert problems(tenant.plan("apac"), "unmatched") == {}


def test_of_three_jobs_the_first_that_looked_says_who_is_nowhere(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, REGIONS)
    for region, *numbers in (("apac", 1), ("emea", 2), ("west", 3)):
        tenant.users(region, *numbers)
    plans = [tenant.plan(region) for region in (*reversed(REGIONS), *REGIONS)][3:]
    assert [len(problems(report, "unmatched")) for report in plans] == [2, 0, 0]


def test_a_job_is_no_sibling_of_its_own(tenant: Tenant) -> None:
    configure(tenant.folder / "apac.yaml", siblings=["apac.yaml"])
    assert "apac.yaml:" in tenant.run("plan", "apac.yaml", code=78).err


def test_coverage_says_who_is_found_where_nowhere_and_twice(tenant: Tenant) -> None:
    jobs = ("apac.yaml", "emea.yaml")
    said = json.loads(tenant.run("coverage", *jobs, "--json").out)
    assert (said["agents"], said["found"], said["nowhere"], said["twice"]) == (5, 4, ["user5"], {})
    tenant.users("emea", 1, 3, 4)
    tenant.plan("emea")
    said = json.loads(tenant.run("coverage", *jobs, "--json", code=2).out)
    assert said["twice"] == {"user1": ["apac", "emea"]}
    table = tenant.run("coverage", *jobs, code=2).out
    assert "user1: apac, emea" in table
    assert "5 agents: 3 found by one job, 1 nowhere, 1 by several jobs." in table
    tenant.sql("delete from documents where job = 'emea'")
    assert "cec-connector plan emea.yaml" in tenant.run("coverage", *jobs, code=1).err


def test_who_is_forgotten_is_no_longer_told_to_siblings(tenant: Tenant) -> None:
    tenant.plan("emea", "apply")
    tenant.run("state", "forget", "emea.yaml", "uid=user3,ou=people,dc=example,dc=org", "--yes")
    with closing(sqlite3.connect(tenant.folder / "state.db")) as database:
        told = dict(database.execute("select job, content from documents where kind = 'matched'"))
    assert told.keys() == {"apac"}
    assert "user2" in told["apac"]

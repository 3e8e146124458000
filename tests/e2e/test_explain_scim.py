"""Near misses, `explain` and `init` on real SCIM servers, through the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.init_folder import COMMENT, judge_attributes
from tests.support.program import program
from tests.support.scim_job import ScimJob, agent
from tests.support.scim_servers import EACH_KIND, ENTERPRISE, ScimServer, people, user

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), people(12), kind=request.param, tls=True) as started:
        yield started


@pytest.fixture
def job(server: ScimServer, tmp_path: Path) -> ScimJob:
    started = ScimJob(tmp_path / "job", server, agents=8, ca_file=server.ca)
    started.agents += [
        agent(9, accountCode="Agent 009"),
        agent(10, accountCode="agent10"),
        agent(11, accountCode="agent011@example.org"),
        agent(50, accountCode="stranger"),
    ]
    started.tenant()
    return started


def test_near_misses(job: ScimJob) -> None:
    planned = job.run("plan")
    near = {
        problem["agent"]["accountCode"]: [(each["user"], each["how"]) for each in problem.get("near", [])]
        for problem in planned["problems"]
        if problem["kind"] == "unmatched"
    }
    assert near == {"Agent 009": [("agent009", "spaces")], "agent10": [("agent010", "leading zeros")], "stranger": []}
    assert "near misses" not in planned["about"]


def test_every_agent_is_explained_as_it_is_planned(job: ScimJob) -> None:
    planned = job.run("plan")
    for each in job.agents:
        ended = job.try_("explain", each["accountCode"], "--json")
        assert ended.code == 0, ended.said
        (explained,) = json.loads(ended.out)["agents"]
        changes = [change for change in planned["changes"] if change["agent"] == explained["agent"]]
        assert [explained["change"]] == (changes or [None])
        lines = [problem for problem in planned["problems"] if problem["agent"] == explained["agent"]]
        assert [problem for problem in explained["problems"] if problem["agent"]] == lines


def test_a_user_that_the_filter_leaves_out_is_named(job: ScimJob) -> None:
    job.point(ca_file=job.server.ca, filter='userName ne "agent003"')
    ended = job.try_("explain", "agent003")
    assert "workNo 1003: unmatched" in ended.out, ended.said
    assert "outside of base and filter: agent003" in ended.out


def test_lists_name_users_by_id_and_by_user_name_in_any_case(job: ScimJob) -> None:
    ids = {each["userName"]: each["id"] for each in job.server.all()}
    (job.folder / "exclude.csv").write_text(f"user\nAGENT002\n{ids['agent004']}\n")
    (job.folder / "pins.csv").write_text(f"accountCode,user\nstranger,{ids['agent012']}\nAgent 009,AGENT009\n")
    job.configure(exclude="exclude.csv", pins="pins.csv")
    planned = job.run("plan")
    held = {each["users"][0]: each["why"] for each in planned["problems"] if each["kind"] in ("exclude", "pin")}
    assert set(held) == {"agent002", "agent004"}, "a line is told to name nobody, or somebody is not spared"
    assert all("on the exclude list" in why for why in held.values())
    changed = {each["user"]["name"]: each for each in planned["changes"]}
    assert not {"agent002", "agent004"} & set(changed)
    assert changed["agent012"]["agent"]["accountCode"] == "stranger"
    assert changed["agent009"]["rule"] == 0
    (explained,) = json.loads(job.try_("explain", "stranger", "--json").out)["agents"]
    assert [each["found"] for each in explained["rules"]] == [["agent012"]]


def fit(job: ScimJob, *options: str, url: str = "") -> str:
    (job.folder / "job.yaml").unlink()
    arguments = ["--source", "agents.json", "--directory", url or job.server.url, "--ca-file", str(job.server.ca)]
    env = {"SCIM_TOKEN": job.server.token}
    ended = program("init", *arguments, "--token", "env:SCIM_TOKEN", *options, folder=job.folder, env=env)
    assert ended.code == 0, ended.said
    text = (job.folder / "job.yaml").read_text() + (job.folder / "mapping.yaml").read_text()
    for secret in (job.server.token, "canary"):
        assert secret not in text + ended.said
    return ended.out


def summary(job: ScimJob) -> dict[str, Any]:
    assert job.try_("check").code == 0
    found: dict[str, Any] = job.run("plan")["summary"]
    return found


def test_init_writes_a_job_that_fits_a_server_with_the_extension(job: ScimJob) -> None:
    out = fit(job)
    assert "directory  SCIM 2.0 server: " in out
    assert "mapping    scim-extension" in out
    assert "{accountCode} in userName" in out
    assert summary(job)["matched"] == 9


def test_init_takes_the_stock_schema_where_there_is_no_extension(tmp_path: Path) -> None:
    users = [user(number, **{ENTERPRISE: {"employeeNumber": f"55{number}"}}) for number in range(1, 9)]
    for each in users:
        each["schemas"] = [*each["schemas"], ENTERPRISE]
    with ScimServer.start(tmp_path / "scim", users, schemas=[], tls=True) as server:
        job = ScimJob(tmp_path / "job", server, agents=8, ca_file=server.ca)
        out = fit(job)
        assert "not scim-extension: " in out
        assert "mapping    scim-enterprise" in out
        number = f"{ENTERPRISE}:employeeNumber"
        assert judge_attributes(out)[number] == ("8 of 8 matched users hold another value", COMMENT)
        assert summary(job)["matched"] == 8
        assert "employeeNumber" not in json.dumps(job.run("plan")["changes"])

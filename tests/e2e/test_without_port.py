"""Numbers that move in a tenant without a port, by the ready mappings that hold several URIs: in one run or two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.e2e.test_scim_story import World
from tests.support import ad_job, ldif_job, whole_job
from tests.support.samba import Samba
from tests.support.scim_servers import ScimServer, user
from tests.support.slapd import server_context

HOST = "192.0.2.10"
MOVED = ("7009", "7001", "7003")
"""The numbers of agents 1 to 3 after they had 7001 to 7003: one is new, and its old one goes to the next agent."""


def without_port(agent: Callable[..., dict[str, Any]], *numbers: str, port: bool = False) -> dict[str, Any]:
    agents = [agent(n, sipAccount=number) for n, number in enumerate(numbers, start=1)]
    return {"sipServiceIp": HOST, "agents": agents} | ({"sipServicePort": 5060} if port else {})


@pytest.mark.parametrize("port_before", [True, False])
def test_numbers_move_by_inetorgperson_and_a_leaver_is_cleared(tmp_path: Path, port_before: bool) -> None:
    job = ldif_job.Job(tmp_path, users=3)
    ready = Path(__file__).parents[2] / "mappings" / "inetorgperson.yaml"
    job.write("mapping.yaml", ready.read_text(encoding="utf-8").replace("stale: report", "stale: clear"))
    job.configure(limits={"update": "100%", "clear": 9, "agents_drop": "100%", "matched_drop": "100%"})

    def apply(*numbers: str, port: bool = False) -> list[str]:
        job.write("agents.json", json.dumps(without_port(ldif_job.agent, *numbers, port=port)))
        job.run("apply")
        assert job.plan("--fail-on-changes")["changes"] == []
        marked = [line for line in job.read("people.ldif").splitlines() if line.startswith("labeledURI: ")]
        return [line.removeprefix("labeledURI: ").removesuffix(" CEC softphone") for line in marked]

    assert len(apply("7001", "7002", "7003", port=port_before)) == (6 if port_before else 3)
    kept = [f"sip:7003@{HOST}:5060"] if port_before else []  # the number has not changed, and nobody knows the port
    assert apply(*MOVED) == [f"sip:7009@{HOST}", f"sip:7001@{HOST}", f"sip:7003@{HOST}", *kept]
    assert apply(*MOVED[:2]) == [f"sip:7009@{HOST}", f"sip:7001@{HOST}"]
    assert apply(*MOVED[:2], port=True) == [
        f"sip:{number}@{HOST}{port}" for number in MOVED[:2] for port in ("", ":5060")
    ]


@pytest.mark.samba
def test_numbers_move_by_active_directory(tmp_path: Path) -> None:
    with Samba.start(tmp_path / "dc", ad_job.people(4), options=ad_job.WITHOUT_TLS) as server:
        job = ad_job.AdJob(tmp_path / "job", server.url, agents=0)
        job.configure(mapping="active-directory")

        def apply(*numbers: str, port: bool = False) -> list[list[str]]:
            (job.folder / "agents.json").write_text(json.dumps(without_port(ad_job.agent, *numbers, port=port)))
            job.run("apply")
            assert job.run("plan")["changes"] == []
            return [ad_job.held(server, n, "ipPhone", "otherIpPhone") for n in (1, 2, 3)]

        before = apply("7001", "7002", "7003", port=True)
        assert before[0] == ["7001", f"sip:7001@{HOST}", f"sip:7001@{HOST}:5060"]
        now = apply(*MOVED)
        assert now == [["7009", f"sip:7009@{HOST}"], ["7001", f"sip:7001@{HOST}"], before[2]]
        assert apply(*MOVED, port=True)[1] == ["7001", f"sip:7001@{HOST}", f"sip:7001@{HOST}:5060"]


@pytest.mark.slow
def test_numbers_move_by_scim_enterprise(tmp_path: Path) -> None:
    users = [user(n) for n in (1, 2, 3)]
    with (
        ScimServer.start(tmp_path / "server", users, tls=True, schemas=[]) as server,
        Simulator(whole_job.tenant([]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        world.job(mapping="scim-enterprise", limits={"update": "100%"})

        def apply(*numbers: str, port: bool = False) -> list[list[str]]:
            cec.document = without_port(whole_job.agent, *numbers, port=port)
            world.run("apply")
            assert world.plan("--fail-on-changes")["changes"] == []
            stored = [server.stored(f"agent{n:03}") for n in (1, 2, 3)]
            return [[each["value"] for each in (*one["phoneNumbers"], *one["ims"])] for one in stored]

        before = apply("7001", "7002", "7003", port=True)
        assert before[0] == ["7001", f"sip:7001@{HOST}", f"sip:7001@{HOST}:5060"]
        now = apply(*MOVED)
        assert now == [["7009", f"sip:7009@{HOST}"], ["7001", f"sip:7001@{HOST}"], before[2]]

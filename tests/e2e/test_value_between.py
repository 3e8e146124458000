"""Somebody adds a value to an empty list between the last read and the write, on a server without assertions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ad_job import WITHOUT_TLS, AdJob, held, named, people
from tests.support.ds389 import Ds389
from tests.support.ldap_job import LdapJob, held as stored
from tests.support.ldap_proxy import LdapProxy
from tests.support.ldap_server import LdapServer
from tests.support.samba import Samba
from tests.support.slapd import PEOPLE, Slapd, person


class Adds:
    """Adds a value at the first modify that comes by."""

    def __init__(self, server: LdapServer, dn: str, line: str, how: str = "add") -> None:
        self._server = server
        self._text = f"dn: {dn}\nchangetype: modify\n{how}: {line.partition(':')[0]}\n{line}\n"

    def __call__(self, name: str, message: bytes) -> bytes:
        if self._text:
            self._server.modify(self._text)
            self._text = ""
        return message


@pytest.mark.ds389
def test_on_389_ds_it_stays_beside_ours_until_the_next_run(tmp_path: Path) -> None:
    mapping = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {description: {value: "seat {workNo}", owns: "seat *"}}
"""
    with Ds389.start(tmp_path / "server", [person("agent000")]) as server:
        adds = Adds(server, f"uid=agent000,{PEOPLE}", "description: seat 9")
        with LdapProxy(server.port, adds) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, "agent000", mapping=mapping)
            job.apply()
            assert sorted(stored(server, "agent000", "description")) == ["seat 1000", "seat 9"]
            job.apply()
            assert stored(server, "agent000", "description") == ["seat 1000"]


@pytest.mark.slapd
def test_where_the_server_compares_the_conflict_names_what_differs(tmp_path: Path) -> None:
    """The server's answer says only that the entry is another; who reads the report learns which attributes."""
    mapping = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: {value: "{workNo}"}
  description: {value: "pass {sipPwd}", owns: "pass *", secret: true}
"""
    with Slapd.start(tmp_path / "server", [person("agent000", "employeeNumber: 7", "description: hers")]) as server:
        text = "employeeNumber: 9\n-\nadd: description\ndescription: pass c4n4ry"
        adds = Adds(server, f"uid=agent000,{PEOPLE}", text, how="replace")
        with LdapProxy(server.port, adds) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, "agent000", mapping=mapping)
            tenant = {"agents": [{"workNo": 1000, "accountCode": "agent000", "sipPwd": "canary"}]}
            (job.folder / "agents.json").write_text(json.dumps(tenant))
            ended, report = job.run("apply")
            (outcome,) = report["outcomes"]
            assert ended.code == 4, ended.said
            assert "employeeNumber changed since the plan\n      not as planned: description\n" in ended.out
            assert outcome["differs"] == [{"name": "employeeNumber"}, {"name": "description"}]
            logged = next(each for each in map(json.loads, ended.err.splitlines()) if each["event"] == "outcome")
            assert logged["why"] == outcome["why"] == "employeeNumber changed since the plan"
            for said in (ended.said, json.dumps(report)):
                assert "c4n4ry" not in said
                assert "canary" not in said
            assert sorted(stored(server, "agent000", "description")) == ["hers", "pass c4n4ry"]


@pytest.mark.samba
def test_on_active_directory_it_stays_beside_ours_until_the_next_run(tmp_path: Path) -> None:
    with Samba.start(tmp_path / "dc", people(1), options=WITHOUT_TLS) as server:
        adds = Adds(server, named(0), "otherIpPhone: sip:9@192.0.2.10")
        with LdapProxy(389, adds, host=server.host) as proxy:
            job = AdJob(tmp_path / "job", proxy.url, agents=1)
            job.run("apply")
            assert held(server, 0, "otherIpPhone") == ["sip:7000@192.0.2.10", "sip:9@192.0.2.10"]
            job.run("apply")
            assert held(server, 0, "otherIpPhone") == ["sip:7000@192.0.2.10"]

"""`init` and `explain` on 389-DS and Active Directory: each is recognised, and what is written for it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import samba, slapd
from tests.support.ds389 import Ds389
from tests.support.ldap_server import LdapServer
from tests.support.program import Ended, program
from tests.support.samba import Samba
from tests.support.whole_job import agent, tenant

COUNT = 8


class Folder:
    """A folder with a tenant in a file, in which `init` writes a job."""

    def __init__(self, path: Path, password: str) -> None:
        self.path, self.env = path, {"LDAP_PASSWORD": password}
        path.mkdir()
        agents = [agent(number) for number in range(1, COUNT + 1)]
        (path / "agents.json").write_text(json.dumps(tenant(agents)))

    def run(self, *arguments: str) -> Ended:
        ended = program(*arguments, folder=self.path, env=self.env)
        assert ended.code == 0, ended.said
        for secret in ("canary", self.env["LDAP_PASSWORD"]):
            assert secret not in ended.said
        return ended

    def init(self, server: LdapServer, name: str, base: str) -> str:
        login = ["--ca-file", str(server.ca), "--bind-dn", name, "--password", "env:LDAP_PASSWORD"]
        where = ["--source", "agents.json", "--directory", server.ldaps_url, "--base", base]
        return self.run("init", *where, *login).out

    def plan(self) -> dict[str, Any]:
        self.run("check", "job.yaml")
        self.run("plan", "job.yaml", "--report", "report.json")
        document: dict[str, Any] = json.loads((self.path / "report.json").read_text())
        return document

    def explained(self, name: str) -> dict[str, Any]:
        (explained,) = json.loads(self.run("explain", "job.yaml", name, "--json").out)["agents"]
        assert isinstance(explained, dict)
        return explained


def as_planned(folder: Folder, document: dict[str, Any]) -> None:
    """Each agent is explained by the plan's own line."""
    for change in document["changes"]:
        explained = folder.explained(change["agent"]["accountCode"])
        assert explained["change"] == change
        assert explained["verdict"] == "matched"


@pytest.mark.ds389
def test_389_ds(tmp_path: Path) -> None:
    people = [slapd.person(f"agent{number:03}", f"mail: a{number}@example.org") for number in range(1, COUNT + 1)]
    with Ds389.start(tmp_path / "server", people) as server:
        folder = Folder(tmp_path / "job", slapd.SYNC_PASSWORD)
        out = folder.init(server, slapd.SYNC, slapd.PEOPLE)
        assert "directory  389-DS: " in out
        assert "mapping    389ds" in out
        assert "    8  {accountCode} in uid   rule 1" in out
        planned = folder.plan()
        assert planned["summary"]["matched"] == planned["summary"]["update"] == COUNT, planned["problems"]
        as_planned(folder, planned)


@pytest.mark.samba
def test_active_directory(tmp_path: Path) -> None:
    people = [samba.person(f"agent{number:03}") for number in range(1, COUNT + 1)]
    people += [samba.person("left", "userAccountControl: 514")]
    with Samba.start(tmp_path / "server", people) as server:
        folder = Folder(tmp_path / "job", samba.SYNC_PASSWORD)
        out = folder.init(server, samba.SYNC, samba.PEOPLE)
        assert "Active Directory: ldaps://" in out
        assert "mapping    active-directory" in out
        assert "    8  {accountCode} in sAMAccountName   rule 1" in out
        planned = folder.plan()
        assert planned["summary"]["matched"] == planned["summary"]["update"] == COUNT, planned["problems"]
        as_planned(folder, planned)

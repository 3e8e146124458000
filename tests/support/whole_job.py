"""A whole job in a folder: a tenant over HTTPS, a real LDAP server over TLS, and the program as a subprocess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector.demo.simulator import Simulator
from tests.support.jobs import cec_source, changed, file, job_file, ldap_directory
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD, LdapServer
from tests.support.program import Ended, program

SECRETS = {"CEC_APP_KEY": "demo-key", "LDAP_PASSWORD": SYNC_PASSWORD}
READ_ALL = "(objectClass=*) * +"


def agent(number: int, **fields: Any) -> dict[str, Any]:
    known = {"workNo": 1000 + number, "accountCode": f"agent{number:03}", "sipAccount": str(7000 + number)}
    return known | {"sipPwd": f"canary-{number}"} | fields


def tenant(agents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}


class World:
    """A tenant, a server, and a job between them."""

    sync, password, people = SYNC, SYNC_PASSWORD, PEOPLE

    def __init__(self, folder: Path, server: LdapServer, cec: Simulator, mapping: str = "openldap-h350") -> None:
        self.folder, self.server, self.cec, self.mapping = folder, server, cec, mapping
        (folder / "app-secret").write_text("demo-secret\n")
        self.job()

    def settings(self) -> str:
        """The job as it is by itself."""
        source = cec_source(self.cec.url, ca=self.server.ca, app_secret=file("app-secret"))
        directory = ldap_directory(self.server.ldaps_url, ca=self.server.ca, bind_dn=self.sync, base=self.people)
        return job_file(directory, source=source, mapping=self.mapping)

    def job(self, **changes: Any) -> None:
        """Write it with these changes: see `jobs.changed`."""
        (self.folder / "job.yaml").write_text(changed(self.settings(), **changes))

    def try_(self, command: str, *options: str, **env: str) -> Ended:
        secrets = SECRETS | {"LDAP_PASSWORD": self.password}
        ended = program(command, "job.yaml", *options, folder=self.folder, env=secrets | env)
        assert "canary" not in ended.said
        assert self.password not in ended.said
        assert "demo-secret" not in ended.said
        return ended

    def run(self, command: str, *options: str, code: int = 0) -> Ended:
        ended = self.try_(command, *options)
        assert ended.code == code, ended.said
        return ended

    def plan(self, *options: str, code: int = 0) -> dict[str, Any]:
        self.run("plan", "--report", "report.json", *options, code=code)
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document

    def everything(self) -> bytes:
        return self.server.search(*READ_ALL.split())

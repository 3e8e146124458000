"""A job for one LDAP server in a folder of its own: agents by their accounts, with work numbers from 1000."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.jobs import job_file, ldap_directory
from tests.support.ldap_server import SYNC, SYNC_PASSWORD, LdapServer
from tests.support.program import Ended, program


class LdapJob:
    """`uids` are the accounts. `url` is plain LDAP: a server's, or that of a proxy before it."""

    def __init__(self, folder: Path, url: str, *uids: str, mapping: str, **more: Any) -> None:
        folder.mkdir()
        self.folder = folder
        # no names of people are looked up: tests of their own do that (test_log_people, test_people)
        directory = ldap_directory(url, bind_dn=SYNC, show=[])
        (folder / "job.yaml").write_text(job_file(directory, **more))
        (folder / "mapping.yaml").write_text(mapping)
        agents = [{"workNo": 1000 + place, "accountCode": uid} for place, uid in enumerate(uids)]
        (folder / "agents.json").write_text(json.dumps({"agents": agents}))

    def run(self, command: str, *options: str) -> tuple[Ended, dict[str, Any]]:
        """Run a command of the program; its end, and its report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        options = ("job.yaml", "--report", report.name, *options)
        ended = program(command, *options, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        return ended, json.loads(report.read_text()) if report.exists() else {}

    def run_plainly(self, command: str, *options: str, code: int = 0) -> str:
        """Run a command that writes no report; what it prints."""
        ended = program(command, "job.yaml", *options, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert ended.code == code, ended.said
        return ended.out

    def apply(self, code: int = 0) -> dict[str, dict[str, Any]]:
        """Apply; what became of each user, by uid."""
        ended, report = self.run("apply")
        assert ended.code == code, ended.said
        return {each["user"][4:].partition(",")[0]: each for each in report["outcomes"]}

    def problems(self) -> list[dict[str, Any]]:
        """Those of the next plan, which has nothing to change."""
        ended, report = self.run("plan")
        assert ended.code == 0, ended.said
        assert report["changes"] == []
        problems: list[dict[str, Any]] = report["problems"]
        return problems


def held(server: LdapServer, uid: str, attribute: str) -> list[str]:
    """A user's values of one attribute, under the very options that it names."""
    lines = server.search(f"(uid={uid})", attribute).decode().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith(f"{attribute}: ")]

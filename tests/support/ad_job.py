"""A job of a few agents for a domain controller, in a folder of its own; its users are `agent000` and so on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.jobs import configure, job_file, ldap_directory
from tests.support.program import Ended, program
from tests.support.samba import PEOPLE, SYNC, SYNC_PASSWORD, Samba, person

WITHOUT_TLS = ("ldap server require strong auth = no",)
FILTER = "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
MAPPING = """\
match: [{agent: "{accountCode}", directory: sAMAccountName}]
attributes:
  ipPhone: {value: "{sipAccount}", unique: true}
  employeeNumber: "{workNo}"
  otherIpPhone: {value: "sip:{sipAccount}@{sipServiceIp}", owns: "sip:*"}
stale: clear
"""
ENABLED, DISABLED = 544, 546


def agent(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "workNo": 1000 + number, "accountCode": f"agent{number:03}", "sipAccount": str(7000 + number)
    } | fields  # fmt: skip


def people(count: int) -> list[str]:
    """These users, as LDIF."""
    return [person(f"agent{number:03}", f"userAccountControl: {ENABLED}") for number in range(count)]


def named(number: int, base: str = PEOPLE) -> str:
    """The DN of a user."""
    return f"CN=agent{number:03},{base}"


class AdJob:
    """`urls`: plain LDAP, of controllers or of proxies before them."""

    def __init__(self, folder: Path, *urls: str, agents: int, mapping: str = MAPPING, **more: Any) -> None:
        folder.mkdir()
        self.folder = folder
        # no names of people are looked up: tests of their own do that (test_log_people, test_people)
        directory = ldap_directory(*urls, bind_dn=SYNC, base=PEOPLE, show=[]) | {"filter": FILTER}
        limits = {"update": "100%", "clear": 100, "agents_drop": "100%", "matched_drop": "100%", "state": "100%"}
        (folder / "job.yaml").write_text(job_file(directory, limits=limits, **more))
        (folder / "mapping.yaml").write_text(mapping)
        self.agents([agent(number) for number in range(agents)])

    def configure(self, **changes: Any) -> None:
        configure(self.folder / "job.yaml", **changes)

    def agents(self, agents: list[dict[str, Any]], gateway: str = "192.0.2.10") -> None:
        document = {"sipServiceIp": gateway, "agents": agents}
        (self.folder / "agents.json").write_text(json.dumps(document))

    def program(self, *line: str) -> Ended:
        return program(*line, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})

    def run(self, command: str, *options: str, code: int = 0) -> dict[str, Any]:
        """Run a command, and return its report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        self.ended = self.program(command, "job.yaml", *options, "--report", report.name)
        assert self.ended.code == code, self.ended.said
        return json.loads(report.read_text()) if report.exists() else {}

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.program("runs", "job.yaml", "--json").out)
        return found


def held(server: Samba, number: int, *attributes: str) -> list[str]:
    """What a user holds of these attributes, as the administrator sees it."""
    found = server.search(f"(sAMAccountName=agent{number:03})", *attributes).decode().splitlines()
    return sorted(line.partition(": ")[2] for line in found if line.partition(":")[0] in attributes)


def told(report: dict[str, Any], kind: str) -> list[str]:
    """The reasons of the problems of one kind."""
    return [each["why"] for each in report["problems"] if each["kind"] == kind]


def outcomes(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """By user's first name: what became of it, and why."""
    return {each["user"][3:11]: (each["outcome"], each.get("why", "")) for each in report["outcomes"]}

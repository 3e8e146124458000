"""A job between a tenant in a file and an LDIF file, in a folder of its own; no password may be in what is said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.jobs import configure, job_file, ldif_directory
from tests.support.program import Ended, program

BASE = "ou=people,dc=example,dc=org"
MAPPING = """\
match:
  - {agent: "{accountCode}", directory: uid}
  - {agent: "{accountCode|lower}@example.org", directory: mail}
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "{workNo}", unique: true}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
"""
JOB = job_file(ldif_directory())


def agent(number: int, **fields: Any) -> dict[str, Any]:
    known = {
        "workNo": 1000 + number,
        "accountCode": f"user{number}",
        "sipAccount": str(7000 + number),
        "sipPwd": f"canary-{number}",
    }
    return known | fields


def person(number: int) -> str:
    return (
        f"dn: uid=user{number},{BASE}\nobjectClass: inetOrgPerson\nuid: user{number}\ncn: User {number}\nsn: User\n"
        f"mail: mail{number}@example.org\nentryUUID: 00000000-0000-0000-0000-{number:012}\n\n"
    )


class Job:
    """A job in a folder of its own."""

    def __init__(self, folder: Path, users: int = 5) -> None:
        self.folder = folder
        self.agents([agent(number) for number in range(1, users + 1)])
        self.write("people.ldif", "version: 1\n\n" + "".join(person(number) for number in range(1, users + 1)))
        self.write("mapping.yaml", MAPPING)
        self.write("job.yaml", JOB)

    def write(self, name: str, text: str) -> None:
        """Put it there whole: what runs meanwhile sees the old or the new."""
        new = self.folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.folder / name)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def configure(self, **changes: Any) -> None:
        """Say some of the job otherwise: see `jobs.changed`."""
        configure(self.folder / "job.yaml", **changes)

    def agents(self, agents: list[dict[str, Any]]) -> None:
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}
        self.write("agents.json", json.dumps(document))

    def program(self, *arguments: str, **env: str) -> Ended:
        ended = program(*arguments, folder=self.folder, env=env)
        assert "canary" not in ended.said
        return ended

    def run(self, command: str, *options: str, code: int = 0) -> str:
        ended = self.program(command, "job.yaml", *options)
        assert ended.code == code, ended.said
        return ended.out if code in {0, 2, 4} else ended.said

    def sql(self, statement: str) -> None:
        """Change what the state remembers, as time would."""
        with closing(sqlite3.connect(self.folder / "state.db")) as database, database:
            database.execute(statement)

    def plan(self, *options: str, code: int = 0) -> dict[str, Any]:
        self.run("plan", *options, "--report", "report.json", code=code)
        document: dict[str, Any] = json.loads(self.read("report.json"))
        return document

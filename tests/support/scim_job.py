"""A job between a tenant in a file and a SCIM server, run by the program; no secret of it may be in what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.jobs import configure, job_file, scim_directory
from tests.support.program import Ended, program
from tests.support.scim_servers import CEC, ScimServer

Json = dict[str, Any]
CANARY = "canary-sip"


def agent(number: int, **fields: Any) -> Json:
    known = {"workNo": 1000 + number, "accountCode": f"agent{number:03}", "sipAccount": str(7000 + number)}
    return known | {"sipPwd": f"{CANARY}-{number}"} | fields


class ScimJob:
    """A folder with a job of so many agents; `url` is where it finds the server, a proxy perhaps."""

    def __init__(self, folder: Path, server: ScimServer, *, agents: int, url: str = "", **directory: Any) -> None:
        self.folder, self.server = folder, server
        folder.mkdir(exist_ok=True)
        self.agents = [agent(number) for number in range(1, agents + 1)]
        self.tenant()
        self.point(url, **directory)

    def point(self, url: str = "", **directory: Any) -> None:
        """Let the job find the server at the root address of a proxy, with more settings of the directory."""
        base = (url or self.server.root) + self.server.url.removeprefix(self.server.root)
        job = job_file(scim_directory(base, **directory), mapping="scim-extension")
        (self.folder / "job.yaml").write_text(job)

    def configure(self, **changes: Any) -> None:
        """Say some of the job otherwise: see `jobs.changed`."""
        configure(self.folder / "job.yaml", **changes)

    def tenant(self) -> None:
        """Let the source say what `agents` says."""
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": self.agents}
        (self.folder / "agents.json").write_text(json.dumps(document))

    def try_(self, command: str, *options: str) -> Ended:
        """Run a command on it."""
        ended = program(command, "job.yaml", *options, folder=self.folder, env={"SCIM_TOKEN": self.server.token})
        for secret in (CANARY, self.server.token):
            assert secret not in ended.said
            assert not any(secret in path.read_text() for path in self.folder.glob("*report*"))
        return ended

    def run(self, command: str, *options: str, code: int = 0) -> Json:
        """Run it and hold it to its exit code; its report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        ended = self.try_(command, "--report", "report.json", *options)
        assert ended.code == code, ended.said
        document: Json = json.loads(report.read_text()) if report.exists() else {}
        return document

    def outcomes(self, document: Json) -> dict[str, str]:
        """What became of each user, by its name."""
        return {each["user"]: each["outcome"] for each in document["outcomes"]}

    def written(self) -> set[str]:
        """The users that hold all that their agent has."""
        wanted = {each["accountCode"]: each for each in self.agents}
        return {
            user["userName"]
            for user in self.server.all()
            if (one := wanted.get(user["userName"]))
            and user.get(CEC)
            == {
                "accountCode": one["accountCode"],
                "workNo": one["workNo"],
                "sipAccount": one["sipAccount"],
                "sipPassword": one["sipPwd"],
                "sipServiceIp": "192.0.2.10",
                "sipServicePort": 5060,
            }
        }

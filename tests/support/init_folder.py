"""A folder with a tenant in a file, in which `init` writes a job; its files are used as they were written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.program import program

STAYS = "yes; they keep theirs"
COMMENT = "no, a comment: they keep theirs"


def list_rows(out: str) -> list[list[str]]:
    """The table of fields that `init` printed: field (empty in further rows of it), attribute, users, verdict."""
    _, _, table = out.partition("\nfield ")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [[row[:15].strip(), *re.split(r" {2,}", row[15:].strip())] for row in rows]


def judge_attributes(out: str) -> dict[str, tuple[str, str]]:
    """By attribute of that table what users hold there, and the verdict."""
    return {attribute: (users, verdict) for _, attribute, users, verdict in list_rows(out)}


class InitFolder:
    """The folder. `env`: variables with secrets; neither they nor a SIP password are ever said."""

    def __init__(self, path: Path, accounts: Iterable[str], env: Mapping[str, str]) -> None:
        self.path, self.env = path, dict(env)
        path.mkdir()
        agents = [
            {
                "workNo": 1000 + number,
                "accountCode": account,
                "sipAccount": str(7000 + number),
                "sipPwd": f"canary-{number}",
            }
            for number, account in enumerate(accounts, 1)
        ]
        tenant = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}
        (path / "agents.json").write_text(json.dumps(tenant))

    def run(self, *arguments: str) -> str:
        """What is said to standard output."""
        ended = program(*arguments, folder=self.path, env=self.env)
        assert ended.code == 0, ended.said
        for secret in ("canary", *self.env.values()):
            assert secret not in ended.said
        return ended.out

    def plan(self) -> dict[str, Any]:
        """What the first plan says, of the files as `init` has written them."""
        self.run("check", "job.yaml")
        self.run("plan", "job.yaml", "--report", "report.json")
        document: dict[str, Any] = json.loads((self.path / "report.json").read_text())
        return document

    @property
    def mapping(self) -> str:
        return (self.path / "mapping.yaml").read_text()

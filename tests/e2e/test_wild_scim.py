"""The whole job on Canaille, a SCIM server that others have made.

It answers 500 to any `count`, passes filters over and shows all users, and has no schema of another extension.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.jobs import configure, job_file, scim_directory
from tests.support.program import Ended, program
from tests.support.scim_servers import ENTERPRISE, PATCH_OP
from tests.support.wild.servers import TOKEN, TOKEN_WITHOUT_RIGHTS, canaille

pytestmark = pytest.mark.wild

MAPPING = f"""\
match: [{{agent: "{{accountCode}}", directory: userName}}]
attributes:
  {ENTERPRISE}:employeeNumber: "{{workNo}}"
  title: "seat {{workNo}}"
  phoneNumbers.value: {{value: "+49 {{sipAccount}}", owns: "+49 *"}}
"""
AGENTS, USERS = 10, 14
THEIRS = 3
"""The number of the user whose values others have put there."""


class Job:
    """A job of ten agents on a server with a few users more."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        self.folder, self.url = folder, url
        agents = [
            {"workNo": 1000 + number, "accountCode": f"agent{number:03}", "sipAccount": str(7000 + number)}
            for number in range(AGENTS)
        ]
        (folder / "agents.json").write_text(json.dumps({"agents": agents}))
        (folder / "mapping.yaml").write_text(MAPPING)
        (folder / "job.yaml").write_text(job_file(scim_directory(url), limits={"clear": 100}))

    def try_(self, *arguments: str, token: str = TOKEN) -> Ended:
        ended = program(*arguments, folder=self.folder, env={"SCIM_TOKEN": token})
        assert token not in ended.said
        return ended

    def run(self, command: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        ended = self.try_(command, "job.yaml", "--report", "report.json", *arguments)
        assert ended.code == code, ended.said
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document

    def last(self) -> str:
        return str(json.loads(self.try_("runs", "job.yaml", "--json").out)[0]["id"])

    def _ask(self, method: str, path: str = "", body: object = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
        content = None if body is None else json.dumps(body)
        answer = httpx.request(method, f"{self.url}/Users{path}", headers=headers, content=content, trust_env=False)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    def users(self) -> dict[str, dict[str, Any]]:
        """All of every user but `meta`, by name."""
        return {
            each["userName"]: {name: value for name, value in each.items() if name != "meta"}
            for each in self._ask("GET")["Resources"]
        }

    def patch(self, name: str, path: str, value: str) -> None:
        """The second writer."""
        operations = [{"op": "replace", "path": path, "value": value}]
        self._ask("PATCH", f"/{self.users()[name]['id']}", {"schemas": [PATCH_OP], "Operations": operations})


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    people: list[dict[str, object]] = [
        {
            "user_name": f"agent{number:03}",
            "family_name": "Person",
            "formatted_name": f"Example Person {number}",
            "emails": [f"agent{number:03}@example.org"],
            "phone_numbers": ["+1 555"],
        }
        for number in range(USERS)
    ]
    people[THEIRS] |= {"title": "of old", "employee_number": "7", "department": "kept"}
    with canaille(tmp_path / "server", people) as url:
        yield Job(tmp_path / "job", url)


@pytest.mark.parametrize("read", ["find", "scan"])
def test_a_job_is_checked_planned_applied_and_undone(job: Job, read: str) -> None:
    """With `find`, too: filters are seen to be passed over, and all users are read."""
    configure(job.folder / "job.yaml", directory={"read": read})
    before = job.users()
    checked = job.try_("check", "job.yaml")
    assert checked.code == 0, checked.said
    assert f"{USERS} users within base and filter (" in checked.out
    planned = job.run("plan")
    assert (planned["summary"]["matched"], planned["summary"]["update"]) == (AGENTS, AGENTS)
    assert job.users() == before
    outcomes = job.run("apply")["outcomes"]
    assert [each["outcome"] for each in outcomes] == ["written"] * AGENTS
    after = job.users()
    for number in range(AGENTS):
        name = f"agent{number:03}"
        assert after[name]["title"] == f"seat {1000 + number}"
        assert after[name][ENTERPRISE]["employeeNumber"] == str(1000 + number)
        assert {each["value"] for each in after[name]["phoneNumbers"]} == {"+1 555", f"+49 {7000 + number}"}
        ours = {"title", ENTERPRISE, "phoneNumbers"}
        assert {key: after[name][key] for key in before[name].keys() - ours} == {
            key: before[name][key] for key in before[name].keys() - ours
        }
    assert after[f"agent{THEIRS:03}"][ENTERPRISE]["department"] == "kept"
    assert {name: after[name] for name in list(before)[AGENTS:]} == {
        name: before[name] for name in list(before)[AGENTS:]
    }
    assert job.run("plan", "--fail-on-changes")["changes"] == []
    undone = job.run("undo", job.last(), "--apply")["outcomes"]
    assert [each["outcome"] for each in undone] == ["written"] * AGENTS
    assert job.users() == before


def test_an_undo_leaves_what_somebody_has_put_there_since(job: Job) -> None:
    before = job.users()
    job.run("apply")
    job.patch("agent000", "title", "since")
    undone = job.run("undo", job.last(), "--apply")
    assert [each["kind"] for each in undone["problems"]] == ["undo"]
    assert job.users() == before | {"agent000": before["agent000"] | {"title": "since"}}


def test_somebody_without_rights_is_told_in_the_servers_words(job: Job) -> None:
    ended = job.try_("apply", "job.yaml", token=TOKEN_WITHOUT_RIGHTS)
    assert ended.code == 1, ended.said
    assert "403" in ended.err
    assert "Insufficient permissions" in ended.err

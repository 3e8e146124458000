"""Near misses, through the program: what a plan says of agents that almost match, on OpenLDAP and on an LDIF file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import Part, job_file, ldap_directory, ldif_directory
from tests.support.program import Ended, program
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

USERS = {
    "annabel": "mail: ann@one.example.org",
    "jsmyth": "mail: jsmyth@example.org",
    "007": "mail: bond@example.org",
    "vlong": "mail: v.long@example.org",
    "claimed": "mail: claimed@example.org",
    "SIP": "SIPIdentitySIPURI: sip:Kim@example.org",
    "else": "mail: nobody@example.org",
    "halin": "mail: halin@elsewhere.example",
    "cernak": "mail: cernak@elsewhere.example",
}
AGENTS = {
    "ann@two.example.org": ("annabel", "mail", "ann@one.example.org", "domain"),
    "j smyth": ("jsmyth", "uid", "jsmyth", "spaces"),
    "7": ("007", "uid", "007", "leading zeros"),
    "v long": ("vlong", "uid", "vlong", "spaces"),
    "kim": ("SIP", "SIPIdentitySIPURI", "sip:Kim@example.org", "case"),
    "hal1n": None,
    "cerna": None,
    "someone": None,
    "claimedd": None,
}
"""What each agent has for an account, and whom it is near: user, attribute, value, and how it differs."""
MAPPING = """\
match:
  - {agent: "{accountCode}", directory: uid}
  - {agent: "{accountCode}", directory: mail}
  - {agent: "sip:{accountCode}@example.org", directory: SIPIdentitySIPURI}
attributes:
  cecAccountCode: "{accountCode}"
object_classes: [cecAgent]
"""


class Job:
    """A job in a folder of its own, on a directory that holds `USERS`."""

    def __init__(self, folder: Path, directory: Part) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "mapping.yaml").write_text(MAPPING)
        (folder / "job.yaml").write_text(job_file(directory))
        self.agents([*AGENTS, "claimed"])

    def agents(self, accounts: list[str]) -> None:
        agents = [{"workNo": 1000 + place, "accountCode": account} for place, account in enumerate(accounts)]
        (self.folder / "agents.json").write_text(json.dumps({"agents": agents}))

    def run(self, *arguments: str) -> Ended:
        return program(*arguments, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})

    def plan(self, *options: str) -> dict[str, Any]:
        ended = self.run("plan", "job.yaml", "--report", "report.json", *options)
        assert ended.code == 0, ended.said
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document


def people() -> list[str]:
    return [person(uid, line, classes=["SIPIdentity"] if "SIP" in line else []) for uid, line in USERS.items()]


@pytest.fixture(
    params=[pytest.param("find", marks=pytest.mark.slapd), pytest.param("scan", marks=pytest.mark.slapd), "ldif"]
)
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Job]:
    if request.param == "ldif":
        (tmp_path / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
        yield Job(tmp_path / "job", ldif_directory("../people.ldif"))
        return
    with Slapd.start(tmp_path / "slapd", ["\n".join(people())]) as server:
        directory = ldap_directory(server.ldaps_url, ca=server.ca, bind_dn=SYNC, read=request.param)
        yield Job(tmp_path / "job", directory)


def nearest(document: dict[str, Any]) -> dict[str, Any]:
    return {
        problem["agent"]["accountCode"]: problem.get("near")
        for problem in document["problems"]
        if problem["kind"] == "unmatched"
    }


def test_an_unmatched_agent_is_told_whom_it_almost_matches(job: Job) -> None:
    planned = job.plan()
    wanted = {
        account: near and [{"user": f"uid={near[0]},{PEOPLE}", "attribute": near[1], "value": near[2], "how": near[3]}]
        for account, near in AGENTS.items()
    }
    assert nearest(planned) == wanted
    assert planned["summary"]["unmatched"] == len(AGENTS)
    assert planned["summary"]["matched"] == planned["summary"]["update"] == 1, "a near miss is never a match"
    assert "near misses" not in planned["about"]


def test_every_report_says_it(job: Job) -> None:
    reports = [f"report.{suffix}" for suffix in ("csv", "md", "html")]
    ended = job.run("plan", "job.yaml", "--all", *(f"--report={name}" for name in reports))
    for said in (ended.out, *((job.folder / name).read_text() for name in reports)):
        assert f"uid=jsmyth,{PEOPLE}" in said.replace("<wbr>", "")
        assert "spaces" in said


def test_of_many_unmatched_agents_the_first_are_looked_for_and_the_report_says_so(job: Job) -> None:
    job.agents([f"stranger{number}" for number in range(300)] + ["zzz", "claimed"])
    planned = job.plan()
    assert planned["about"]["near misses"] == "searched for the first 200 unmatched agents; 101 more are left out"
    assert nearest(planned)["zzz"] is None
    assert "near misses" in job.run("plan", "job.yaml", "--all").out


@pytest.mark.slow
def test_near_misses_are_sealed_in_a_saved_plan_and_are_no_part_of_its_digest(job: Job) -> None:
    planned = job.plan("--save", "plan.json")
    text = (job.folder / "plan.json").read_text()
    (job.folder / "plan.json").write_text(text.replace('"leading zeros"', '"leading ones"'))
    refused = job.run("apply", "job.yaml", "--plan", "plan.json")
    assert refused.code == 3
    assert "changed after it was saved" in refused.err
    (job.folder / "plan.json").write_text(text)
    assert job.run("apply", "job.yaml", "--plan", "plan.json").code == 0
    job.agents([*AGENTS, "claimed"])
    assert planned["digest"] != job.plan()["digest"], "the change was applied"
    assert job.plan()["summary"]["unchanged"] == 1

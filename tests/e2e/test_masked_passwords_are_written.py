"""A tenant that masks its SIP passwords, or has one for all: they are unknown, and nobody is given or loses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people

USERS = 12
EVERYBODY = range(1, USERS + 1)
MASK = "******"
SHARED = "canary-shared"
PASSWORD, URI = "SIPIdentityPassword", "SIPIdentitySIPURI"
UNKNOWN = "agents is unknown: it is * alone, or ten agents or more share it"


def masking(job: Job, *passwords: str) -> None:
    """The tenant's agents have these passwords, and new numbers."""
    agents = [agent(number, sipAccount=str(8000 + number)) for number in EVERYBODY]
    job.agents([each | {"sipPwd": password} for each, password in zip(agents, passwords, strict=True)])


def lines(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in document["problems"] if UNKNOWN in each["why"]]


@pytest.mark.parametrize("when", ["keep", "clear"])
@pytest.mark.parametrize("password", [MASK, "*", SHARED])
def test_nothing_is_written_or_cleared_for_a_mask(tmp_path: Path, password: str, when: str) -> None:
    job = Job(tmp_path, users=USERS)
    job.run("apply")
    job.write("mapping.yaml", job.read("mapping.yaml") + f"when_absent: {when}\n")
    before = job.read("people.ldif")
    masking(job, *[password] * USERS)
    document = job.plan()
    assert document["changes"] == []
    (line,) = lines(document)
    assert line["why"].startswith(f"the sipPwd of {USERS} {UNKNOWN}")
    assert (line["attribute"], line["users"]) == (PASSWORD, [])
    assert f"the sipPwd of {USERS} {UNKNOWN}" in job.run("check")
    assert "is unknown" in job.run("explain", "user1")
    for suffix in ("json", "csv", "md", "html", "ldif"):
        job.run("apply", "--report", f"report.{suffix}")
        assert "canary" not in job.read(f"report.{suffix}")
    assert job.read("people.ldif") == before


def test_a_first_run_writes_all_but_the_identity(tmp_path: Path) -> None:
    job = Job(tmp_path, users=USERS)
    masking(job, *[MASK] * USERS)
    job.run("apply")
    people_file = job.read("people.ldif")
    assert people_file.count("cecAccountCode:") == USERS
    assert PASSWORD not in people_file
    assert URI not in people_file
    assert job.plan()["changes"] == []


def test_agents_with_a_password_of_their_own_are_written(tmp_path: Path) -> None:
    job = Job(tmp_path, users=USERS)
    masking(job, "canary-own", "canary-other", *[MASK] * 10)
    document = job.plan()
    (line,) = lines(document)
    assert line["why"].startswith(f"the sipPwd of 10 {UNKNOWN}")
    job.run("apply")
    assert job.read("people.ldif").count(f"{PASSWORD}:") == 2
    masking(job, *[SHARED] * 9, *(f"canary-{number}" for number in range(3)))
    document = job.plan()
    assert lines(document) == []
    assert document["summary"]["secret"] == USERS


def test_who_shares_is_counted_over_the_whole_tenant(tmp_path: Path) -> None:
    job = Job(tmp_path, users=USERS)
    masking(job, *[SHARED] * USERS)
    job.configure(source={"only": ["user1"]})
    document = job.plan()
    assert document["summary"]["secret"] == 0
    assert len(lines(document)) == 1


def test_sharing_can_be_allowed_and_a_mask_never(tmp_path: Path) -> None:
    job = Job(tmp_path, users=USERS)
    job.configure(source={"shared_secrets": True})
    masking(job, *[SHARED] * USERS)
    document = job.plan()
    assert document["summary"]["secret"] == USERS
    masking(job, *[MASK] * USERS)
    document = job.plan()
    assert document["summary"]["secret"] == 0
    assert len(lines(document)) == 1


def test_a_tenant_that_masks_for_once_changes_nothing_and_goes_on(tmp_path: Path) -> None:
    job = Job(tmp_path, users=USERS)
    masking(job, *(f"canary-{number}" for number in EVERYBODY))
    job.run("apply")
    masking(job, *[MASK] * USERS)
    job.run("apply")
    masking(job, *(f"canary-{number}" for number in EVERYBODY))
    assert job.plan()["changes"] == []


def test_on_scim_a_mask_is_no_password_either(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "scim") as server:
        server.put(people(USERS))
        job = ScimJob(tmp_path / "job", server, agents=USERS)
        for each in job.agents:
            each["sipPwd"] = MASK
        job.tenant()
        document = job.run("apply")
        assert len(lines(document)) == 1
        held = [user.get(CEC, {}) for user in server.all()]
        assert all("sipPassword" not in each and "sipAccount" not in each for each in held)
        assert all("accountCode" in each for each in held)

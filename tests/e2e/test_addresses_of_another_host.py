"""A SIP account that is no user of a SIP URI: `7@evil` would call another host, `8 0` nobody. Neither is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import MAPPING, Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people

GOOD = ["7001", "a.b-c_d", "+49(30)123*1", "7;x=1/2?3", "7%40evil", "7&8", "~'!$"]
BAD = ["7@evil", "8 0", "7:secret", "7%4", "7%zz", "j\u00fcrg", "7#1", "<7>", '"7"', "7\\8", "7@evil;x", "7@evil x"]
URI = "SIPIdentitySIPURI"
IDENTITY = {URI, "SIPIdentityPassword"}


def reasons(document: dict[str, Any]) -> dict[str, str]:
    """Why the address of each agent is not written, by account."""
    found = [each for each in document["problems"] if each["kind"] == "value"]
    return {each["agent"]["accountCode"]: each["why"] for each in found}


def planned(document: dict[str, Any]) -> dict[str, set[str]]:
    """The attributes that change, by account."""
    return {each["agent"]["accountCode"]: {one["name"] for one in each["attributes"]} for each in document["changes"]}


def addressed(job: Job) -> list[str]:
    return [line.partition(": ")[2] for line in job.read("people.ldif").splitlines() if line.startswith(f"{URI}:")]


def test_only_users_of_rfc_3261_are_written_and_the_identity_of_others_is_held(tmp_path: Path) -> None:
    accounts = [*GOOD, *BAD]
    job = Job(tmp_path, users=len(accounts))
    job.agents([agent(number, sipAccount=account) for number, account in enumerate(accounts, start=1)])
    document = job.plan()
    bad = {f"user{number}" for number, account in enumerate(accounts, start=1) if account in BAD}
    changes = planned(document)
    assert {account for account, names in changes.items() if names >= IDENTITY} == changes.keys() - bad
    assert all(changes[account].isdisjoint(IDENTITY) for account in bad)
    assert all("employeeNumber" in changes[account] for account in bad)
    why = reasons(document)
    assert why.keys() == bad
    assert all("is not a user of a SIP URI (RFC 3261)" in said for said in why.values())
    job.run("apply")
    assert addressed(job) == [f"sip:{account}@192.0.2.10:5060" for account in GOOD]
    again = job.plan()
    assert again["changes"] == []
    assert reasons(again).keys() == bad
    assert "RFC 3261" in job.run("explain", f"user{len(accounts)}")


def test_an_identity_that_is_there_stays_whole(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1)
    job.run("apply")
    job.agents([agent(1, sipAccount="7@evil", sipPwd="canary-new")])
    before = job.read("people.ldif")
    document = job.plan()
    assert document["changes"] == []
    job.run("apply")
    assert job.read("people.ldif") == before


@pytest.mark.parametrize(
    ("template", "host", "written"),
    [
        ("sip:{sipAccount}@{sipServiceIp|host}", "2001:db8::1", "sip:7001@[2001:db8::1]"),
        ("sip:{sipAccount}@{sipServiceIp}", "2001:db8::1", None),
        ("sip:{sipAccount}@{sipServiceIp}", "sip.example.org", "sip:7001@sip.example.org"),
        ("sip:{sipAccount}@{sipServiceIp}", "sip.example.org@evil", None),
        ("sip:{sipAccount}@{sipServiceIp}", "192.0.2.1/evil", None),
        ("sips:{sipAccount}@{sipServiceIp};transport=tcp;lr", "192.0.2.1", "sips:7001@192.0.2.1;transport=tcp;lr"),
        ("sip:{sipAccount}@{sipServiceIp} CEC softphone", "192.0.2.1", "sip:7001@192.0.2.1 CEC softphone"),
        ("sip:{sipAccount}@{sipServiceIp} of {accountCode}", "192.0.2.1", "sip:7001@192.0.2.1 of user1"),
        ("SIP:{sipAccount}@{sipServiceIp}", "192.0.2.1#evil", None),
        ("tel:{sipAccount}", "192.0.2.1", "tel:7001"),
        ("SIP: {sipAccount}", "192.0.2.1", "SIP: 7001"),
        ("Tel: {accountCode}", "192.0.2.1", "Tel: user1"),
    ],
)
def test_hosts_parameters_and_labels(tmp_path: Path, template: str, host: str, written: str | None) -> None:
    job = Job(tmp_path, users=1)
    mapping = MAPPING.replace("sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", template)
    job.write("mapping.yaml", mapping.replace('owns: "sip:*"', 'owns: "*"'))
    job.write("agents.json", json.dumps({"sipServiceIp": host, "sipServicePort": 5060, "agents": [agent(1)]}))
    document = job.plan()
    job.run("apply")
    assert addressed(job) == ([written] if written else [])
    assert bool(reasons(document)) == (written is None)


@pytest.mark.parametrize(("account", "good"), [("+49-30-123", True), ("8 0", False), ("7@evil", False)])
def test_a_telephone_number_is_held_to_its_grammar_too(tmp_path: Path, account: str, *, good: bool) -> None:
    job = Job(tmp_path, users=1)
    job.write("mapping.yaml", MAPPING.replace("sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", "tel:{sipAccount}")
              .replace('"sip:*"', '"tel:*"'))  # fmt: skip
    job.agents([agent(1, sipAccount=account)])
    assert bool(reasons(job.plan())) != good


def test_a_value_of_a_scim_user_is_held_to_it_too(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "scim") as server:
        server.put(people(2))
        job = ScimJob(tmp_path / "job", server, agents=2)
        job.configure(mapping="scim-enterprise")
        job.agents[1]["sipAccount"] = "7@evil"
        job.tenant()
        document = job.run("apply")
        assert list(reasons(document)) == ["agent002"]
        addresses = {user["userName"]: user.get("ims", []) for user in server.all()}
        assert any("sip:7001@" in each["value"] for each in addresses["agent001"])
        assert addresses["agent002"] == []

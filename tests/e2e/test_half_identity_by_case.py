"""A server that compares passwords without case calls `SECRET` and `secret` the same: half an identity is written.

The new number would be there, and the old password stay: the phone does not register. Nor is a password verified that
nobody can read or compare; who wrote it last, and when, is said once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD
from tests.support.ldif_job import Job, agent
from tests.support.program import program
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people
from tests.support.slapd import Slapd, person

MATCH = 'match: [{agent: "{accountCode}", directory: uid}]\n'
BY_CASE = MATCH + (
    'attributes: {employeeNumber: "{sipAccount}", title: {value: "{sipPwd}", secret: true, owns: "*"}}\n'
)
EXACT = BY_CASE.replace("title", "SIPIdentityPassword") + "object_classes: [SIPIdentity]\n"
RIGHTS = """
access to attrs=userPassword by anonymous auth by * none
access to attrs=title,SIPIdentityPassword by dn.exact="{sync}" ={right} by * none
access to * by dn.exact="{sync}" write by users read by anonymous auth
"""


class World:
    """A server where our account has a `right` to passwords, and a job whose tenant has two agents."""

    def __init__(self, folder: Path, server: Slapd, mapping: str) -> None:
        self.server = server
        self.job = LdapJob(folder / "job", server.url, "user1", "user2", mapping=mapping)
        self.tenant("7000", "secret")

    def tenant(self, number: str, password: str) -> None:
        """What the first agent has; the second one stays as it is."""
        agents = [
            {"workNo": 1, "accountCode": "user1", "sipAccount": number, "sipPwd": password},
            {"workNo": 2, "accountCode": "user2", "sipAccount": "7900", "sipPwd": "other"},
        ]
        (self.job.folder / "agents.json").write_text(json.dumps({"agents": agents}))

    def identity(self, password: str = "title") -> tuple[list[str], list[str]]:
        found = self.server.search("(uid=user1)", password).decode()
        words = re.findall(rf"^{password}(::?) (.*)$", found, re.MULTILINE)
        assert all(colon == ":" for colon, _ in words)
        return held(self.server, "user1", "employeeNumber"), [word for _, word in words]

    def changes(self, *options: str) -> list[dict[str, Any]]:
        ended, report = self.job.run("plan", *options)
        assert ended.code == 0, ended.said
        found: list[dict[str, Any]] = report["changes"]
        return found


def world(folder: Path, right: str, mapping: str, *values: str) -> Iterator[World]:
    rights = RIGHTS.format(sync=SYNC, right=right)
    with Slapd.start(folder, [person("user1", *values), person("user2")], acl=rights) as server:
        yield World(folder, server, mapping)


@pytest.fixture(params=["wc", "wrsc"], ids=["compared", "read"])
def by_case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A server that compares passwords without case."""
    yield from world(tmp_path, request.param, BY_CASE)


@pytest.mark.slapd
def test_a_password_that_differs_in_case_alone_is_written_with_its_number(by_case: World) -> None:
    by_case.job.apply()
    assert by_case.identity() == (["7000"], ["secret"])
    by_case.tenant("7001", "SECRET")
    by_case.job.apply()
    assert by_case.identity() == (["7001"], ["SECRET"])
    assert by_case.changes() == [], "it is written again and again"
    by_case.tenant("7001", "Secret")
    assert set(by_case.job.apply()) == {"user1"}
    assert by_case.identity() == (["7001"], ["Secret"])


@pytest.mark.slapd
@pytest.mark.parametrize("there", ["secret", "SECRET", "other"])
def test_a_first_run_believes_no_comparison_without_case(tmp_path: Path, there: str) -> None:
    """Whatever is there: our account cannot tell `secret` from `SECRET`, and has never written it."""
    for here in world(tmp_path, "wc", BY_CASE, f"title: {there}", "employeeNumber: 6000"):
        here.job.apply()
        assert here.identity() == (["7000"], ["secret"])
        assert here.changes() == []


@pytest.mark.slapd
def test_a_first_run_on_equal_passwords_writes_none_where_the_server_compares_exactly(tmp_path: Path) -> None:
    for here in world(tmp_path, "wc", EXACT):
        dn = f"uid=user1,{PEOPLE}"
        here.server.modify(
            f"dn: {dn}\nadd: objectClass\nobjectClass: SIPIdentity\n-\nadd: SIPIdentityPassword\n"
            "SIPIdentityPassword: secret\n"
        )
        changes = {each["user"]["name"][4:9]: each["attributes"] for each in here.changes()}
        assert [each["name"] for each in changes["user1"]] == ["employeeNumber"]
        here.tenant("7000", "SECRET")
        here.job.apply()
        assert here.identity("SIPIdentityPassword") == (["7000"], ["SECRET"])


@pytest.mark.slapd
def test_passwords_that_nobody_can_read_or_compare_are_told_once_with_the_day_of_the_last_write(tmp_path: Path) -> None:
    for here in world(tmp_path, "w", EXACT):
        here.job.apply()
        ended, report = here.job.run("plan")
        assert (ended.code, report["changes"]) == (0, [])
        assert here.job.run("plan", "--all")[0].out.count("SIPIdentityPassword") == 1
        said = report["about"]["not verifiable"]
        assert re.match(r"SIPIdentityPassword of 2 users, last written on \d{4}-\d\d-\d\d: ", said)
        check = program("check", "job.yaml", folder=here.job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert "=wc" in check.out, check.out
        here.tenant("7001", "SECRET")
        here.job.apply()
        assert here.identity("SIPIdentityPassword") == (["7001"], ["SECRET"])


@pytest.mark.slapd
def test_a_check_says_nothing_of_passwords_that_can_be_compared(tmp_path: Path) -> None:
    for here in world(tmp_path, "wc", EXACT):
        here.job.apply()
        check = program("check", "job.yaml", folder=here.job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert "=wc" not in check.out


# ---------------------------------------------------------------- other directories


def test_a_file_gets_a_password_that_differs_in_case_alone(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1)
    job.write("mapping.yaml", BY_CASE)
    job.run("apply")
    job.agents([agent(1, sipAccount="7999", sipPwd="CANARY-1")])
    job.run("apply")
    people = job.read("people.ldif")
    assert ("employeeNumber: 7999" in people, "title: CANARY-1" in people) == (True, True)
    assert "no user would be changed" in job.run("plan")


def test_a_scim_server_gets_a_password_that_differs_in_case_alone(tmp_path: Path) -> None:
    mapping = (
        "match: [{agent: '{accountCode}', directory: userName}]\n"
        "attributes: {displayName: '{sipAccount}', title: {value: '{sipPwd}', secret: true}}\n"
    )
    with ScimServer.start(tmp_path / "scim") as server:
        server.restore([])
        server.put(people(1))
        job = ScimJob(tmp_path / "job", server, agents=1)
        (job.folder / "mapping.yaml").write_text(mapping)
        job.configure(mapping="mapping.yaml")
        job.run("apply")
        job.agents[0] |= {"sipAccount": "7999", "sipPwd": job.agents[0]["sipPwd"].upper()}
        job.tenant()
        job.run("apply")
        (user,) = server.all()
        assert (user["displayName"], user["title"]) == ("7999", "CANARY-SIP-1")
        assert job.run("plan")["changes"] == []

"""A field that goes nowhere is named: by `init` with the reason, and by every plan in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import own_schema
from tests.support.init_folder import COMMENT, InitFolder, list_rows
from tests.support.ldif_job import Job
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd

COUNT = 24
FIELDS = ("workNo", "accountCode", "sipAccount", "sipPwd", "sipServiceIp", "sipServicePort")
DESK = f"attributetype ( 1.3.6.1.4.1.32473.77.1.20 NAME 'acmeDesk' {own_schema.ATTRIBUTES['acmeSeat']} )\n"
SCHEMA = DESK + own_schema.openldap().replace("$ acmeSeat )", "$ acmeSeat $ acmeDesk )")


class Folder(InitFolder):
    """A folder for a directory server with a schema of its own."""

    def __init__(self, path: Path) -> None:
        accounts = [f"agent{number:02}" for number in range(1, COUNT + 1)]
        super().__init__(path, accounts, {"LDAP_PASSWORD": SYNC_PASSWORD})

    def init(self, server: Slapd) -> str:
        login = ["--ca-file", str(server.ca), "--bind-dn", SYNC, "--password", "env:LDAP_PASSWORD", "--base", PEOPLE]
        return self.run("init", "--source", "agents.json", "--directory", server.ldaps_url, *login)


def user(number: int, seat: int | None, desk: int | None = None) -> str:
    classes = "".join(f"objectClass: {name}\n" for name in ("inetOrgPerson", "acmeStaff", "acmeSip"))
    head = f"dn: uid=x{number},{PEOPLE}\n{classes}uid: x{number}\ncn: Person\nsn: Person\n"
    held = [f"acmeStaffCode: agent{number:02}"]
    held += [f"acmeSeat: {seat}"] if seat else []
    held += [f"acmeDesk: {desk}"] if desk else []
    return head + "".join(f"{line}\n" for line in held)


def places(out: str) -> dict[str, str]:
    """The first attribute of each field."""
    return {field: attribute for field, attribute, *_ in list_rows(out) if field}


@pytest.mark.slapd
def test_a_used_attribute_stays_as_a_comment_with_its_conflicts_and_no_other_is_offered(tmp_path: Path) -> None:
    """Two users disagree. Desks have numbers that look like seats, each of another agent."""
    records = [user(n, 1000 + n if n > 2 else 4000 + n, 1000 + n % COUNT + 1) for n in range(1, COUNT + 1)]
    with Slapd.start(tmp_path / "server", records, stock=True, rules=SCHEMA) as server:
        folder = Folder(tmp_path / "job")
        out = folder.init(server)
        assert "mapping    own schema\n" in out
        assert tuple(places(out)) == FIELDS
        unused = ["24 of 24 matched users get a value", "yes"]
        held = "22 of 24 users hold their agent's value, 2 of 24 users hold another value"
        assert list_rows(out) == [
            ["workNo", "acmeSeat", held, COMMENT],
            ["accountCode", "-", "-", "no: users are matched by it, in acmeStaffCode"],
            ["sipAccount", "acmeSipUser", *unused],
            ["", "acmeSipUri", *unused],
            ["sipPwd", "acmeSipSecret", *unused],
            ["sipServiceIp", "acmeSipUri", *unused],
            ["sipServicePort", "-", "-", "no: no attribute of this schema was found for it"],
        ]
        seat = '# acmeSeat: {value: "{workNo}", unique: true}'
        assert f"  # 2 of 24 users hold another value here:\n  {seat}" in folder.mapping
        assert "acmeDesk" not in folder.mapping.partition("\nattributes:")[2]
        missing = "workNo, accountCode, sipServicePort (no attribute of the mapping takes them)"
        assert folder.plan()["about"]["not written"] == missing


@pytest.mark.slapd
def test_an_attribute_that_holds_the_numbers_of_other_agents_is_not_offered(tmp_path: Path) -> None:
    records = [user(n, None, 1000 + n % COUNT + 1) for n in range(1, COUNT + 1)]
    with Slapd.start(tmp_path / "server", records, stock=True, rules=SCHEMA) as server:
        folder = Folder(tmp_path / "job")
        assert places(folder.init(server))["workNo"] == "acmeSeat"
        assert "acmeDesk" not in folder.mapping.partition("\nattributes:")[2]


@pytest.mark.slapd
def test_an_attribute_that_holds_each_agent_s_own_number_is_its_place_whatever_its_name(tmp_path: Path) -> None:
    schema = SCHEMA.replace("acmeDesk", "acmePlate").replace("acmeSeat", "acmeShelf")
    records = [user(n, None, 1000 + n).replace("acmeDesk", "acmePlate") for n in range(1, COUNT + 1)]
    with Slapd.start(tmp_path / "server", records, stock=True, rules=schema) as server:
        folder = Folder(tmp_path / "job")
        assert places(folder.init(server))["workNo"] == "acmePlate"


NUMBER_ALONE = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""
EVERYTHING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  description: {value: ["{accountCode}", "{sipAccount}@{sipServiceIp}:{sipServicePort}"], owns: "*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
"""


def test_each_plan_names_the_fields_that_no_attribute_takes_in_one_line(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("mapping.yaml", NUMBER_ALONE)
    line = "accountCode, sipAccount, sipPwd, sipServiceIp, sipServicePort (no attribute of the mapping takes them)"
    assert " ".join(job.run("plan", "--all").split()).count(f"not written {line}") == 1
    assert job.plan()["problems"] == []
    job.write("mapping.yaml", EVERYTHING)
    assert "not written" not in job.plan()["about"]


def test_a_field_that_the_tenant_does_not_have_is_not_missed(tmp_path: Path) -> None:
    job = Job(tmp_path)
    agents = [{"workNo": 1000 + number, "accountCode": f"user{number}"} for number in range(1, 6)]
    job.write("agents.json", json.dumps({"agents": agents}))
    job.write("mapping.yaml", NUMBER_ALONE)
    assert job.plan()["about"]["not written"] == "accountCode (no attribute of the mapping takes it)"

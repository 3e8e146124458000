"""`check` names the attributes that users are looked up by without an equality index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ds389 import Ds389
from tests.support.ldap_job import LdapJob
from tests.support.ldap_server import SYNC_PASSWORD
from tests.support.program import program
from tests.support.slapd import SYNC, Slapd, person

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}, {agent: "{accountCode}", directory: departmentNumber}]
attributes:
  employeeNumber: {value: "{workNo}", unique: true}
  roomNumber: {value: "{workNo}", unique: true, owns: "*"}
"""
LACKING = "no equality index for departmentNumber: each look-up by it reads the whole database. To add one, "
ALSO = ". The same holds for roomNumber"


def notes(folder: Path, url: str) -> list[str]:
    job = LdapJob(folder / "job", url, "ann", mapping=MAPPING)
    done = program("check", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
    assert done.code == 0, done.said
    return [line.removeprefix("  note: ") for line in done.out.splitlines() if "index" in line]


@pytest.mark.slapd
def test_openldap(tmp_path: Path) -> None:
    readable = f'\nindex roomNumber pres,sub\ndatabase config\naccess to * by dn.exact="{SYNC}" read\n'
    with Slapd.start(tmp_path / "server", [person("ann")], overlays=readable) as server:
        found = notes(tmp_path, server.url)
    assert found == [f"{LACKING}add to the database's entry in cn=config: olcDbIndex: departmentNumber eq{ALSO}"]


@pytest.mark.slapd
def test_openldap_that_does_not_show_its_configuration(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "server", [person("ann")]) as server:
        assert notes(tmp_path, server.url) == ["indexes: the server does not show this account which there are"]


@pytest.mark.ds389
def test_389ds(tmp_path: Path) -> None:
    with Ds389.start(tmp_path / "server", [person("ann")]) as server:
        assert notes(tmp_path, server.url) == ["indexes: the server does not show this account which there are"]
    (tmp_path / "job").rename(tmp_path / "before")
    aci = f'(targetattr="*")(version 3.0; acl "tells"; allow (read, search, compare) userdn="ldap:///{SYNC}";)'
    with Ds389.start(tmp_path / "other", [person("ann")]) as server:
        server.configure("cn=config", aci=aci)
        found = notes(tmp_path, server.url)
    added = "run: dsconf INSTANCE backend index add --attr departmentNumber --index-type eq --reindex BACKEND"
    assert found == [f"{LACKING}{added}{ALSO}"]

"""A file that slapcat wrote is read as OpenLDAP reads its own entries: filters, rules, and names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.schema import Schema
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldif.adapter import LdifReader
from connector.errors import MalformedError
from connector.model import Secret, View
from connector.settings.ldap import LdapDirectory, LdifDirectory
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

VIEW = View(("uid",))
_NOT_COMPARED = {"userCertificate"}
"""By a rule (certificateExactMatch) that this program does not evaluate."""
AUTOMOUNT = """
attributetype ( 1.3.6.1.1.1.1.32 NAME 'automountKey' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15
  SINGLE-VALUE )
objectclass ( 1.3.6.1.1.1.2.17 NAME 'automount' SUP top STRUCTURAL MUST automountKey )
"""
KEYS = "".join(
    f"dn: automountKey={key},ou=services,{SUFFIX}\nobjectClass: automount\nautomountKey: {key}\n\n"
    for key in ("Projects", "projects")
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    people = [
        person(
            f"user{n:02}", f"employeeNumber: {n}", "title: x", f"telephoneNumber: +49 30 {n}",
            f"mail: a{n}@example.org",
            *([f"SIPIdentitySIPURI: sip:{n}@x", f"SIPIdentityRegistrarAddress: 192.0.2.{n}"] if n % 2 else []),
            classes=["SIPIdentity"] if n % 2 else [],
        )
        for n in range(10)
    ]  # fmt: skip
    with Slapd.start(tmp_path_factory.mktemp("slapd"), [*people, KEYS], rules=AUTOMOUNT) as started:
        yield started


@pytest.fixture
def dump(server: Slapd, tmp_path: Path) -> Path:
    command = ["/usr/sbin/slapcat", "-f", "slapd.conf", "-b", SUFFIX]
    path = tmp_path / "dump.ldif"
    path.write_bytes(subprocess.run(command, cwd=server.folder, capture_output=True, check=True).stdout)
    return path


def in_file(path: Path, filter_: str, base: str = PEOPLE) -> list[str]:
    job = LdifDirectory.model_validate({"type": "ldif", "path": str(path), "base": base, "filter": filter_})
    return sorted(user.id for user in LdifReader(job, VIEW).scan())


def on_server(server: Slapd, filter_: str, base: str = PEOPLE) -> list[str]:
    given = {
        "type": "ldap", "urls": [server.url], "bind_dn": SYNC, "password": {"env": "P"}, "base": base,
        "filter": filter_, "allow_plaintext": True,
    }  # fmt: skip
    with closing(LdapReader(LdapDirectory.model_validate(given), Secret(SYNC_PASSWORD), VIEW)) as reader:
        return sorted(user.id for user in reader.scan())


@pytest.mark.parametrize(
    "filter_",
    [
        "(structuralObjectClass=inetOrgPerson)", "(structuralObjectClass=person)", "(structuralObjectClass=*)",
        "(!(structuralObjectClass=inetOrgPerson))", "(structuralObjectClass=2.16.840.1.113730.3.2.2)",
        "(structuralObjectClass=inet*)", "(structuralObjectClass>=a)", "(objectClass=person)", "(objectClass=inet*)",
        "(uid>=a)", "(!(uid>=a))", "(uid<=z)", "(uid=user*)", "(uid=*0*)", "(cn>=a)", "(sn=user*)",
        "(employeeNumber>=5)", "(employeeNumber=1*)", "(telephoneNumber=+4930*)", "(telephoneNumber>=+4930)",
        "(mail=a*)", "(mail>=a)", "(SIPIdentitySIPURI=sip:*)", "(SIPIdentityRegistrarAddress=192*)",
        "(!(SIPIdentityRegistrarAddress=192*))", "(createTimestamp>=20200101000000Z)",
        "(modifyTimestamp<=20200101000000Z)", "(entryUUID>=00000000-0000-0000-0000-000000000000)",
        "(creatorsName=cn=admin*)", "(&(objectClass=person)(|(uid>=a)(uid=user0*)))",
    ],
)  # fmt: skip
def test_a_filter_finds_the_same_entries_in_the_dump_as_on_the_server(server: Slapd, dump: Path, filter_: str) -> None:
    assert in_file(dump, filter_) == on_server(server, filter_)


def test_the_rules_of_attributes_that_both_know_are_the_same(server: Slapd) -> None:
    said = server.search("-s", "base", "-o", "ldif-wrap=no", "(objectClass=*)", "attributeTypes", base="cn=Subschema")
    lines = [line.partition(": ")[2] for line in said.decode().splitlines() if line.startswith("attributeTypes: ")]
    theirs, ours = Schema(lines), known_schema()
    both = [name for name in map(_first_name, lines) if ours.info(name).definition.known]
    assert len(both) > 60
    for rule in ("EQUALITY", "ORDERING", "SUBSTR"):
        differing = [name for name in both if ours.has_rule(name, rule) is not theirs.has_rule(name, rule)]
        assert set(differing) <= _NOT_COMPARED, rule


def _first_name(definition: str) -> str:
    return definition.split("'")[1]


def test_names_that_differ_by_case_alone_are_two_where_their_attribute_says_so(server: Slapd, dump: Path) -> None:
    """An attribute that this program does not know compares to the letter, outside the base as well."""
    assert len(in_file(dump, "(objectClass=inetOrgPerson)")) == 10
    keys = "(objectClass=automount)"
    services = f"ou=services,{SUFFIX}"
    assert in_file(dump, keys, services) == on_server(server, keys, services)
    assert len(in_file(dump, keys, services)) == 2


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("automountKey=Key", "automountKey=key", False),
        ("automountKey=key", "automountKey= key", True),
        ("uid=Anna", "UID=anna", True),
        ("homeDirectory=/home/A", "homeDirectory=/home/a", False),
        ("uidNumber=7", "uidNumber=07", True),
        ("cn=a+automountKey=K", "automountKey=k+cn=A", False),
        ("cn=a+automountKey=k", "automountKey=k+cn=A", True),
    ],
)
def test_two_entries_have_one_dn_where_the_rules_of_its_attributes_say_so(
    tmp_path: Path, first: str, second: str, same: bool, ids: bool
) -> None:
    path = tmp_path / "names.ldif"
    path.write_text(
        "\n".join(
            f"dn: {name},{PEOPLE}\nobjectClass: inetOrgPerson\ncn: {number}\n"
            + (f"entryUUID: 00000000-0000-0000-0000-00000000000{number}\n" if ids else "")
            for number, name in enumerate([first, second])
        )
    )
    if same:
        with pytest.raises(MalformedError, match="two entries with one DN"):
            in_file(path, "(objectClass=*)")
    else:
        assert len(set(in_file(path, "(objectClass=*)"))) == 2

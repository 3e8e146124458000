"""A dry run says what an apply would come to, on real servers: what would be refused is told before, and not tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.ds389 import Ds389
from tests.support.ldap_server import PEOPLE, SYNC, LdapServer
from tests.support.slapd import ACL, Slapd, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.slow

MAPPING = """\
match:
  - {agent: "{accountCode}", directory: uid}
attributes:
  employeeNumber: {value: "{workNo}", when_absent: clear}
  description: {value: "CEC {sipAccount}", owns: "CEC *"}
"""
CHECKED = "checked in advance"


@contextmanager
def world(folder: Path, server: AbstractContextManager[LdapServer], agents: list[dict[str, Any]]) -> Iterator[World]:
    (folder / "job").mkdir()
    with server as running, Simulator(tenant(agents), ssl_context=server_context()) as cec:
        found = World(folder / "job", running, cec, "mapping.yaml")
        (folder / "job" / "mapping.yaml").write_text(MAPPING)
        yield found


def problems(document: dict[str, Any]) -> dict[str, Counter[str]]:
    """Of each kind, how many concern each attribute."""
    found: dict[str, Counter[str]] = {}
    for each in document["problems"]:
        found.setdefault(each["kind"], Counter())[each.get("attribute", "")] += 1
    return found


def entry(server: LdapServer, uid: str) -> str:
    return server.search(f"(uid={uid})", "*").decode()


def holds_to_its_word(found: World, planned: dict[str, Any]) -> None:
    """An apply writes every change of the plan, and then nothing is left but the problems."""
    found.run("apply", "--report", "applied.json")
    again = found.plan()
    assert again["changes"] == []
    assert problems(again) == problems(planned)


@pytest.mark.slapd
def test_users_whose_classes_or_values_do_not_fit_are_told_and_the_rest_is_written(tmp_path: Path) -> None:
    rules = (
        "objectclass ( 1.3.6.1.4.1.55555.9.1 NAME 'numbered' SUP inetOrgPerson STRUCTURAL MUST employeeNumber )\n"
        "ditcontentrule ( 2.16.840.1.113730.3.2.2 NAME 'plain' NOT description )\n"
    )
    people = [person("agent001"), person("agent002", "employeeNumber: 7")]
    people.append(f"dn: uid=agent003,{PEOPLE}\nobjectClass: numbered\nuid: agent003\ncn: x\nsn: x\nemployeeNumber: 9\n")
    server = Slapd.start(tmp_path / "server", people, rules=rules)
    with world(tmp_path, server, [agent(1), agent(2), agent(3)]) as found:
        planned = found.plan()
        assert problems(planned) == {"schema": Counter(description=2)}
        assert [change["user"]["name"] for change in planned["changes"]] == [
            f"uid=agent00{number},{PEOPLE}" for number in (1, 2, 3)
        ]
        assert "the content rule of inetorgperson precludes description" in planned["problems"][0]["why"]
        holds_to_its_word(found, planned)
        assert "employeeNumber: 1001\n" in entry(found.server, "agent001")
        assert "description: CEC 7003\n" in entry(found.server, "agent003")
        said = found.run("check").out
        assert "  description: text, several values, compared as caseIgnore\n" in said
        assert "  note: 2 of the users cannot take description: the content rule of inetorgperson precludes" in said
        assert "checked in advance: schema; not checked (the server does not tell): write rights, uniqueness" in said


@pytest.mark.slapd
def test_rights_that_the_server_does_not_tell_are_said_not_to_be_checked(tmp_path: Path) -> None:
    acl = f'access to attrs=description by dn.exact="{SYNC}" read by * none\n{ACL}'
    with world(tmp_path, Slapd.start(tmp_path / "server", [person("agent001")], acl=acl), [agent(1)]) as found:
        before = found.everything()
        planned = found.plan()
        assert found.everything() == before
        assert planned["about"][CHECKED] == "schema; not checked (the server does not tell): write rights, uniqueness"
        assert planned["problems"] == []
        refused = found.try_("apply")
        assert refused.code == 4
        assert "insufficientAccessRights (50)" in refused.out


@pytest.mark.slapd
def test_without_a_schema_to_read_a_plan_says_that_it_could_not_check(tmp_path: Path) -> None:
    acl = f'access to dn.base="cn=Subschema" by * none\n{ACL}'
    hidden = f'access to dn.base="cn=Subschema" by dn.exact="{SYNC}" none by * read\naccess to * by * read\n'
    server = Slapd.start(tmp_path / "server", [person("agent001")], acl=acl, rules=hidden)
    with world(tmp_path, server, [agent(1)]) as found:
        planned = found.plan()
        assert any("shows no schema" in caution for caution in planned["cautions"])
        assert planned["about"][CHECKED] == "not checked (the server does not tell): schema, write rights, uniqueness"


DS389_RIGHTS = (
    f'(targetattr="*")(version 3.0; acl "reads"; allow (read, search, compare) userdn="ldap:///{SYNC}";)',
    f'(targetattr="employeeNumber || description")(version 3.0; acl "writes"; allow (write) userdn="ldap:///{SYNC}";)',
)


@pytest.mark.ds389
def test_389ds_tells_the_rights_to_each_attribute_of_each_entry(tmp_path: Path) -> None:
    spared = f'aci: (targetattr="employeeNumber")(version 3.0; acl "no"; deny (write) userdn="ldap:///{SYNC}";)\n'
    people = [person("agent001"), person("agent002", spared.strip()), person("agent003", "employeeNumber: 7")]
    server = Ds389.start(tmp_path / "server", people, rights=DS389_RIGHTS)
    with world(tmp_path, server, [agent(1), agent(2), agent(3)]) as found:
        planned = found.plan()
        assert planned["about"][CHECKED] == "schema, write rights; not checked (the server does not tell): uniqueness"
        assert problems(planned) == {"rights": Counter(employeeNumber=1)}
        assert planned["problems"][0]["users"] == [f"uid=agent002,{PEOPLE}"]
        assert len(planned["changes"]) == 3
        holds_to_its_word(found, planned)


@pytest.mark.ds389
def test_389ds_tells_the_rights_to_attributes_of_a_class_that_is_yet_to_come(tmp_path: Path) -> None:
    rights = (
        DS389_RIGHTS[0],
        f'(targetattr="objectClass || cecWorkNo")(version 3.0; acl "w"; allow (write) userdn="ldap:///{SYNC}";)',
    )
    server = Ds389.start(tmp_path / "server", [person("agent001")], rights=rights)
    with world(tmp_path, server, [agent(1)]) as found:
        (found.folder / "mapping.yaml").write_text(
            'match: [{agent: "{accountCode}", directory: uid}]\n'
            'attributes: {cecWorkNo: "{workNo}", cecAccountCode: "{accountCode}"}\n'
            "object_classes: [cecAgent]\n"
        )
        planned = found.plan()
        assert problems(planned) == {"rights": Counter(cecAccountCode=1)}
        holds_to_its_word(found, planned)
        assert "cecWorkNo: 1001\n" in entry(found.server, "agent001")

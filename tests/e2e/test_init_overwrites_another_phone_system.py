"""A PBX keeps its identities in the attributes that a ready mapping writes: `init` and `check` count what would go.

Nothing of the PBX is gone after the first apply of what `init` proposes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import samba
from tests.support.init_folder import COMMENT, STAYS, InitFolder, judge_attributes
from tests.support.ldap_job import held
from tests.support.ldif_job import person as ldif_person
from tests.support.program import program
from tests.support.samba import Samba
from tests.support.scim_servers import CEC, TOKEN, ScimServer, people
from tests.support.slapd import ACL, PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

COUNT = 12
URI, NUMBER, PASSWORD = "SIPIdentitySIPURI", "SIPIdentityUserName", "SIPIdentityPassword"
FOUR = "4 of 12 matched users hold another value"
UNREADABLE = f'access to attrs={PASSWORD} by dn.exact="{SYNC}" {{}} by * none\n{ACL}'


def accounts() -> list[str]:
    return [f"agent{number:02}" for number in range(1, COUNT + 1)]


def pbx(number: int) -> list[str]:
    """What a PBX keeps of a user; its password is a secret as well."""
    return [f"{URI}: sip:desk{number}@pbx.example.net", f"{NUMBER}: desk{number}", f"{PASSWORD}: canary-pbx{number}"]


def users(identities: int) -> str:
    """Users of whom so many have a phone of the PBX."""
    records = []
    for number, account in enumerate(accounts(), 1):
        if number <= identities:
            records.append(person(account, *pbx(number), classes=("SIPIdentity",)))
        else:
            records.append(person(account))
    return "\n".join(records)


class Folder(InitFolder):
    """A folder with a tenant of as many agents, and a directory server's password."""

    def __init__(self, path: Path, password: str = SYNC_PASSWORD) -> None:
        super().__init__(path, accounts(), {"LDAP_PASSWORD": password})

    def init(self, server: Slapd | Samba, name: str = SYNC, base: str = PEOPLE, *options: str) -> str:
        login = ["--ca-file", str(server.ca), "--bind-dn", name, "--password", "env:LDAP_PASSWORD", "--base", base]
        return self.run("init", "--source", "agents.json", "--directory", server.ldaps_url, *login, *options)

    def report(self, command: str) -> dict[str, Any]:
        self.run(command, "job.yaml", "--report", "report.json")
        document: dict[str, Any] = json.loads((self.path / "report.json").read_text())
        return document

    def hand_over(self, mapping: str) -> None:
        """Name a ready mapping in the job, as somebody would who does not ask `init`."""
        job = self.path / "job.yaml"
        job.write_text(job.read_text().replace("mapping: mapping.yaml", f"mapping: {mapping}"))


def in_use(told: str) -> dict[str, str]:
    """What `check` counts by attribute."""
    lines = [line.split(maxsplit=2)[2] for line in told.splitlines() if line.startswith("in use ")]
    assert bool(lines) == ("An apply replaces these values." in told)
    return {line.rpartition(": ")[0]: line.rpartition(": ")[2] for line in lines}


def still_there(server: Slapd, identities: int) -> None:
    for number, account in enumerate(accounts()[:identities], 1):
        assert f"sip:desk{number}@pbx.example.net" in held(server, account, URI)
        assert f"desk{number}" in held(server, account, NUMBER)
        assert held(server, account, PASSWORD) == [f"canary-pbx{number}"]


@pytest.mark.slapd
def test_a_few_identities_of_a_pbx_outlive_the_first_apply_and_are_counted(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "server", [users(4)]) as server:
        folder = Folder(tmp_path / "job")
        out = folder.init(server)
        assert "mapping    openldap-h350\n" in out
        for name in (URI, NUMBER):
            assert judge_attributes(out)[name] == (FOUR, STAYS)
        assert judge_attributes(out)[PASSWORD] == (FOUR, COMMENT)
        text = folder.mapping
        assert f'  {URI}: {{value: "sip:{{sipAccount}}@{{sipServiceIp|host}}", owns: "sip:*@192.0.2.10"}}\n' in text
        assert f"  # left out, since 4 of 12 matched users hold another value:\n  # {PASSWORD}: " in text
        assert "lost" not in folder.report("plan")
        outcomes = folder.report("apply")["outcomes"]
        assert [each["outcome"] for each in outcomes] == ["written"] * COUNT
        still_there(server, 4)
        assert held(server, "agent01", URI) == ["sip:desk1@pbx.example.net", "sip:7001@192.0.2.10"]
        assert in_use(folder.run("check", "job.yaml")) == {}, "what this job wrote is nobody else's"
        folder.hand_over("openldap-h350")
        told = folder.run("check", "job.yaml")
        assert in_use(told) == dict.fromkeys((NUMBER, URI, PASSWORD), "4 of 12 matched users hold another value")


@pytest.mark.slapd
@pytest.mark.parametrize("rights", ["read", "=w", "=wc"])
def test_where_all_have_a_phone_of_a_pbx_nothing_of_it_is_written(tmp_path: Path, rights: str) -> None:
    """Whoever holds a foreign identity holds a foreign password, whether this account sees it or not."""
    with Slapd.start(tmp_path / "server", [users(COUNT)], acl=UNREADABLE.format(rights)) as server:
        folder = Folder(tmp_path / "job")
        out = folder.init(server)
        for name in (URI, NUMBER, PASSWORD):
            assert judge_attributes(out)[name] == ("12 of 12 matched users hold another value", COMMENT)
            assert f"\n  # {name}: " in folder.mapping
        judged = judge_attributes(out)["SIPIdentityRegistrarAddress"]
        assert judged == ("12 of 12 matched users get a value", "no: no attribute takes the sipAccount")
        folder.report("apply")
        still_there(server, COUNT)
        assert held(server, "agent01", "SIPIdentityRegistrarAddress") == [], "the PBX's phone stays with its registrar"
        folder.hand_over("openldap-h350")
        told = folder.run("check", "job.yaml")
        assert in_use(told) == dict.fromkeys((NUMBER, URI, PASSWORD), "12 of 12 matched users hold another value")


@pytest.mark.slapd
def test_check_counts_what_any_mapping_would_replace_and_not_what_this_job_wrote(tmp_path: Path) -> None:
    mapping = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  description: {value: "seat {workNo}", owns: "seat *"}
"""
    others = [person(account, "employeeNumber: 4711", "description: kind") for account in accounts()[:3]]
    others += [person(account) for account in accounts()[3:]]
    with Slapd.start(tmp_path / "server", ["\n".join(others)]) as server:
        folder = Folder(tmp_path / "job")
        folder.init(server)
        (folder.path / "mapping.yaml").write_text(mapping)
        told = folder.run("check", "job.yaml")
        assert in_use(told) == {"employeeNumber": "3 of 12 matched users hold another value"}
        folder.report("apply")
        agents = json.loads((folder.path / "agents.json").read_text())
        for agent in agents["agents"]:
            agent["workNo"] += 100
        (folder.path / "agents.json").write_text(json.dumps(agents))
        assert in_use(folder.run("check", "job.yaml")) == {}
        assert folder.report("plan")["summary"]["update"] == COUNT


@pytest.mark.slapd
def test_a_password_of_somebody_else_beside_the_same_number_is_found_by_comparing(tmp_path: Path) -> None:
    """The PBX's numbers were taken over into the tenant; its passwords were not."""
    same = [f"{NUMBER}: {{}}", f"{URI}: sip:{{}}@192.0.2.10", f"{PASSWORD}: {{}}"]
    passwords = [*(f"canary-{n}" for n in range(1, 11)), "canary-pbx", "canary-pbx"]
    records = [
        person(
            account,
            *(line.format(value) for line, value in zip(same, (7000 + n, 7000 + n, password), strict=True)),
            classes=("SIPIdentity",),
        )
        for n, (account, password) in enumerate(zip(accounts(), passwords, strict=True), 1)
    ]
    with Slapd.start(tmp_path / "server", ["\n".join(records)], acl=UNREADABLE.format("=wc")) as server:
        folder = Folder(tmp_path / "job")
        judged = judge_attributes(folder.init(server))[PASSWORD]
        assert judged == ("2 of 12 matched users hold another value", COMMENT)
        assert f"  {NUMBER}: {{value: " in folder.mapping


def test_an_ldif_file_s_identities_of_a_pbx_stay(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "job")
    records = [
        ldif_person(number).rstrip("\n").replace(f"uid: user{number}", f"uid: agent{number:02}")
        for number in range(1, COUNT + 1)
    ]
    records[:4] = [
        "\n".join([record, "objectClass: SIPIdentity", *pbx(number)]) for number, record in enumerate(records[:4], 1)
    ]
    (folder.path / "people.ldif").write_text("version: 1\n\n" + "\n\n".join(records) + "\n")
    out = folder.run("init", "--source", "agents.json", "--directory", "people.ldif")
    assert "mapping    ldif\n" in out
    assert judge_attributes(out)[URI] == (FOUR, STAYS)
    folder.report("apply")
    kept = (folder.path / "people.ldif").read_text()
    for number in range(1, 5):
        assert all(line in kept for line in pbx(number))


def test_a_mapping_of_which_nothing_is_left_is_not_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "job")
    numbers = ["cecAccountCode: other", "cecWorkNo: 4711", "cecSipServicePort: 5099"]
    identity = [f"{NUMBER}: desk", f"{URI}: sip:desk@pbx.example.net", "SIPIdentityRegistrarAddress: pbx.example.net"]
    records = [person(account, *numbers, *identity) for account in accounts()]
    (folder.path / "people.ldif").write_text("version: 1\n\n" + "\n".join(records))
    ended = program("init", "--source", "agents.json", "--directory", "people.ldif", folder=folder.path)
    assert ended.code == 64, ended.said
    assert "every attribute that ldif writes holds values of others" in ended.err
    assert f"{URI}: 12 of 12 matched users hold another value" in ended.err
    assert not (folder.path / "job.yaml").exists()


@pytest.mark.slow
def test_a_scim_extension_s_identities_of_a_pbx_stay(tmp_path: Path) -> None:
    resources = people(COUNT)
    for number, (resource, account) in enumerate(zip(resources, accounts(), strict=True), 1):
        resource["userName"] = account
        if number <= 4:
            resource["schemas"] = [*resource["schemas"], CEC]
            resource[CEC] = {"sipAccount": f"desk{number}", "sipServiceIp": "pbx.example.net", "sipPassword": "canary"}
    with ScimServer.start(tmp_path / "server", resources, tls=True) as server:
        folder = Folder(tmp_path / "job")
        folder.env["SCIM_TOKEN"] = TOKEN
        login = ["--token", "env:SCIM_TOKEN", "--ca-file", str(server.ca)]
        out = folder.run("init", "--source", "agents.json", "--directory", server.url, *login)
        assert "mapping    scim-extension\n" in out
        for name in ("sipAccount", "sipServiceIp", "sipPassword"):
            assert judge_attributes(out)[f"{CEC}:{name}"] == (FOUR, COMMENT)
        assert "lost" not in folder.report("plan")
        folder.hand_over("scim-extension")
        names = [f"{CEC}:{name}" for name in ("sipAccount", "sipPassword", "sipServiceIp")]
        assert list(in_use(folder.run("check", "job.yaml"))) == names


@pytest.mark.samba
def test_an_active_directory_s_telephones_stay(tmp_path: Path) -> None:
    others = ["ipPhone: 99", "otherIpPhone: sip:desk@pbx.example.net", "msDS-cloudExtensionAttribute19: taken"]
    records = [samba.person(account, *(others if number < 4 else ())) for number, account in enumerate(accounts())]
    with Samba.start(tmp_path / "server", records) as server:
        folder = Folder(tmp_path / "job", samba.SYNC_PASSWORD)
        out = folder.init(server, samba.SYNC, samba.PEOPLE)
        assert "mapping    active-directory\n" in out
        assert judge_attributes(out)["otherIpPhone"] == (FOUR, STAYS)
        for name in ("ipPhone", "msDS-cloudExtensionAttribute19"):
            assert judge_attributes(out)[name] == (FOUR, COMMENT)
        assert "lost" not in folder.report("plan")

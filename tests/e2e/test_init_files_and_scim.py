"""`init` on LDIF files and SCIM servers with attributes of their own: a right first plan, and no file is edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_proxy import Asked, HttpProxy, pass_on
from tests.support.http_server import Act, said
from tests.support.init_folder import InitFolder
from tests.support.scim_servers import CORE, TOKEN, ScimServer
from tests.support.slapd import server_context

pytestmark = pytest.mark.slow

COUNT = 12
ACME = "urn:acme:params:scim:schemas:extension:person:1.0:User"
STAFF = f"{ACME}:staffCode"


class Folder(InitFolder):
    """A folder for an LDIF file, or a SCIM server."""

    def __init__(self, path: Path, account: str = "agent{:02}") -> None:
        super().__init__(path, map(account.format, range(1, COUNT + 1)), {"SCIM_TOKEN": TOKEN})

    def ldif(self, *records: str) -> str:
        """What `init` says of a file with these records."""
        (self.path / "people.ldif").write_text("version: 1\n\n" + "\n".join(records))
        return self.run("init", "--source", "agents.json", "--directory", "people.ldif")

    def scim(self, server: ScimServer, url: str = "") -> str:
        login = ["--token", "env:SCIM_TOKEN", "--ca-file", str(server.ca)]
        return self.run("init", "--source", "agents.json", "--directory", url or server.url, *login)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "job")


def entry(number: int, *lines: str) -> str:
    head = f"dn: uid=x{number},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nobjectClass: acmePerson\n"
    return head + f"uid: x{number}\ncn: Person\nsn: Person\n" + "".join(f"{line}\n" for line in lines)


# ---------------------------------------------------------------- LDIF


def test_a_file_s_own_attributes_are_searched_with_zeros_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "job", "{}")
    people = [entry(number, f"acmeStaffCode: {number:06}", "acmeRoom: cellar") for number in range(1, COUNT + 1)]
    out = folder.ldif(*people, entry(99, "userPassword: canary", "acmeToken: canary"))
    assert "   12  {accountCode|pad:6} in acmeStaffCode   rule 1\n" in out
    assert "acmeRoom" in out.partition("none  in")[2]
    assert "acmeToken" not in out
    assert folder.plan()["summary"]["matched"] == COUNT


def provisioned(number: int) -> str:
    """A user who has had a softphone for long."""
    sip = f"acmeSipUser: {7000 + number}", f"acmeSipUri: sip:{7000 + number}@192.0.2.10", "acmeSipSecret: canary"
    return entry(number, f"acmeStaffCode: agent{number:02}", *sip).replace("\nuid", "\nobjectClass: acmeSip\nuid")


def test_a_file_s_own_attributes_get_a_mapping_of_their_own(folder: Folder) -> None:
    """Nobody loses a value, the class that comes with the attributes is added, and no password goes into a file."""
    others = [entry(number, f"acmeStaffCode: agent{number:02}") for number in range(3, COUNT + 1)]
    out = folder.ldif(provisioned(1), provisioned(2), *others)
    assert "   12  {accountCode} in acmeStaffCode   rule 1\n" in out
    assert "mapping    own schema" in out
    assert '  acmeSipUser: {value: "{sipAccount}", unique: true}\n' in folder.mapping
    assert '  acmeSipUri: "sip:{sipAccount}@{sipServiceIp|host}"\n' in folder.mapping
    assert "# a file shows a password to everybody who can open it:\n  # acmeSipSecret: " in folder.mapping
    assert "\nobject_classes: [acmeSip]\n" in folder.mapping
    document = folder.plan()
    summary = document["summary"]
    assert (summary["matched"], summary["unchanged"], summary["update"]) == (COUNT, 2, COUNT - 2), document["problems"]
    assert (document["problems"], document.get("lost", 0)) == ([], 0)
    (third,) = [each for each in document["changes"] if each["agent"]["workNo"] == 1003]
    assert [(each["name"], each["new"]) for each in third["attributes"]] == [
        ("objectClass", ["acmeSip"]),
        ("acmeSipUser", ["7003"]),
        ("acmeSipUri", ["sip:7003@192.0.2.10"]),
    ]


def test_what_others_hold_in_a_file_is_left_to_them(folder: Folder) -> None:
    people = [entry(number, f"acmeStaffCode: agent{number:02}") for number in range(3, COUNT + 1)]
    theirs = provisioned(99).replace("sip:7099@192.0.2.10", "sip:desk@example.net")
    out = folder.ldif(provisioned(1), provisioned(2), *people, theirs)
    assert "mapping    own schema" in out
    assert "hold" in folder.mapping.partition("  acmeSipUri: ")[0]
    document = folder.plan()
    assert (document["summary"]["update"], document.get("lost", 0)) == (COUNT - 2, 0)
    assert not any("x99" in change["user"]["name"] for change in document["changes"])


# ---------------------------------------------------------------- SCIM


def schema(*attributes: str, **secret: str) -> dict[str, Any]:
    """An extension schema with these strings, and a secret one that has `secret` in its definition."""
    known = {"type": "string", "multiValued": False, "required": False, "caseExact": False, "uniqueness": "none"}
    shown = {"mutability": "readWrite", "returned": "default"}
    defined = [{"name": name, "description": name} | known | shown for name in attributes]
    if secret:
        defined.append({"name": "sipSecret", "description": "x"} | known | shown | secret)
    urn = "urn:ietf:params:scim:schemas:core:2.0:Schema"
    return {"schemas": [urn], "id": ACME, "name": "Person", "description": "x", "attributes": defined}


def resource(number: int, **acme: str) -> dict[str, Any]:
    return {"schemas": [CORE, ACME], "userName": f"x{number}", "active": True, ACME: acme}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScimServer]:
    users = [resource(number, staffCode=f"AGENT{number:02}") for number in range(1, COUNT + 1)]
    schemas = [schema("staffCode", "room")]
    with ScimServer.start(tmp_path / "server", users, schemas=schemas, tls=True) as started:
        yield started


def test_a_server_s_own_extension_is_searched_and_nothing_is_written(folder: Folder, server: ScimServer) -> None:
    server.forget()
    out = folder.scim(server)
    assert f"   12  {{accountCode}} in {STAFF}   rule 1\n" in out
    assert f"{ACME}:room" in " ".join(out.partition("none  in")[2].split())
    assert server.writes() == []
    assert folder.plan()["summary"]["matched"] == COUNT


@pytest.mark.parametrize("secret", [{"mutability": "writeOnly", "returned": "never"}, {}], ids=["secret", "none"])
def test_a_server_s_own_attributes_get_a_mapping_of_their_own(folder: Folder, secret: dict[str, str]) -> None:
    users = [resource(number, staffCode=f"agent{number:02}") for number in range(1, COUNT + 1)]
    users[0][ACME]["sipUser"] = "7001"
    schemas = [schema("staffCode", "room", "sipUser", "sipUri", **secret)]
    with ScimServer.start(folder.path.parent / "server", users, schemas=schemas, tls=True) as server:
        out = folder.scim(server)
        assert "mapping    own schema" in out
        assert "sipSecret" not in out.partition("none  in")[2]
        document = folder.plan()
        summary = document["summary"]
        assert (summary["matched"], summary["update"]) == (COUNT, COUNT), document["problems"]
        assert (document["problems"], document.get("lost", 0)) == ([], 0)
        assert summary["secret"] == (COUNT if secret else 0)
        (second,) = [each for each in document["changes"] if each["agent"]["workNo"] == 1002]
        set_ = {each["name"].rpartition(":")[2]: each.get("new") for each in second["attributes"]}
        number = {"sipUser": ["7002"], "sipUri": ["sip:7002@192.0.2.10"]}
        assert set_ == number | ({"sipSecret": None} if secret else {})


def test_a_server_that_refuses_filters_is_read_whole(folder: Folder, tmp_path: Path) -> None:
    def without_filters(asked: Asked) -> Act:
        return said(400, {"detail": "no filters here", "status": "400"}) if "filter=" in asked.path else pass_on(asked)

    users = [resource(number, staffCode=f"agent{number:02}") for number in range(1, COUNT + 1)]
    with (
        ScimServer.start(tmp_path / "server", users, schemas=[schema("staffCode", "room")]) as server,
        HttpProxy(server.root, without_filters, context=server_context()) as proxy,
    ):
        url = proxy.url + server.url.removeprefix(server.root)
        assert f"   12  {{accountCode}} in {STAFF}   rule 1\n" in folder.scim(server, url)
        assert folder.plan()["summary"]["matched"] == COUNT

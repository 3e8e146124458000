"""`init` on directories that no ready mapping fits: from nothing to a right first plan, and no file is edited."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from connector.init.match_search import USERS
from tests.support import own_schema, samba
from tests.support.ds389 import Ds389
from tests.support.init_folder import STAYS, InitFolder, judge_attributes
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD, LdapServer
from tests.support.own_schema import COUNT, WORLDS, World
from tests.support.samba import Samba
from tests.support.slapd import Slapd

SEAT = '  acmeSeat: {value: "{workNo}", unique: true}\n'
ONE = "1 of 12 users holds another value"
WIDEN = "Widen `owns` before this tenant's numbers or address change"
SIP_LINES = (
    '  acmeSipUser: {value: "{sipAccount}", unique: true}\n',
    '  acmeSipUri: {value: "sip:{sipAccount}@{sipServiceIp|host}", owns: "sip:*@*"}\n',
    '  acmeSipSecret: {value: "{sipPwd}", secret: true}\n',
)


class Folder(InitFolder):
    """A folder for a directory server."""

    def __init__(
        self, path: Path, accounts: list[str], name: str = SYNC, password: str = SYNC_PASSWORD, people: str = PEOPLE
    ) -> None:
        super().__init__(path, accounts, {"LDAP_PASSWORD": password})
        self._name, self._people = name, people

    def init(self, server: LdapServer, unit: str) -> str:
        login = ["--ca-file", str(server.ca), "--bind-dn", self._name, "--password", "env:LDAP_PASSWORD"]
        base = f"ou={unit},{self._people}" if unit else self._people
        where = ["--source", "agents.json", "--directory", server.ldaps_url, "--base", base]
        return self.run("init", *where, *login)


def right(folder: Folder, world: World, out: str, *, adds: bool, count: int = COUNT, seat: str = "acmeSeat") -> None:
    """Every agent gets its whole SIP identity, in attributes of the directory's own, by the first plan."""
    assert f"   {count}  {world.template} in {world.held}   rule 1" in out
    assert "mapping    own schema" in out
    for line in (*SIP_LINES, SEAT.replace("acmeSeat", seat)):
        assert line in folder.mapping
    assert ("acmeSip" in folder.mapping.partition("\nobject_classes: ")[2]) == adds
    document = folder.plan()
    summary = document["summary"]
    assert (summary["matched"], summary["update"], summary["secret"]) == (count, count, count), document["problems"]
    assert document["problems"] == []
    (first,) = [each for each in document["changes"] if each["agent"]["workNo"] == 1001]
    set_ = {each["name"]: each.get("new") for each in first["attributes"] if each["name"] != "objectClass"}
    assert set_.keys() >= {"acmeSipUser", "acmeSipUri", "acmeSipSecret", seat}
    written = [set_[name] for name in ("acmeSipUser", "acmeSipUri", seat)]
    assert written == [["7001"], ["sip:7001@192.0.2.10"], ["1001"]]


def all_right(
    tmp_path: Path, server: LdapServer, units: Iterable[str] = WORLDS, seat: str = "acmeSeat", **login: str
) -> None:
    for unit in units:
        world = WORLDS[unit]
        folder = Folder(tmp_path / unit, [world.account.format(number) for number in range(1, COUNT + 1)], **login)
        right(folder, world, folder.init(server, unit), adds=unit != "attributes", seat=seat)


def on_slapd(folder: Path) -> Slapd:
    return Slapd.start(folder, own_schema.entries(PEOPLE), stock=True, rules=own_schema.openldap())


@pytest.mark.slapd
def test_zeros(tmp_path: Path) -> None:
    with on_slapd(tmp_path / "server") as server:
        all_right(tmp_path, server, ["zeros"])


TELLS = f'\nindex acmeStaffCode eq\ndatabase config\naccess to * by dn.exact="{SYNC}" read\n'


@pytest.mark.slow
@pytest.mark.slapd
@pytest.mark.parametrize("tells", [True, False])
def test_an_indexed_attribute_is_asked_although_none_of_the_first_users_has_it(tmp_path: Path, *, tells: bool) -> None:
    """An auxiliary class that comes late in the directory; without the indexes nobody would think of it."""
    plain = "objectClass: inetOrgPerson\ncn: Person\nsn: Person\n"
    staff = f"objectClass: acmeStaff\n{plain}acmeStaffCode: agent"
    users = [f"dn: uid=x{number},{PEOPLE}\n{plain}uid: x{number}\n" for number in range(USERS)]
    users += [f"dn: uid=y{each},{PEOPLE}\nuid: y{each}\n{staff}{each}\n" for each in range(1, COUNT + 1)]
    options = {"stock": True, "rules": own_schema.openldap(), "overlays": TELLS if tells else ""}
    with Slapd.start(tmp_path / "server", users, **options) as server:
        folder = Folder(tmp_path / "job", [f"agent{number}" for number in range(1, COUNT + 1)])
        out = folder.init(server, "")
        assert ("   12  {accountCode} in acmeStaffCode   rule 1\n" in out) is tells
        assert ("does not show this account which attributes have an index" in out) is not tells
        flat = " ".join(out.split())
        assert ("none in 3 attributes with an equality index: uid, mail, employeeNumber none in" in flat) is tells
        assert ("attributes without an equality index: " in flat) is tells
        if tells:
            assert folder.plan()["summary"]["matched"] == COUNT


@pytest.mark.slow
@pytest.mark.slapd
def test_openldap(tmp_path: Path) -> None:
    with on_slapd(tmp_path / "server") as server:
        all_right(tmp_path, server)


@pytest.mark.slow
@pytest.mark.slapd
def test_a_class_that_some_users_have_is_added_to_the_others(tmp_path: Path) -> None:
    """0, 1, 5, 40, 80, 94, 120 and 190 of 200, as shares of 20."""
    world, count = World("agent{:02}", "acmeStaffCode", "agent{:02}", "{accountCode}"), 20
    with on_slapd(tmp_path / "server") as server:
        for having in (0, 1, 4, 8, 9, 12, 19):
            server.add("\n".join(own_schema.share(PEOPLE, having, count)))
            folder = Folder(tmp_path / f"job{having}", [world.account.format(number) for number in range(1, count + 1)])
            right(folder, world, folder.init(server, f"share{having}"), adds=True, count=count)


@pytest.mark.slow
@pytest.mark.slapd
def test_what_others_use_is_left_to_them(tmp_path: Path) -> None:
    """Nobody loses a value by the first plan, which is right for all other users."""
    world = WORLDS["attributes"]
    with on_slapd(tmp_path / "server") as server:
        user = f"uid=attributes-x3,ou=attributes,{PEOPLE}"
        for used, value in (("acmeSipUri", "sip:other@example.net"), ("acmeSipUser", "other")):
            server.modify(f"dn: {user}\nchangetype: modify\nadd: {used}\n{used}: {value}\n")
            folder = Folder(tmp_path / used, [world.account.format(number) for number in range(1, COUNT + 1)])
            out = folder.init(server, "attributes")
            assert "mapping    own schema" in out
            getting = COUNT if used == "acmeSipUri" else COUNT - 1
            beside = f"{ONE}; {getting} of 12 matched users get a value"
            assert judge_attributes(out)["acmeSipUri"] == (beside, STAYS)
            assert f"  # {ONE} here, which stays. {WIDEN}:\n  acmeSipUri: {{value: " in folder.mapping
            assert 'owns: "sip:*@192.0.2.10"}' in folder.mapping
            if used == "acmeSipUser":
                assert judge_attributes(out)["acmeSipUser"] == (beside, STAYS)
                assert re.search(r'\n  acmeSipUser: {value: .*, owns: "[0-9]+\*"', folder.mapping)
            else:
                assert SIP_LINES[0] in folder.mapping
            document = folder.plan()
            assert document["summary"]["update"] == COUNT
            lost = [each for change in document["changes"] for each in change["attributes"] if each.get("old")]
            assert [each["name"] for each in lost if not set(each["old"]) <= set(each["new"])] == []


@pytest.mark.slow
@pytest.mark.slapd
def test_a_user_with_an_old_identity_keeps_it_whole_and_all_others_get_theirs(tmp_path: Path) -> None:
    """With one URI for a user, `owns` tells this tenant's from others, and the group is left with it."""
    world, user = WORLDS["attributes"], f"uid=attributes-x3,ou=attributes,{PEOPLE}"
    with Slapd.start(
        tmp_path / "server", own_schema.entries(PEOPLE), stock=True, rules=own_schema.openldap(single=True)
    ) as server:
        old = "add: acmeSipUri\nacmeSipUri: sip:other@example.net\n-\nadd: acmeSipUser\nacmeSipUser: other\n"
        server.modify(f"dn: {user}\nchangetype: modify\n{old}")
        folder = Folder(tmp_path / "job", [world.account.format(number) for number in range(1, COUNT + 1)])
        out = folder.init(server, "attributes")
        assert "mapping    own schema" in out
        for name in ("acmeSipUri", "acmeSipUser"):
            assert judge_attributes(out)[name] == (f"{ONE}; 11 of 12 matched users get a value", STAYS)
        document = folder.plan()
        changes = {each["user"]["name"]: [set_["name"] for set_ in each["attributes"]] for each in document["changes"]}
        assert changes.pop(user) == ["acmeSeat"]
        assert len(changes) == COUNT - 1
        assert all("acmeSipUser" in names for names in changes.values())
        assert {each["users"][0] for each in document["problems"]} == {user}


@pytest.mark.slow
@pytest.mark.slapd
def test_where_most_users_hold_others_values_it_says_so_and_shows_the_lines(tmp_path: Path) -> None:
    world = WORLDS["attributes"]
    with on_slapd(tmp_path / "server") as server:
        for number in range(1, 8):
            user = f"uid=attributes-x{number},ou=attributes,{PEOPLE}"
            old = f"add: acmeSipUri\nacmeSipUri: sip:{number}@pbx.example\n-\nadd: acmeSipUser\nacmeSipUser: {number}\n"
            server.modify(f"dn: {user}\nchangetype: modify\n{old}")
        folder = Folder(tmp_path / "job", [world.account.format(number) for number in range(1, COUNT + 1)])
        out = folder.init(server, "attributes")
        why = "7 of 12 users hold another value in acmeSipUri, acmeSipUser"
        assert "mapping    inetorgperson" in out
        assert f"           not own schema: {why}\n" in out
        assert f"  # not mapped onto this directory's own schema, since {why}\n" in folder.mapping
        assert "  # 7 of 12 users hold another value here:\n  # acmeSipUser: {value: " in folder.mapping
        assert folder.plan()["summary"]["update"] == COUNT


@pytest.mark.slow
@pytest.mark.slapd
def test_attributes_in_use_are_taken_and_not_those_of_a_ready_mapping_that_nobody_uses(tmp_path: Path) -> None:
    """The server has both schemas; somebody tried H.350 once, and the numbers are elsewhere."""
    world = WORLDS["attributes"]
    with Slapd.start(tmp_path / "server", own_schema.entries(PEOPLE), rules=own_schema.openldap()) as server:
        accounts = [world.account.format(number) for number in range(1, COUNT + 1)]
        folder = Folder(tmp_path / "unused", accounts)
        out = folder.init(server, "attributes")
        why = "acmeSipUri, acmeSipUser hold no agents' values, or few"
        assert f"mapping    openldap-h350\n           not own schema: {why}\n" in out
        assert f"  # not mapped onto this directory's own schema, since {why}\n" in folder.mapping
        assert "  # another place:\n  # acmeSipUser: {value: " in folder.mapping
        assert folder.plan()["summary"]["update"] == COUNT
        for number in (2, 5):
            user = f"uid=attributes-x{number},ou=attributes,{PEOPLE}"
            server.modify(f"dn: {user}\nchangetype: modify\nadd: acmeSipUser\nacmeSipUser: {7000 + number}\n")
        folder = Folder(tmp_path / "used", accounts)
        out = folder.init(server, "attributes")
        assert "           not openldap-h350: agents' values are in acmeSipUser\n" in out
        assert "\nobject_classes:" not in folder.mapping
        assert not re.search("^  (cec|SIPIdentity)", folder.mapping, re.MULTILINE)
        right(folder, world, out, adds=False)
        folder = Folder(tmp_path / "both", accounts)
        for number in (2, 3, 5):
            user = f"uid=attributes-x{number},ou=attributes,{PEOPLE}"
            held = f"add: SIPIdentityUserName\nSIPIdentityUserName: {7000 + number}\n"
            server.modify(f"dn: {user}\nchangetype: modify\nadd: objectClass\nobjectClass: SIPIdentity\n-\n{held}")
        assert "mapping    openldap-h350\n" in folder.init(server, "attributes")


@pytest.mark.ds389
def test_389_ds(tmp_path: Path) -> None:
    with Ds389.start(tmp_path / "server", stock=True) as server:
        server.modify(own_schema.ds389())
        server.add("\n".join(own_schema.entries(PEOPLE)))
        all_right(tmp_path, server)
        aci = f'(targetattr="*")(version 3.0; acl "tells"; allow (read, search, compare) userdn="ldap:///{SYNC}";)'
        server.configure("cn=config", aci=aci)
        out = Folder(tmp_path / "more", ["agent01"]).init(server, "attributes")
        assert " attributes with an equality index: " in out


@pytest.mark.samba
def test_active_directory(tmp_path: Path) -> None:
    with Samba.start(tmp_path / "server") as server:
        server.modify(own_schema.active_directory(samba.SUFFIX))
        server.add("\n".join(own_schema.entries(samba.PEOPLE, microsoft=True)))
        login = {"name": samba.SYNC, "password": samba.SYNC_PASSWORD, "people": samba.PEOPLE}
        all_right(tmp_path, server, seat="cecWorkNo", **login)  # this program's own schema is loaded there too
        out = Folder(tmp_path / "more", ["nobody"], **login).init(server, "attributes")
        assert re.search(r"none  in \d+ attributes with an equality index: sAMAccountName, ", out)
        assert re.search(r"none  in \d+ attributes without an equality index: .*acmeStaffCode", out, re.DOTALL)

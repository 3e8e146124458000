"""Writing to a real slapd, as it is seen on the wire: how much is in flight, who wins a race, what is read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.directories.common.ldap_filters import parse_filter
from connector.directories.ldap import ber, requests
from connector.directories.ldap.adapter import LdapDirectory, PostRead
from connector.directories.ldap.connection import connect_server
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import ENTRY, Response
from connector.directories.ldap.users import UserDecoder
from connector.model import AttributeChange, Change, Result, Secret, User, UserRef, View
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.jobs import job_file, ldap_directory
from tests.support.ldap_proxy import COMPARE, MODIFY, SEARCH, LdapProxy, Meddle
from tests.support.program import Ended, program
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

# ---------------------------------------------------------------- in flight

VIEW = View(("uid", "employeeNumber"))


def settings(proxy: LdapProxy, window: int, **other: Any) -> Settings:
    return Settings(
        type="ldap", urls=[proxy.url], allow_plaintext=True, bind_dn=SYNC, password=SecretRef(env="LDAP_PASSWORD"),
        base=[PEOPLE], filter="(objectClass=inetOrgPerson)", window=window, **other,
    )  # fmt: skip


def here(proxy: LdapProxy, window: int, **other: Any) -> LdapDirectory:
    return LdapDirectory(settings(proxy, window, **other), Secret(SYNC_PASSWORD), VIEW)


def number(user: UserRef, old: str | None, new: str) -> Change:
    return Change(user, None, 1, (AttributeChange("employeeNumber", (old,) if old else (), (new,)),))


HIDDEN = 'access to dn.base="" attrs=supportedControl val.regex="^{}$" by * none\naccess to * by * read'
NO_ASSERTIONS = HIDDEN.format("1[.]3[.]6[.]1[.]1[.]12")
NO_POST_READ = HIDDEN.format("1[.]3[.]6[.]1[.]1[.]13[.]2")


@pytest.mark.parametrize(
    ("window", "most", "rules"), [(1, 1, ""), (16, 16, ""), (256, 256, ""), (256, 64, NO_ASSERTIONS)]
)
def test_the_window_is_filled_and_never_exceeded(tmp_path: Path, window: int, most: int, rules: str) -> None:
    """Where users are read just before they are written, fewer are written at once, lest it be long before."""
    people = [person(f"user{place:03}") for place in range(min(3 * window, 600))]
    with Slapd.start(tmp_path / "s", people, rules=rules) as server, LdapProxy(server.port, quiet=0.5) as proxy:
        directory = here(proxy, window)
        changes = [number(user.ref, None, "1") for user in directory.scan()]
        assert {outcome.result for outcome in directory.write(changes)} == {Result.WRITTEN}
        directory.close()
    assert proxy.asked[MODIFY] == len(changes) == len(people)
    assert proxy.most == most


def test_no_entry_ever_has_two_writes_in_flight_whatever_its_name_is_spelt_like(tmp_path: Path) -> None:
    people = [person(f"user{place:02}") for place in range(20)]
    with Slapd.start(tmp_path / "s", people) as server, LdapProxy(server.port, quiet=0.1) as proxy:
        directory = here(proxy, 64)
        users = [user.ref for user in directory.scan()]
        shouted = [UserRef(user.id, user.name.upper()) for user in users]
        rounds = [(users, None, "1"), (shouted, "1", "2"), (users[::-1], "2", "3"), (shouted, "3", "4")]
        changes = [number(user, old, new) for some, old, new in rounds for user in some]
        assert {outcome.result for outcome in directory.write(changes)} == {Result.WRITTEN}
        assert {user.values["employeeNumber"] for user in directory.scan()} == {("4",)}
        directory.close()
    assert proxy.asked[MODIFY] == 80
    assert (proxy.most, proxy.most_of_one) == (20, 1)


@pytest.mark.parametrize("name", [SYNC, PEOPLE, f"uid=a\\,{PEOPLE}", "nobody"])
def test_nothing_is_sent_for_an_entry_outside_of_the_base(tmp_path: Path, name: str) -> None:
    """As somebody might write it into a saved plan; the assertion does not know where an entry is."""
    with Slapd.start(tmp_path / "s") as server, LdapProxy(server.port) as proxy:
        directory = here(proxy, 1, scope="onelevel")
        (outcome,) = directory.write([number(UserRef("made-up", name), None, "1")])
        directory.close()
    assert (outcome.result, outcome.why) == (Result.CONFLICT, "the entry is not below the base")
    assert proxy.asked[MODIFY] == 0


# ---------------------------------------------------------------- the whole program

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  cecAccountCode: "{accountCode}"
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
"""
AGENT = ("cecAgent", "SIPIdentity")


def apply(
    folder: Path, proxy: LdapProxy, uids: list[str], *, filter_: str = "(objectClass=inetOrgPerson)"
) -> tuple[Ended, dict[str, dict[str, Any]]]:
    """Apply; what became of each user, by uid."""
    folder.mkdir()
    directory = ldap_directory(proxy.url, bind_dn=SYNC, filter=filter_, show=[])
    (folder / "job.yaml").write_text(job_file(directory, ramp=[], max_failures=1000))
    (folder / "mapping.yaml").write_text(MAPPING)
    agents = [
        {"workNo": 1000 + place, "accountCode": uid, "sipAccount": f"70{place:02}", "sipPwd": f"canary-{place}"}
        for place, uid in enumerate(uids)
    ]
    (folder / "agents.json").write_text(json.dumps({"agents": agents}))
    options = ("apply", "job.yaml", "--report", "report.json")
    ended = program(*options, folder=folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
    assert "canary" not in ended.said
    outcomes = json.loads((folder / "report.json").read_text())["outcomes"]
    return ended, {each["user"][4:].partition(",")[0]: each for each in outcomes}


def values(server: Slapd, uid: str, attribute: str) -> list[str]:
    lines = server.search(f"(uid={uid})", attribute).decode().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith(f"{attribute}: ")]


RACES: Mapping[str, tuple[str, str, str, list[str]]] = {
    # who: what is there before, what the second writer does, and what is there in the end
    "changed": ("employeeNumber: 1", "replace: employeeNumber\nemployeeNumber: 5", "employeeNumber", ["5"]),
    "removed": ("employeeNumber: 1", "delete: employeeNumber", "employeeNumber", []),
    "appeared": ("sn: S", "add: employeeNumber\nemployeeNumber: 5", "employeeNumber", ["5"]),
    "swapped": (
        "SIPIdentityUserName: 1", "replace: SIPIdentityUserName\nSIPIdentityUserName: 5", "SIPIdentityUserName", ["5"],
    ),
    "beside": ("sn: S", "add: SIPIdentityUserName\nSIPIdentityUserName: 5", "SIPIdentityUserName", ["5"]),
}  # fmt: skip


@pytest.mark.parametrize("rules", ["", NO_ASSERTIONS], ids=["assertion control", "delete and add"])
def test_a_lost_race_is_a_conflict_and_never_an_overwrite(tmp_path: Path, rules: str) -> None:
    """A second writer changes each entry after it was planned, and read again, and before its modify arrives."""
    people = [person(uid, before, classes=AGENT) for uid, (before, *_) in RACES.items()]
    people += [person("calm", classes=AGENT)]
    raced = []
    with Slapd.start(tmp_path / "s", people, rules=rules) as server:

        def second(name: str, message: bytes) -> bytes:
            uid = name[4:].partition(",")[0]
            if uid in RACES:
                server.modify(f"dn: {name}\nchangetype: modify\n{RACES[uid][1]}\n")
                raced.append(uid)
            return message

        with LdapProxy(server.port, second) as proxy:
            ended, outcomes = apply(tmp_path / "job", proxy, ["calm", *RACES])
        assert sorted(raced) == sorted(RACES)
        assert ended.code == 4
        for uid, (_, _, attribute, left) in RACES.items():
            if rules and uid == "beside":
                # without assertions nothing says "no other value"; what came is kept, and ours is put beside it
                assert outcomes[uid]["outcome"] == "written"
                assert "5" in values(server, uid, attribute)
                continue
            assert outcomes[uid]["outcome"] == "conflict", uid
            assert values(server, uid, attribute) == left
            assert values(server, uid, "cecAccountCode") == [], "a part of a lost change was written"
        assert outcomes["calm"]["outcome"] == "written"
        assert values(server, "calm", "employeeNumber") == ["1000"]


@pytest.mark.parametrize("change", ["left the filter", "is somebody else"])
def test_an_entry_that_is_no_longer_the_user_when_the_modify_arrives_is_a_conflict(tmp_path: Path, change: str) -> None:
    with Slapd.start(tmp_path / "s", [person("anna", classes=AGENT)]) as server:

        def second(name: str, message: bytes) -> bytes:
            if change == "left the filter":
                server.modify(f"dn: {name}\nchangetype: modify\nadd: description\ndescription: leaver\n")
            else:
                server.modify(f"dn: {name}\nchangetype: delete\n")
                server.add(person("anna", classes=AGENT))
            return message

        with LdapProxy(server.port, second) as proxy:
            _, outcomes = apply(tmp_path / "job", proxy, ["anna"], filter_="(&(uid=*)(!(description=leaver)))")
        assert outcomes["anna"]["outcome"] == "conflict"
        assert values(server, "anna", "employeeNumber") == []


# ---------------------------------------------------------------- reading back

MANY = [f"user{place:02}" for place in range(30)]
COMPARED = f"""
access to attrs=userPassword by anonymous auth by * none
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
MUTE = f"""
access to dn.onelevel="{PEOPLE}" filter="(cecAccountCode=*)" attrs=entry by dn.exact="{SYNC}" search by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


@pytest.mark.parametrize(
    ("options", "filter_", "searches", "compares"),
    [
        ({}, "(objectClass=inetOrgPerson)", 8, 0),
        ({}, "(&(objectClass=person)(|(cecAccountCode=user*)(!(mail=x))))", 8, 0),
        ({"acl": COMPARED}, "(objectClass=inetOrgPerson)", 8, 30),
        ({"rules": NO_POST_READ}, "(objectClass=inetOrgPerson)", 30, 0),
        ({}, "(&(objectClass=inetOrgPerson)(ou:dn:=people))", 30, 0),
    ],
    ids=["shown", "in a filter of what is written", "secrets compared", "no control", "a filter for the server alone"],
)
def test_what_the_answers_show_is_not_searched_for_but_for_a_sample(
    tmp_path: Path, options: dict[str, str], filter_: str, searches: int, compares: int
) -> None:
    people = [person(uid) for uid in MANY]
    with Slapd.start(tmp_path / "s", people, **options) as server, LdapProxy(server.port) as proxy:
        ended, outcomes = apply(tmp_path / "job", proxy, MANY, filter_=filter_)
        assert ended.code == 0, ended.said
        assert len(server.search("(cecAccountCode=user*)", "1.1").split(b"\n\n")) == 31
    assert {each["outcome"] for each in outcomes.values()} == {"written"}
    assert proxy.asked[MODIFY] == 30
    assert proxy.asked[SEARCH] == searches
    assert proxy.asked[COMPARE] == compares


def test_an_answer_that_does_not_plainly_show_this_user_shows_nobody(tmp_path: Path) -> None:
    """As a proxy or a broken server may answer; whoever is not shown is searched for."""
    with Slapd.start(tmp_path / "s", [person("anna", "employeeNumber: 1")]) as server, LdapProxy(server.port) as proxy:
        directory = here(proxy, 1)
        (anna,) = directory.scan()
        directory.close()
        wire = connect_server(settings(proxy, 1), Secret(SYNC_PASSWORD))
        inspection = Inspection(wire, PEOPLE)
        users = UserDecoder(inspection.schema.widen_view(VIEW), inspection)
        post_read = PostRead(inspection, users, parse_filter("(&(sn=anna)(!(employeeNumber=2)))"))
        wire.close()
    plain = {"entryUUID": anna.id, "sn": "Anna", "employeeNumber": "3"}

    def shown(attributes: Mapping[str, str], cut: int = 0) -> User | None:
        listed = (
            ber.encode_sequence(
                (ber.encode_tlv(4, name.encode()), ber.encode_tlv(ber.SET, ber.encode_tlv(4, value.encode())))
            )
            for name, value in attributes.items()
        )
        entry = ber.encode_sequence((ber.encode_tlv(4, anna.name.encode()), ber.encode_sequence(listed)), ENTRY)
        answer = Response(0, controls={requests.POST_READ: entry[: len(entry) - cut]})
        return post_read.read_user(number(anna.ref, "1", "3"), answer)

    assert shown(plain) == User(anna.id, anna.name, {"employeeNumber": ("3",)})
    assert shown({"ENTRYUUID": anna.id, "surname": "anna"}) == User(anna.id, anna.name, {})
    assert shown(plain | {"entryUUID": "00000000-0000-4000-8000-000000000000"}) is None
    assert shown({name: value for name, value in plain.items() if name != "entryUUID"}) is None
    assert shown(plain | {"employeeNumber": "2"}) is None
    assert shown({name: value for name, value in plain.items() if name != "sn"}) is None
    assert shown(plain, cut=1) is None
    assert post_read.read_user(number(anna.ref, "1", "3"), Response(0)) is None


def failed(tmp_path: Path, meddle: Meddle, *, acl: str | None = None, filter_: str = "(uid=*)") -> dict[str, str]:
    """Apply to many; why those failed that did, by uid. The others are written."""
    options = {"acl": acl} if acl else {}
    people = [person(uid) for uid in MANY]
    with Slapd.start(tmp_path / "s", people, **options) as server, LdapProxy(server.port, meddle) as proxy:
        ended, outcomes = apply(tmp_path / "job", proxy, MANY, filter_=filter_)
    assert ended.code == 4
    assert {each["outcome"] for each in outcomes.values()} <= {"written", "failed"}
    return {uid: each["why"] for uid, each in outcomes.items() if each["outcome"] == "failed"}


def test_a_change_that_was_answered_with_yes_and_dropped_has_failed(tmp_path: Path) -> None:
    why = failed(tmp_path, lambda name, message: None if name.startswith(("uid=user03", "uid=user25")) else message)
    assert sorted(why) == ["user03", "user25"]
    assert all("does not show objectClass, employeeNumber, " in each for each in why.values())


def test_values_that_something_on_the_way_alters_each_time_are_said_to_be_stored_so(tmp_path: Path) -> None:
    """Nothing tells that from a server with a spelling of its own; the report names what stands."""

    def alter(name: str, message: bytes) -> bytes:
        return message.replace(b"\x047025", b"\x047052").replace(b"1003", b"1030")

    people = [person(uid) for uid in MANY]
    with Slapd.start(tmp_path / "s", people) as server, LdapProxy(server.port, alter) as proxy:
        ended, outcomes = apply(tmp_path / "job", proxy, MANY)
    assert ended.code == 0
    assert {each["outcome"] for each in outcomes.values()} == {"written"}
    told = {uid: each["differs"] for uid, each in outcomes.items() if "differs" in each}
    assert {uid: [(one["name"], one["stored"]) for one in each] for uid, each in told.items()} == {
        "user03": [("employeeNumber", ["1030"])],
        "user25": [("SIPIdentityUserName", ["7052"])],
    }


def test_whoever_is_written_out_of_the_filter_has_failed(tmp_path: Path) -> None:
    why = failed(tmp_path, lambda name, message: message, filter_="(!(employeeNumber=1025))")
    assert sorted(why) == ["user25"]
    assert "outside base and filter" in why["user25"]


def test_whoever_may_not_be_read_after_the_write_has_failed(tmp_path: Path) -> None:
    why = failed(tmp_path, lambda name, message: message, acl=MUTE)
    assert sorted(why) == MANY

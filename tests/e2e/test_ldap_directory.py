"""The LDAP directory against a real slapd: connecting, reading whole, finding, comparing, writing, failing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap.adapter import LdapDirectory
from connector.directories.ldap.reader import LdapReader
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    HostNameError,
    IncompleteRead,
    RefusedBindError,
    TruncatedError,
    UnreachableError,
    UntrustedError,
)
from connector.model import (
    ID,
    NAME,
    AttributeChange,
    Change,
    Equality,
    Held,
    Holds,
    Key,
    Outcome,
    Question,
    Result,
    Secret,
    Syntax,
    User,
    UserRef,
    View,
)
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.slapd import ADMIN, PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, another_authority, free_port, person

pytestmark = pytest.mark.slapd

PASSWORD = Secret(SYNC_PASSWORD)
VIEW = View(
    ("uid", "cn", "employeeNumber", "mail", "SIPIdentitySIPURI", "SIPIdentityPassword"),
    frozenset({"SIPIdentityPassword"}),
    ("SIPIdentity",),
)
HOSTILE = [
    "*",
    "(",
    ")",
    "\\",
    "a*b",
    "(uid=*)",
    "\\2a",
    '"',
    "'",
    "a,b+c=d;e",
    "Łukasz 文字",
    "#",
    "x\x00y",
    "</>",
    "$^",
]
PASSWORD_RULES = f"""
access to attrs=userPassword by anonymous auth by * none
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none
access to attrs=title by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


def settings(server: Slapd, **other: Any) -> Settings:
    """The service account over TLS; `other` in its place."""
    said: dict[str, Any] = {
        "type": "ldap",
        "urls": [server.ldaps_url],
        "bind_dn": SYNC,
        "password": SecretRef(env="LDAP_PASSWORD"),
        "ca_file": server.ca,
        "base": PEOPLE,
        "filter": "(objectClass=inetOrgPerson)",
        "timeout": 20,
    }
    external = {"bind_dn": None, "password": None} if other.get("sasl") else {}
    return Settings.model_validate({**said, **external, **other})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    people = [
        person(f"user{number:04}", f"employeeNumber: {number}", f"mail: user{number:04}@example.org")
        for number in range(5000)
    ]
    people += [
        f"dn: cn=hostile{number},{PEOPLE}\nobjectClass: inetOrgPerson\ncn: hostile{number}\n"
        f"sn:: {base64.b64encode(value.encode()).decode()}\n"
        for number, value in enumerate(HOSTILE)
        if "\x00" not in value
    ]
    with Slapd.start(tmp_path_factory.mktemp("many"), people, verify_client="try") as started:
        yield started


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Slapd]:
    """A server of its own, whose SIP passwords can be compared and not read, and whose titles are hidden."""
    people = [
        person("anna", "employeeNumber: 7", "SIPIdentityPassword: example-7", "title: T", classes=["SIPIdentity"]),
        person("bert", "description: one", "description: two", classes=["SIPIdentity"]),
        person("carl", "employeeNumber: 9", "cn;lang-de: Karl", "mobile: +49 000", "jpegPhoto:: /////w=="),
    ]
    with Slapd.start(tmp_path / "s", people, acl=PASSWORD_RULES) as started:
        yield started


def uid(user: User) -> str:
    """The user's only `uid`."""
    (value,) = user.values["uid"]
    assert isinstance(value, str)
    return value


def fails(job: Settings, password: Secret | None = PASSWORD) -> ConnectorError:
    reader = LdapReader(job, password, VIEW)
    with pytest.raises(ConnectorError) as caught:
        reader.describe()
    fault = caught.value
    assert SYNC_PASSWORD not in repr(fault) + str(fault)
    assert fault.__cause__ is None
    return fault


def works(job: Settings, password: Secret | None = PASSWORD) -> None:
    reader = LdapReader(job, password, VIEW)
    assert [user.name for user in reader.find([("uid", "user0007")])] == [f"uid=user0007,{PEOPLE}"]
    reader.close()


# ---------------------------------------------------------------- connecting


def test_it_connects_over_ldaps_starttls_plain_text_and_the_local_socket(server: Slapd) -> None:
    works(settings(server))
    works(settings(server, urls=[f"ldaps://127.0.0.1:{server.tls_port}"]))
    works(settings(server, urls=[server.url], start_tls=True))
    works(settings(server, urls=[server.url], allow_plaintext=True))
    works(settings(server, urls=[server.ldapi_url]))


def test_it_binds_by_client_certificate_and_by_the_local_socket(server: Slapd) -> None:
    works(settings(server, urls=[server.ldapi_url], sasl="external"), None)
    certificate = {"cert_file": server.client_cert, "key_file": server.client_key}
    works(settings(server, sasl="external", **certificate), None)
    works(settings(server, urls=[server.url], start_tls=True, sasl="external", **certificate), None)


def test_an_unknown_authority_is_not_trusted(server: Slapd, tmp_path: Path) -> None:
    other = another_authority(tmp_path / "other.pem")
    for change in ({}, {"urls": [server.url], "start_tls": True}):
        fault = fails(settings(server, ca_file=other, **change))
        assert type(fault) is UntrustedError
        assert "certificate of" in fault.what
        assert "not trusted" in fault.what
        assert fault.where.startswith("ldap")


def test_a_host_of_another_name_is_not_trusted(server: Slapd) -> None:
    fault = fails(settings(server, urls=[server.strange_url]))
    assert type(fault) is HostNameError
    assert "127.0.0.2" in fault.what
    assert fault.where == server.strange_url


def test_a_port_that_speaks_no_tls_is_not_trusted(server: Slapd) -> None:
    fault = fails(settings(server, urls=[f"ldaps://localhost:{server.port}"], timeout=5))
    assert isinstance(fault, UntrustedError | UnreachableError)


def test_a_wrong_password_names_the_account_and_tries_no_other_server(server: Slapd) -> None:
    fault = fails(settings(server, urls=[server.ldaps_url, "ldaps://unused.example.org"]), Secret("wrong-canary"))
    assert type(fault) is RefusedBindError
    assert SYNC in fault.what
    assert "invalidCredentials (49)" in fault.what
    assert fault.where == server.ldaps_url
    assert "wrong-canary" not in repr(fault)


def test_a_server_that_is_not_trusted_ends_the_search_for_one(server: Slapd, tmp_path: Path) -> None:
    other = another_authority(tmp_path / "other.pem")
    fault = fails(settings(server, urls=[server.ldaps_url, server.ldapi_url], ca_file=other))
    assert type(fault) is UntrustedError


def test_the_first_server_that_answers_serves(server: Slapd) -> None:
    down = [f"ldaps://localhost:{free_port()}", "ldapi://%2Fnowhere%2Fldapi"]
    works(settings(server, urls=[*down, server.ldaps_url]))
    fault = fails(settings(server, urls=down))
    assert type(fault) is UnreachableError
    assert all(url in fault.what for url in down)


def test_a_server_that_refuses_starttls_is_not_spoken_to_in_clear(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", tls=False) as server:
        fault = fails(settings(server, urls=[server.url], start_tls=True))
    assert type(fault) is UntrustedError
    assert "refused StartTLS" in fault.what


def test_a_server_that_demands_tls_is_obeyed(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person("user0007")], tls_only=True) as server:
        assert type(fails(settings(server, urls=[server.url], allow_plaintext=True))) is DeniedError
        works(settings(server))


def test_certificates_that_are_none_are_the_files_fault(server: Slapd, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for change in ({"ca_file": nonsense}, {"cert_file": nonsense}, {"cert_file": server.client_cert}):
        fault = fails(settings(server, **change))
        assert type(fault) is FileError
        assert ".pem" in fault.where


def test_a_base_or_a_filter_that_is_none_is_the_jobs_fault(server: Slapd) -> None:
    with pytest.raises(FileError, match=r"directory\.filter"):
        LdapReader(settings(server, filter="(uid=*"), PASSWORD, VIEW)
    with pytest.raises(FileError, match=r"directory\.base"):
        LdapReader(settings(server, base="ou=people,nonsense"), PASSWORD, VIEW)


# ---------------------------------------------------------------- describing


def test_it_describes_openldap(server: Slapd) -> None:
    view = View(("uid", "employeeNumber", "cecWorkNo", "SIPIdentityPassword", "nosuch"), frozenset(), ())
    reader = LdapReader(settings(server), PASSWORD, view)
    found = reader.describe()
    reader.close()
    assert (found.kind, found.cautions) == ("OpenLDAP", ())
    uuid = server.search("-s", "base", "entryUUID").decode().partition("entryUUID: ")[2].strip()
    assert found.identity == f"ldap:{uuid}"
    assert set(found.attributes) == {*view.attributes, "objectClass"}
    assert all(info.readable is None for info in found.attributes.values())
    work_no, password = found.attributes["cecWorkNo"], found.attributes["SIPIdentityPassword"]
    assert (work_no.syntax, work_no.equality, work_no.single) == (Syntax.INTEGER, Equality.INTEGER, True)
    assert (password.syntax, password.single, "sipidentity" in password.definition.classes) == (
        Syntax.OCTETS,
        False,
        True,
    )
    assert [name for name, info in found.attributes.items() if not info.definition.known] == ["nosuch"]


def test_the_identity_does_not_depend_on_the_way_there(server: Slapd) -> None:
    found = set()
    for job in (settings(server), settings(server, urls=[server.ldapi_url], base=SUFFIX)):
        reader = LdapReader(job, PASSWORD, VIEW)
        found.add(reader.describe().identity)
        reader.close()
    assert len(found) == 1


def test_what_a_server_hides_of_itself_is_said(tmp_path: Path) -> None:
    rules = "access to dn.subtree=cn=Subschema by * none\naccess to dn.base= attrs=supportedControl by * none\n"
    acl = f"""
access to dn.base="{SUFFIX}" by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
    with Slapd.start(tmp_path / "s", [person("anna")], acl=acl, rules=rules + "access to * by * read") as server:
        reader = LdapReader(settings(server), PASSWORD, VIEW)
        found = reader.describe()
        assert found.identity == f"ldap:OpenLDAP:{SUFFIX}"
        assert [word for word in ("entryUUID", "no schema", "4528") if any(word in one for one in found.cautions)] == [
            "entryUUID", "no schema", "4528",
        ]  # fmt: skip
        assert found.attributes["SIPIdentityPassword"].syntax is Syntax.OCTETS
        assert [user.name for user in reader.scan()] == [f"uid=anna,{PEOPLE}"]
        reader.close()


# ---------------------------------------------------------------- reading


def test_it_reads_5000_users_in_pages_each_once(server: Slapd) -> None:
    for page_size in (7, 1000, 100_000):
        reader = LdapReader(settings(server, page_size=page_size, filter="(uid=user*)"), PASSWORD, VIEW)
        users = list(reader.scan())
        assert len(users) == len({user.id for user in users}) == 5000
        assert all(user.values["mail"] == (f"{uid(user)}@example.org",) for user in users)
        reader.close()


def test_a_size_limit_is_an_incomplete_read(tmp_path: Path) -> None:
    people = [person(f"user{number}", "title: x") for number in range(30)]
    with Slapd.start(tmp_path / "s", people, limits="size.soft=10 size.hard=10") as server:
        reader = LdapReader(settings(server, page_size=5), PASSWORD, View(("uid", "title")))
        for read in (reader.scan(), reader.find([("title", "x")])):
            with pytest.raises(TruncatedError, match=r"size limit.*sizeLimitExceeded \(4\)"):
                list(read)
        assert len(list(reader.find(("uid", f"user{number}") for number in range(9)))) == 9
        reader.close()


def test_a_referral_in_the_tree_is_an_incomplete_read(server: Slapd, tmp_path: Path) -> None:
    referral = (
        f"dn: ou=elsewhere,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
        f"ou: elsewhere\nref: ldap://192.0.2.7/ou=elsewhere,{PEOPLE}\n"
    )
    with Slapd.start(tmp_path / "s", [person("anna"), referral]) as other:
        reader = LdapReader(settings(other), PASSWORD, VIEW)
        with pytest.raises(TruncatedError, match=r"referral to ldap://192\.0\.2\.7/"):
            list(reader.scan())
        with pytest.raises(TruncatedError, match=r"referral to ldap://192\.0\.2\.7/"):
            list(reader.find([(NAME, f"uid=x,ou=elsewhere,{PEOPLE}")]))
        reader.close()


def test_a_base_that_is_not_there_is_an_incomplete_read(server: Slapd) -> None:
    reader = LdapReader(settings(server, base=f"ou=nobody,{SUFFIX}"), PASSWORD, VIEW)
    for read in (reader.scan(), reader.find([("uid", "user0007")])):
        with pytest.raises(IncompleteRead, match=f"no entry 'ou=nobody,{SUFFIX}'"):
            list(read)
    reader.close()


def test_it_finds_2000_keys_among_hostile_ones(server: Slapd) -> None:
    view = View(("uid", "sn"))
    keys: list[Key] = [("uid", f"user{number:04}") for number in range(0, 4000, 2)]
    keys[100:100] = [("sn", value) for value in HOSTILE] + [("nosuch", "x"), ("uid", ""), ("cecWorkNo", "no number")]
    reader = LdapReader(settings(server), PASSWORD, view)
    users = list(reader.find(iter(keys)))
    reader.close()
    found = {value for user in users for value in user.values.get("uid", ())}
    assert found == {f"user{number:04}" for number in range(0, 4000, 2)}
    hostile = [user.values["sn"][0] for user in users if "uid" not in user.values]
    assert sorted(map(str, hostile)) == sorted(value for value in HOSTILE if "\x00" not in value)


def test_a_hostile_value_finds_nobody_but_its_holder(server: Slapd) -> None:
    reader = LdapReader(settings(server), PASSWORD, View(("sn",)))
    for value in HOSTILE:
        found = [user.values["sn"] for user in reader.find([("sn", value)])]
        assert found == ([] if "\x00" in value else [(value,)])
    reader.close()


def test_names_and_ids_find_users_within_base_filter_and_scope_alone(server: Slapd) -> None:
    reader = LdapReader(settings(server), PASSWORD, View(("uid",)))
    (user,) = reader.find([(NAME, f"UID=user0007 , {PEOPLE.upper()}")])
    assert user.name == f"uid=user0007,{PEOPLE}"
    assert [one.ref for one in reader.find([(ID, user.id)])] == [user.ref]
    outside = [SYNC, ADMIN, PEOPLE, f"uid=gone,{PEOPLE}", "nonsense", f"nonsense,{PEOPLE}", ""]
    assert list(reader.find((NAME, name) for name in outside)) == []
    assert list(reader.find([(ID, "nonsense"), (ID, "00000000-0000-4000-8000-000000000000")])) == []
    reader.close()
    above = LdapReader(
        settings(server, base=SUFFIX, scope="onelevel", filter="(objectClass=*)"), PASSWORD, View(("uid",))
    )
    assert list(above.find([(NAME, user.name), ("uid", "user0007"), (ID, user.id)])) == []
    assert {one.name for one in above.scan()} == {PEOPLE, f"ou=services,{SUFFIX}"}
    above.close()


def test_options_are_attributes_of_their_own_and_aliases_are_not(small: Slapd) -> None:
    view = View(("CN", "commonName", "cn;lang-de", "userid", "jpegPhoto", "cellphone", "mobile"))
    reader = LdapReader(settings(small), PASSWORD, view)
    (user,) = reader.find([("uid", "carl")])
    reader.close()
    assert user.values == {
        "CN": ("Person carl",),
        "commonName": ("Person carl",),
        "cn;lang-de": ("Karl",),
        "userid": ("carl",),
        "jpegPhoto": (b"\xff\xff\xff\xff",),
        "mobile": ("+49 000",),
        "objectClass": ("inetOrgPerson",),
    }


def test_secrets_come_wrapped_and_object_classes_come_with_every_user(server: Slapd, tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person("a", "SIPIdentityPassword: canary-1", classes=["SIPIdentity"])]) as other:
        reader = LdapReader(settings(other), PASSWORD, VIEW)
        (user,) = reader.scan()
        assert user.values["SIPIdentityPassword"] == (Secret(b"canary-1"),)
        assert user.values["objectClass"] == ("inetOrgPerson", "SIPIdentity")
        assert "canary-1" not in repr(user)
        reader.close()


def test_a_read_again_finds_the_renamed_and_leaves_out_who_is_gone_or_somebody_else(small: Slapd) -> None:
    reader = LdapReader(settings(small), PASSWORD, VIEW)
    users = {uid(user): user for user in reader.scan()}
    small.modify(f"dn: uid=anna,{PEOPLE}\nchangetype: delete\n")
    small.modify(f"dn: uid=bert,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=berta\ndeleteoldrdn: 1\n")
    small.add(person("anna"))
    found = sorted(user.ref for user in reader.read(user.ref for user in users.values()))
    assert found == sorted([UserRef(users["bert"].id, f"uid=berta,{PEOPLE}"), users["carl"].ref])
    reader.close()


def test_reading_inside_a_read_mixes_nothing_up(server: Slapd) -> None:
    reader = LdapReader(settings(server, page_size=50, filter="(uid=user00*)"), PASSWORD, View(("uid",)))
    for place, user in enumerate(reader.scan()):
        if place % 10 == 0:
            assert [one.ref for one in reader.read([user.ref])] == [user.ref]
            assert [one.ref for one in reader.find([(ID, user.id)])] == [user.ref]
    assert place == 99
    reader.close()


def test_a_server_that_is_killed_in_a_scan_is_no_end_of_it(server: Slapd, tmp_path: Path) -> None:
    people = [person(f"user{number:04}") for number in range(3000)]
    for how in ("kill", "stop"):
        with Slapd.start(tmp_path / how, people) as other:
            reader = LdapReader(settings(other, page_size=100), PASSWORD, View(("uid",)))
            users = reader.scan()
            next(users)
            getattr(other, how)()
            with pytest.raises(UnreachableError) as caught:
                list(users)
            assert caught.value.where == other.ldaps_url
            again = reader.scan()
            with pytest.raises(UnreachableError):
                next(again)
            reader.close()


def test_it_has_no_estimate_and_does_not_read_all_for_one(server: Slapd) -> None:
    reader = LdapReader(settings(server), PASSWORD, VIEW)
    assert reader.size() is None
    assert len(list(reader.find([("uid", "user0001")]))) == 1
    reader.close()


# ---------------------------------------------------------------- comparing


def test_compare_tells_same_other_absent_and_unknown(small: Slapd) -> None:
    reader = LdapReader(settings(small), PASSWORD, VIEW)
    anna, bert, carl = sorted((user.ref for user in reader.scan()), key=lambda ref: ref.name)
    gone = UserRef(anna.id, f"uid=gone,{PEOPLE}")
    another = UserRef(bert.id, anna.name)
    questions: list[tuple[UserRef, str, Held, Holds]] = [
        (anna, "SIPIdentityPassword", Secret(b"example-7"), Holds.SAME),
        (anna, "SIPIdentityPassword", Secret("example-7"), Holds.SAME),
        (anna, "SIPIdentityPassword", Secret("example-8"), Holds.OTHER),
        (bert, "SIPIdentityPassword", Secret("example-7"), Holds.ABSENT),
        (anna, "title", "T", Holds.UNKNOWN),  # hidden, and there
        (carl, "title", "T", Holds.UNKNOWN),  # hidden, and not there: the answer is the same
        (anna, "nosuch", "x", Holds.UNKNOWN),
        (gone, "SIPIdentityPassword", Secret("example-7"), Holds.UNKNOWN),
        (another, "SIPIdentityPassword", Secret("example-7"), Holds.UNKNOWN),
    ]
    asked = [Question(user, attribute, value) for user, attribute, value, _ in questions]
    assert list(reader.holds(asked * 50)) == [answer for *_, answer in questions] * 50
    reader.close()


# ---------------------------------------------------------------- writing


def change(user: User, *attributes: AttributeChange) -> Change:
    return Change(user.ref, None, 1, attributes)


def number(user: User, old: str | None, new: str | None) -> Change:
    return change(user, AttributeChange("employeeNumber", (old,) if old else (), (new,) if new else ()))


def by_uid(directory: LdapDirectory) -> dict[str, User]:
    return {uid(user): user for user in directory.scan()}


def results(outcomes: Iterator[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def test_1000_changes_are_written_and_then_there_is_nothing_to_change(server: Slapd) -> None:
    directory = LdapDirectory(settings(server, window=64, filter="(uid=user1*)"), PASSWORD, VIEW)
    users = list(directory.scan())
    assert len(users) == 1000
    changes = (number(user, str(user.values["employeeNumber"][0]), f"n{uid(user)}") for user in users)
    outcomes = list(directory.write(changes))
    assert {outcome.user for outcome in outcomes} == {user.ref for user in users}
    assert {outcome.result for outcome in outcomes} == {Result.WRITTEN}
    assert all(user.values["employeeNumber"] == (f"n{uid(user)}",) for user in directory.scan())
    again = (number(user, f"n{uid(user)}", f"N{uid(user)}") for user in users)
    assert set(results(directory.write(again))) == {Result.UNCHANGED}  # it compares ignoring case
    directory.close()


def test_who_is_not_bound_reads_and_compares_many_users_without_being_hung_up_on(tmp_path: Path) -> None:
    """OpenLDAP hangs up on an anonymous client with more than a hundred requests waiting."""
    people = [person(f"user{place:04}", "employeeNumber: 1") for place in range(450)]
    with Slapd.start(tmp_path / "s", people, acl="access to * by * read") as server:
        anybody = settings(server, bind_dn=None, password=None)
        with closing(LdapDirectory(anybody, None, View(("employeeNumber",)))) as directory:
            users = list(directory.scan())
            assert len(list(directory.read(user.ref for user in users))) == 450
            questions = [Question(user.ref, "employeeNumber", Secret("1")) for user in users]
            assert set(directory.holds(questions)) == {Holds.SAME}


def test_writes_of_one_user_stay_in_their_order(small: Slapd) -> None:
    directory = LdapDirectory(settings(small), PASSWORD, VIEW)
    user = by_uid(directory)["carl"]
    steps = [str(place) for place in range(9, 200)]
    changes = [number(user, old, new) for old, new in pairwise(steps)]
    assert set(results(directory.write(changes))) == {Result.WRITTEN}
    assert by_uid(directory)["carl"].values["employeeNumber"] == ("199",)
    directory.close()


@pytest.fixture(params=[True, False], ids=["with assertions", "without assertions"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Slapd, LdapDirectory]]:
    """A server that shows its assertion control, and one that hides it, so that values are compared on our side."""
    rules = "" if request.param else "access to dn.base= attrs=supportedControl by * none\naccess to * by * read"
    people = [
        person("anna", "employeeNumber: 7", "description: ours:1", "description: theirs", classes=["cecAgent"]),
        person("bert", "SIPIdentityPassword: example-1", classes=["SIPIdentity"]),
        person("carl"),
    ]
    view = View(
        ("uid", "employeeNumber", "description", "SIPIdentityPassword", "cecWorkNo"), VIEW.secrets, ("cecAgent",)
    )
    with Slapd.start(tmp_path / "s", people, rules=rules) as server:
        found = LdapDirectory(settings(server), PASSWORD, view)
        assert any("4528" in each for each in found.describe().cautions) is not request.param
        yield server, found
        found.close()


def test_a_value_that_is_no_longer_the_planned_one_is_a_conflict(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    anna = by_uid(here)["anna"]
    server.modify(f"dn: {anna.name}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 8\n")
    (outcome,) = here.write([number(anna, "7", "9")])
    assert (outcome.result, outcome.user) == (Result.CONFLICT, anna.ref)
    assert outcome.why
    assert by_uid(here)["anna"].values["employeeNumber"] == ("8",)


def test_a_value_where_none_was_planned_is_a_conflict(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    carl = by_uid(here)["carl"]
    server.modify(f"dn: {carl.name}\nchangetype: modify\nadd: employeeNumber\nemployeeNumber: 8\n")
    assert results(here.write([number(carl, None, "9")])) == [Result.CONFLICT]
    assert by_uid(here)["carl"].values["employeeNumber"] == ("8",)


def test_of_several_values_ours_alone_are_looked_at_and_touched(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    users = by_uid(here)
    ours = AttributeChange("description", ("ours:1",), ("ours:2",), pattern="ours:*")
    assert results(here.write([change(users["anna"], ours)])) == [Result.WRITTEN]
    assert set(by_uid(here)["anna"].values["description"]) == {"ours:2", "theirs"}
    first = AttributeChange("description", (), ("ours:1",), pattern="ours:*")
    server.modify(f"dn: {users['bert'].name}\nchangetype: modify\nadd: description\ndescription: theirs\n")
    server.modify(f"dn: {users['carl'].name}\nchangetype: modify\nadd: description\ndescription: ours:9\n")
    outcomes = {
        one.user.name: one.result for one in here.write([change(users["bert"], first), change(users["carl"], first)])
    }
    assert outcomes == {users["bert"].name: Result.WRITTEN, users["carl"].name: Result.CONFLICT}
    assert set(by_uid(here)["bert"].values["description"]) == {"ours:1", "theirs"}


def test_an_unrelated_edit_is_no_conflict(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    anna = by_uid(here)["anna"]
    server.modify(f"dn: {anna.name}\nchangetype: modify\nreplace: title\ntitle: Example\n")
    assert results(here.write([number(anna, "7", None)])) == [Result.WRITTEN]
    assert "employeeNumber" not in by_uid(here)["anna"].values


def test_an_entry_that_is_gone_or_another_or_outside_is_a_conflict(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    users = by_uid(here)
    for uid in ("bert", "carl"):
        server.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: delete\n")
    server.add(person("carl"))
    outside = User(users["anna"].id, f"ou=services,{SUFFIX}", {})
    wanted = [number(users["bert"], None, "1"), number(users["carl"], None, "1"), number(outside, None, "1")]
    assert results(here.write(wanted)) == [Result.CONFLICT] * 3
    assert "employeeNumber" not in by_uid(here)["carl"].values


def test_an_entry_that_no_longer_matches_the_filter_is_a_conflict(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, _ = directory
    here = LdapDirectory(settings(server, filter="(!(title=left))"), PASSWORD, VIEW)
    anna = next(user for user in here.scan() if user.name.startswith("uid=anna"))
    server.modify(f"dn: {anna.name}\nchangetype: modify\nreplace: title\ntitle: left\n")
    outcomes = results(here.write([number(anna, "7", "9")]))
    here.close()
    assert outcomes == [Result.CONFLICT]


def test_object_classes_are_added_beside_others_and_taken_back(directory: tuple[Slapd, LdapDirectory]) -> None:
    _, here = directory
    carl = by_uid(here)["carl"]
    set_it = (
        AttributeChange("objectClass", (), ("cecAgent",)),
        AttributeChange("cecWorkNo", (), ("1001",)),
    )
    assert results(here.write([change(carl, *set_it)])) == [Result.WRITTEN]
    values = by_uid(here)["carl"].values
    assert (values["objectClass"], values["cecWorkNo"]) == (("inetOrgPerson", "cecAgent"), ("1001",))
    undo = (AttributeChange("cecWorkNo", ("1001",), ()), AttributeChange("objectClass", ("cecAgent",), ()))
    assert results(here.write([change(carl, *undo)])) == [Result.WRITTEN]
    assert by_uid(here)["carl"].values["objectClass"] == ("inetOrgPerson",)


def secret_change(old: str | None, new: str | None, *, seen: bool, pattern: str = "*") -> AttributeChange:
    values = [tuple(Secret(value.encode()) for value in (some,) if value) if some else () for some in (old, new)]
    return AttributeChange("SIPIdentityPassword", values[0], values[1], secret=True, seen=seen, pattern=pattern)


def test_secrets_are_set_whether_seen_or_not(directory: tuple[Slapd, LdapDirectory]) -> None:
    server, here = directory
    bert = by_uid(here)["bert"]
    assert results(here.write([change(bert, secret_change("example-1", "example-2", seen=True))])) == [Result.WRITTEN]
    assert results(here.write([change(bert, secret_change("example-1", "example-3", seen=True))])) == [Result.CONFLICT]
    assert results(here.write([change(bert, secret_change(None, "example-4", seen=False))])) == [Result.WRITTEN]
    assert b"SIPIdentityPassword: example-4" in server.search("uid=bert")
    (outcome,) = here.write([change(bert, secret_change(None, "sip-5", seen=False, pattern="sip-*"))])
    assert outcome.result is Result.FAILED
    assert "SIPIdentityPassword" in outcome.why
    assert results(here.write([change(bert, secret_change(None, None, seen=False))])) == [Result.WRITTEN]
    assert b"SIPIdentityPassword" not in server.search("uid=bert", "SIPIdentityPassword")


def test_what_the_server_refuses_has_failed_with_its_reason(directory: tuple[Slapd, LdapDirectory]) -> None:
    _, here = directory
    users = by_uid(here)
    outcomes = {
        outcome.user.name: outcome
        for outcome in here.write(
            [
                change(users["anna"], AttributeChange("cecWorkNo", (), ("no number",))),
                change(users["bert"], AttributeChange("cecWorkNo", (), ("1",))),
                change(users["carl"], AttributeChange("nosuch", (), ("1",))),
            ]
        )
    }
    assert {outcome.result for outcome in outcomes.values()} == {Result.FAILED}
    assert "invalidAttributeSyntax (21)" in outcomes[users["anna"].name].why
    assert "objectClassViolation (65)" in outcomes[users["bert"].name].why
    assert "undefinedAttributeType (17)" in outcomes[users["carl"].name].why


def test_a_right_that_is_missing_fails_that_change_alone(tmp_path: Path) -> None:
    acl = f'access to dn.base="uid=anna,{PEOPLE}" by dn.exact="{SYNC}" read by anonymous auth\n' + PASSWORD_RULES
    with Slapd.start(tmp_path / "s", [person("anna"), person("bert")], acl=acl) as server:
        here = LdapDirectory(settings(server), PASSWORD, VIEW)
        outcomes = {one.user.name: one for one in here.write(number(user, None, "1") for user in by_uid(here).values())}
        here.close()
    assert outcomes[f"uid=bert,{PEOPLE}"].result is Result.WRITTEN
    assert outcomes[f"uid=anna,{PEOPLE}"].result is Result.FAILED
    why = outcomes[f"uid=anna,{PEOPLE}"].why
    assert why.startswith("insufficientAccessRights (50) to write employeeNumber")
    rule = f'to dn.subtree="{PEOPLE}" attrs=employeeNumber by dn.exact="{SYNC}" write by * break'
    grant = f"Grant {SYNC} the right to write employeeNumber of this entry"
    assert why.endswith(f"{grant}. In olcAccess, first: {rule}")


def test_a_hidden_attribute_is_neither_shown_nor_overwritten(small: Slapd) -> None:
    here = LdapDirectory(settings(small), PASSWORD, View(("uid", "title", "SIPIdentityPassword"), VIEW.secrets))
    anna = by_uid(here)["anna"]
    assert set(anna.values) == {"uid", "objectClass"}
    unseen = AttributeChange("title", (), ("new",))
    (outcome,) = here.write([change(anna, unseen)])
    here.close()
    assert outcome.result in (Result.CONFLICT, Result.FAILED)
    assert b"title: T" in small.search("uid=anna")


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_goes_away_leaves_an_outcome_for_every_change(tmp_path: Path, how: str) -> None:
    people = [person(f"user{place:04}") for place in range(1000)]
    with Slapd.start(tmp_path / "s", people) as server:
        here = LdapDirectory(settings(server, window=16), PASSWORD, VIEW)
        users = list(here.scan())
        pulled = 0

        def changes() -> Iterator[Change]:
            nonlocal pulled
            for pulled, user in enumerate(users, 1):  # noqa: B007  # how far it came is what is asked
                yield number(user, None, "1")

        outcomes: list[Outcome] = []
        for outcome in here.write(changes()):
            if len(outcomes) == 100:
                assert pulled <= 100 + 16 + 16
                getattr(server, how)()
            outcomes.append(outcome)
        here.close()
        assert sorted(outcome.user for outcome in outcomes) == sorted(user.ref for user in users)
        counted = {result: [one for one in outcomes if one.result is result] for result in Result}
        assert len(counted[Result.WRITTEN]) >= 100
        assert 0 < len(counted[Result.FAILED]) <= 16
        assert all("may have been written" in outcome.why for outcome in counted[Result.FAILED])
        assert len(counted[Result.SKIPPED]) > 800
        server.restart()
        stored = server.search("employeeNumber=1", "1.1").decode()
        assert all(outcome.user.name in stored for outcome in counted[Result.WRITTEN])
        assert not any(outcome.user.name in stored for outcome in counted[Result.SKIPPED])


def test_a_server_that_is_not_there_at_all_skips_every_change(server: Slapd) -> None:
    here = LdapDirectory(settings(server, urls=[f"ldaps://localhost:{free_port()}"]), PASSWORD, VIEW)
    users = [User(str(place), f"uid={place},{PEOPLE}", {}) for place in range(3)]
    assert results(here.write(number(user, None, "1") for user in users)) == [Result.SKIPPED] * 3


def test_a_reader_cannot_write() -> None:
    assert not hasattr(LdapReader, "write")

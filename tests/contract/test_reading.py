"""The contract of a directory that is read (`directories/port.py`)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from connector.model import ID, NAME, Equality, Holds, Question, Secret, Syntax, User, UserRef, View, equality
from tests.support.directory_fixtures import PERSON, DirectoryFixture, DomainFixture, Values

VIEW = View(("uid", "mail", "employeeNumber", "carLicense"))
HOSTILE = [
    "*",
    "a*b",
    "(uid=*)",
    "*)(uid=*",
    "back\\slash",
    "\\2a",
    'quo"te',
    "co,mma+plus;semi<less>greater=equals",
    "#hash",
    "-",
    "a: b",
    "< file:///example",
    ": colon",
    "tab\tulator",
    "new\nline",
    "x" * 200,
    "äöü ß",
    "Z\u030cofie",
    "\u017dofie",
    "日本語 \U0001f600",
]


def dn(fixture: DirectoryFixture, uid: str) -> str:
    octets = uid[: fixture.longest_name].encode()
    escaped = "".join(f"\\{octet:02x}" if octet in b',+"\\<>;=# \n\t' else chr(octet) for octet in octets)
    return f"{fixture.naming}={escaped.encode('latin-1').decode()},{fixture.base}"


def put(fixture: DirectoryFixture, uid: str, values: Values | None = None) -> str:
    name = dn(fixture, uid)
    fixture.put(name, {**PERSON, "uid": [uid], **(values or {})})
    return name


def only(users: Iterable[User]) -> User:
    (user,) = users
    return user


def test_it_says_of_every_attribute_of_the_view_what_it_may_hold(fixture: DirectoryFixture) -> None:
    names = (
        "employeeNumber", "carLicense", "SIPIdentityRegistrarAddress", "SIPIdentityPassword", "cecWorkNo", "manager",
        "SIPIdentitySIPURI", fixture.identity,
    )  # fmt: skip
    attributes = fixture.open(View(names)).describe().attributes
    assert attributes.keys() >= set(names)
    assert attributes["employeeNumber"].single
    assert attributes["employeeNumber"].equality is Equality.CASE_IGNORE
    assert not attributes["carLicense"].single
    assert attributes["SIPIdentityRegistrarAddress"].syntax is Syntax.IA5
    assert attributes["SIPIdentityPassword"].syntax is Syntax.OCTETS
    assert attributes["SIPIdentityPassword"].equality is Equality.OCTETS
    assert attributes["SIPIdentityPassword"].definition.classes >= {"sipidentity"}
    assert attributes["SIPIdentitySIPURI"].equality is Equality.CASE_EXACT
    assert attributes["cecWorkNo"].equality is Equality.INTEGER
    assert attributes["manager"].equality is Equality.DN
    assert not attributes[fixture.identity].writable
    assert all(attributes[name].definition.known for name in names)


def test_an_attribute_that_nobody_knows_is_said_to_be_unknown(fixture: DirectoryFixture) -> None:
    assert not fixture.open(View(("noSuchThing",))).describe().attributes["noSuchThing"].definition.known


def test_its_identity_does_not_depend_on_who_opens_it(fixture: DirectoryFixture) -> None:
    first, second = fixture.open(VIEW).describe(), fixture.open(View(("cn",)), where="(cn=x)").describe()
    assert first.identity == second.identity
    assert first.kind


def test_a_scan_is_complete_and_names_every_user_once(fixture: DirectoryFixture) -> None:
    for number in range(150):
        put(fixture, f"u{number}", {"employeeNumber": [str(number)]})
    users = list(fixture.open(VIEW).scan())
    assert sorted(int(str(user.values["employeeNumber"][0])) for user in users) == list(range(150))
    assert len({user.id for user in users}) == 150
    assert {user.id for user in fixture.open(VIEW).scan()} == {user.id for user in users}


def test_a_directory_without_users_has_none(fixture: DirectoryFixture) -> None:
    assert list(fixture.open(VIEW).scan()) == []
    assert list(fixture.open(VIEW).find([("uid", "nobody")])) == []


def test_attributes_come_under_the_names_they_were_asked_by_and_absent_ones_not_at_all(
    fixture: DirectoryFixture,
) -> None:
    name = put(fixture, "anna", {"mail": ["anna@example.org"], "carLicense": ["one", "two"]})
    user = only(fixture.open(View(("UID", "Mail", "employeeNumber", "carLicense"), frozenset(), ("cecAgent",))).scan())
    assert user.name == name
    assert dict(user.values) == {
        "UID": ("anna",),
        "Mail": ("anna@example.org",),
        "carLicense": user.values["carLicense"],
        "objectClass": user.values["objectClass"],
    }
    assert "inetOrgPerson" in user.values["objectClass"]  # some servers name its superclasses too
    assert set(user.values["carLicense"]) == {"one", "two"}


def test_octet_strings_are_bytes_whatever_they_hold(fixture: DirectoryFixture) -> None:
    put(
        fixture, "anna", {"objectClass": ["inetOrgPerson", "SIPIdentity"], "SIPIdentityPassword": [b"\xff\x00\n plain"]}
    )
    put(fixture, "bert", {"objectClass": ["inetOrgPerson", "SIPIdentity"], "SIPIdentityPassword": [b"text"]})
    users = list(fixture.open(View(("SIPIdentityPassword",))).scan())
    assert {user.values["SIPIdentityPassword"] for user in users} == {(b"\xff\x00\n plain",), (b"text",)}


def test_secrets_arrive_wrapped(fixture: DirectoryFixture) -> None:
    put(fixture, "anna", {"objectClass": ["inetOrgPerson", "SIPIdentity"], "SIPIdentityPassword": ["canary"]})
    view = View(("uid", "SIPIdentityPassword"), frozenset({"SIPIdentityPassword"}))
    for user in (only(fixture.open(view).scan()), only(fixture.open(view).find([("uid", "anna")]))):
        (held,) = user.values["SIPIdentityPassword"]
        assert isinstance(held, Secret)
        assert held.reveal() == b"canary"
        assert "canary" not in repr(user)


def test_nothing_outside_base_and_filter_exists_whichever_way_it_is_asked_for(fixture: DirectoryFixture) -> None:
    inside = put(fixture, "inside", {"employeeNumber": ["1"]})
    unfiltered = put(fixture, "unfiltered", {"employeeNumber": ["2"], "carLicense": ["leaver"]})
    everybody = fixture.open(VIEW, where="(objectClass=*)")
    refs = {user.name: user.ref for user in everybody.scan()}
    narrow = fixture.open(VIEW, where="(&(objectClass=inetOrgPerson)(!(carLicense=leaver)))")
    nowhere = fixture.open(VIEW, base=inside)
    for reader, name in ((narrow, unfiltered), (nowhere, unfiltered)):
        assert [user.name for user in reader.scan()] == [inside]
        for key in (("employeeNumber", "2"), ("uid", "unfiltered"), (NAME, name), (ID, refs[name].id)):
            assert list(reader.find([key])) == []
        assert [user.name for user in reader.read(refs.values())] == [inside]


EQUALITIES = [
    ("carLicense", "Anna  Sample", " anna sample "),
    ("mail", "Anna@Example.org", "anna@example.ORG"),
    ("telephoneNumber", "+49 30 1234-5", "+49301234 5"),
    ("x121Address", "12 34 5", "12345"),
    ("cecWorkNo", "1001", "1001"),
    ("cecAccountCode", "anna.sample", "ANNA.SAMPLE"),
    ("SIPIdentitySIPURI", "sip:Anna@192.0.2.1:5060", "sip:Anna@192.0.2.1:5060"),
]
CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]


@pytest.mark.parametrize(("attribute", "stored", "asked"), EQUALITIES)
def test_find_goes_by_the_equality_rule_of_the_attribute(
    fixture: DirectoryFixture, attribute: str, stored: str, asked: str
) -> None:
    name = put(fixture, "anna", {"objectClass": CLASSES, attribute: [stored]})
    put(fixture, "bert", {"objectClass": CLASSES})
    reader = fixture.open(View((attribute,)))
    rule = reader.describe().attributes[attribute].equality
    if equality.equality_key(rule, stored) != equality.equality_key(rule, asked):
        assert fixture.rules.get(attribute) is rule, (
            "a rule that is not the standard's is one that the fixture is known for"
        )
        assert list(reader.find([(attribute, asked)])) == []
    user = only(reader.find([(attribute, stored)]) if attribute in fixture.rules else reader.find([(attribute, asked)]))
    assert user.name == name
    assert user.values[attribute] == (stored,)


def test_a_name_as_a_value_is_found_however_it_is_spelt(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"objectClass": CLASSES, "manager": [fixture.base]})
    put(fixture, "bert", {"objectClass": CLASSES})
    spelt = ", ".join(part.swapcase() for part in fixture.base.split(","))
    assert only(fixture.open(View(("manager",))).find([("manager", spelt)])).name == name


def test_find_tells_case_apart_where_the_rule_does(fixture: DirectoryFixture) -> None:
    put(fixture, "anna", {"objectClass": CLASSES, "SIPIdentitySIPURI": ["sip:Anna@192.0.2.1"]})
    reader = fixture.open(View(("SIPIdentitySIPURI",)))
    assert list(reader.find([("SIPIdentitySIPURI", "sip:anna@192.0.2.1")])) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_finds_its_holder_and_nobody_else(fixture: DirectoryFixture, value: str) -> None:
    put(fixture, "anna", {"carLicense": [value]})
    put(fixture, "bert", {"carLicense": ["something else", "uid"]})
    put(fixture, "carl")
    user = only(fixture.open(VIEW).find([("carLicense", value)]))
    assert user.values["carLicense"] == (value,)
    assert user.values["uid"] == ("anna",)


@pytest.mark.parametrize("uid", [value for value in HOSTILE if "\n" not in value and "\t" not in value])
def test_a_hostile_name_is_found_by_name_by_id_and_by_its_attribute(fixture: DirectoryFixture, uid: str) -> None:
    name = put(fixture, uid)
    put(fixture, "bert")
    reader = fixture.open(VIEW)
    user = only(reader.find([("uid", uid)]))
    assert user.values["uid"] == (uid,)
    for key in ((NAME, name), (NAME, user.name), (ID, user.id)):
        assert only(reader.find([key])).ref == user.ref
    assert only(reader.read([user.ref])) == user


def test_outer_spaces_of_what_is_asked_for_do_not_matter(fixture: DirectoryFixture) -> None:
    put(fixture, "anna", {"carLicense": ["left behind"]})
    assert only(fixture.open(VIEW).find([("carLicense", "  left behind  ")])).values["uid"] == ("anna",)


def test_a_name_is_found_however_it_is_spelt(fixture: DirectoryFixture) -> None:
    put(fixture, "anna")
    parts = fixture.base.split(",")
    spelt = ", ".join([f"{fixture.naming.upper()} = ANNA", *(part.upper() for part in parts)])
    assert only(fixture.open(VIEW).find([(NAME, spelt)])).values["uid"] == ("anna",)


def test_many_keys_of_several_attributes_are_one_question(fixture: DirectoryFixture) -> None:
    for number in range(120):
        put(fixture, f"u{number}", {"employeeNumber": [str(number)], "mail": [f"u{number}@example.org"]})
    keys = [("employeeNumber", str(number)) for number in range(0, 240, 2)]
    keys += [("mail", f"u{number}@example.org") for number in range(0, 120, 4)]
    found = {user.id: user for user in fixture.open(VIEW).find(iter(keys))}
    assert {str(user.values["uid"][0]) for user in found.values()} == {f"u{number}" for number in range(0, 120, 2)}


@pytest.mark.parametrize("key", [("cecWorkNo", "no number"), (NAME, "no name"), (ID, "no id"), ("manager", "no name")])
def test_a_key_that_cannot_be_finds_nobody_and_hides_nobody(fixture: DirectoryFixture, key: tuple[str, str]) -> None:
    put(fixture, "anna", {"objectClass": CLASSES, "cecWorkNo": ["1001"]})
    reader = fixture.open(View(("uid", "cecWorkNo", "manager")))
    assert list(reader.find([key])) == []
    assert only(reader.find([key, ("uid", "anna"), key])).values["uid"] == ("anna",)


def test_read_brings_users_as_they_are_now(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"]})
    reader = fixture.open(VIEW)
    before = only(reader.scan())
    fixture.replace(name, "employeeNumber", ["2"])
    assert only(reader.read([before.ref])).values["employeeNumber"] == ("2",)


def test_read_leaves_out_who_is_gone_and_who_has_become_another_entry(fixture: DirectoryFixture) -> None:
    gone, replaced, stays = (put(fixture, uid) for uid in ("gone", "replaced", "stays"))
    reader = fixture.open(VIEW)
    refs = {user.name: user.ref for user in reader.scan()}
    fixture.delete(gone)
    fixture.delete(replaced)
    fixture.put(replaced, {**PERSON, "uid": ["replaced"]})
    assert [user.name for user in reader.read(refs.values())] == [stays]
    assert list(reader.read([])) == []


def test_holds_answers_every_question_in_its_order(fixture: DirectoryFixture) -> None:
    held: Values = {"objectClass": CLASSES, "SIPIdentityPassword": [b"\xffone"], "cecAccountCode": ["Anna"]}
    put(fixture, "anna", held)
    put(fixture, "bert", {"objectClass": CLASSES})
    reader = fixture.open(View(("uid", "SIPIdentityPassword"), frozenset({"SIPIdentityPassword"})))
    refs = {str(user.values["uid"][0]): user.ref for user in reader.scan()}
    questions = [
        Question(refs["anna"], "SIPIdentityPassword", Secret(b"\xffone")),
        Question(refs["anna"], "SIPIdentityPassword", Secret(b"\xfftwo")),
        Question(refs["bert"], "SIPIdentityPassword", Secret(b"\xffone")),
        Question(refs["anna"], "cecAccountCode", "ANNA"),
        Question(
            UserRef("00000000-0000-4000-8000-000000000000", f"{fixture.naming}=nobody,{fixture.base}"), "uid", "nobody"
        ),
    ]
    hidden_or_absent = Holds.UNKNOWN if isinstance(fixture, DomainFixture) else Holds.ABSENT
    expected = [Holds.SAME, Holds.OTHER, hidden_or_absent, Holds.SAME, Holds.UNKNOWN]
    assert list(reader.holds(questions)) == expected
    assert list(reader.holds([])) == []


def test_reading_changes_nothing(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"mail": ["anna@example.org"]})
    before = fixture.stored(name)
    reader = fixture.open(VIEW)
    assert list(reader.scan()) == list(reader.scan())
    assert fixture.stored(name) == before
    reader.close()
    reader.close()

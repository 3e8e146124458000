"""The contract of a directory that is written (`directories/port.py`): compare, and only then set."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.apply.verification import find_changed_names
from connector.directories.port import Directory
from connector.model import AttributeChange, Change, Outcome, Result, Secret, User, UserRef, View
from tests.support.directory_fixtures import PERSON, DirectoryFixture, Values, parts

CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]
VIEW = View(
    ("uid", "employeeNumber", "carLicense", "cecAccountCode", "cecWorkNo", "SIPIdentityUserName",
     "SIPIdentityPassword", "SIPIdentitySIPURI"),
    frozenset({"SIPIdentityPassword"}),
    ("cecAgent", "SIPIdentity"),
)  # fmt: skip


def put(fixture: DirectoryFixture, uid: str, values: Values | None = None) -> str:
    name = f"{fixture.naming}={uid},{fixture.base}"
    fixture.put(name, {**PERSON, "objectClass": CLASSES, "uid": [uid], **(values or {})})
    return name


def user(directory: Directory, uid: str) -> User:
    (found,) = directory.find([("uid", uid)])
    return found


def change(of: User | UserRef, *attributes: AttributeChange) -> Change:
    return Change(of.ref if isinstance(of, User) else of, None, 1, attributes)


def write(directory: Directory, *changes: Change) -> list[Result]:
    """The results in the order of the changes, of which there is one a user here."""
    outcomes = list(directory.write(iter(changes)))
    assert all(outcome.why or outcome.result is Result.WRITTEN for outcome in outcomes)
    by_user = {outcome.user.id: outcome.result for outcome in outcomes}
    assert len(outcomes) == len(changes)
    return [by_user[each.user.id] for each in changes]


Stored = dict[str, tuple[bytes, ...]]


def but(stored: Stored, **changed: Sequence[str | bytes] | None) -> Stored:
    """What is stored, sorted, with other values of some attributes; None: without it."""
    values: dict[str, Sequence[str | bytes] | None] = {**stored, **changed}
    return {
        name: tuple(sorted(one if isinstance(one, bytes) else one.encode() for one in some))
        for name, some in values.items()
        if some
    }


def test_a_value_is_set_where_there_was_none_and_nothing_else_changes(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"mail": ["anna@example.org"], "carLicense": ["b", "a"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    anna = user(directory, "anna")
    assert write(directory, change(anna, AttributeChange("employeeNumber", (), ("1001",)))) == [Result.WRITTEN]
    assert user(directory, "anna").values["employeeNumber"] == ("1001",)
    assert but(fixture.stored(name)) == but(before, employeenumber=["1001"])


def test_a_value_is_replaced(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"], "cecWorkNo": ["7"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    changes = AttributeChange("employeeNumber", ("1",), ("2",)), AttributeChange("cecWorkNo", ("7",), ("8",))
    assert write(directory, change(user(directory, "anna"), *changes)) == [Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before, employeenumber=["2"], cecworkno=["8"])


def test_a_value_is_cleared(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"], "carLicense": ["one", "two"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    changes = (
        AttributeChange("employeeNumber", ("1",), ()),
        AttributeChange("carLicense", ("two", "one"), (), pattern="*"),
    )
    assert write(directory, change(user(directory, "anna"), *changes)) == [Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before, employeenumber=None, carlicense=None)


def test_only_values_that_are_ours_are_taken_out_or_added(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"carLicense": ["theirs", "cec:old", "cec:kept", "Theirs too"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    ours = AttributeChange("carLicense", ("cec:kept", "cec:old"), ("cec:kept", "cec:new"), pattern="cec:*")
    assert write(directory, change(user(directory, "anna"), ours)) == [Result.WRITTEN]
    expected = ["theirs", "Theirs too", "cec:kept", "cec:new"]
    assert but(fixture.stored(name)) == but(before, carlicense=expected)
    gone = AttributeChange("carLicense", ("cec:kept", "cec:new"), (), pattern="cec:*")
    assert write(directory, change(user(directory, "anna"), gone)) == [Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before, carlicense=["theirs", "Theirs too"])


def test_an_object_class_comes_with_the_attribute_that_needs_it(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"objectClass": ["inetOrgPerson"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    changes = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecAccountCode", (), ("anna",))
    assert {*write(directory, *parts(directory, change(user(directory, "anna"), *changes)))} == {Result.WRITTEN}
    assert but(fixture.stored(name)) == but(
        before, objectclass=[*before["objectclass"], "cecAgent"], cecaccountcode=["anna"]
    )
    back = AttributeChange("cecAccountCode", ("anna",), ()), AttributeChange("objectClass", ("cecAgent",), ())
    assert write(directory, change(user(directory, "anna"), *back)) == [Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before)


@pytest.mark.parametrize("value", [b"plain", b"\xff\xfe\x00 end ", b"a\nb", "gr\u00fcn ".encode(), b" :<"])
def test_octets_arrive_as_they_are_and_no_outcome_shows_a_secret(fixture: DirectoryFixture, value: bytes) -> None:
    name = put(fixture, "anna", {"SIPIdentityPassword": [b"canary-old"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    old = user(directory, "anna").values["SIPIdentityPassword"]
    secret = AttributeChange("SIPIdentityPassword", old, (Secret(value),), secret=True, pattern="*")
    outcomes = list(directory.write([change(user(directory, "anna"), secret)]))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before, sipidentitypassword=[value])
    again = list(directory.write([change(user(directory, "anna"), secret)]))
    assert [outcome.result for outcome in again] == [Result.CONFLICT]
    assert "canary" not in repr(outcomes + again)
    assert repr(value) not in repr(outcomes + again)


def test_a_secret_whose_old_value_could_not_be_seen_is_set(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"SIPIdentityPassword": [b"one", b"two"]})
    put(fixture, "bert")
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    unseen = AttributeChange("SIPIdentityPassword", (), (Secret(b"new"),), secret=True, seen=False, pattern="*")
    changes = [change(user(directory, uid), unseen) for uid in ("anna", "bert")]
    assert write(directory, *changes) == [Result.WRITTEN, Result.WRITTEN]
    assert but(fixture.stored(name)) == but(before, sipidentitypassword=["new"])
    assert fixture.stored(f"{fixture.naming}=bert,{fixture.base}")["sipidentitypassword"] == (b"new",)


HOSTILE = [
    "*",
    ")(uid=*)",
    "back\\slash",
    'quo"te',
    ": colon",
    "< less",
    "a\nb",
    "#",
    "x" * 500,
    "\u017d\u00e4 \U0001f600",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_written_as_it_is_compared_and_found_again(fixture: DirectoryFixture, value: str) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"]})
    directory = fixture.open(VIEW)
    assert write(directory, change(user(directory, "anna"), AttributeChange("employeeNumber", ("1",), (value,)))) == [
        Result.WRITTEN
    ]
    assert fixture.stored(name)["employeenumber"] == (value.encode(),)
    (found,) = directory.find([("employeeNumber", value)])
    assert found.values["employeeNumber"] == (value,)
    assert write(directory, change(found, AttributeChange("employeeNumber", (value,), ("2",)))) == [Result.WRITTEN]
    assert fixture.stored(name)["employeenumber"] == (b"2",)


CONFLICTS = [
    ({"objectClass": ["inetOrgPerson", "SIPIdentity"]}, AttributeChange("objectClass", ("cecAgent",), ())),
    ({"employeeNumber": ["3"]}, AttributeChange("employeeNumber", ("1",), ("2",))),
    ({}, AttributeChange("employeeNumber", ("1",), ("2",))),
    ({}, AttributeChange("employeeNumber", ("1",), ())),
    ({"employeeNumber": ["3"]}, AttributeChange("employeeNumber", (), ("2",))),
    ({"employeeNumber": ["2"]}, AttributeChange("employeeNumber", (), ("2",))),
    ({"cecWorkNo": ["3"]}, AttributeChange("cecWorkNo", (), ("2",))),
    ({"SIPIdentitySIPURI": ["sip:A@x"]}, AttributeChange("SIPIdentitySIPURI", ("sip:a@x",), (), pattern="*")),
    ({"carLicense": ["cec:a"]}, AttributeChange("carLicense", ("cec:a", "cec:b"), ("cec:c",), pattern="cec:*")),
    ({"carLicense": ["cec:a"]}, AttributeChange("carLicense", (), ("cec:c",), pattern="cec:*")),
    ({"SIPIdentityPassword": [b"x"]}, AttributeChange("SIPIdentityPassword", (Secret(b"y"),), (), True, pattern="*")),
]  # fmt: skip


@pytest.mark.parametrize(("now", "planned"), CONFLICTS)
def test_a_user_that_is_not_as_planned_is_a_conflict_and_stays_as_it_is(
    fixture: DirectoryFixture, now: Values, planned: AttributeChange
) -> None:
    name = put(fixture, "anna", now)
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    fine = AttributeChange("SIPIdentityUserName", (), ("anna",), pattern="*")
    for attributes in ((planned,), (fine, planned), (planned, fine)):
        assert write(directory, change(user(directory, "anna"), *attributes)) == [Result.CONFLICT]
        assert fixture.stored(name) == before


@pytest.mark.parametrize(("now", "planned"), CONFLICTS)
def test_of_a_conflict_it_is_told_which_attribute_differs(
    fixture: DirectoryFixture, now: Values, planned: AttributeChange
) -> None:
    put(fixture, "anna", now)
    directory = fixture.open(VIEW)
    fine = AttributeChange("SIPIdentityUserName", (), ("anna",), pattern="*")
    conflict = change(user(directory, "anna"), fine, planned)
    found = find_changed_names([conflict], directory, directory.describe())
    assert found == {conflict.user.id: (planned.name,)}


@pytest.mark.parametrize("pattern", ["cec:*", "*"])
def test_a_value_that_came_to_ours_is_a_conflict_or_stays_beside_what_was_planned(
    fixture: DirectoryFixture, pattern: str
) -> None:
    """LDAP has no assertion that there is no other value; value by value, nothing is lost that nobody reviewed."""
    name = put(fixture, "anna", {"carLicense": ["cec:a", "cec:b"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    planned = AttributeChange("carLicense", ("cec:a",), ("cec:c",), pattern=pattern)
    (result,) = write(directory, change(user(directory, "anna"), planned))
    expected = {Result.CONFLICT: ["cec:a", "cec:b"], Result.WRITTEN: ["cec:b", "cec:c"]}
    assert but(fixture.stored(name)) == but(before, carlicense=expected[result])


def test_one_users_conflict_is_nobody_elses(fixture: DirectoryFixture) -> None:
    names = [put(fixture, f"u{number}", {"employeeNumber": [str(number)]}) for number in range(20)]
    directory = fixture.open(VIEW)
    users = [user(directory, f"u{number}") for number in range(20)]
    fixture.replace(names[7], "employeeNumber", ["changed"])
    changes = [
        change(each, AttributeChange("employeeNumber", each.values["employeeNumber"], ("new",))) for each in users
    ]
    results = write(directory, *changes)
    assert results == [Result.CONFLICT if number == 7 else Result.WRITTEN for number in range(20)]
    assert [fixture.stored(name)["employeenumber"] for name in names] == [
        (b"changed",) if number == 7 else (b"new",) for number in range(20)
    ]


def test_what_others_change_elsewhere_in_the_entry_is_no_conflict(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"], "carLicense": ["theirs", "cec:a"]})
    directory = fixture.open(VIEW)
    planned = change(
        user(directory, "anna"),
        AttributeChange("employeeNumber", ("1",), ("2",)),
        AttributeChange("carLicense", ("cec:a",), ("cec:b",), pattern="cec:*"),
    )
    fixture.replace(name, "carLicense", ["cec:a", "theirs", "another of theirs"])
    fixture.replace(name, "mail", ["anna@example.org"])
    before = fixture.stored(name)
    assert write(directory, planned) == [Result.WRITTEN]
    expected = but(before, employeenumber=["2"], carlicense=["cec:b", "theirs", "another of theirs"])
    assert but(fixture.stored(name)) == expected


def test_old_values_are_compared_by_the_attributes_rule(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["Anna  Sample"], "cecWorkNo": ["7"]})
    directory = fixture.open(VIEW)
    attributes = AttributeChange("employeeNumber", ("anna sample",), ("2",)), AttributeChange("cecWorkNo", ("7",), ())
    assert write(directory, change(user(directory, "anna"), *attributes)) == [Result.WRITTEN]
    assert fixture.stored(name)["employeenumber"] == (b"2",)


def test_a_user_that_is_gone_or_another_by_now_is_a_conflict(fixture: DirectoryFixture) -> None:
    gone, replaced = put(fixture, "gone"), put(fixture, "replaced")
    directory = fixture.open(VIEW)
    changes = [
        change(user(directory, uid), AttributeChange("employeeNumber", (), ("1",))) for uid in ("gone", "replaced")
    ]
    fixture.delete(gone)
    fixture.delete(replaced)
    put(fixture, "replaced")
    before = fixture.stored(replaced)
    assert write(directory, *changes) == [Result.CONFLICT, Result.CONFLICT]
    assert fixture.stored(replaced) == before


def test_a_user_that_left_the_filter_is_a_conflict(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna")
    directory = fixture.open(VIEW, where="(&(objectClass=inetOrgPerson)(!(carlicense=leaver)))")
    planned = change(user(directory, "anna"), AttributeChange("employeeNumber", (), ("1",)))
    fixture.replace(name, "carLicense", ["leaver"])
    before = fixture.stored(name)
    assert write(directory, planned) == [Result.CONFLICT]
    assert fixture.stored(name) == before


def test_what_the_schema_forbids_fails_whole_and_hinders_no_other(fixture: DirectoryFixture) -> None:
    anna, bert = put(fixture, "anna", {"employeeNumber": ["1"]}), put(fixture, "bert")
    before = fixture.stored(anna)
    directory = fixture.open(VIEW)
    two = change(
        user(directory, "anna"),
        AttributeChange("carLicense", (), ("new",), pattern="*"),
        AttributeChange("employeeNumber", ("1",), ("2", "3")),
    )
    one = change(user(directory, "bert"), AttributeChange("employeeNumber", (), ("4",)))
    assert write(directory, two, one) == [Result.FAILED, Result.WRITTEN]
    assert fixture.stored(anna) == before
    assert fixture.stored(bert)["employeenumber"] == (b"4",)


def test_two_changes_of_one_user_are_written_one_after_the_other(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna")
    directory = fixture.open(VIEW)
    anna = user(directory, "anna")
    first = change(anna, AttributeChange("employeeNumber", (), ("1",)))
    second = change(anna, AttributeChange("employeeNumber", ("1",), ("2",)))
    outcomes: list[Outcome] = list(directory.write([first, second]))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN, Result.WRITTEN]
    assert fixture.stored(name)["employeenumber"] == (b"2",)


def test_what_an_outcome_shows_is_what_reading_shows(fixture: DirectoryFixture) -> None:
    """A directory need not show anything; an LDAP server that has the post-read control does."""
    put(fixture, "anna", {"objectClass": ["inetOrgPerson"], "carLicense": ["theirs", "cec:a"]})
    directory = fixture.open(VIEW, where="(&(objectClass=inetOrgPerson)(!(cecWorkNo=9)))")
    password = AttributeChange("SIPIdentityPassword", (), (Secret(b"x\xff"),), secret=True, pattern="*")
    attributes = (
        AttributeChange("objectClass", (), ("cecAgent", "SIPIdentity")),
        AttributeChange("employeeNumber", (), ("gr\u00fcn",)),
        AttributeChange("carLicense", ("cec:a",), ("cec:b",), pattern="cec:*"),
        password,
    )
    before = user(directory, "anna")
    *_, outcome = directory.write(parts(directory, change(before, *attributes)))
    after = user(directory, "anna")
    assert outcome.result is Result.WRITTEN
    if outcome.shown is not None:
        assert outcome.shown.ref == after.ref
        for name in (each.name for each in attributes):
            assert sorted(map(repr, outcome.shown.values[name])) == sorted(map(repr, after.values[name]))
        assert outcome.shown.values["SIPIdentityPassword"] == (Secret(b"x\xff"),)
    assert (outcome.shown is not None) is fixture.shows_writes
    assert "xff" not in repr(outcome)
    (outcome,) = directory.write([change(before, AttributeChange("cecWorkNo", (), ("9",)))])
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, None), "it has left the filter"


def test_writing_nothing_changes_nothing(fixture: DirectoryFixture) -> None:
    name = put(fixture, "anna", {"employeeNumber": ["1"]})
    before = fixture.stored(name)
    directory = fixture.open(VIEW)
    users = list(directory.scan())
    assert list(directory.write([])) == []
    assert list(directory.scan()) == users
    assert fixture.stored(name) == before
    directory.close()

"""The contract of a directory (`directories/port.py`) in SCIM's words, on two servers that agree about little.

scim2-server has ETags, cursors and whatever the RFC has; django-scim2 knows `replace` alone, and filters that are
refused, or that find nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from connector.apply.verification import find_changed_names
from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.errors import FileError, IncompleteRead
from connector.model import (
    ID,
    NAME,
    AttributeChange,
    Change,
    Equality,
    Holds,
    Outcome,
    Question,
    Result,
    Secret,
    Syntax,
    User,
    UserRef,
    View,
)
from connector.settings.scim import ScimDirectory as Settings
from tests.support.scim_servers import CEC, CORE, EACH_KIND, ENTERPRISE, TOKEN, ScimServer, people, user as person

ACCOUNT, SEAT, LINE, PASSWORD, PORT = (
    f"{CEC}:{name}" for name in ("accountCode", "workNo", "sipAccount", "sipPassword", "sipServicePort")
)
EMPLOYEE = f"{ENTERPRISE}:employeeNumber"
VIEW = View(("userName", "emails.value", EMPLOYEE, ACCOUNT, SEAT, LINE, PASSWORD, PORT), frozenset({PASSWORD}))


class ScimFixture:
    """A server, and directories opened on it."""

    def __init__(self, server: ScimServer) -> None:
        self.server = server
        self._opened: list[ScimDirectory] = []

    def open(self, view: View = VIEW, **settings: Any) -> ScimDirectory:
        job = {"type": "scim", "allow_plaintext": True, "url": self.server.url, "token": {"env": "UNUSED"}} | settings
        validated = Settings.model_validate(job)
        directory = ScimDirectory(validated, HttpTransport(validated, Secret(TOKEN)), view)
        self._opened.append(directory)
        return directory

    def close(self) -> None:
        for directory in self._opened:
            directory.close()


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=request.param) as started:
        yield started


@pytest.fixture
def fixture(server: ScimServer) -> Iterator[ScimFixture]:
    server.restore([])
    opened = ScimFixture(server)
    yield opened
    opened.close()


def reference(fixture: ScimFixture) -> bool:
    return fixture.server.kind == "scim2-server"


def only(users: Iterable[User]) -> User:
    (user,) = users
    return user


def named(directory: ScimDirectory, name: str) -> User:
    return only(user for user in directory.find([(NAME, name)]) if user.name == name)


def change(of: User | UserRef, *attributes: AttributeChange) -> Change:
    return Change(of.ref if isinstance(of, User) else of, None, 1, attributes)


def write(directory: ScimDirectory, *changes: Change) -> list[Outcome]:
    """The outcomes in the order of the changes, of which there is one a user here."""
    outcomes = list(directory.write(iter(changes)))
    assert all(outcome.why or outcome.result is Result.WRITTEN for outcome in outcomes)
    by_user = {outcome.user.id: outcome for outcome in outcomes}
    assert len(outcomes) == len(changes)
    return [by_user[each.user.id] for each in changes]


def results(directory: ScimDirectory, *changes: Change) -> list[Result]:
    return [outcome.result for outcome in write(directory, *changes)]


# ---------------------------------------------------------------- reading


def test_it_says_of_every_attribute_of_the_view_what_it_may_hold(fixture: ScimFixture) -> None:
    names = ("userName", "emails.value", SEAT, LINE, PASSWORD, ACCOUNT, "active", "groups", 'ims[type eq "sip"].value')
    attributes = fixture.open(View(names)).describe().attributes
    assert attributes["userName"].equality is Equality.CASE_ALONE
    assert attributes[LINE].equality is Equality.OCTETS
    assert attributes[SEAT].syntax is Syntax.INTEGER
    assert attributes["active"].equality is Equality.BOOLEAN
    assert attributes[SEAT].single
    assert not attributes["emails.value"].single
    assert not attributes['ims[type eq "sip"].value'].single
    assert not attributes["groups"].writable
    assert attributes[ACCOUNT].writable
    assert attributes[ACCOUNT].readable
    assert attributes[PASSWORD].readable is None
    assert all(attributes[name].definition.known for name in names)


def test_an_attribute_that_nobody_knows_is_said_to_be_unknown(fixture: ScimFixture) -> None:
    attributes = fixture.open(View(("noSuchThing", f"{CEC}:noSuchThing", "name.nothing"))).describe().attributes
    assert not any(info.definition.known for info in attributes.values())


def test_a_name_and_the_same_with_the_schema_in_front_are_one(fixture: ScimFixture) -> None:
    attributes = fixture.open(View(("userName", f"{CORE}:USERNAME", "active"))).describe().attributes
    assert attributes["userName"].is_(attributes[f"{CORE}:USERNAME"])
    assert not attributes["userName"].is_(attributes["active"])


def test_its_identity_does_not_depend_on_who_opens_it(fixture: ScimFixture) -> None:
    first, second = fixture.open().describe(), fixture.open(View(("active",)), url=fixture.server.url + "/").describe()
    assert first.identity == second.identity
    assert first.kind
    assert first.schema.closed
    assert len(first.cautions) == (0 if reference(fixture) else 1)


@pytest.mark.parametrize("size", [7, 50, 150, 1000])
def test_a_scan_is_complete_and_names_every_user_once(fixture: ScimFixture, size: int) -> None:
    fixture.server.put(people(150))
    directory = fixture.open(page_size=size)
    users = list(directory.scan())
    assert sorted(user.name for user in users) == [f"agent{number:03}" for number in range(1, 151)]
    assert len({user.id for user in users}) == 150
    assert directory.size() == 150


def test_a_directory_without_users_has_none(fixture: ScimFixture) -> None:
    directory = fixture.open()
    assert list(directory.scan()) == []
    assert list(directory.find([("userName", "nobody"), (ID, "nobody"), (NAME, "nobody"), (SEAT, "1")])) == []
    assert directory.size() == 0


def test_attributes_come_under_the_names_they_were_asked_by_and_absent_ones_not_at_all(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 1001}})])
    seat = SEAT.upper().replace("WORKNO", "WORKno")
    user = only(fixture.open(View(("USERNAME", "emails", seat, ACCOUNT, "active"))).scan())
    assert user.name == "agent001"
    assert dict(user.values) == {
        "USERNAME": ("agent001",), "emails": ("agent001@example.org",), seat: ("1001",), "active": ("TRUE",),
    }  # fmt: skip


def test_secrets_that_are_never_shown_are_no_values(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"sipPassword": "canary", "workNo": 1}})])
    directory = fixture.open()
    user = only(directory.scan())
    assert PASSWORD not in user.values
    assert only(directory.read([user.ref])) == user
    assert list(directory.holds([Question(user.ref, PASSWORD, Secret("canary"))])) == [Holds.UNKNOWN]


def test_secrets_that_are_shown_arrive_wrapped(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"sipAccount": "canary"}})])
    user = only(fixture.open(View((LINE,), frozenset({LINE}))).scan())
    assert user.values[LINE] == (Secret("canary"),)
    assert "canary" not in repr(user)


def test_nobody_outside_of_the_filter_exists_whichever_way_he_is_asked_for(fixture: ScimFixture) -> None:
    fixture.server.put([person(1), person(2, active=False), person(3)])
    refs = {user.name: user.ref for user in fixture.open().scan()}
    narrow = fixture.open(filter='active eq true and not (userName eq "AGENT003")')
    assert [user.name for user in narrow.scan()] == ["agent001"]
    for key in ((NAME, "agent002"), (ID, refs["agent002"].id), ("emails.value", "agent002@example.org")):
        assert [user for user in narrow.find([key]) if user.name != "agent001"] == []
    assert [user.name for user in narrow.read(refs.values())] == ["agent001"]


@pytest.mark.parametrize("filter_", ['noSuchThing eq "x"', f'{CEC}:sipPassword eq "x"', f"{CEC}:nothing pr"])
def test_a_filter_that_can_be_true_of_nobody_is_a_mistake(fixture: ScimFixture, filter_: str) -> None:
    with pytest.raises(FileError, match="server"):
        fixture.open(filter=filter_).describe()


FINDS = [
    ("userName", "agent001", "agent001"),
    ("userName", "agent001", "AGENT001"),
    ("emails.value", "agent001@example.org", "Agent001@Example.ORG"),
    ("emails", "agent001@example.org", "agent001@example.org"),
    (ACCOUNT, "ann", "ANN"),
    (SEAT, "1001", "1001"),
    (LINE, "Ann", "Ann"),
    (EMPLOYEE, "x1", "X1"),
    (NAME, "agent001", "AGENT001"),
]


@pytest.mark.parametrize(("attribute", "stored", "asked"), FINDS)
def test_whoever_holds_a_value_is_found_whatever_the_server_makes_of_its_filters(
    fixture: ScimFixture, attribute: str, stored: str, asked: str
) -> None:
    fixture.server.put(
        [
            person(2),
            person(
                1,
                **{
                    CEC: {"accountCode": "ann", "workNo": 1001, "sipAccount": "Ann"},
                    ENTERPRISE: {"employeeNumber": "x1"},
                },
            ),
            person(3),
        ]
    )
    names = [attribute] if attribute != NAME else []
    users = list(fixture.open(View((*names, "active"))).find([(attribute, "0"), (attribute, asked)]))
    found = only(user for user in users if user.name == "agent001")
    assert attribute == NAME or found.values[attribute] == (stored,)


@pytest.mark.parametrize(
    "value",
    ["*", 'quo"te', "back\\slash", "paren)(", "a or userName pr", "tab\tulator", "new\nline", "äöü ß",
     "日本語 \U0001f600", "percent%20&amp=#", "'", " x ", "x" * 200],
)  # fmt: skip
def test_a_hostile_value_finds_its_holder_by_value_by_name_and_by_id(fixture: ScimFixture, value: str) -> None:
    fixture.server.put(
        [person(2, **{CEC: {"accountCode": "x"}}), person(1, userName=value, **{CEC: {"accountCode": value}})]
    )
    directory = fixture.open()
    for key in ((ACCOUNT, value), ("userName", value), (NAME, value)):
        (user,) = [user for user in directory.find([key]) if user.name == value]
        assert user.values[ACCOUNT] == (value,)
        assert only(directory.find([(ID, user.id)])) == user
        assert only(directory.read([user.ref])) == user


def test_many_keys_of_several_attributes_are_one_question(fixture: ScimFixture) -> None:
    fixture.server.put(people(120))
    keys = [("userName", f"agent{number:03}") for number in range(1, 240, 2)]
    keys += [("emails.value", f"agent{number:03}@example.org") for number in range(4, 121, 4)]
    fixture.server.forget()
    found = {user.name for user in fixture.open().find(iter(keys))}
    assert found >= {
        name for name, number in ((f"agent{n:03}", n) for n in range(1, 121)) if number % 2 or not number % 4
    }
    assert len(fixture.server.log()) < 40


def test_keys_of_a_later_kind_are_drawn_when_the_earlier_ones_are_answered(fixture: ScimFixture) -> None:
    fixture.server.put(people(10))
    seen: set[str] = set()

    def keys() -> Iterator[tuple[str, str]]:
        yield "userName", "agent001"
        yield "userName", "agent002"
        yield "emails.value", "agent003@example.org"
        assert seen >= {"agent001", "agent002"}
        yield "emails.value", "agent004@example.org"

    for user in fixture.open().find(keys()):
        seen.add(user.name)
    assert seen >= {f"agent{number:03}" for number in range(1, 5)}


def test_keys_that_nobody_can_hold_hide_nobody(fixture: ScimFixture) -> None:
    fixture.server.put(people(3))
    keys = [(SEAT, "no number"), (ID, "no/such id"), (ID, ""), (NAME, ""), ("userName", "agent002")]
    assert "agent002" in {user.name for user in fixture.open().find(keys)}


def test_read_brings_users_as_they_are_now_and_leaves_out_who_is_gone(fixture: ScimFixture) -> None:
    fixture.server.put(people(3))
    directory = fixture.open()
    refs = {user.name: user.ref for user in directory.scan()}
    fixture.server.delete(refs["agent001"].id)
    fixture.server.patch(refs["agent002"].id, {"op": "replace", "path": SEAT, "value": 7})
    found = {user.name: user for user in directory.read([*refs.values(), UserRef("no/such?id", "nobody")])}
    assert found.keys() == {"agent002", "agent003"}
    assert found["agent002"].values[SEAT] == ("7",)
    assert list(directory.read([])) == []


def test_holds_answers_every_question_in_its_order(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"accountCode": "Ann", "sipAccount": "Ann"}}), person(2)])
    directory = fixture.open(View(("userName",)))
    refs = {user.name: user.ref for user in directory.scan()}
    questions = [
        Question(refs["agent001"], ACCOUNT, "ANN"),
        Question(refs["agent001"], LINE, "ANN"),
        Question(refs["agent002"], ACCOUNT, "ann"),
        Question(refs["agent001"], PASSWORD, Secret("x")),
        Question(UserRef("999", "nobody"), "userName", "nobody"),
        Question(refs["agent001"], LINE, "Ann"),
    ]
    expected = [Holds.SAME, Holds.OTHER, Holds.ABSENT, Holds.UNKNOWN, Holds.UNKNOWN, Holds.SAME]
    assert list(directory.holds(questions)) == expected
    assert list(directory.holds([])) == []


def test_reading_changes_nothing(fixture: ScimFixture) -> None:
    fixture.server.put(people(5))
    before = fixture.server.all()
    directory = fixture.open()
    assert list(directory.scan()) == list(directory.scan())
    list(directory.find([("userName", "agent001"), (SEAT, "1")]))
    assert fixture.server.all() == before
    assert {each.method for each in fixture.server.log()[-10:]} <= {"GET", "POST"}
    directory.close()
    directory.close()


def test_a_token_that_is_not_taken_is_told(fixture: ScimFixture) -> None:
    settings = Settings.model_validate(
        {"type": "scim", "allow_plaintext": True, "url": fixture.server.url, "token": {"env": "UNUSED"}}
    )
    directory = ScimDirectory(settings, HttpTransport(settings, Secret("canary")), VIEW)
    with pytest.raises(IncompleteRead) as fault:
        directory.describe()
    directory.close()
    assert "401" in str(fault.value)
    assert "canary" not in str(fault.value)


# ---------------------------------------------------------------- writing


def extensions(user: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = user.get(CEC, {})
    return held


def rest(user: dict[str, Any]) -> dict[str, Any]:
    """All of a user that is not the extension's, in no particular order."""
    return {name: value for name, value in user.items() if name not in {CEC, "schemas"}}


def test_values_are_set_where_there_were_none_and_nothing_else_changes(fixture: ScimFixture) -> None:
    fixture.server.put(people(2))
    before = fixture.server.stored("agent001")
    directory = fixture.open()
    anna = named(directory, "agent001")
    fixture.server.forget()
    attributes = [
        AttributeChange(ACCOUNT, (), ("anna",)),
        AttributeChange(SEAT, (), ("1001",)),
        AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True, seen=False),
    ]
    (outcome,) = write(directory, change(anna, *attributes))
    assert outcome.result is Result.WRITTEN
    assert outcome.shown is not None
    assert outcome.shown.values[SEAT] == ("1001",)
    assert "canary" not in repr(outcome)
    after = fixture.server.stored("agent001")
    assert extensions(after) == {"accountCode": "anna", "workNo": 1001, "sipPassword": "canary"}
    assert rest(after) == rest(before)
    (request,) = fixture.server.writes()
    assert (request.method, {each["op"] for each in request.edits}) == ("PATCH", {"replace"})


def test_a_value_is_replaced_and_another_is_cleared(fixture: ScimFixture) -> None:
    fixture.server.put(
        [person(1, **{CEC: {"accountCode": "old", "workNo": 7, "sipAccount": "stays", "sipPassword": "p"}})]
    )
    before = fixture.server.stored("agent001")
    directory = fixture.open()
    attributes = AttributeChange(SEAT, ("7",), ("8",)), AttributeChange(ACCOUNT, ("OLD",), ())
    assert results(directory, change(named(directory, "agent001"), *attributes)) == [Result.WRITTEN]
    after = fixture.server.stored("agent001")
    assert extensions(after) == {"workNo": 8, "sipAccount": "stays", "sipPassword": "p"}
    assert rest(after) == rest(before)


def test_a_secret_is_cleared(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 7, "sipPassword": "canary"}})])
    directory = fixture.open()
    gone = AttributeChange(PASSWORD, (), (), secret=True, seen=False)
    assert results(directory, change(named(directory, "agent001"), gone)) == [Result.WRITTEN]
    assert extensions(fixture.server.stored("agent001")) == {"workNo": 7}


def test_all_that_was_set_can_be_cleared_again(fixture: ScimFixture) -> None:
    fixture.server.put([person(1)])
    before = fixture.server.stored("agent001")
    directory = fixture.open()
    anna = named(directory, "agent001")
    there = [AttributeChange(ACCOUNT, (), ("anna",)), AttributeChange(SEAT, (), ("1001",))]
    back = [AttributeChange(ACCOUNT, ("anna",), ()), AttributeChange(SEAT, ("1001",), ())]
    assert results(directory, change(anna, *there)) == [Result.WRITTEN]
    assert results(directory, change(anna, *back)) == [Result.WRITTEN]
    assert rest(fixture.server.stored("agent001")) == rest(before)
    assert extensions(fixture.server.stored("agent001")) == {}


@pytest.mark.parametrize(
    "value", ["*", 'quo"te', "back\\slash", "a\nb", "x" * 90, "Žä \U0001f600", "null", "true", " x "]
)
def test_a_hostile_value_is_written_as_it_is_compared_and_found_again(fixture: ScimFixture, value: str) -> None:
    fixture.server.put([person(1, **{CEC: {"accountCode": "1"}}), person(2)])
    directory = fixture.open()
    anna = named(directory, "agent001")
    assert results(directory, change(anna, AttributeChange(ACCOUNT, ("1",), (value,)))) == [Result.WRITTEN]
    assert extensions(fixture.server.stored("agent001"))["accountCode"] == value
    (found,) = [user for user in fixture.open().find([(ACCOUNT, value)]) if user.name == "agent001"]
    assert found.values[ACCOUNT] == (value,)
    assert results(directory, change(found, AttributeChange(ACCOUNT, (value,), ("2",)))) == [Result.WRITTEN]


CONFLICTS: list[tuple[dict[str, Any], AttributeChange]] = [
    ({"workNo": 3}, AttributeChange(SEAT, ("1",), ("2",))),
    ({}, AttributeChange(SEAT, ("1",), ("2",))),
    ({}, AttributeChange(SEAT, ("1",), ())),
    ({"workNo": 3}, AttributeChange(SEAT, (), ("2",))),
    ({"workNo": 2}, AttributeChange(SEAT, (), ("2",))),
    ({"sipAccount": "A"}, AttributeChange(LINE, ("a",), ("b",))),
    ({"sipAccount": "x"}, AttributeChange(LINE, (Secret("y"),), (), True)),
]  # fmt: skip


@pytest.mark.parametrize(("now", "planned"), CONFLICTS)
def test_a_user_that_is_not_as_planned_is_a_conflict_and_stays_as_it_is(
    fixture: ScimFixture, now: dict[str, Any], planned: AttributeChange
) -> None:
    fixture.server.put([person(1, **({CEC: now} if now else {}))])
    before = fixture.server.all()
    directory = fixture.open()
    fine = AttributeChange(ACCOUNT, (), ("anna",))
    for attributes in ((planned,), (fine, planned), (planned, fine)):
        assert results(directory, change(named(directory, "agent001"), *attributes)) == [Result.CONFLICT]
        assert fixture.server.all() == before


def test_one_users_conflict_is_nobody_elses(fixture: ScimFixture) -> None:
    fixture.server.put(person(number, **{CEC: {"workNo": number}}) for number in range(1, 21))
    directory = fixture.open()
    users = sorted(directory.scan(), key=lambda user: user.name)
    fixture.server.patch(users[7].id, {"op": "replace", "path": SEAT, "value": 99})
    changes = [change(each, AttributeChange(SEAT, each.values[SEAT], ("500",))) for each in users]
    assert results(directory, *changes) == [Result.CONFLICT if n == 7 else Result.WRITTEN for n in range(20)]
    seats = [extensions(each)["workNo"] for each in fixture.server.all()]
    assert seats == [99 if number == 7 else 500 for number in range(20)]


def test_what_others_change_elsewhere_in_the_user_is_no_conflict(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 1}})])
    directory = fixture.open()
    planned = change(named(directory, "agent001"), AttributeChange(SEAT, ("1",), ("2",)))
    fixture.server.patch(planned.user.id, {"op": "replace", "path": ACCOUNT, "value": "theirs"})
    assert results(directory, planned) == [Result.WRITTEN]
    assert extensions(fixture.server.stored("agent001")) == {"workNo": 2, "accountCode": "theirs"}


def test_of_a_conflict_it_is_told_which_attribute_differs(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 9, "accountCode": "ours"}})])
    directory = fixture.open()
    seat, account = AttributeChange(SEAT, ("1",), ("2",)), AttributeChange(ACCOUNT, ("ours",), ("new",))
    planned = change(named(directory, "agent001"), account, seat)
    assert results(directory, planned) == [Result.CONFLICT]
    found = find_changed_names([planned], directory, directory.describe())
    assert found == {planned.user.id: (SEAT,)}


def test_a_user_that_is_gone_or_left_the_filter_is_a_conflict(fixture: ScimFixture) -> None:
    fixture.server.put(people(2))
    directory = fixture.open(filter="active eq true")
    users = [named(directory, "agent001"), named(directory, "agent002")]
    fixture.server.delete(users[0].id)
    fixture.server.patch(users[1].id, {"op": "replace", "path": "active", "value": False})
    before = fixture.server.all()
    changes = [change(each, AttributeChange(SEAT, (), ("1",))) for each in users]
    assert results(directory, *changes) == [Result.CONFLICT, Result.CONFLICT]
    assert fixture.server.all() == before


def test_what_the_schema_forbids_fails_whole_and_hinders_no_other(fixture: ScimFixture) -> None:
    fixture.server.put(people(3))
    before = fixture.server.stored("agent001")
    directory = fixture.open()
    anna, bert, carl = (named(directory, f"agent00{number}") for number in (1, 2, 3))
    two = change(anna, AttributeChange(ACCOUNT, (), ("x",)), AttributeChange(SEAT, (), ("2", "3")))
    bad = change(bert, AttributeChange(SEAT, (), ("no number",)))
    fine = change(carl, AttributeChange(SEAT, (), ("4",)))
    assert results(directory, two, bad, fine) == [Result.FAILED, Result.FAILED, Result.WRITTEN]
    assert fixture.server.stored("agent001") == before


def test_two_changes_of_one_user_are_written_one_after_the_other(fixture: ScimFixture) -> None:
    fixture.server.put(people(12))
    directory = fixture.open()
    users = sorted(directory.scan(), key=lambda user: user.name)
    first = [change(each, AttributeChange(SEAT, (), ("1",))) for each in users]
    second = [change(each, AttributeChange(SEAT, ("1",), ("2",))) for each in users]
    outcomes = list(directory.write([*first, *second]))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN] * 24
    assert {extensions(each)["workNo"] for each in fixture.server.all()} == {2}


def test_what_says_it_already_is_not_written(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 1}})])
    directory = fixture.open()
    anna = named(directory, "agent001")
    fixture.server.forget()
    assert results(directory, change(anna, AttributeChange(SEAT, ("1",), ("1",)))) == [Result.UNCHANGED]
    assert fixture.server.writes() == []


def test_writing_nothing_changes_nothing(fixture: ScimFixture) -> None:
    fixture.server.put(people(2))
    before = fixture.server.all()
    directory = fixture.open()
    assert list(directory.write([])) == []
    assert fixture.server.all() == before


def test_what_an_outcome_shows_is_what_reading_shows(fixture: ScimFixture) -> None:
    fixture.server.put([person(1, **{CEC: {"workNo": 1, "accountCode": "old"}})])
    directory = fixture.open(filter=f"not ({SEAT} eq 9)")
    attributes = (
        AttributeChange(SEAT, ("1",), ("2",)),
        AttributeChange(ACCOUNT, ("old",), ()),
        AttributeChange(LINE, (), ("gr\u00fcn",)),
        AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True, seen=False),
    )
    before = named(directory, "agent001")
    (outcome,) = write(directory, change(before, *attributes))
    after = named(directory, "agent001")
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, after)
    assert "canary" not in repr(outcome)
    (outcome,) = write(directory, change(after, AttributeChange(SEAT, ("2",), ("9",))))
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, None), "it has left the filter"


def test_whoever_is_gone_and_came_back_as_another_is_neither_read_nor_written(fixture: ScimFixture) -> None:
    fixture.server.put(people(2))
    directory = fixture.open()
    planned = named(directory, "agent001")
    fixture.server.delete(planned.id)
    fixture.server.put([person(1, active=False)])
    before = fixture.server.all()
    assert [user.name for user in directory.read([planned.ref, named(directory, "agent002").ref])] == ["agent002"]
    assert results(directory, change(planned, AttributeChange(SEAT, (), ("1",)))) == [Result.CONFLICT]
    assert fixture.server.all() == before


# ---------------------------------------------------------------- attributes of several values

PHONE = 'phoneNumbers[type eq "work"].value'
SIP = 'ims[type eq "sip"].value'
HOME = {"type": "home", "value": "+49 1", "primary": True}


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim")) as started:
        yield started


@pytest.fixture
def full(full_server: ScimServer) -> Iterator[ScimFixture]:
    """A server that has attributes of several values, which django-scim2 has not."""
    full_server.restore([])
    opened = ScimFixture(full_server)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("before", "planned", "after"),
    [
        ([], AttributeChange(PHONE, (), ("77",), pattern="*"), [{"type": "work", "value": "77"}]),
        ([HOME], AttributeChange(PHONE, (), ("77",), pattern="*"), [HOME, {"type": "work", "value": "77"}]),
        (
            [HOME, {"type": "work", "value": "1", "display": "desk"}],
            AttributeChange(PHONE, ("1",), ("77",), pattern="*"),
            [HOME, {"type": "work", "value": "77", "display": "desk"}],
        ),
        (
            [{"type": "work", "value": "1"}, HOME, {"type": "work", "value": "2"}],
            AttributeChange(PHONE, ("1", "2"), ("2",), pattern="*"),
            [HOME, {"type": "work", "value": "2"}],
        ),
        ([{"type": "work", "value": "1"}, HOME], AttributeChange(PHONE, ("1",), (), pattern="*"), [HOME]),
        ([{"type": "work", "value": "1"}], AttributeChange(PHONE, ("1",), (), pattern="*"), None),
        (
            [{"type": "work", "value": "tel:1"}, {"type": "work", "value": "2"}],
            AttributeChange(PHONE, ("tel:1",), ("tel:9",), pattern="tel:*"),
            [{"type": "work", "value": "tel:9"}, {"type": "work", "value": "2"}],
        ),
    ],
)
def test_single_values_of_several_are_written_and_their_neighbours_stay(
    full: ScimFixture, before: list[dict[str, Any]], planned: AttributeChange, after: list[dict[str, Any]] | None
) -> None:
    full.server.put([person(1, phoneNumbers=before) if before else person(1)])
    whole = full.server.stored("agent001")
    directory = full.open(View((PHONE, "userName")))
    assert results(directory, change(named(directory, "agent001"), planned)) == [Result.WRITTEN]
    stored = full.server.stored("agent001")
    assert stored.pop("phoneNumbers", None) == after
    whole.pop("phoneNumbers", None)
    assert stored == whole


def test_values_that_came_to_ours_are_a_conflict(full: ScimFixture) -> None:
    full.server.put([person(1, ims=[{"type": "sip", "value": "sip:1"}, {"type": "sip", "value": "sip:2"}])])
    before = full.server.all()
    directory = full.open(View((SIP, "userName")))
    planned = AttributeChange(SIP, ("sip:1",), ("sip:3",), pattern="sip:*")
    assert results(directory, change(named(directory, "agent001"), planned)) == [Result.CONFLICT]
    assert full.server.all() == before


def test_a_simple_attribute_beneath_a_complex_one_is_written(full: ScimFixture) -> None:
    full.server.put([person(1)])
    directory = full.open(View(("name.middleName", "userName")))
    planned = AttributeChange("name.middleName", (), ("X",))
    assert results(directory, change(named(directory, "agent001"), planned)) == [Result.WRITTEN]
    name = full.server.stored("agent001")["name"]
    assert name == {"givenName": "Example", "familyName": "Person 1", "middleName": "X"}

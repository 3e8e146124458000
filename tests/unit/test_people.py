"""Pins and the exclude list: who is spared, and which lines name nobody."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.errors import DeniedError
from connector.matching.people import TOLD, AgentPin, ExcludeList, find_lost_pins, find_strangers, refuse_unprotected
from connector.matching.user_names import NameRules
from connector.model import (
    ID,
    NAME,
    Agent,
    AgentRef,
    AttributeDefinition,
    AttributeInfo,
    Description,
    DirectorySchema,
    Equality,
    InvalidRecord,
    Problem,
    Refusal,
    Tenant,
    User,
    UserNaming,
    UserRef,
)
from connector.model.limits import EXCLUDE
from tests.support.asked import answering

ANNA = User("id-ANNA", "uid=anna,ou=People,dc=example", {})
LDAP = NameRules(Description("a server", "x", {}))
TENANT = Tenant([Agent(1, "anna"), Agent(2)], [InvalidRecord(3, "no", 7, "bert")])


def lines(*pins: AgentPin, exclude: ExcludeList = ExcludeList()) -> list[Problem]:  # noqa: B008  # a frozen value
    return list(find_strangers(pins, exclude, TENANT, [ANNA], LDAP))


@pytest.mark.parametrize(
    "pin",
    [
        AgentPin("anna"),
        AgentPin("anna", 9),
        AgentPin(None, 1),
        AgentPin(None, 2),
        AgentPin("bert"),
        AgentPin(None, 7),
        AgentPin("bert", 7),
    ],
)
def test_a_pin_names_an_agent_of_the_source_by_its_account_or_else_by_its_seat(pin: AgentPin) -> None:
    """Also one whose record cannot be read."""
    assert lines(pin) == []


@pytest.mark.parametrize(
    "pin", [AgentPin("carl", line=4), AgentPin("carl", 1, line=4), AgentPin(None, 9, line=4), AgentPin("ANNA", line=4)]
)
def test_a_pin_that_names_nobody_is_told_with_its_line(pin: AgentPin) -> None:
    (problem,) = lines(AgentPin("anna"), pin)
    assert (problem.kind, problem.agent) == ("pin", AgentRef(pin.work_no, pin.account_code))
    meant = "; did you mean 'anna'?" if pin.account_code == "ANNA" else ""
    assert problem.why == f"line 4 of the pins: no such agent in the source{meant}"


@pytest.mark.parametrize(
    "exclude",
    [
        ExcludeList(),
        ExcludeList(frozenset({"anna", "bert"}), frozenset({1, 2, 7})),
        ExcludeList(users=frozenset({"id-anna", "ID-ANNA"})),
        ExcludeList(users=frozenset({ANNA.name, "UID=Anna, ou=people,DC=example"})),
    ],
)
def test_an_exclude_list_may_name_agents_and_users_in_any_spelling(exclude: ExcludeList) -> None:
    assert lines(exclude=exclude) == []


def test_an_account_on_the_exclude_list_spares_all_that_only_case_or_spaces_tell_apart() -> None:
    spares = ExcludeList(frozenset({" ANNA", "", "Étoile"})).make_test(LDAP, {})
    for account in ("anna", "Anna ", "étoile"):
        assert spares(AgentRef(1, account), UserRef("id", "cn=x"))
    assert not any(spares(agent, UserRef("id", "cn=x")) for agent in (AgentRef(1, "annA2"), AgentRef(1, None), None))
    assert lines(exclude=ExcludeList(frozenset({"ANNA"}))) == []


def test_each_line_of_the_exclude_list_that_names_nobody_is_told() -> None:
    exclude = ExcludeList(
        frozenset({"anna", "fred", "dora", "carl", "emil"}), frozenset({1, 9, 16}),
        frozenset({"id-anna", "id-dora", "id-carl", "id-bert", "uid=bert,ou=People,dc=example", ANNA.name}),
    )  # fmt: skip
    found = lines(exclude=exclude)
    assert {problem.kind for problem in found} == {"exclude"}
    assert [(problem.agent, problem.users) for problem in found] == [
        (AgentRef(None, "carl"), ()),
        (AgentRef(None, "dora"), ()),
        (AgentRef(None, "emil"), ()),
        (AgentRef(None, "fred"), ()),
        (AgentRef(9), ()),
        (AgentRef(16), ()),
        (None, ("id-bert",)),
        (None, ("id-carl",)),
        (None, ("id-dora",)),
        (None, ("uid=bert,ou=People,dc=example",)),
    ]
    assert [problem.why.rpartition(": no such ")[2] for problem in found] == [
        *["account in the source"] * 4, *["seat in the source"] * 2, *["user within base and filter"] * 4,
    ]  # fmt: skip


def test_users_of_the_exclude_list_are_looked_up_by_name_or_id() -> None:
    assert ExcludeList(users=frozenset({"uid=anna,dc=example", "id-2", "id-3", "id-1"})).list_keys(LDAP) == [
        (ID, "id-1"), (ID, "id-2"), (ID, "id-3"), (NAME, "uid=anna,dc=example"),
    ]  # fmt: skip
    guid = "01234567-89ab-cdef-0123-456789abcdef"
    assert LDAP.list_keys(f"<GUID={guid}>") == LDAP.list_keys(guid) == ((ID, guid),)


@pytest.mark.parametrize(
    ("agent", "user", "spared"),
    [
        (AgentRef(1, "anna"), UserRef("x", "uid=x"), True),
        (AgentRef(5, "x"), UserRef("x", "uid=x"), True),
        (AgentRef(1, "x"), UserRef("x", "uid=x"), False),
        (None, UserRef("x", "uid=x"), False),
        (None, UserRef("Id-7", "uid=x"), True),
        (AgentRef(1, "x"), UserRef("x", "uid=DORA, dc=example"), True),
        (None, UserRef("x", "uid=dora,dc=example,dc=org"), False),
    ],
)
def test_who_is_on_the_exclude_list_is_spared(agent: AgentRef | None, user: UserRef, spared: bool) -> None:
    exclude = ExcludeList(frozenset({"anna"}), frozenset({5}), frozenset({"id-7", "uid=dora,dc=example"}))
    assert exclude.make_test(LDAP, {})(agent, user) is spared
    assert ExcludeList().make_test(LDAP, {})(agent, user) is False


SEAT = AttributeInfo(
    "cecWorkNo", equality=Equality.INTEGER, definition=AttributeDefinition(aliases=frozenset({"cecworkno", "1.2.3"}))
)
EXACT = AttributeInfo("cn", equality=Equality.CASE_EXACT)


@pytest.mark.parametrize(
    ("listed", "name", "same"),
    [
        ("cecWorkNo=7,dc=example", "CECWORKNO=007, dc=example", True),
        ("1.2.3=7,dc=example", "cecWorkNo=7,dc=example", True),
        ("cecWorkNo=7,dc=example", "cecWorkNo=8,dc=example", False),
        ("cn=Anna,dc=example", "cn=anna,dc=example", False),
        ("cn=Anna,dc=example", "CN=Anna,DC=Example", True),
        ("uid=Anna,dc=example", "uid=anna,dc=example", True),
    ],
)
def test_names_compare_as_the_schema_has_it(listed: str, name: str, same: bool) -> None:
    types = {"cecworkno": SEAT, "1.2.3": SEAT, "cn": EXACT}
    naming = NameRules(Description("a server", "x", {}, schema=DirectorySchema(types=types)))
    assert ExcludeList(users=frozenset({listed})).make_test(naming, {})(None, UserRef("x", name)) is same
    assert (naming.name_key(listed) == naming.name_key(name)) is same


@pytest.mark.parametrize("exact", [True, False])
def test_a_user_name_of_scim_is_spared_as_the_schema_tells_case_apart(exact: bool) -> None:
    names = Equality.OCTETS if exact else Equality.CASE_ALONE
    naming = NameRules(Description("SCIM", "x", {}, naming=UserNaming(names=names, ids=Equality.OCTETS)))
    exclude = ExcludeList(users=frozenset({"agent002", "Id-7"}))
    spared = exclude.make_test(naming, {})
    assert spared(None, UserRef("x", "Agent002")) is not exact
    assert spared(None, UserRef("x", "agent002"))
    assert spared(None, UserRef("Id-7", "x"))
    assert not spared(None, UserRef("id-7", "x"))
    assert exclude.list_keys(naming) == [(ID, "Id-7"), (ID, "agent002"), (NAME, "Id-7"), (NAME, "agent002")]
    found = list(find_strangers([], exclude, Tenant([]), [User("1", "Agent002", {}), User("Id-7", "x", {})], naming))
    assert [problem.users for problem in found] == ([("agent002",)] if exact else [])


def refused(exclude: ExcludeList, entries: Sequence[str], outside: Sequence[User] | None) -> list[Refusal]:
    """What is refused where a look past base and filter finds these; None: nobody may look there."""
    directory = answering(DeniedError("no rights to search", where="a test") if outside is None else outside)
    found = refuse_unprotected(directory, exclude, LDAP, entries)
    keys = sorted(key for entry in entries for key in LDAP.list_keys(entry))
    assert directory.asked == [("find_outside", (keys,), {})]
    return found


def test_who_is_on_the_exclude_list_and_is_nowhere_may_be_somebody_who_is_written() -> None:
    exclude = ExcludeList(users=frozenset({"id-anna", "id-x", "id-y"}), lines={"id-x": 3})
    assert refuse_unprotected(answering(), exclude, LDAP, []) == []
    assert refused(exclude, ["id-anna"], [ANNA]) == []
    (refusal,) = refused(exclude, ["id-y", "id-x", "id-anna"], [ANNA])
    assert (refusal.limit, refusal.allowed, refusal.planned) == (EXCLUDE, 0, 2)
    assert "line 3 of the exclude list (id-x), the exclude list (id-y). Correct" in refusal.why
    assert [each.planned for each in refused(exclude, ["id-x", "id-anna"], None)] == [2], "who may not look says no"


def test_of_many_such_lines_a_few_are_named() -> None:
    entries = [f"id-{letter}" for letter in "abcdefgh"]
    (refusal,) = refused(ExcludeList(users=frozenset(entries)), entries, [])
    assert refusal.planned == len(entries)
    assert [entry for entry in entries if f"({entry})" in refusal.why] == entries[:TOLD]


def test_a_pin_to_a_user_that_is_not_there_is_told_with_its_agent() -> None:
    there = [AgentPin("anna", 1, "ID-anna", 2), AgentPin("anna", 1, "UID=anna, ou=people,DC=example", 3)]
    assert list(find_lost_pins(there, [ANNA], LDAP)) == []
    (problem,) = find_lost_pins([*there, AgentPin("bert", 7, "uid=bert,dc=example", 4)], [ANNA], LDAP)
    assert (problem.kind, problem.agent, problem.users) == ("pin", AgentRef(7, "bert"), ("uid=bert,dc=example",))
    assert problem.why.startswith("line 4 of the pins: ")


def test_a_user_whom_an_entry_once_named_is_looked_up_and_found_under_any_name() -> None:
    """An entry knows those alone whom it named itself."""
    exclude = ExcludeList(users=frozenset({"uid=old,dc=example", "id-9"}))
    exclude = exclude.with_known_users({"uid=old,dc=example": frozenset({"id-ANNA"}), "gone": frozenset({"id-1"})})
    assert exclude.list_keys(LDAP) == [(ID, "id-9"), (ID, "id-ANNA"), (NAME, "uid=old,dc=example")]
    assert exclude.name_users([ANNA], LDAP) == {"uid=old,dc=example": {"id-ANNA"}, "id-9": frozenset()}
    assert exclude.make_test(LDAP, {})(None, ANNA.ref)
    assert not exclude.make_test(LDAP, {})(None, UserRef("id-1", "uid=x"))

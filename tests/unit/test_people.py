"""Pins and the exclude list: who is spared, and which lines name nobody."""

from __future__ import annotations

import pytest

from connector.model import (
    ID,
    NAME,
    Agent,
    AgentRef,
    AttributeInfo,
    Description,
    Equality,
    Invalid,
    Problem,
    Tenant,
    User,
    UserRef,
)
from connector.reconcile.matching.people import ExcludeList, Pin, strangers
from connector.reconcile.matching.user_names import Naming

ANNA = User("id-ANNA", "uid=anna,ou=People,dc=example", {})
LDAP = Naming(Description("a server", "x", {}))
TENANT = Tenant([Agent(1, "anna"), Agent(2)], [Invalid(3, "no", 7, "bert")])


def lines(*pins: Pin, exclude: ExcludeList = ExcludeList()) -> list[Problem]:  # noqa: B008  # a frozen value
    return list(strangers(pins, exclude, TENANT, [ANNA], LDAP))


@pytest.mark.parametrize(
    "pin", [Pin("anna"), Pin("anna", 9), Pin(None, 1), Pin(None, 2), Pin("bert"), Pin(None, 7), Pin("bert", 7)]
)
def test_a_pin_names_an_agent_of_the_source_by_its_account_or_else_by_its_seat(pin: Pin) -> None:
    """Also one whose record cannot be read."""
    assert lines(pin) == []


@pytest.mark.parametrize(
    "pin", [Pin("carl", line=4), Pin("carl", 1, line=4), Pin(None, 9, line=4), Pin("ANNA", line=4)]
)
def test_a_pin_that_names_nobody_is_told_with_its_line(pin: Pin) -> None:
    (problem,) = lines(Pin("anna"), pin)
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
    spares = ExcludeList(frozenset({" ANNA", "", "Étoile"})).spares(LDAP)
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
    assert ExcludeList(users=frozenset({"uid=anna,dc=example", "id-2", "id-3", "id-1"})).keys(LDAP) == [
        (ID, "id-1"), (ID, "id-2"), (ID, "id-3"), (NAME, "uid=anna,dc=example"),
    ]  # fmt: skip


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
    assert exclude.spares(LDAP)(agent, user) is spared
    assert ExcludeList().spares(LDAP)(agent, user) is False


SEAT = AttributeInfo("cecWorkNo", equality=Equality.INTEGER, aliases=frozenset({"cecworkno", "1.2.3"}))
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
    naming = Naming(Description("a server", "x", {}, types=types))
    assert ExcludeList(users=frozenset({listed})).spares(naming)(None, UserRef("x", name)) is same
    assert (naming.name(listed) == naming.name(name)) is same


@pytest.mark.parametrize("exact", [True, False])
def test_a_user_name_of_scim_is_spared_as_the_schema_tells_case_apart(exact: bool) -> None:
    names = Equality.OCTETS if exact else Equality.CASE_ALONE
    naming = Naming(Description("SCIM", "x", {}, names=names, ids=Equality.OCTETS))
    exclude = ExcludeList(users=frozenset({"agent002", "Id-7"}))
    spared = exclude.spares(naming)
    assert spared(None, UserRef("x", "Agent002")) is not exact
    assert spared(None, UserRef("x", "agent002"))
    assert spared(None, UserRef("Id-7", "x"))
    assert not spared(None, UserRef("id-7", "x"))
    assert exclude.keys(naming) == [(ID, "Id-7"), (ID, "agent002"), (NAME, "Id-7"), (NAME, "agent002")]
    found = list(strangers([], exclude, Tenant([]), [User("1", "Agent002", {}), User("Id-7", "x", {})], naming))
    assert [problem.users for problem in found] == ([("agent002",)] if exact else [])

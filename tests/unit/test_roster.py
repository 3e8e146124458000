"""Whom agents are looked for by, and whose users they find: for certain, or in doubt until the directory has said."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.matching.people import AgentPin
from connector.matching.roster import PIN, AgentRoster, MatchDoubt
from connector.model import ID, Agent, AttributeInfo, Description, Equality, Held, Secret, Tenant, User, equality
from connector.model.mapping import Mapping, MatchRule
from connector.model.templates import Template

ACCOUNT, LINE = Template.parse("{accountCode}"), Template.parse("{sipAccount}")
MATCH = (MatchRule(ACCOUNT, "uid"), MatchRule(ACCOUNT, "mail"), MatchRule(LINE, "phone"))
DESCRIPTION = Description("t", "t", {name: AttributeInfo(name, single=False) for name in ("uid", "mail", "phone")})


def roster(*agents: Agent, pins: tuple[AgentPin, ...] = ()) -> AgentRoster:
    return AgentRoster(Tenant(list(agents)), Mapping(MATCH, ()), pins, DESCRIPTION)


def user(name: str = "uid=x", **values: str | tuple[Held, ...]) -> User:
    return User("id-x", name, {key: (value,) if isinstance(value, str) else value for key, value in values.items()})


def found(of: AgentRoster, user: User) -> tuple[list[tuple[int, int]], list[MatchDoubt]]:
    unsure: list[MatchDoubt] = []
    return sorted(of.find_agents(user, unsure)), unsure


@pytest.mark.parametrize(
    ("sought", "held", "certain"),
    [
        ("ann", "ann", True),
        ("ann", "ANN", True),
        ("Ann", "ann", True),
        ("a b", "A  B", True),
        ("stra\u00dfe", "stra\u00dfe", True),
        ("stra\u00dfe", "STRA\u00dfE", True),
        ("stra\u00dfe", "strasse", False),
        ("strasse", "stra\u00dfe", False),
        ("a\u00adb", "ab", False),
        ("ab", "a\u00adb", False),
        ("a\u00adb", "A\u00adB", True),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_equal_is_found_and_what_some_server_may_take_for_equal_is_a_doubt(
    sought: str, held: str, number: int, *, certain: bool
) -> None:
    """Be the agent the first of those that look for it, or another."""
    others = [Agent(1, sought)] if number else []
    of = roster(*others, Agent(2, sought))
    pairs, doubts = found(of, user(uid=held))
    everybody = [(each, 1) for each in range(number + 1)]
    assert pairs == (everybody if certain else [])
    assert doubts == (
        [] if certain else [MatchDoubt(each, 1, user(uid=held), ("uid", sought)) for each, _ in everybody]
    )
    assert of.find_seekers(user(uid=held)) == set(everybody)


WORDS = st.sampled_from(["ann", "ANN", "a b", "A  B", "7", "007", "straße", "STRASSE", "a\u00adb", "ab", "", "\udcff"])
RULES = st.sampled_from([Equality.CASE_IGNORE, Equality.CASE_EXACT, Equality.INTEGER, Equality.OCTETS])


HELD = st.dictionaries(st.sampled_from(["uid", "mail"]), st.lists(WORDS, max_size=3))


@given(st.lists(WORDS, max_size=4), HELD, RULES)
def test_agents_find_a_user_as_if_each_value_were_compared_with_each(
    accounts: list[str], values: dict[str, list[str]], rule: Equality
) -> None:
    infos = {name: AttributeInfo(name, equality=rule, single=False) for name in ("uid", "mail", "phone")}
    agents = [Agent(number, account) for number, account in enumerate(accounts)]
    of = AgentRoster(Tenant(agents), Mapping(MATCH, ()), (), Description("t", "t", infos))
    pairs, doubts = found(of, User("id-x", "uid=x", {name: tuple(held) for name, held in values.items()}))
    alike = [
        (number, place, equality.equality_key(rule, account) == equality.equality_key(rule, value))
        for place, name in enumerate(("uid", "mail"), start=1)
        for value in values.get(name, ())
        for number, account in enumerate(accounts)
        if equality.likeness_key(rule, account) == equality.likeness_key(rule, value)
    ]
    assert pairs == sorted((number, place) for number, place, equal in alike if equal)
    unsure = sorted((number, place) for number, place, equal in alike if not equal)
    assert sorted((doubt.agent, doubt.rule) for doubt in doubts) == unsure


def test_one_key_may_be_certain_for_one_agent_and_in_doubt_for_another() -> None:
    names = ["strasse", "stra\u00dfe"]
    of = roster(*(Agent(number, name) for number, name in enumerate(names)))
    for number, name in enumerate(names):
        pairs, doubts = found(of, user(uid=name))
        assert pairs == [(number, 1)]
        assert [(doubt.agent, doubt.key) for doubt in doubts] == [(1 - number, ("uid", names[1 - number]))]


def test_each_attribute_and_each_of_its_values_finds_by_its_own_rule() -> None:
    of = roster(Agent(1, "ann", "7"), Agent(2, "bob", "8"))
    assert found(of, user(mail=("x", "BOB", "ann")))[0] == [(0, 2), (1, 2)]
    assert found(of, user(uid="ann", mail="ann", phone="8"))[0] == [(0, 1), (0, 2), (1, 3)]
    assert found(of, user(phone=(Secret("7"),)))[0] == [(0, 3)]
    assert found(of, user(uid="7"))[0] == []


def test_who_has_no_value_for_a_rule_is_looked_for_by_the_others() -> None:
    of = roster(Agent(1, "ann"), Agent(2), Agent(3, "bob", "8"))
    assert list(of.list_searches(0)) == [(1, ("uid", "ann")), (2, ("mail", "ann")), (3, None)]
    assert list(of.list_searches(1)) == []
    assert list(of.list_tried_keys(of.agents[0])) == [("uid", "ann"), ("mail", "ann")]
    doubtful = [of.doubtful_attributes(number) for number in range(3)]
    assert doubtful == [frozenset({"phone"}), frozenset(), frozenset()], "a seat without an account has no user"
    assert len(of) == 2
    assert list(of.list_attributes()) == [(1, "uid"), (2, "mail"), (3, "phone")]
    keys = [("uid", "ann"), ("uid", "bob"), ("mail", "ann"), ("mail", "bob"), ("phone", "8")]
    assert list(of.list_keys(lambda agent, rule: False)) == keys
    assert list(of.list_keys(lambda agent, rule: agent == 0 and rule > 1)) == [
        key for key in keys if key != ("mail", "ann")
    ]


def test_a_pinned_agent_is_looked_for_by_its_pin_alone() -> None:
    of = roster(Agent(1, "ann", "7"), Agent(2, "bob", "8"), pins=(AgentPin("ann", user="id-x"),))
    assert list(of.list_searches(0)) == [(PIN, (ID, "id-x"))]
    assert of.doubtful_attributes(0) is None, "it may be anybody"
    assert found(of, user(uid="ann"))[0] == [(0, PIN)]
    assert len(of) == 2
    assert next(iter(of.list_keys(lambda agent, rule: False))) == (ID, "id-x")


def test_a_pin_of_an_account_with_its_seat_is_no_pin_of_whoever_has_that_seat() -> None:
    of = roster(Agent(7, "bob", "1"), Agent(8, "ann", "2"), pins=(AgentPin("ann", 7, user="id-x"),))
    assert next(iter(of.list_searches(0))) == (1, ("uid", "bob"))
    assert list(of.list_searches(1)) == [(PIN, None)], "nothing finds it until somebody has looked at the pin"
    assert len(of) == 1


def test_a_pin_of_a_seat_finds_nobody_while_the_seat_has_no_account() -> None:
    of = roster(Agent(7), Agent(8, "ann"), pins=(AgentPin(work_no=7, user="id-x"), AgentPin(work_no=8, user="id-x")))
    assert found(of, user(uid="ann"))[0] == [(1, PIN)]
    assert list(of.list_searches(0)) == []


def test_records_that_share_a_seat_or_an_account_say_which() -> None:
    of = roster(Agent(1, "ann"), Agent(1, "bob"), Agent(2, "bob"), Agent(3), Agent(4))
    assert of.doubles == {0: {"workNo": 1}, 1: {"workNo": 1, "accountCode": "bob"}, 2: {"accountCode": "bob"}}
    assert of.doubtful_attributes(0) == frozenset({"phone"}), "no rule is made of the seat; it has no number"
    assert of.doubtful_attributes(2) == frozenset({"uid", "mail", "phone"})
    assert of.doubtful_attributes(3) == frozenset()
    assert roster(Agent(1, "ann"), Agent(2), Agent(3)).doubles == {}
    pinned = roster(Agent(1, "ann"), Agent(2, "bob"), Agent(3, "bob"), pins=(AgentPin("bob", 2, user="id-x"),))
    account = {"accountCode": "bob"}
    assert pinned.doubtful_attributes(2) is None, "the seat of the pin may be its own"
    assert pinned.doubles == {1: account, 2: account}, "also where their keys are not looked for"


def test_once_all_users_were_seen_the_keys_go_and_a_few_agents_can_still_be_looked_for() -> None:
    of = roster(Agent(1, "ann"), Agent(2, "bob"))
    of.release_keys()
    assert found(of, user(uid="ann"))[0] == []
    few = of.restrict_to([1])
    assert found(few, user(uid="ann"))[0] == []
    assert found(few, user(uid="bob"))[0] == [(1, 1)]

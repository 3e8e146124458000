"""Users who hold something alike: what is looked up to confirm them, and what being found then says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.matching.candidates import Candidates, confirm_alike
from connector.matching.matches import settle_matches
from connector.matching.roster import AgentRoster
from connector.model import Agent, AttributeInfo, Description, Key, ReadRules, Tenant, User
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from tests.support.asked import answering

MAPPING = Mapping(
    match=(MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{sipAccount}"), "mail")),
    attributes=(AttributeRule("employeeNumber", Template.parse("{workNo}")),),
)
INFOS = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber")}
UNSEEN = "\u200b"
"""A letter that nobody sees, so that what has it is alike, and equal only if the directory says so."""


def user(id_: str, **values: str) -> User:
    return User(id_, f"cn={id_},dc=example", {name: (value + UNSEEN,) for name, value in values.items()})


def asked(
    agents: list[Agent], users: list[User], finds: Callable[[Key], list[str]], *, decides: bool = True
) -> tuple[list[set[Key]], dict[int, str]]:
    """What was looked up, round by round, and whom each agent has then, on a directory that finds ids by keys."""
    tenant, description = Tenant(agents), Description("test", "test", INFOS, reading=ReadRules(decides=decides))
    candidates = Candidates(
        AgentRoster(tenant, MAPPING, (), description), UserComparer(tenant, MAPPING, description).draft_user
    )
    for each in users:
        candidates.add_user(each)

    def answer(keys: list[Key]) -> list[User]:
        found = {id_ for key in keys for id_ in finds(key)}
        return [each for each in users if each.id in found]

    directory = answering(answer)
    confirm_alike(directory, candidates, description)
    rounds = [set(asked.given[0]) for asked in directory.asked]
    return rounds, {claim.agent: claim.id for claim in settle_matches(candidates, tenant).matched}


def test_each_key_is_looked_up_alone() -> None:
    agents = [Agent(1, "ann"), Agent(2, "bob"), Agent(3, "cid")]
    users = [user("a", uid="ann"), user("b", uid="bob"), user("c", uid="cid")]
    by = {("uid", "ann"): ["a"], ("uid", "bob"): ["b"]}
    rounds, matched = asked(agents, users, lambda key: by.get(key, []))
    assert rounds == [{("uid", "ann")}, {("uid", "bob")}, {("uid", "cid")}]
    assert matched == {0: "a", 1: "b"}


def test_a_doubt_that_was_told_is_forgotten_and_one_that_comes_twice_is_told_once() -> None:
    tenant, description = Tenant([Agent(1, "ann")]), Description("test", "test", INFOS)
    candidates = Candidates(
        AgentRoster(tenant, MAPPING, (), description), UserComparer(tenant, MAPPING, description).draft_user
    )
    for _ in range(2):
        candidates.add_user(user("a", uid="ann"))
    assert [(doubt.agent, doubt.user.id) for doubt in candidates.take_doubts()] == [(0, "a")]
    assert candidates.take_doubts() == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nobody_is_found_by_what_another_is_looked_up_by(order: tuple[int, int]) -> None:
    """A holds the line of bob besides its own name; that it is found by the line says nothing of its name."""
    agents = [Agent(1, "ann", "x"), Agent(2, "none", "line")]
    users = [user("a", uid="ann", mail="line"), user("b", mail="line")]
    rounds, matched = asked(
        agents, [users[place] for place in order], lambda key: ["a", "b"] if key == ("mail", "line") else []
    )
    assert all(len(keys) == 1 for keys in rounds)
    assert {key for keys in rounds for key in keys} == {("uid", "ann"), ("mail", "line")}
    assert matched == {}, "bob has two, and ann none"


def test_two_who_are_looked_for_by_words_that_are_alike_are_asked_for_one_after_the_other() -> None:
    agents = [Agent(1, "ann"), Agent(2, "ann" + UNSEEN * 2)]
    rounds, matched = asked(agents, [user("a", uid="ann")], lambda key: ["a"] if key == ("uid", "ann") else [])
    assert sorted(map(len, rounds)) == [1, 1]
    assert matched == {0: "a"}


def test_where_any_answer_may_be_everybody_nothing_is_asked_and_nobody_matches() -> None:
    assert asked([Agent(1, "ann")], [user("a", uid="ann")], lambda key: ["a"], decides=False) == ([], {})

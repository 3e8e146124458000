"""Who is who: the matching rules of the design, each with the case it is there for."""

from __future__ import annotations

import pytest
from msgspec import Struct
from msgspec.structs import replace

from connector.matching.candidates import Candidates
from connector.matching.matches import MOST_NAMES, Matches, settle_matches
from connector.matching.people import AgentPin
from connector.matching.roster import AgentRoster
from connector.model import Agent, AttributeInfo, Description, Equality, Secret, Tenant, User
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer

MAPPING = Mapping(
    match=(
        MatchRule(Template.parse("{accountCode}"), "uid"),
        MatchRule(Template.parse("{accountCode|lower}@example.org"), "mail"),
        MatchRule(Template.parse("{sipAccount}"), "telephoneNumber"),
    ),
    attributes=(AttributeRule("employeeNumber", Template.parse("{workNo}")),),
)
INFOS = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber")}
INFOS["telephoneNumber"] = AttributeInfo("telephoneNumber", equality=Equality.TELEPHONE, single=False)
DESCRIPTION = Description("test", "test", INFOS)


def user(name: str, **values: str | tuple[str, ...]) -> User:
    held = {key: (value,) if isinstance(value, str) else value for key, value in values.items()}
    return User(f"id-{name}", f"uid={name},dc=example", {"uid": (name,), **held})


class Case(Struct):
    agents: list[Agent]
    users: list[User]
    pins: list[AgentPin] = []

    def settle(self) -> Matches:
        tenant = Tenant(self.agents)
        candidates = Candidates(
            AgentRoster(tenant, MAPPING, self.pins, DESCRIPTION), UserComparer(tenant, MAPPING, DESCRIPTION).draft_user
        )
        for each in self.users:
            candidates.add_user(each)
        return settle_matches(candidates, tenant)


def pairs(verdicts: Matches) -> set[tuple[int, int, str]]:
    return {(claim.agent, claim.rule, claim.user.id) for claim in verdicts.matched}


def test_the_first_rule_that_finds_anybody_decides_in_whatever_order_users_come() -> None:
    users = [user("ann"), user("other", mail="ann@example.org")]
    for order in (users, users[::-1]):
        assert pairs(Case([Agent(1, "ann")], order).settle()) == {(0, 1, "id-ann")}


def test_a_later_rule_is_tried_when_the_earlier_ones_find_nobody() -> None:
    case = Case([Agent(1, "ann", "7-00")], [user("x", mail="ANN@example.org"), user("y", telephoneNumber="700")])
    assert pairs(case.settle()) == {(0, 2, "id-x")}


def test_a_rule_that_finds_several_makes_the_agent_ambiguous_and_later_rules_are_not_tried() -> None:
    users = [user("x", mail="ann@example.org"), user("y", mail="ann@example.org"), user("z", telephoneNumber="7")]
    verdicts = Case([Agent(1, "ann", "7")], users).settle()
    assert pairs(verdicts) == set()
    assert [(problem.rule, len(problem.users)) for problem in verdicts.ambiguous.values()] == [(2, 2)]


def test_two_agents_that_claim_one_user_are_both_contested_whatever_the_rules() -> None:
    verdicts = Case([Agent(1, "ann"), Agent(2, "bob")], [user("ann", mail="bob@example.org")]).settle()
    assert pairs(verdicts) == set()
    assert [problem.agent.work_no for problem in verdicts.contested.values() if problem.agent] == [1, 2]
    assert "bob (workNo 2)" in verdicts.contested[0].why


def test_all_agents_who_are_looked_for_by_one_value_find_its_user() -> None:
    agents = [Agent(1, "ann"), Agent(2, "Ann"), Agent(3, "ANN "), Agent(4, "bob")]
    verdicts = Case(agents, [user("x", mail="ann@example.org"), user("y", mail="bob@example.org")]).settle()
    assert sorted(verdicts.contested) == [0, 1]
    assert "Ann (workNo 2)" in verdicts.contested[0].why
    assert "ann (workNo 1)" in verdicts.contested[1].why
    assert sorted(verdicts.unmatched) == [2], "a space is a part of its address"
    assert pairs(verdicts) == {(3, 2, "id-y")}


def test_a_value_that_arrives_as_a_secret_is_found_like_any_other() -> None:
    hidden = User("id-x", "uid=x,dc=example", {"uid": (Secret("ann"),)})
    assert pairs(Case([Agent(1, "Ann")], [hidden]).settle()) == {(0, 1, "id-x")}


def test_the_candidates_of_an_ambiguous_agent_count_as_claimed() -> None:
    users = [user("x", mail="ann@example.org"), user("y", mail="ann@example.org")]
    verdicts = Case([Agent(1, "ann"), Agent(2, "x")], users).settle()
    assert len(verdicts.ambiguous) == 1
    assert [problem.agent.account_code for problem in verdicts.contested.values() if problem.agent] == ["x"]
    assert verdicts.claimed == {"id-x", "id-y"}


def test_records_that_share_a_seat_or_an_account_are_all_contested() -> None:
    agents = [Agent(1, "ann"), Agent(1, "bob"), Agent(3, "cid"), Agent(4, "cid"), Agent(5, "dan"), Agent(5)]
    verdicts = Case(agents, [user("ann"), user("bob"), user("cid"), user("dan")]).settle()
    assert pairs(verdicts) == set()
    assert len(verdicts.contested) == 6
    assert verdicts.claimed == {"id-ann", "id-bob", "id-cid", "id-dan"}


def test_seats_without_an_account_match_nobody_and_are_counted() -> None:
    verdicts = Case([Agent(1, sip_account="7")], [user("y", telephoneNumber="7")]).settle()
    assert (verdicts.unassigned, list(verdicts.matched), verdicts.claimed) == (1, [], frozenset())


def test_a_pin_decides_before_every_rule_and_is_one_to_one_as_well() -> None:
    pinned = AgentPin(account_code="ann", user="UID=bob, DC=example")
    users = [user("ann"), user("bob")]
    assert pairs(Case([Agent(1, "ann")], users, [pinned]).settle()) == {(0, 0, "id-bob")}
    both = Case([Agent(1, "ann"), Agent(2, "bob")], users, [pinned]).settle()
    assert pairs(both) == set()
    assert len(both.contested) == 2


def test_a_pin_names_a_user_by_its_id_or_by_its_name_as_the_directory_spells_names() -> None:
    """A DN has an equals sign; where names are no DNs, a text may be either."""
    ann, bob = User("id-1", "uid=x,dc=example", {}), User("uid=x", "Bob", {})
    for names, user_, found in (
        (Equality.DN, "ID-1", "id-1"), (Equality.DN, "UID=x, DC=example", "id-1"), (Equality.DN, "Bob", None),
        (Equality.CASE_ALONE, "bob", "uid=x"), (Equality.CASE_ALONE, "id-1", "id-1"),
        (Equality.CASE_ALONE, "uid=x", "uid=x"),
    ):  # fmt: skip
        tenant, description = (
            Tenant([Agent(1, "ann")]),
            replace(DESCRIPTION, naming=replace(DESCRIPTION.naming, names=names)),
        )
        roster = AgentRoster(tenant, MAPPING, [AgentPin("ann", user=user_)], description)
        candidates = Candidates(roster, UserComparer(tenant, MAPPING, description).draft_user)
        for each in (ann, bob):
            candidates.add_user(each)
        assert [claim.id for claim in settle_matches(candidates, tenant).matched] == ([found] if found else []), (
            names,
            user_,
        )


def test_a_pin_of_an_account_goes_before_one_of_its_seat_and_holds_for_no_other_seat() -> None:
    users = [user("ann"), user("bob"), user("cid")]
    by_seat = AgentPin(work_no=1, user="id-bob")
    assert pairs(Case([Agent(1, "ann"), Agent(2, "cid")], users, [by_seat]).settle()) == {
        (0, 0, "id-bob"), (1, 1, "id-cid"),
    }  # fmt: skip
    assert pairs(Case([Agent(1, "ann")], users, [by_seat, AgentPin("ann", user="id-cid")]).settle()) == {
        (0, 0, "id-cid")
    }
    assert pairs(Case([Agent(1, "ann")], users, [AgentPin("ann", 1, user="id-cid")]).settle()) == {(0, 0, "id-cid")}
    moved = Case([Agent(2, "ann")], users, [by_seat, AgentPin("ann", 1, user="id-cid")]).settle()
    assert pairs(moved) == set()
    assert "with another workNo" in moved.unmatched[0].why
    assert moved.unsure
    assert pairs(Case([Agent(1)], users, [by_seat]).settle()) == set(), "a seat without an account is nobody"


@pytest.mark.parametrize("id_", ["", "None", "nobody", " "])
def test_an_agent_that_is_pinned_to_nobody_is_not_the_user_of_any_id(id_: str) -> None:
    users = [User(id_, "uid=odd,dc=example", {"uid": ("odd",)})]
    verdicts = Case([Agent(2, "ann")], users, [AgentPin("ann", 1, user="id-cid")]).settle()
    assert pairs(verdicts) == set()
    assert "with another workNo" in verdicts.unmatched[0].why


def test_a_pin_to_nobody_leaves_the_agent_unmatched_rather_than_to_the_rules() -> None:
    verdicts = Case([Agent(1, "ann")], [user("ann")], [AgentPin(work_no=1, user="id-gone")]).settle()
    assert pairs(verdicts) == set()
    assert [(problem.kind, problem.rule) for problem in verdicts.unmatched.values()] == [("unmatched", 0)]


def test_an_unmatched_agent_is_told_what_was_looked_for() -> None:
    problem = Case([Agent(1, "ann")], []).settle().unmatched[0]
    assert "uid 'ann' or mail 'ann@example.org'" in problem.why


def test_a_user_that_comes_twice_is_one_user() -> None:
    assert pairs(Case([Agent(1, "ann")], [user("ann"), user("ann")]).settle()) == {(0, 1, "id-ann")}


def test_a_thousand_agents_on_one_user_are_a_thousand_short_lines() -> None:
    agents = [Agent(number, f"a{number}") for number in range(1, 1001)]
    crowded = user("x", mail=tuple(f"a{number}@example.org" for number in range(1, 1001)))
    verdicts = Case(agents, [crowded]).settle()
    assert len(verdicts.contested) == 1000
    assert all("and 989 more" in problem.why for problem in verdicts.contested.values())


def test_a_later_rule_looks_up_only_agents_whom_no_earlier_one_has_found() -> None:
    agents = [Agent(1, "ann", "7-00"), Agent(2, "bob", "8"), Agent(3), Agent(4, "dan"), Agent(5, "eve", "9")]
    tenant = Tenant(agents)
    roster = AgentRoster(tenant, MAPPING, [AgentPin(account_code="eve", user="id-ann")], DESCRIPTION)
    candidates = Candidates(roster, UserComparer(tenant, MAPPING, DESCRIPTION).draft_user)
    assert len(roster) == 4
    asked = []
    for attribute, value in candidates.list_wanted_keys():
        asked.append((attribute, value))
        if (attribute, value) == ("uid", "ann"):
            candidates.add_user(user("ann"))
        if (attribute, value) == ("mail", "bob@example.org"):
            candidates.add_user(user("x", mail="bob@example.org", telephoneNumber="700"))
    assert asked == [
        ("@id", "id-ann"),
        ("uid", "ann"), ("uid", "bob"), ("uid", "dan"),
        ("mail", "bob@example.org"), ("mail", "dan@example.org"),
    ]  # fmt: skip
    assert candidates.count_found() == 3, "ann, bob, and eve, who is pinned to ann"


def test_whoever_was_found_by_the_way_is_looked_up_by_that_rule_all_the_same_for_there_may_be_another() -> None:
    tenant = Tenant([Agent(1, "ann"), Agent(2, "bob")])
    candidates = Candidates(
        AgentRoster(tenant, MAPPING, (), DESCRIPTION), UserComparer(tenant, MAPPING, DESCRIPTION).draft_user
    )
    asked = []
    for attribute, value in candidates.list_wanted_keys():
        asked.append((attribute, value))
        if value == "ann":
            candidates.add_user(user("ann", uid=("ann", "bob")))
        if value == "bob":
            candidates.add_user(user("bob"))
    assert asked == [("uid", "ann"), ("uid", "bob")]
    assert [problem.rule for problem in settle_matches(candidates, tenant).ambiguous.values()] == [1]


@pytest.mark.parametrize(("count", "said"), [(11, None), (12, " and 1 more")])
def test_up_to_ten_others_who_claim_a_user_are_named(count: int, said: str | None) -> None:
    agents = [Agent(number, f"a{number:02}") for number in range(1, count + 1)]
    boxes = tuple(f"a{number:02}@example.org" for number in range(1, count + 1))
    verdicts = Case(agents, [user("x", mail=boxes)]).settle()
    for number, problem in verdicts.contested.items():
        others = [f"a{each:02} (workNo {each})" for each in range(1, count + 1) if each != number + 1][:10]
        assert problem.why == f"the user is also claimed by {', '.join(others)}{said or ''}"


def test_of_many_candidates_the_first_are_named_and_all_are_counted() -> None:
    crowd = [user(f"u{number:02}", mail="ann@example.org") for number in range(60)]
    (problem,) = Case([Agent(1, "ann")], crowd).settle().ambiguous.values()
    assert problem.why == "60 users match"
    assert problem.users == tuple(f"uid=u{number:02},dc=example" for number in range(MOST_NAMES))


def test_a_mapping_says_whether_anything_is_made_of_passwords() -> None:
    password = AttributeRule("SIPIdentityPassword", Template.parse("{sipPwd}"), secret=True)
    assert not MAPPING.passwords
    assert replace(MAPPING, attributes=(*MAPPING.attributes, password)).passwords

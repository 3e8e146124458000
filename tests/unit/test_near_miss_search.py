"""Near misses: who is named for an unmatched agent, who is not, and how much is asked."""

from __future__ import annotations

from collections.abc import Iterable

from connector.errors import UnreachableError
from connector.matching.candidates import Candidates
from connector.matching.matches import Matches, settle_matches
from connector.matching.near_misses import AGENTS, KEYS, MOST_KEYS, MOST_NAMES, NearMisses, near_misses
from connector.matching.people import AgentPin
from connector.matching.roster import AgentRoster
from connector.model import Agent, AttributeInfo, Description, Equality, NearMiss, Tenant, User
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from tests.support.asked import Asked, answering

RULES = (MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{accountCode}"), "mail"))
MAPPING = Mapping(RULES, (AttributeRule("employeeNumber", Template.parse("{workNo}")),))


def user(name: str, **values: str) -> User:
    return User(f"id-{name}", f"uid={name},dc=example", {"uid": (name,)} | {key: (v,) for key, v in values.items()})


def look(
    agents: list[Agent],
    users: Iterable[User],
    equality: Equality = Equality.CASE_IGNORE,
    pins: Iterable[AgentPin] = (),
) -> tuple[NearMisses, Matches]:
    infos = {name: AttributeInfo(name, equality=equality) for name in ("uid", "mail", "employeeNumber")}
    description, tenant, users = Description("test", "test", infos), Tenant(agents), list(users)
    roster = AgentRoster(tenant, MAPPING, pins, description)
    candidates = Candidates(roster, UserComparer(tenant, MAPPING, description).draft_user)
    for each in users:
        candidates.add_user(each)
    verdicts = settle_matches(candidates, tenant)
    near = NearMisses(verdicts, roster, description, users)
    for each in users:
        near.add_user(each)
    return near, near.add_hints(verdicts)


def nearest(verdicts: Matches, agent: int = 0) -> list[NearMiss]:
    return list(verdicts.unmatched[agent].near)


def test_an_unmatched_agent_is_told_whom_it_almost_matches_and_stays_unmatched() -> None:
    _, verdicts = look([Agent(1, "jsmith")], [user("jsm ith"), user("other", mail="jsmith@example.org"), user("zed")])
    assert list(verdicts.matched) == []
    assert nearest(verdicts) == [
        NearMiss("uid=other,dc=example", "mail", "jsmith@example.org", "domain"),
        NearMiss("uid=jsm ith,dc=example", "uid", "jsm ith", "spaces"),
    ]


def test_case_counts_where_the_attribute_tells_cases_apart_and_nowhere_else() -> None:
    _, exact = look([Agent(1, "ann")], [user("Ann")], Equality.CASE_EXACT)
    assert nearest(exact) == [NearMiss("uid=Ann,dc=example", "uid", "Ann", "case")]
    _, ignored = look([Agent(1, "ann")], [user("Ann")])
    assert ignored.unmatched == {}


def test_a_user_that_another_agent_claims_is_near_nobody() -> None:
    _, verdicts = look([Agent(1, "0042"), Agent(2, "42")], [user("42")])
    assert nearest(verdicts) == []


def test_the_domains_that_most_users_have_are_tried_and_no_others() -> None:
    boxes = ["a.example", "y.example", "Z.example", "x.example", "z.example", "y.example", "x.example", "z.EXAMPLE"]
    crowd = [user(f"crowd{number}", mail=f"someone{number}@{box}") for number, box in enumerate(boxes)]
    near, _ = look([Agent(1, "ann")], crowd)
    tried = [value for attribute, value in near.list_wanted_keys() if attribute == "mail" and value.startswith("ann@")]
    assert tried == ["ann@z.example", "ann@x.example", "ann@y.example"]
    assert not any("@" in value for attribute, value in near.list_wanted_keys() if attribute == "uid"), (
        "of this very attribute"
    )


def test_a_number_is_near_numbers_alone() -> None:
    near, verdicts = look([Agent(1, "1001")], [user("01001"), user("1001a"), user("7@x.example")], Equality.NUMERIC)
    assert [each.value for each in nearest(verdicts)] == ["01001"]
    asked = [value for _, value in near.list_wanted_keys()]
    assert all(map(str.isdigit, asked))


def test_what_compares_in_no_such_way_has_no_near_misses() -> None:
    near, _ = look([Agent(1, "1001")], [], Equality.UUID)
    assert list(near.list_wanted_keys()) == []


def test_a_pinned_agent_is_where_somebody_has_put_it() -> None:
    near, _ = look([Agent(1, "ann")], [], pins=[AgentPin("ann", user="id-gone")])
    assert list(near.list_wanted_keys()) == []


def test_a_few_users_are_named_the_nearest_first() -> None:
    padded = [user("0" * zeros + "1001") for zeros in range(1, 5)]
    _, verdicts = look([Agent(1, "1001")], [user("1 001"), user("10 01"), *padded])
    names = [each.value for each in nearest(verdicts)]
    assert len(names) == MOST_NAMES
    assert names[0] == "01001"


def test_what_is_asked_is_bounded_for_each_agent_and_for_all() -> None:
    few, _ = look([Agent(1, "first.lastname")], [])
    assert len(few) == len(list(few.list_wanted_keys())) <= MOST_KEYS
    many, verdicts = look([Agent(number, f"someone{number}") for number in range(10_000)], [user("someone 0")])
    assert AGENTS < len(many) <= KEYS
    assert many.left_out == 10_000 - AGENTS
    assert len(verdicts.unmatched) == 10_000


def test_the_first_of_the_report_are_looked_for_first() -> None:
    agents = [Agent(10_000 - number, f"someone{number}") for number in range(1000)]
    _, verdicts = look(agents, [user("some one1"), user("some one998")])
    assert [number for number, problem in verdicts.unmatched.items() if problem.near] == [998]


# ---------------------------------------------------------------- the search as it is asked


def searched(
    agents: list[Agent], users: list[User], found: list[User | str], *, fault: str = ""
) -> tuple[Matches, str, list[Asked]]:
    """What came of it, what was left out, and what was asked; `users`: all, `found`: by the look-ups."""
    infos = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber")}
    description, tenant = Description("test", "test", infos), Tenant(agents)
    roster = AgentRoster(tenant, MAPPING, (), description)
    directory = answering(users, UnreachableError(fault) if fault else found)
    verdicts = settle_matches(Candidates(roster, UserComparer(tenant, MAPPING, description).draft_user), tenant)
    told, left_out = near_misses(directory, verdicts, roster, description)
    return told, left_out, directory.asked


def test_nobody_is_asked_for_where_everybody_is_matched_or_has_no_account() -> None:
    verdicts, left_out, asked = searched([Agent(1)], [], [])
    assert (left_out, asked, verdicts.unmatched) == ("", [], {})


def test_users_are_looked_at_for_their_domains_and_then_looked_up() -> None:
    box = user("crowd", mail="crowd@x.example")
    near = user("ann2", mail="ann@x.example")
    verdicts, left_out, (scan, find) = searched([Agent(1, "ann")], [box], [near])
    assert (scan.look_up, find.look_up) == ("scan", "find_near")
    keys, count, left = find.given
    assert (count, left) == (len(keys), 0)
    assert ("mail", "ann@x.example") in keys
    assert [(each.user, each.how) for each in nearest(verdicts)][:1] == [(near.name, "domain")]
    assert left_out == ""


def test_what_kept_more_from_coming_is_told_in_one_line() -> None:
    agents = [Agent(number, f"a{number}") for number in range(AGENTS + 3)]
    _, left_out, (_, find) = searched(agents, [], ["it took too long", "and more"])
    assert find.given[2] == 3
    assert (
        left_out == f"it took too long; and more; searched for the first {AGENTS} unmatched agents; 3 more are left out"
    )
    assert searched(agents[:AGENTS], [], [])[1] == ""


def test_a_search_that_fails_leaves_the_verdicts_as_they_are_and_is_told() -> None:
    verdicts, left_out, _ = searched([Agent(1, "ann")], [], [], fault="the server is gone")
    assert (nearest(verdicts), left_out) == ([], "the search failed: the server is gone")

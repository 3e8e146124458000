"""Two plans compared: which changes and problems are new, gone, changed or the same."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.model import AgentRef, Change, NearMiss, Plan, Problem, Summary, UserRef
from connector.planning.review import compare_plans, digest_plan, find_news

ANN = AgentRef(1, "ann")
PROBLEM = Problem("unmatched", "no user", ANN, ("uid=a", "uid=b"), 1, "mail")


def change(user: str, digest: str = "d") -> Change:
    return Change(UserRef(user, f"uid={user}"), ANN, 1, (), digest=digest)


def plan(*lines: Change | Problem) -> Plan:
    changes = tuple(line for line in lines if isinstance(line, Change))
    problems = tuple(line for line in lines if isinstance(line, Problem))
    return Plan("id", "", "job", "2030-01-31T12:00:00Z", Summary(), changes, problems)


def test_changes_are_compared_by_their_users_and_digests() -> None:
    kept, was, now = change("kept"), change("ann", "old"), change("ann", "new")
    found = compare_plans(plan(kept, was, change("left")), plan(change("come"), now, kept)).changes
    assert (list(found.new), list(found.gone), list(found.changed), found.same) == (
        [change("come")], [change("left")], [(was, now)], 1,
    )  # fmt: skip


NOBODYS = replace(PROBLEM, agent=None, record=3)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (PROBLEM, replace(PROBLEM, near=(NearMiss("uid=x", "mail", "x", "case"),)), "same"),
        (PROBLEM, replace(PROBLEM, users=("uid=b", "uid=a")), "same"),
        (PROBLEM, replace(PROBLEM, record=7), "same"),
        (PROBLEM, replace(PROBLEM, why="no agent"), "changed"),
        (PROBLEM, replace(PROBLEM, rule=2), "changed"),
        (PROBLEM, replace(PROBLEM, users=("uid=a",)), "changed"),
        (PROBLEM, replace(PROBLEM, kind="ambiguous"), "another"),
        (PROBLEM, replace(PROBLEM, agent=AgentRef(2, "ann")), "another"),
        (PROBLEM, replace(PROBLEM, agent=AgentRef(1, "anna")), "another"),
        (PROBLEM, replace(PROBLEM, attribute="uid"), "another"),
        (PROBLEM, replace(PROBLEM, agent=None), "another"),
        (NOBODYS, replace(NOBODYS, users=("uid=b", "uid=a")), "same"),
        (NOBODYS, replace(NOBODYS, why="no agent"), "changed"),
        (NOBODYS, replace(NOBODYS, record=4), "another"),
        (NOBODYS, replace(NOBODYS, users=("uid=a",)), "another"),
        (NOBODYS, replace(NOBODYS, attribute=None), "another"),
        (NOBODYS, replace(NOBODYS, kind="invalid"), "another"),
    ],
)
def test_problems_are_compared_by_whom_and_what_they_are_about(old: Problem, new: Problem, told: str) -> None:
    """The same in a plan and in what is kept of one."""
    found, later = compare_plans(plan(old), plan(new)).problems, find_news(digest_plan(plan(old)), plan(new))
    expected = {"same": (0, 0, 0, 1), "changed": (0, 0, 1, 0), "another": (1, 1, 0, 0)}[told]
    assert (len(found.new), len(found.gone), len(found.changed), found.same) == expected
    assert (
        len(later.new_problems), later.gone_problems, len(later.changed_problems), later.same_problems,
    ) == expected  # fmt: skip


def test_of_problems_about_the_same_those_that_are_equal_go_together_then_the_others_in_their_order() -> None:
    one, two, three = (replace(PROBLEM, why=why) for why in ("one", "two", "three"))
    found = compare_plans(plan(one, two, three), plan(three, replace(PROBLEM, why="new"))).problems
    assert (found.same, list(found.changed), list(found.gone)) == (1, [(one, replace(PROBLEM, why="new"))], [two])
    assert list(compare_plans(plan(one), plan(one, one)).problems.new) == [one]


def test_what_is_kept_of_a_plan_can_be_stored_as_text() -> None:
    """A name may hold what is no character; what a problem says is kept as a digest."""
    kept = digest_plan(plan(change("\udcff"), replace(PROBLEM, why="\udcff")))
    assert list(kept.changes) == [("\ufffd", "d")]
    assert (kept.plan, kept.created) == ("id", "2030-01-31T12:00:00Z")
    for about, content in kept.problems:
        assert len(about) == len(content) == 32
        assert about != content


def test_users_are_compared_in_no_order_whatever_order_a_process_gives_a_set() -> None:
    pairs = combinations([f"uid={number}" for number in range(100)], 2)
    one, other = next(each for each in pairs if list(frozenset(each)) != list(frozenset(each[::-1])))
    old, new = (plan(replace(PROBLEM, users=users)) for users in ((one, other), (other, one)))
    assert digest_plan(old).problems == digest_plan(new).problems


changes = st.lists(
    st.builds(change, st.sampled_from("abcd"), st.sampled_from("de")), max_size=4, unique_by=lambda each: each.user.id
)
problems = st.lists(
    st.builds(lambda why, attribute: replace(PROBLEM, why=why, attribute=attribute), st.sampled_from("xyz"),
              st.sampled_from(["mail", "uid"])),
    max_size=4,
)  # fmt: skip
plans = st.builds(lambda some, others: plan(*some, *others), changes, problems)


@given(old=plans, new=plans)
def test_what_is_kept_of_a_plan_compares_as_the_plan_itself(old: Plan, new: Plan) -> None:
    found, later = compare_plans(old, new), find_news(digest_plan(old), new)
    assert (later.plan, later.created) == (old.id, old.created)
    assert later.new == tuple(each.user.id for each in found.changes.new)
    assert later.changed == tuple(each.user.id for _, each in found.changes.changed)
    assert [new.problems[number] for number in later.new_problems] == list(found.problems.new)
    assert [new.problems[number] for number in later.changed_problems] == [each for _, each in found.problems.changed]
    numbers = (len(found.changes.gone), found.changes.same, len(found.problems.gone), found.problems.same)
    assert (later.gone, later.same, later.gone_problems, later.same_problems) == numbers

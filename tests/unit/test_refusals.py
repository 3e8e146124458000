"""Which limits a plan exceeds, at the very number and one beside it, and the sentence that says so."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.model import AttributeChange, Change, LastGood, Refusal, Summary, UserRef
from connector.model.limits import LOST_STATE, MATCHED_DROP, Limit, LimitBasis, Limits, find_refusals
from tests.support.worlds import NO_LIMITS

WHOLE = LimitBasis(10, 10)
TEN = Summary(agents=10, matched=10)


def refused(
    limits: Limits = NO_LIMITS, summary: Summary = TEN, whole: LimitBasis = WHOLE, *changed: str, some: bool = False
) -> tuple[Refusal, ...]:
    """`changed`: the attributes that are changed, one user each."""
    changes = [
        Change(UserRef(f"id-{n}", f"uid=u{n}"), None, None, (AttributeChange(name, (), ("x",)),))
        for n, name in enumerate(changed)
    ]
    return tuple(find_refusals(limits, summary, whole, changes, some=some))


def limits_of(found: tuple[Refusal, ...]) -> list[tuple[str, int, int]]:
    return [(each.limit, each.allowed, each.planned) for each in found]


@pytest.mark.parametrize(("agents", "refusal"), [(8, []), (7, [("agents_drop", 2, 3)])])
def test_so_many_agents_may_be_gone(agents: int, refusal: list[tuple[str, int, int]]) -> None:
    limits = replace(NO_LIMITS, agents_drop=Limit(25, percent=True))
    whole = replace(WHOLE, last=LastGood(10, 0, 10))
    for some in (True, False):
        assert limits_of(refused(limits, replace(TEN, agents=agents, matched=0), whole, some=some)) == refusal
    assert refused(limits, replace(TEN, agents=agents), WHOLE) == (), "where no run is known"


def test_a_source_without_agents_is_refused_by_that_alone() -> None:
    found = refused(Limits(agents_drop=Limit(0)), Summary(), replace(WHOLE, last=LastGood(10, 10, 10)))
    assert limits_of(found) == [("agents", 1, 0)]


@pytest.mark.parametrize(
    ("agents", "matched", "planned", "why"),
    [
        (10, 7, 3, "7 agents have a user; in the last good run 10 had one. Check"),
        (10, 8, None, ""),
        (10, 1, 9, "1 agent has a user; in the last good run 10 had one. Check"),
        (9, 6, 3, "6 agents have a user; in the last good run 10 had one (9 without the agents that are gone). Check"),
        (9, 7, None, ""),
    ],
)
def test_so_many_agents_may_have_no_user_any_more(agents: int, matched: int, planned: int | None, why: str) -> None:
    """Those who are gone from the source do not count."""
    limits = replace(NO_LIMITS, matched_drop=Limit(20, percent=True))
    summary = Summary(agents=agents, matched=matched, unmatched=agents - matched)
    whole = replace(WHOLE, last=LastGood(10, 10, 10))
    found = refused(limits, summary, whole)
    assert limits_of(found) == ([] if planned is None else [(MATCHED_DROP, 2, planned)])
    assert all(each.why.startswith(why) for each in found)
    assert refused(limits, summary, whole, some=True) == ()


@pytest.mark.parametrize(("holding", "lost"), [(None, False), (0, False), (5, False), (6, True)])
def test_more_than_so_many_users_that_are_in_step_already_tell_of_a_lost_state(holding: int | None, lost: bool) -> None:
    found = refused(replace(NO_LIMITS, state=Limit(50, percent=True)), TEN, replace(WHOLE, holding=holding))
    assert limits_of(found) == ([(LOST_STATE, 5, 6)] if lost else [])
    assert all("6 of 10 matched users already hold" in each.why for each in found)


@pytest.mark.parametrize(
    ("limit", "said"), [(Limit(1), "1 is allowed"), (Limit(10, percent=True), "1 is allowed (10% of 10)")]
)
@pytest.mark.parametrize("kind", ["update", "clear", "secret"])
def test_a_limit_is_exceeded_by_one_more_and_its_share_is_said(kind: str, limit: Limit, said: str) -> None:
    limits = replace(NO_LIMITS, **{kind: limit})
    for planned in (1, 2):
        found = refused(limits, replace(TEN, **{kind: planned}))
        assert limits_of(found) == ([(kind, 1, 2)] if planned == 2 else [])
        what = {"update": "set an attribute", "clear": "empty an attribute", "secret": "set a secret"}[kind]
        assert [each.why for each in found] == [f"it would {what} of 2 users; {said}"] * len(found)
    none = refused(replace(NO_LIMITS, **{kind: Limit(0)}), replace(TEN, **{kind: 1}))
    assert [each.why.partition(";")[0].rpartition(" of ")[2] for each in none] == ["1 user"]


def test_what_percentages_are_of() -> None:
    """What is emptied is held against the users that hold something of ours, all else against the matched."""
    half = Limit(50, percent=True)
    limits = Limits(half, half, half, half, half, {"mail": half}, half)
    summary = replace(TEN, update=9, clear=9, secret=9)
    found = refused(limits, summary, LimitBasis(10, 4), *["mail"] * 6)
    assert limits_of(found) == [("update", 5, 9), ("clear", 2, 9), ("secret", 5, 9), ("attributes.mail", 5, 6)]


def test_secrets_are_held_to_the_limit_of_updates_unless_they_have_one() -> None:
    summary = replace(TEN, secret=2)
    assert limits_of(refused(replace(NO_LIMITS, update=Limit(1)), summary)) == [("secret", 1, 2)]
    assert refused(replace(NO_LIMITS, update=Limit(1), secret=Limit(2)), summary) == ()


def test_of_an_attribute_with_a_limit_of_its_own_users_are_counted() -> None:
    limits = replace(NO_LIMITS, attributes={"mail": Limit(1), "pager": Limit(0)})
    assert limits_of(refused(limits, TEN, WHOLE, "mail", "mail", "fax")) == [("attributes.mail", 1, 2)]
    assert refused(limits, TEN, WHOLE, "mail", "fax", "fax") == ()

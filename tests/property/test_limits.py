"""Limits count users, of whom each may count in several; a plan that keeps to them exactly is not refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.model import Agent, Outcome, Plan, Secret, Tenant
from connector.model.limits import CLEAR_SHARE, CLEAR_USERS, ApplyPace, Limit, Limits
from connector.model.mapping import AttributeRule, Grace, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.memory import MemoryStore
from tests.support.worlds import BASE, NO_LIMITS, World

PASSWORD = "SIPIdentityPassword"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (
        AttributeRule("employeeNumber", Template.parse("{workNo}")),
        AttributeRule("telephoneNumber", Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
        AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True, when_absent="clear"),
    ),
    ("SIPIdentity",),
    "clear",
)


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def plan(of: World) -> Plan:
    with of.context() as context:
        return dry_run(context, quiet).plan


def apply(of: World) -> FinishedRun:
    with of.context() as context:
        return apply_run(context, quiet)


def agent(number: int, line: str | None = None, password: str | None = None) -> Agent:
    return Agent(number, f"u{number}", line, Secret(password) if password else None)


def world(*agents: Agent, users: int = 10) -> World:
    """So many users, on the seats of their numbers."""
    store = MemoryStore(
        {
            f"id-{n}": (
                f"uid=u{n},{BASE}",
                {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": [f"u{n}"], "employeeNumber": [str(n)]},
            )
            for n in range(users)
        }
    )
    return World(Tenant(list(agents)), store, MAPPING)


def counts(of: World) -> tuple[int, int, int]:
    summary = plan(of).summary
    return summary.update, summary.clear, summary.secret


def refused(of: World) -> list[tuple[str, int, int]]:
    return [(refusal.limit, refusal.allowed, refusal.planned) for refusal in plan(of).refusals]


@pytest.mark.parametrize(
    ("given", "whole", "allowed"),
    [
        (0, 10, 0), (3, 10, 3), ("3", 1, 3), (999_999_999, 1, 999_999_999), ("0%", 10, 0), ("20%", 10, 2),
        ("20%", 9, 1), ("20%", 4, 0), ("99%", 100, 99), ("100%", 7, 7), (Limit(4), 10, 4),
    ],
)  # fmt: skip
def test_a_limit_is_a_number_of_users_or_a_percentage_rounded_down(
    given: str | int | Limit, whole: int, allowed: int
) -> None:
    assert Limit.parse(given).of(whole) == allowed
    assert Limit.parse(given) == Limit.parse(str(Limit.parse(given)))


@pytest.mark.parametrize("given", [True, "", "%", "-1", -1, "1.5", "101%", "1 %", "ten", "10%%", 1_000_000_000])
def test_nothing_else_is_a_limit(given: str | int) -> None:
    with pytest.raises(ValueError, match=r"a limit is|a percentage"):
        Limit.parse(given)


def test_where_a_job_says_nothing_holds_what_its_documentation_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "job-file.md").read_text("utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \|.*\| `(.*)` \|$", page, re.MULTILINE))
    limits, pace = Limits(), ApplyPace()
    for name in ("update", "agents_drop", "matched_drop", "state"):
        assert getattr(limits, name) == Limit.parse(said[name]), name
    assert (limits.clear, CLEAR_USERS, str(CLEAR_SHARE)) == (None, Limit(10), "20%")
    assert "at most 10 users" in page
    assert "at most 20 % of the users" in page
    assert limits.secret is None
    assert "Most users with a secret to set. Default: as update." in page
    assert f"`{list(pace.ramp)}`" in page
    assert str(pace.max_failures) == said["max_failures"]


def test_a_user_counts_once_under_each_kind_of_what_becomes_of_it() -> None:
    assert counts(world(agent(0), agent(1))) == (0, 0, 0)
    assert counts(world(agent(0, "70", "word"), agent(1, "71"))) == (2, 0, 1)
    of = world(agent(0, "70", "word"), agent(1, "71"), agent(2, None, "word"))
    apply(of)
    of.tenant = Tenant([agent(0, None, "other"), agent(1), agent(2)])
    assert counts(of) == (1, 3, 1), "one is cleared of its line and gets another password"
    assert plan(of).summary.unchanged == 0
    of.tenant = Tenant([agent(0, "70", "word"), agent(1, "72")])
    assert counts(of) == (1, 1, 0), "one changes its line, one has left"


def test_of_who_has_left_and_keeps_values_that_are_not_ours_nothing_is_set() -> None:
    of = world(agent(0, "70"), agent(1))
    apply(of)
    name, held = of.store.snapshot()["id-0"]
    of.store.put("id-0", name, {**held, "telephoneNumber": ["70", "555"]})
    of.tenant = Tenant([agent(1)])
    assert counts(of) == (0, 1, 0)
    apply(of)
    assert of.store.snapshot()["id-0"][1]["telephoneNumber"] == ("555",)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (replace(NO_LIMITS, update=Limit(4)), []),
        (replace(NO_LIMITS, update=Limit(3)), [("update", 3, 4)]),
        (replace(NO_LIMITS, update=Limit(80, percent=True)), []),
        (replace(NO_LIMITS, update=Limit(79, percent=True)), [("update", 3, 4)]),
        (replace(NO_LIMITS, update=Limit(1)), [("update", 1, 4), ("secret", 1, 2)]),
        (replace(NO_LIMITS, update=Limit(1), secret=Limit(2)), [("update", 1, 4)]),
        (replace(NO_LIMITS, secret=Limit(1)), [("secret", 1, 2)]),
        (replace(NO_LIMITS, secret=Limit(39, percent=True)), [("secret", 1, 2)]),
        (replace(NO_LIMITS, attributes={"telephoneNumber": Limit(3)}), []),
        (replace(NO_LIMITS, attributes={"telephoneNumber": Limit(2)}), [("attributes.telephoneNumber", 2, 3)]),
        (replace(NO_LIMITS, attributes={"telephoneNumber": Limit(59, percent=True), "employeeNumber": Limit(0)}),
         [("attributes.telephoneNumber", 2, 3)]),
    ],
)  # fmt: skip
def test_what_is_set_is_limited_by_number_or_by_share_of_the_matched_users(
    limits: object, expected: list[tuple[str, int, int]]
) -> None:
    """Five are matched: four of them change, three get a line and two a password."""
    of = world(agent(0, "70", "word"), agent(1, "71"), agent(2, "72"), agent(3, None, "word"), agent(4))
    assert counts(of) == (4, 0, 2)
    of.limits = limits  # type: ignore[assignment]  # of the parameters above
    assert refused(of) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(2), []), (Limit(1), [("clear", 1, 2)]), (Limit(25, percent=True), []),
        (Limit(24, percent=True), [("clear", 1, 2)]),
    ],
)  # fmt: skip
def test_what_is_emptied_is_limited_by_number_or_by_share_of_the_users_that_hold_something_of_ours(
    limit: Limit, expected: list[tuple[str, int, int]]
) -> None:
    """Ten are matched, and eight of them hold something that was written."""
    lines = [agent(number, f"7{number}" if number < 8 else None) for number in range(10)]
    of = world(*lines)
    apply(of)
    of.tenant = Tenant([agent(0), agent(1), *lines[2:]])
    of.limits = replace(NO_LIMITS, clear=limit)
    assert refused(of) == expected


@pytest.mark.parametrize(
    ("users", "losing", "expected"),
    [
        (1, 1, []), (4, 1, []), (9, 1, []), (9, 2, [("clear", 1, 2)]), (10, 2, []), (10, 3, [("clear", 2, 3)]),
        (14, 3, [("clear", 2, 3)]), (15, 3, []), (49, 10, [("clear", 9, 10)]), (50, 10, []),
        (60, 11, [("clear", 10, 11)]),
    ],
)  # fmt: skip
def test_where_a_job_says_nothing_the_lower_of_ten_and_of_a_fifth_of_the_holders_limits_what_is_emptied(
    users: int, losing: int, expected: list[tuple[str, int, int]]
) -> None:
    lines = [agent(number, f"7{number}") for number in range(users)]
    of = world(*lines, *map(agent, range(users, 70)), users=70)
    apply(of)
    of.limits = replace(NO_LIMITS, clear=None)
    of.tenant = Tenant([*map(agent, range(losing)), *lines[losing:], *map(agent, range(users, 70))])
    assert refused(of) == expected


def test_each_attribute_has_a_fifth_of_its_own() -> None:
    """Ten have a line, five of them a password too: two lines and one password are not too many together."""
    lines = [agent(number, f"7{number}", "word" if number >= 5 else None) for number in range(10)]
    of = world(*lines)
    apply(of)
    of.limits = replace(NO_LIMITS, clear=None)
    of.tenant = Tenant([agent(0), agent(1), *lines[2:9], agent(9, "79")])
    assert (counts(of), refused(of)) == ((0, 3, 0), [])
    of.tenant = Tenant([agent(0), agent(1), *lines[2:8], agent(8, "78"), agent(9, "79")])
    assert (counts(of), refused(of)) == ((0, 4, 0), [("clear", 1, 2)])


@pytest.mark.parametrize(
    ("left", "limit", "expected"),
    [
        (8, Limit(20, percent=True), []), (7, Limit(20, percent=True), [("agents_drop", 2, 3)]), (7, Limit(3), []),
        (6, Limit(3), [("agents_drop", 3, 4)]), (1, Limit(100, percent=True), []), (0, Limit(10), [("agents", 1, 0)]),
    ],
)  # fmt: skip
def test_agents_may_be_so_many_fewer_than_at_the_last_good_run_and_never_none(
    left: int, limit: Limit, expected: list[tuple[str, int, int]]
) -> None:
    of = world(*map(agent, range(10)))
    apply(of)
    of.tenant = Tenant(of.tenant.agents[:left])
    of.limits = replace(NO_LIMITS, agents_drop=limit)
    assert [each for each in refused(of) if each[0].startswith("agents")] == expected


def test_why_a_plan_is_refused_is_a_sentence_with_its_numbers() -> None:
    of = world(agent(0, "70"), agent(1, "71"))
    of.limits = replace(NO_LIMITS, update=Limit(50, percent=True), attributes={"telephoneNumber": Limit(0)})
    assert [refusal.why for refusal in plan(of).refusals] == [
        "it would set an attribute of 2 users; 1 is allowed (50% of 2)",
        "it would change telephoneNumber of 2 users; 0 are allowed",
    ]
    of.tenant = Tenant([agent(0, "70")])
    assert [refusal.why for refusal in plan(of).refusals][1:] == [
        "it would change telephoneNumber of 1 user; 0 are allowed"
    ]


@pytest.mark.parametrize(
    ("grace", "waited", "runs", "left"),
    [
        (Grace(3, "runs"), timedelta(days=9), 2, " (seen by 2 applies; cleared after 3)"),
        (Grace(3, "runs"), timedelta(0), 3, ""),
        (Grace(3, "runs"), timedelta(0), 0, " (seen by 0 applies; cleared after 3)"),
        (Grace(2, "days"), timedelta(days=2, seconds=-1), 9, " (cleared 2 days after the first apply that sees it)"),
        (Grace(2, "days"), timedelta(days=2), 1, ""),
        (Grace(1, "days"), timedelta(0), 1, " (cleared 1 day after the first apply that sees it)"),
    ],
)
def test_what_is_left_of_a_grace_is_told_until_it_is_over(
    grace: Grace, waited: timedelta, runs: int, left: str
) -> None:
    assert grace.describe_left(waited, runs) == left

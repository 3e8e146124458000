"""What a plan counts, and the order in which it lists its problems."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Description,
    Problem,
    Secret,
    Summary,
    UserRef,
)
from connector.model.digests import make_fingerprinter
from connector.model.mapping import Mapping
from connector.model.plan import KINDS, explain_kind, group_problems, kind_rank
from connector.planning.assembly import PlanContents, assemble_plan, count_changes
from connector.planning.brief import PlanBrief
from connector.planning.forms import OtherValues
from tests.support.worlds import NO_LIMITS, passing_state


def text(old: str, new: str) -> AttributeChange:
    return AttributeChange("mail", tuple(old.split()), tuple(new.split()))


def password(new: str) -> AttributeChange:
    return AttributeChange("password", (), (Secret(new),) if new else (), secret=True, seen=False)


@pytest.mark.parametrize(
    ("agent", "attributes", "update", "clear", "secret"),
    [
        (True, [text("", "a")], 1, 0, 0),
        (True, [text("a b", "a")], 1, 0, 0),
        (True, [text("a", "")], 0, 1, 0),
        (True, [text("a", ""), text("", "b")], 1, 1, 0),
        (True, [password("x")], 1, 0, 1),
        (True, [password("")], 0, 1, 0),
        (True, [password("x"), text("a", "")], 1, 1, 1),
        (False, [text("a", "")], 0, 1, 0),
        (False, [text("a b", "b")], 0, 1, 0),
        (False, [text("a", "b")], 1, 0, 0),
        (False, [text("a b", "b c")], 1, 0, 0),
        (False, [password("x")], 1, 0, 1),
    ],
)
def test_a_user_counts_once_for_each_kind_of_change(
    agent: bool, attributes: list[AttributeChange], update: int, clear: int, secret: int
) -> None:
    """Of a user whom no agent claims, values that stay are none that are set; an undo sets some."""
    ref = AgentRef(1, "ann") if agent else None
    changes = [Change(UserRef(f"id-{n}", "uid=x"), ref, None, tuple(attributes)) for n in range(2)]
    assert count_changes(changes) == {"update": 2 * update, "clear": 2 * clear, "secret": 2 * secret}


def test_problems_come_by_kind_and_then_by_record_seat_account_and_words() -> None:
    ann, twin, bob = AgentRef(7, "ann"), AgentRef(7, "twin"), AgentRef(8, "bob")
    expected = [
        Problem("invalid", "z", record=3, agent=bob),
        Problem("invalid", "y", record=5, agent=ann),
        Problem("contested", "x", agent=ann),
        Problem("contested", "w", agent=twin),
        Problem("contested", "v", agent=bob),
        Problem("unmatched", "t", agent=ann),
        Problem("unmatched", "u", agent=ann),
        Problem("unheard of", "a"),
    ]
    brief = PlanBrief(
        mapping=Mapping((), ()), limits=NO_LIMITS, description=Description("test", "test", {}),
        memory=passing_state().memory("test", "job"), fingerprint=make_fingerprinter(Secret("key")), job="job",
        plan_id="id", now=datetime.now(UTC),
    )  # fmt: skip
    for order in list(permutations(expected))[:: 40320 // 97]:
        shared = order[0]  # by several users
        plan = assemble_plan(brief, PlanContents((), [*order, shared], Summary(), (), ()), OtherValues())
        assert list(plan.problems) == expected


def test_problems_are_told_by_kind_and_a_kind_that_nobody_knows_comes_last() -> None:
    problems = [Problem("odd", "d"), Problem("unmatched", "c"), Problem("invalid", "a"), Problem("unmatched", "b")]
    found = group_problems(problems)
    assert {kind: [each.why for each in some] for kind, some in found.items()} == {
        "invalid": ["a"], "unmatched": ["c", "b"], "odd": ["d"],
    }  # fmt: skip
    assert list(found) == ["invalid", "unmatched", "odd"]
    places = [kind_rank(kind) for kind in (*KINDS, "odd")]
    assert places == list(range(len(places)))
    assert explain_kind("odd") == "Each line gives the reason."
    assert explain_kind("pin") == "A line of the pins file cannot be followed. Correct it."

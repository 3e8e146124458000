"""Attributes that may not be read: unknown is not absent, and is found out with few questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from connector.explaining import explain
from connector.model import Agent, Description, Holds, Invalid, Outcome, Plan, Question, Tenant
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.templates import Template
from connector.sync import dry_run
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

SEAT = AttributeRule("employeeNumber", Template.parse("{workNo}"))
ROOM = AttributeRule("roomNumber", Template.parse("{sipAccount}"), owns="*", when_absent="clear")
MAPPING = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (SEAT, ROOM))
COUNT = 30


class Asked(MemoryDirectory):
    """Counts what it is asked about values that it does not show."""

    asked: list[Question]

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        wanted = list(questions)
        self.asked += wanted
        return super().holds(wanted)


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def world(*seats: str | None, hidden: Sequence[str] = ("employeeNumber",), compares: bool = True) -> World:
    """Users who hold these seats, and agents who are to have others."""
    entries = {
        f"id-{n:02}": (
            f"uid=u{n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "employeeNumber": [seat] if seat else []},
        )
        for n, seat in enumerate(seats)
    }
    agents = [Agent(100 + n, f"u{n}", f"7{n}") for n in range(len(seats))]
    return World(Tenant(agents), MemoryStore(entries, hidden=hidden, compares=compares), MAPPING)


def planned(of: World, kind: type[Asked] = Asked) -> tuple[Plan, list[Question]]:
    """The plan, and what was asked for it."""
    directory = kind(of.store, of.mapping.view(), base=BASE, filter=FILTER)
    directory.asked = []
    of.connect = lambda view: directory
    with of.parts() as parts:
        return dry_run(parts, quiet).plan, directory.asked


def names(drawn: Plan) -> set[str]:
    return {each.name for change in drawn.changes for each in change.attributes}


@pytest.mark.parametrize("compares", [True, False])
def test_of_an_attribute_that_is_hidden_nothing_is_planned_and_that_is_said_once(compares: bool) -> None:
    drawn, asked = planned(world(*map(str, range(COUNT)), compares=compares))
    assert names(drawn) == {"roomNumber"}
    assert len(drawn.changes) == COUNT
    (problem,) = drawn.problems
    assert (problem.kind, problem.attribute, problem.users, problem.agent) == ("unreadable", "employeeNumber", (), None)
    assert {question.attribute for question in asked} == {"employeeNumber"}
    assert len(asked) == 10, "so many show it, and all users would cost too much"


def test_whoever_differs_in_nothing_else_is_not_changed_and_not_said_to_be_in_step() -> None:
    of = world("1", "2")
    of.mapping = Mapping(MAPPING.match, (SEAT,))
    drawn, _ = planned(of)
    assert drawn.changes == ()
    assert (drawn.summary.matched, drawn.summary.unchanged) == (2, 0)


def test_one_that_is_hidden_and_that_nobody_has_is_set() -> None:
    """To compare is enough to find out that there is nothing."""
    drawn, asked = planned(world(*[None] * COUNT))
    assert names(drawn) == {"employeeNumber", "roomNumber"}
    assert drawn.problems == ()
    assert len(asked) == 10


def test_one_user_of_the_sample_who_has_a_value_is_enough() -> None:
    drawn, _ = planned(world(None, None, "3", *[None] * COUNT))
    assert names(drawn) == {"roomNumber"}


def test_of_one_that_may_be_read_nothing_is_asked() -> None:
    drawn, asked = planned(world("1", None, None, hidden=()))
    assert names(drawn) == {"employeeNumber", "roomNumber"}
    assert asked == []


class Some(Asked):
    """The directory does not say that everybody's may be read; some users show it."""

    def describe(self) -> Description:
        described = super().describe()
        info = replace(described.attributes["employeeNumber"], readable=None)
        return replace(described, attributes={**described.attributes, "employeeNumber": info})


def test_of_one_that_some_user_shows_nothing_is_asked() -> None:
    drawn, asked = planned(world(None, "101", None, hidden=()), Some)
    assert asked == []
    assert [change.user.id for change in drawn.changes if change.attributes[0].name == "employeeNumber"] == [
        "id-00", "id-02",
    ]  # fmt: skip
    _, asked = planned(world(None, None, None, hidden=()), Some)
    assert len(asked) == 3


def test_each_record_that_cannot_be_read_is_explained_by_all_that_is_known_of_it() -> None:
    of = world("1")
    of.tenant = Tenant(of.tenant.agents, [Invalid(3, "accountCode is a list", 1012), Invalid(4, "no", None, "u0")])
    with of.parts() as parts:
        (one,) = explain(parts, "1012")
        first, second = explain(parts, "u0")
    assert (one.verdict, one.why) == ("invalid", "record 3: accountCode is a list")
    assert (first.verdict, second.verdict, second.why) == ("matched", "invalid", "record 4: no")


@pytest.mark.parametrize("hidden", [True, False])
def test_that_object_classes_are_not_shown_is_said_for_nobody_can_rehearse_what_they_allow(hidden: bool) -> None:
    plan, _ = planned(world("1", "2", hidden=["objectClass"] if hidden else []))
    assert len(plan.changes) == 2
    assert any("do not show their object classes" in caution for caution in plan.cautions) is hidden

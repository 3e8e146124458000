"""Attributes that may not be read: unknown is not absent, and is found out with few questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run
from connector.explain.explainer import explain_name
from connector.model import Agent, Description, Holds, InvalidRecord, Outcome, Plan, Question, Result, Tenant
from connector.model.limits import ApplyPace
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
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


def world(*seats: str | None, hidden: Sequence[str] = ("employeeNumber",), **access: Any) -> World:
    """Users who hold these seats, and agents who are to have others. `access`: as `MemoryStore` has it."""
    entries = {
        f"id-{n:02}": (
            f"uid=u{n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "employeeNumber": [seat] if seat else []},
        )
        for n, seat in enumerate(seats)
    }
    agents = [Agent(100 + n, f"u{n}", f"7{n}") for n in range(len(seats))]
    return World(Tenant(agents), MemoryStore(entries, hidden=hidden, **access), MAPPING)


def planned(of: World, kind: type[Asked] = Asked) -> tuple[Plan, list[Question]]:
    """The plan, and what was asked for it."""
    directory = kind(of.store, of.mapping.view(), base=BASE, filter=FILTER)
    directory.asked = []
    of.connect = lambda view: directory
    with of.context() as context:
        return dry_run(context, quiet).plan, directory.asked


def names(drawn: Plan) -> set[str]:
    return {each.name for change in drawn.changes for each in change.attributes}


def seated(drawn: Plan) -> set[str]:
    """Whose employeeNumber is set."""
    return {change.user.id for change in drawn.changes if any(each.name == SEAT.name for each in change.attributes)}


def unreadable(drawn: Plan) -> dict[str, str]:
    """Users that are held back alone, by name, and why."""
    assert all((each.kind, each.attribute) == ("unreadable", SEAT.name) for each in drawn.problems)
    assert all(each.agent is not None and each.rule == 1 for each in drawn.problems)
    return {each.users[0]: each.why for each in drawn.problems}


NONE = [None] * COUNT
HAS = "employeeNumber has a value that this account cannot read; skipped"
UNTOLD = "employeeNumber shows no value to this account, which may be hidden; skipped"


def test_where_nothing_tells_nothing_is_planned_and_that_is_said_once() -> None:
    drawn, asked = planned(world(*map(str, range(COUNT)), compares=False))
    assert names(drawn) == {"roomNumber"}
    assert len(drawn.changes) == COUNT
    (problem,) = drawn.problems
    assert (problem.kind, problem.attribute, problem.users, problem.agent) == ("unreadable", "employeeNumber", (), None)
    assert {question.attribute for question in asked} == {"employeeNumber"}
    assert len(asked) == 10, "so many show it, and all users would cost too much"


@pytest.mark.parametrize("place", [2, 25])
def test_whoever_has_a_hidden_value_is_held_back_alone(place: int) -> None:
    """One of the sample, which costs a question for everybody; or one of the others, whom nobody was asked about."""
    seats = [*NONE[:place], "3", *NONE[place + 1 :]]
    drawn, asked = planned(world(*seats))
    if place < 10:
        assert unreadable(drawn) == {f"uid=u{place},{BASE}": HAS}
        assert len(seated(drawn)) == COUNT - 1
        assert len({question.user.id for question in asked}) == len(asked) == COUNT
    else:
        assert (len(seated(drawn)), len(asked), drawn.problems) == (COUNT, 10, ()), "its write is a conflict"


def test_where_everybody_has_a_hidden_value_that_is_said_once_too() -> None:
    drawn, asked = planned(world(*map(str, range(COUNT))))
    assert names(drawn) == {"roomNumber"}
    (problem,) = drawn.problems
    assert (problem.kind, problem.attribute, problem.users, problem.agent) == ("unreadable", "employeeNumber", (), None)
    assert len(asked) == COUNT


def test_whoever_may_not_be_compared_says_nothing_of_others() -> None:
    drawn, asked = planned(world(*NONE, mute={"id-03", "id-20"}))
    assert unreadable(drawn) == {f"uid=u3,{BASE}": UNTOLD, f"uid=u20,{BASE}": UNTOLD}
    assert len(seated(drawn)) == COUNT - 2
    assert len(asked) == COUNT


class Going(Asked):
    """A user is deleted between the search and the first question."""

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        self.store.entries.pop("id-03", None)
        return super().holds(questions)


def test_whoever_is_deleted_meanwhile_says_nothing_of_others() -> None:
    drawn, _ = planned(world(*NONE), Going)
    assert unreadable(drawn) == {f"uid=u3,{BASE}": UNTOLD}
    assert len(seated(drawn)) == COUNT - 1


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=24))
def test_what_is_planned_of_one_user_never_hangs_on_another(users: list[tuple[bool, bool]]) -> None:
    """But where nothing tells, of nobody; and where the sample has nothing hidden, which the write finds out."""
    has = [f"id-{n:02}" for n, (held, _) in enumerate(users) if held]
    mute = {f"id-{n:02}" for n, (_, silent) in enumerate(users) if silent}
    of = world(*("1" if held else None for held, _ in users), mute=mute)
    drawn, asked = planned(of)
    sample = [f"id-{n:02}" for n in range(min(10, len(users)))]
    free = {f"id-{n:02}" for n in range(len(users))} - mute - set(has)
    assert len({question.user.id for question in asked}) == len(asked) <= len(users)
    if mute.issuperset(sample) or not free:
        assert seated(drawn) == set()
        assert len(drawn.problems) == 1
    elif free.issuperset(sample):
        assert len(seated(drawn)) == len(users)
    else:
        assert seated(drawn) == free
        assert len(unreadable(drawn)) == len(users) - len(free)


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


def test_of_one_that_some_user_shows_a_sample_is_asked_all_the_same() -> None:
    """An access rule may hide it of some users, who would be planned for again and again, and refused each time."""
    drawn, asked = planned(world(None, "101", None, hidden=()), Some)
    assert seated(drawn) == {"id-00", "id-02"}
    assert {question.user.id for question in asked} == {"id-00", "id-02"}
    _, asked = planned(world("100", "101", "9", hidden=()), Some)
    assert asked == [], "nobody is to get a first value"
    drawn, asked = planned(world("100", *NONE, hidden=()), Some)
    assert (len(seated(drawn)), len(asked)) == (COUNT, 10)


@pytest.mark.parametrize(("mute", "why"), [((), HAS), (("id-02",), UNTOLD)])
def test_where_others_show_it_whoever_hides_it_is_held_back_alone(mute: tuple[str], why: str) -> None:
    """The change of a value that is shown is no concern of theirs."""
    of = world("9", None, "3", "103", veiled={"id-02"}, mute=mute)
    drawn, asked = planned(of)
    assert seated(drawn) == {"id-00", "id-01"}
    assert unreadable(drawn) == {f"uid=u2,{BASE}": why}
    assert {question.user.id for question in asked} == {"id-01", "id-02"}
    of.store.put(
        "id-01", f"uid=u1,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u1"], "employeeNumber": ["101"]}
    )
    drawn, _ = planned(of)
    assert unreadable(drawn) == {f"uid=u2,{BASE}": why}, "also where nobody else is asked"
    assert seated(drawn) == {"id-00"}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=10))
def test_nobody_is_planned_for_again_and_again(users: list[tuple[bool, bool, bool]]) -> None:
    """Whoever holds a value, hides it, may not be compared, or several of these."""
    seats = ["1" if held else None for held, _, _ in users]
    veiled, mute = ({f"id-{n:02}" for n, each in enumerate(users) if each[place]} for place in (1, 2))
    of = world(*seats, veiled=veiled, mute=mute)
    of.pace = ApplyPace(ramp=())  # a write that cannot be read back confirms no step
    with of.context() as context:
        run = apply_run(context, quiet)
    assert all(outcome.result is not Result.CONFLICT for outcome in run.outcomes or ())
    after = of.store.snapshot()
    for number, (held, hides, silent) in enumerate(users):
        left = after[f"id-{number:02}"][1].get("employeeNumber", ())
        assert not (held and hides) or left == ("1",), "a hidden value was written over"
        untold = hides or (silent and not held)
        assert untold or left == (str(100 + number),), "whoever shows all is written like anybody"
    drawn, _ = planned(of)
    assert drawn.changes == ()


def test_who_shows_the_values_of_others_is_not_taken_for_somebody_who_hides_one() -> None:
    of = world(None, None, hidden=())
    of.mapping = Mapping(MAPPING.match, (AttributeRule("description", Template.parse("x:{workNo}"), owns="x:*"),))
    for entry in of.store.entries.values():
        entry.values["description"] = [b"theirs"]
    of.store.hidden, of.store.veiled = frozenset({"description"}), set()
    drawn, asked = planned(of)
    assert (len(drawn.changes), drawn.problems, asked) == (2, (), [])


def test_also_of_an_attribute_that_is_ours_in_part_whoever_hides_a_value_is_held_back_alone() -> None:
    """That somebody else shows values tells nothing of this user."""
    of = world(None, None, hidden=())
    of.mapping = Mapping(MAPPING.match, (AttributeRule("description", Template.parse("x:{workNo}"), owns="x:*"),))
    for entry in of.store.entries.values():
        entry.values["description"] = [b"theirs"]
    of.store.hidden, of.store.veiled = frozenset({"description"}), {"id-01"}
    drawn, asked = planned(of)
    assert [change.user.id for change in drawn.changes] == ["id-00"]
    assert [(problem.kind, problem.users) for problem in drawn.problems] == [("unreadable", (f"uid=u1,{BASE}",))]
    assert [question.user.id for question in asked] == ["id-01"]


def test_each_record_that_cannot_be_read_is_explained_by_all_that_is_known_of_it() -> None:
    of = world("1")
    of.tenant = Tenant(
        of.tenant.agents, [InvalidRecord(3, "accountCode is a list", 1012), InvalidRecord(4, "no", None, "u0")]
    )
    with of.context() as context:
        (one,) = explain_name(context, "1012").explanations
        first, second = explain_name(context, "u0").explanations
    assert (one.verdict, one.why) == ("invalid", "record 3: accountCode is a list")
    assert (first.verdict, second.verdict, second.why) == ("matched", "invalid", "record 4: no")


@pytest.mark.parametrize("hidden", [True, False])
def test_that_object_classes_are_not_shown_is_said_for_nobody_can_check_what_they_allow(hidden: bool) -> None:
    plan, _ = planned(world("1", "2", hidden=["objectClass"] if hidden else []))
    assert len(plan.changes) == 2
    assert any("do not show their object classes" in caution for caution in plan.cautions) is hidden

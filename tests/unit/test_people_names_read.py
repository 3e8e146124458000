"""Names of people are hints, for whom a report names; a directory that cannot tell them leaves the plan as it is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.model import (
    EXAMPLES,
    ID,
    LISTED,
    NAME,
    AgentRef,
    AttributeChange,
    Change,
    Description,
    Form,
    Held,
    Key,
    Memory,
    Plan,
    Problem,
    Secret,
    User,
)
from connector.model.mapping import Mapping
from connector.planning.brief import PlanBrief, ShownNames
from connector.planning.person_names import add_people
from tests.support.asked import answering
from tests.support.report_samples import drawn, sample, user
from tests.support.worlds import NO_LIMITS

BRIEF = PlanBrief(
    mapping=Mapping((), ()), limits=NO_LIMITS, description=Description("LDIF file", "file:people", {}),
    memory=cast("Memory", None), fingerprint=lambda *_: "", job="job", plan_id="id", now=datetime.now(UTC),
    show=ShownNames(("cn",), asked=True),
)  # fmt: skip


def test_names_that_cannot_be_read_are_said_to_be_missing() -> None:
    plan = add_people(answering(IncompleteRead("the server is busy")), sample(), BRIEF)
    assert plan.about[-1] == ("names", "not shown: the server is busy")
    assert not plan.notes.people
    assert plan.digest == sample().digest


def asked(plan: Plan, brief: PlanBrief = BRIEF, found: Iterable[User] = ()) -> tuple[list[Key], Plan]:
    """What users are looked up by, and the plan once these are found."""
    directory = answering(found)
    named = add_people(directory, plan, brief)
    keys = [key for each in directory.asked for key in each.given[0]]
    return keys, named


def shows(number: int, name: str = "", **values: tuple[Held, ...]) -> User:
    return User(user(number).id, name or user(number).name, values)


def test_a_person_is_named_by_the_first_value_that_is_text() -> None:
    """By the user's name in the plan, whatever it is called by now."""
    near = "uid=nobdy,ou=people,dc=example,dc=org"
    found = [
        shows(9, displayName=(b"\xc3\xa9",)),
        shows(10, near, displayName=("Near",)),
        shows(1, "uid=renamed", displayName=(), cn=("Ann", "Anna")),
        shows(2, displayName=(Secret("hidden"),), cn=("", "Bob")),
        shows(3, mail=("c@example.org",)),
        shows(8, displayName=("First",), cn=("Second",)),
    ]
    brief = replace(BRIEF, show=ShownNames(("displayName", "cn"), asked=True))
    _, plan = asked(sample(), brief, found)
    assert sorted(plan.notes.people.items()) == sorted([
        (user(1).name, "Ann"), (user(2).name, "Bob"), (near, "Near"), (user(8).name, "First"), (user(9).name, "\u00e9"),
    ])  # fmt: skip


def test_users_of_changes_are_looked_up_by_id_and_others_that_are_named_by_name() -> None:
    plan = sample()
    further = Problem("stale", "why", users=(user(1).name, user(8).name))
    keys, _ = asked(replace(plan, problems=(*plan.problems, further)))
    near = [each.user for problem in plan.problems for each in problem.near]
    assert keys[:3] == [(ID, user(number).id) for number in (1, 2, 3)]
    assert sorted(keys[3:]) == sorted((NAME, name) for name in (*near, user(8).name, user(9).name))


def test_of_many_changes_those_are_named_that_a_terminal_lists_unless_a_report_names_all() -> None:
    def plan(count: int) -> Plan:
        each = AttributeChange("seat", (), ("1",), form=Form.FIRST)
        ann = AgentRef(1001, "ann")
        many = tuple(Change(user(number), ann, 1, (each,), inactive=number == count) for number in range(1, count + 1))
        return drawn(replace(sample(), changes=many, problems=()))

    few, many = plan(LISTED), plan(LISTED + 1)
    assert len(asked(few)[0]) == LISTED
    assert [id_ for _, id_ in asked(many)[0]] == [user(n).id for n in (*range(1, EXAMPLES + 1), LISTED + 1)]
    assert len(asked(many, replace(BRIEF, show=replace(BRIEF.show, everybody=True)))[0]) == LISTED + 1


def test_where_no_attribute_has_names_or_nobody_is_named_nothing_is_asked() -> None:
    nobody = drawn(replace(sample(), changes=(), problems=()))
    for plan, brief in ((sample(), replace(BRIEF, show=ShownNames())), (nobody, BRIEF)):
        assert asked(plan, brief)[0] == []

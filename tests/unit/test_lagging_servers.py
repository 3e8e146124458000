"""Runs that are served by two servers of one directory, of which the second has not heard of a write yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run, dry_undo
from connector.directories.port import Directory
from connector.model import Agent, Change, Description, Outcome, Plan, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

SEAT = "cecWorkNo"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (AttributeRule(SEAT, Template.parse("{workNo}"), unique=True),),
    ("cecAgent",),
)


def store(count: int) -> MemoryStore:
    values = {"objectClass": ["inetOrgPerson", "cecAgent"]}
    return MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", {**values, "uid": [f"u{n}"]}) for n in range(count)})


class At(MemoryDirectory):
    """One server of the directory; `lost` takes every change and answers none."""

    server = ""
    lost = False

    def describe(self) -> Description:
        return replace(super().describe(), server=self.server, identity="memory:both")

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        answers = super().write(changes)
        for each in answers:
            yield Outcome(each.user, Result.FAILED, "no answer", unknown=True) if self.lost else each


class Case:
    """Users on two servers; nothing that is written to one arrives at the other."""

    def __init__(self, count: int) -> None:
        self.stores = {"one": store(count), "two": store(count)}
        self.world = World(Tenant([]), self.stores["one"], MAPPING)

    def at(self, server: str, *, lost: bool = False) -> World:
        def connect(view: View) -> Directory:
            found = At(self.stores[server], view, base=BASE, filter=FILTER)
            found.server, found.lost = server, lost
            return found

        self.world.connect = connect
        return self.world

    def apply(self, server: str, *agents: Agent, lost: bool = False) -> Plan:
        of = self.at(server, lost=lost)
        of.tenant = Tenant([*agents])
        with of.context() as context:
            return apply_run(context, lambda plan, outcomes: None).plan

    def plan(self, server: str, *agents: Agent) -> Plan:
        of = self.at(server)
        of.tenant = Tenant([*agents])
        with of.context() as context:
            return dry_run(context, lambda plan, outcomes: None).plan

    def seats(self, server: str) -> list[tuple[object, ...]]:
        return [held.get(SEAT, ()) for _, held in self.stores[server].snapshot().values()]


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(each.kind, each.why) for each in plan.problems]


@pytest.mark.parametrize("seat", [7, 8])
def test_a_value_that_another_server_was_told_to_give_is_not_free_here(seat: int) -> None:
    """Any other value is, and so is the very value to the user who was given it."""
    case = Case(2)
    case.apply("one", Agent(7, "u0"))
    run = case.apply("two", Agent(seat, "u1"))
    assert case.seats("two") == ([(), ()] if seat == 7 else [(), ("8",)])
    late = [why for kind, why in told(run) if kind == "reassigned"]
    assert [why.partition(". ")[0] for why in late] == (
        ["another user got the value at another server less than a day ago"] if seat == 7 else []
    )
    assert [change.user.id for change in case.plan("two", Agent(7, "u0")).changes] == ["id-0"]


def test_a_value_that_this_server_shows_elsewhere_is_held_whatever_another_one_was_told() -> None:
    case = Case(2)
    case.apply("one", Agent(7, "u0"))
    case.stores["two"] = case.stores["one"]
    (why,) = [why for kind, why in told(case.plan("two", Agent(7, "u1"))) if kind == "reassigned"]
    assert why.startswith("another user still holds the value")


def test_writes_that_another_server_did_not_answer_are_told_with_its_name_until_it_is_asked() -> None:
    case = Case(3)
    run = case.apply("one", Agent(7, "u0"), Agent(8, "u1"), lost=True).id
    case.stores["one"] = store(3)
    agents = (Agent(7, "u0"), Agent(8, "u1"), Agent(9, "u2"))
    for place, server in (("two", "unsettled"), ("one", "")):
        found = [each for each in case.plan(place, *agents).problems if each.kind == "unsettled"]
        assert [each.kind for each in found] == ([server] if server else [])
        for each in found:
            assert each.users == (f"uid=u0,{BASE}", f"uid=u1,{BASE}")
            assert each.why.startswith(f"run {run} wrote to 2 users at one without an answer. two does not show")


def undone(case: Case, server: str, run: str) -> Plan:
    case.at(server)
    with case.world.back(run) as context:
        return dry_undo(context, lambda plan, outcomes: None).plan


def test_what_this_server_does_not_show_yet_cannot_be_taken_back_here() -> None:
    case = Case(2)
    run = case.apply("one", Agent(7, "u0")).id
    late = undone(case, "two", run)
    assert late.changes == ()
    assert told(late) == [("undo", "that run wrote it at one. two does not show it yet. Rerun the undo once it does")]
    assert [change.user.id for change in undone(case, "one", run).changes] == ["id-0"]


def test_what_a_later_run_took_away_is_no_longer_awaited() -> None:
    case = Case(2)
    first = case.apply("one", Agent(7, "u0")).id
    case.stores["two"] = case.stores["one"]
    case.world.mapping = replace(MAPPING, stale="clear")
    case.apply("two", Agent(9, "u1"))
    assert case.seats("two") == [(), ("9",)]
    again = undone(case, "two", first)
    assert (again.changes, told(again)) == ((), [])

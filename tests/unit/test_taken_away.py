"""A value that somebody takes away as soon as it is written, from an attribute that may be read."""

from __future__ import annotations

from collections.abc import Iterator

from connector.apply.sync import FinishedRun, apply_run
from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

ENTRY = {"objectClass": ["inetOrgPerson"], "uid": ["u0"]}


def test_it_is_set_again_and_not_taken_for_hidden() -> None:
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    rules = (AttributeRule("roomNumber", Template.parse("{workNo}"), owns="*"),)
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", ENTRY)})
    world = World(Tenant([Agent(7, "u0")]), store, Mapping(match, rules))

    class Contested(Disturbed):
        def alone(self, change: Change) -> Iterator[Outcome]:
            yield from super().alone(change)
            store.put("id-0", f"uid=u0,{BASE}", ENTRY)

    def connect(view: View) -> Directory:
        return Contested(MemoryDirectory(store, view, base=BASE, filter=FILTER), lambda: None)

    def apply() -> FinishedRun:
        with world.context() as context:
            return apply_run(context, lambda plan, outcomes: None)

    world.connect = connect
    (first,) = apply().outcomes or ()
    assert (first.result, first.lost) == (Result.FAILED, ("roomNumber",))
    world.connect = None
    run = apply()
    assert [problem.kind for problem in run.plan.problems] == ["refused"]
    assert [outcome.result for outcome in run.outcomes or ()] == [Result.WRITTEN]
    assert store.snapshot()["id-0"][1]["roomNumber"] == ("7",)

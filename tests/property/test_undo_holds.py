"""An undo that has taken something back leaves the job on hold, whatever became of the rest of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connector.apply.sync import FinishedRun, apply_run, apply_undo
from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

MATCH = (MatchRule(Template.parse("{accountCode}"), "uid"),)
SEAT = AttributeRule("employeeNumber", Template.parse("{workNo}"), unique=True)
ROOM = AttributeRule("roomNumber", Template.parse("{sipAccount}"), owns="*")
Alone = Callable[[Directory, Change], Iterator[Outcome]]


class Odd(Disturbed):
    """Each user's write goes another way."""

    def __init__(self, inner: Directory, way: Alone) -> None:
        super().__init__(inner, lambda: None)
        self._way = way

    def alone(self, change: Change) -> Iterator[Outcome]:
        return self._way(self._inner, change)


def job(store: MemoryStore, *rules: AttributeRule) -> World:
    tenant = Tenant([Agent(1, "u0", "10"), Agent(0, "u1", "11")])
    return World(tenant, store, Mapping(MATCH, rules))


def users(**values: list[str]) -> MemoryStore:
    return MemoryStore({
        f"id-{n}": (
            f"uid=u{n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"]} | {name: [some[n]] for name, some in values.items()},
        )
        for n in range(2)
    })  # fmt: skip


def undone(world: World, way: Alone) -> FinishedRun:
    """Apply, and take that back in this way."""
    with world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert {outcome.result for outcome in run.outcomes or ()} == {Result.WRITTEN}

    def connect(view: View) -> Directory:
        return Odd(MemoryDirectory(world.store, view, base=BASE, filter=FILTER), way)

    world.connect = connect
    with world.back(run.plan.id) as back_context:
        back = apply_undo(back_context, lambda plan, outcomes: None)
    assert Result.WRITTEN not in {outcome.result for outcome in back.outcomes or ()}
    return back


def test_a_part_of_which_somebody_puts_there_again_at_once() -> None:
    store = users()
    world = job(store, SEAT, ROOM)

    def way(inner: Directory, change: Change) -> Iterator[Outcome]:
        room = store.entries[change.user.id].values["roomnumber"]
        yield from inner.write([change])
        entry = store.entries[change.user.id]
        store.put(entry.id, entry.name, {**entry.values, "roomNumber": room})

    undone(world, way)
    assert not any("employeenumber" in entry.values for entry in store.entries.values()), "it was taken back"
    assert world.state.read_hold(world.job)


@pytest.mark.parametrize("result", [Result.FAILED, Result.CONFLICT])
def test_a_value_that_was_let_go_of_for_somebody_who_does_not_get_it(result: Result) -> None:
    """Two users swap their seats back: one lets go of its own first, and the other is refused."""
    store = users(employeeNumber=["0", "1"])
    world = job(store, SEAT)

    def way(inner: Directory, change: Change) -> Iterator[Outcome]:
        if any(each.new for each in change.attributes):
            return iter([Outcome(change.user, result, "refused")])
        return inner.write([change])

    undone(world, way)
    assert sum("employeenumber" in entry.values for entry in store.entries.values()) == 1, "one has let go"
    assert world.state.read_hold(world.job)


def test_nothing() -> None:
    world = job(users(), SEAT)
    undone(world, lambda inner, change: iter([Outcome(change.user, Result.FAILED, "refused")]))
    assert not world.state.read_hold(world.job)

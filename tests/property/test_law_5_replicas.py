"""Law 5 with replicas: the server changes between a run that died and the next, and what it wrote may not be there yet.

Once all has arrived everywhere, and each server was asked, it is as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.apply.sync import FinishedRun
from connector.errors import RefusedError
from connector.model import OBJECT_CLASS, Agent, Plan, Result, Tenant
from tests.support.examples import examples
from tests.support.memory import MemoryStore
from tests.support.mortal import DeathError, Mortal
from tests.support.replicas import SERVERS, Replicas, ours, puts
from tests.support.worlds import World, busy_tenants, busy_worlds

law = settings(
    max_examples=examples(60),
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
deaths = st.lists(st.integers(1, 60) | st.none(), min_size=1, max_size=4)
"""At which call each run dies; some come to their end."""


def lagging(world: World, data: st.DataObject, *, first: bool) -> Replicas:
    """Of each user something may arrive before any write."""
    replicas = Replicas(world, shows=data.draw(st.booleans()), classes_first=first)

    def meddle() -> None:
        if data.draw(st.integers(0, 4)) == 4:
            replicas.arrive([data.draw(st.sampled_from(sorted(world.store.entries)))])

    replicas.meddle = meddle
    return replicas


def disturbed(
    replicas: Replicas, data: st.DataObject, run: Callable[[int | None], FinishedRun], deaths: list[int | None]
) -> None:
    """Each run is served by either server, which has heard some of what the other was told."""
    users = sorted(replicas.world.store.entries)
    for last in deaths:
        replicas.serve(data.draw(st.sampled_from(SERVERS)))
        replicas.arrive(data.draw(st.lists(st.sampled_from(users), unique=True)))
        replicas.perhaps(partial(run, last))


def made_good(replicas: Replicas, undisturbed: Mortal) -> None:
    expected = _held(undisturbed.world.store)
    for server in SERVERS:
        replicas.serve(server)
        assert _held(replicas.world.store) == expected
    assert not replicas.journal(None)
    assert ours(replicas) == ours(undisturbed)
    steps = [step for (run,) in replicas.database.rows("select id from runs") for step in replicas.steps(run)]
    written = {each for step in steps if step.outcome is Result.WRITTEN for each in puts(step.change)}
    assert written <= replicas.put, "nothing is made up"
    put = {each for each in replicas.put if each[2]}
    assert put <= written, "the journal knows every value that was put there"


def _held(store: MemoryStore) -> dict[str, dict[str, set[object]]]:
    return {id_: {name: set(some) for name, some in entry[1].items()} for id_, entry in store.snapshot().items()}


def _without(entry: dict[str, set[object]]) -> dict[str, set[object]]:
    return {name: some for name, some in entry.items() if name != OBJECT_CLASS}


def _values(store: MemoryStore) -> dict[str, dict[str, set[object]]]:
    return {id_: _without(entry) for id_, entry in _held(store).items()}


def both(world: World, data: st.DataObject) -> tuple[Replicas, Mortal]:
    """A world and its undisturbed twin, perhaps after a first run."""
    first = data.draw(st.booleans())
    replicas, undisturbed = lagging(world, data, first=first), Mortal(world, classes_first=first)
    if data.draw(st.booleans()):
        replicas.apply(), undisturbed.apply()
        replicas.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
    return replicas, undisturbed


@law
@given(busy_worlds(), st.data(), deaths)
def test_an_apply_that_died_is_made_good_at_another_server(
    world: World, data: st.DataObject, deaths: list[int | None]
) -> None:
    replicas, undisturbed = both(world, data)
    undisturbed.apply()
    disturbed(replicas, data, lambda last: replicas.apply(last=last), deaths)
    replicas.until_quiet(replicas.apply)
    made_good(replicas, undisturbed)
    assert replicas.apply().plan.changes == ()


@law
@given(busy_worlds(), st.data(), deaths)
def test_nothing_of_ours_is_lost_as_ours(world: World, data: st.DataObject, deaths: list[int | None]) -> None:
    """Everybody leaves before all has arrived; in the end everything of ours is cleared, everywhere."""
    replicas, _ = both(world, data)
    disturbed(replicas, data, lambda last: replicas.apply(last=last), deaths)
    replicas.world.tenant = Tenant([Agent(99, "nobody")])
    disturbed(replicas, data, lambda last: replicas.apply(last=last), deaths[:2])
    replicas.until_quiet(replicas.apply)
    for server in SERVERS:
        replicas.serve(server)
        left = {
            (id_, name, frozenset(map(str, values)))
            for id_, entry in replicas.world.store.snapshot().items()
            for name, values in entry[1].items()
        }
        assert not left & {(user, name, frozenset(map(str, values))) for user, name, values in replicas.put if values}
    assert ours(replicas) == []
    assert not replicas.journal(None)


def resumed(replicas: Replicas, plan: Plan, last: int | None = None) -> FinishedRun:
    """An apply of a reviewed plan, which is refused once the plan was spent."""
    try:
        return replicas.apply(plan, last)
    except RefusedError:
        return FinishedRun(plan, refused=False)


@pytest.mark.slow
@law
@given(busy_worlds(), st.data(), deaths)
def test_a_reviewed_apply_that_died_goes_on_at_another_server(
    world: World, data: st.DataObject, deaths: list[int | None]
) -> None:
    replicas, undisturbed = both(world, data)
    replicas.converge()
    undisturbed.apply()
    plan = replicas.save()

    disturbed(replicas, data, partial(resumed, replicas, plan), deaths)
    replicas.until_quiet(partial(resumed, replicas, plan))
    replicas.until_quiet(replicas.apply)
    made_good(replicas, undisturbed)


@pytest.mark.slow
@law
@given(busy_worlds(hidden=False), st.data(), deaths, deaths)
def test_an_undo_at_another_server_takes_back_all_or_names_it(
    world: World, data: st.DataObject, before: list[int | None], deaths: list[int | None]
) -> None:
    replicas, _ = both(world, data)
    replicas.converge()
    was = _held(replicas.world.store)
    plan = replicas.save()

    disturbed(replicas, data, partial(resumed, replicas, plan), before)
    if not replicas.database.rows("select id from runs where id = ?", plan.id):
        return
    for last in deaths:
        replicas.serve(data.draw(st.sampled_from(SERVERS)))
        replicas.arrive(data.draw(st.lists(st.sampled_from(sorted(was)), unique=True)))
        try:
            run = replicas.undo(plan.id, last)
        except DeathError:
            continue
        named = {name for problem in run.plan.problems for name in problem.users}
        replicas.converge()
        for id_, entry in _values(replicas.world.store).items():
            assert entry == _without(was[id_]) or replicas.world.store.entries[id_].name in named, (
                id_,
                entry,
                was[id_],
            )
    replicas.until_quiet(lambda: replicas.undo(plan.id))
    for server in SERVERS:  # an object class of a write that went on at another server may stay, without values
        assert _values(replicas.stores[server]) == {id_: _without(entry) for id_, entry in was.items()}

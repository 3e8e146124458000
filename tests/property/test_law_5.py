"""Law 5: a run that died at any call of its journal or its directory is settled by the one that follows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.apply.sync import FinishedRun
from connector.errors import RefusedError
from connector.model import Agent, Plan, Secret, Tenant, Value
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import Template
from connector.runtime.clock import format_now
from connector.state.journal_rows import Sealer
from tests.support.memory import MemoryStore
from tests.support.mortal import DeathError, Mortal
from tests.support.worlds import BASE, SEATS, World, busy_tenants, busy_worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
AGAIN = "written again"


def until_it_ends(mortal: Mortal, run: Callable[[int | None], FinishedRun], deaths: list[int]) -> FinishedRun:
    """Begin a run again and again, as often as it dies."""
    for last in deaths:
        try:
            return run(last)
        except DeathError:
            mortal.said.append("died")
    return run(None)


def made_good(mortal: Mortal, undisturbed: Mortal) -> None:
    """The directory is as if nothing had happened, and the journal knows every write."""
    assert mortal.world.store.snapshot().keys() == undisturbed.world.store.snapshot().keys()
    for id_, entry in undisturbed.world.store.snapshot().items():
        assert _sets(mortal.world.store.snapshot()[id_]) == _sets(entry)
    assert not mortal.journal(None)
    written, logged = mortal.journal("written"), list(mortal.log)
    twice = mortal.journal("failed")
    for write in logged:
        if write in written:
            written.subtract([write])
        else:
            twice.subtract([write])
            assert any(AGAIN in line for line in mortal.said)
    assert not +written
    assert not -written or any(AGAIN in line for line in mortal.said)
    assert not -twice
    assert mortal.owned() == undisturbed.owned()


def _sets(entry: tuple[str, dict[str, tuple[Value, ...]]]) -> tuple[str, dict[str, set[Value]]]:
    return entry[0], {name: set(values) for name, values in entry[1].items()}


def reviewed_until_it_ends(mortal: Mortal, plan: Plan, deaths: list[int]) -> FinishedRun:
    """The same under a plan that is spent by then, if its last death came after all of it."""

    def resumed(last: int | None) -> FinishedRun:
        try:
            return mortal.apply(plan, last)
        except RefusedError:
            assert mortal.database.rows("select result from runs where id = ?", plan.id) == [("done",)]
            return FinishedRun(plan, refused=False)

    return until_it_ends(mortal, resumed, deaths)


deaths = st.lists(st.integers(1, 60), min_size=1, max_size=4)


@law
@given(busy_worlds(), st.data(), deaths)
def test_an_apply_that_died_is_made_good_by_the_next(world: World, data: st.DataObject, deaths: list[int]) -> None:
    first = data.draw(st.booleans())
    mortal = Mortal(world, shows=data.draw(st.booleans()), classes_first=first)
    undisturbed = Mortal(world, classes_first=first)
    if data.draw(st.booleans()):
        mortal.apply(), undisturbed.apply()
        mortal.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
    undisturbed.apply()
    run = until_it_ends(mortal, lambda last: mortal.apply(last=last), deaths)
    assert not run.count_ending.in_part
    made_good(mortal, undisturbed)
    assert mortal.apply().plan.changes == ()


PASSWORD = "SIPIdentityPassword"


@pytest.mark.parametrize("new", ["second", None], ids=["changed", "taken away"])
@pytest.mark.parametrize("death", range(1, 13))
def test_of_runs_that_died_over_a_compared_password_one_write_counts_once(death: int, new: str | None) -> None:
    """Each of them may have left it open, sent or not."""
    entry = (f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": ["u0"], "cn": ["Somebody"]})
    store = MemoryStore({"id-0": entry}, hidden=[PASSWORD], compares=True)
    rule = AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True, when_absent="clear")
    tenants = [Tenant([Agent(0, "u0", "0", Secret(each) if each else None)]) for each in ("first", new)]
    world = World(tenants[0], store, Mapping(SEATS.match, (rule,)))
    undisturbed = Mortal(world)
    undisturbed.apply()
    undisturbed.world.tenant = tenants[1]
    undisturbed.apply()
    for second in range(1, 21):
        mortal = Mortal(world)
        mortal.apply()
        mortal.world.tenant = tenants[1]
        until_it_ends(mortal, partial(mortal.apply, None), [death, second])
        made_good(mortal, undisturbed)
        assert not any(AGAIN in line for line in mortal.said), "comparing tells"


@pytest.mark.parametrize("death", range(1, 13))
def test_a_password_that_was_taken_away_unseen_is_found_to_be_gone(death: int) -> None:
    """Nothing else of the user changes, and nobody may read it: what a comparison tells has to be enough."""
    entry = (f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"], "cn": ["Somebody"]})
    store = MemoryStore({"id-0": entry}, hidden=["SIPIdentityPassword"], compares=True)
    world = World(Tenant([Agent(0, "u0", "0", Secret("taken"))]), store, SEATS)
    mortal, undisturbed = Mortal(world), Mortal(world)
    for each in (mortal, undisturbed):
        each.apply()
        each.world.tenant = Tenant([Agent(0, "u0", "0")])
    undisturbed.apply()
    until_it_ends(mortal, lambda last: mortal.apply(last=last), [death])
    made_good(mortal, undisturbed)


@law
@given(busy_worlds(), st.data(), deaths)
def test_a_reviewed_apply_that_died_goes_on_under_its_plan(
    world: World, data: st.DataObject, deaths: list[int]
) -> None:
    first = data.draw(st.booleans())
    mortal, undisturbed = Mortal(world, classes_first=first), Mortal(world, classes_first=first)
    if data.draw(st.booleans()):
        mortal.apply(), undisturbed.apply()
        mortal.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
    undisturbed.apply()
    before = {id_ for (id_,) in mortal.database.rows("select id from runs")}
    plan = mortal.save()
    run = reviewed_until_it_ends(mortal, plan, deaths)
    assert not run.count_ending.in_part
    made_good(mortal, undisturbed)
    assert {id_ for (id_,) in mortal.database.rows("select id from runs")} - before == {plan.id}
    with pytest.raises(RefusedError, match="spent"):
        mortal.apply(plan)


@pytest.mark.parametrize(("old", "new"), [(None, "set"), ("set", None), ("first", "second")])
@pytest.mark.parametrize("death", range(10, 14))
def test_a_reviewed_apply_that_died_over_a_password_that_nothing_tells_of_ends_under_its_plan(
    death: int, old: str | None, new: str | None
) -> None:
    """An object class that comes with it tells, whatever else the job had written before. Else it is said.

    The run that ends says so, for the one that has written it again may have died before it showed that to anybody.
    """
    entries = {
        f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "cn": [f"Somebody {n}"]})
        for n in range(2)
    }
    agents = [Agent(0, "u0", None, Secret(each) if each else None) for each in (old, new)]
    store = MemoryStore(entries, hidden=[PASSWORD], compares=False)
    world = World(Tenant(agents[:1]), store, SEATS)
    later = Tenant([agents[1], Agent(1, "u1")])
    undisturbed = Mortal(world)
    undisturbed.apply()
    undisturbed.world.tenant = later
    undisturbed.apply()
    for second in range(11, 18):
        mortal = Mortal(world)
        mortal.apply()
        mortal.world.tenant = later
        run = reviewed_until_it_ends(mortal, mortal.save(), [death, second])
        assert not run.count_ending.in_part
        made_good(mortal, undisturbed)
        assert old or not any(AGAIN in line for line in mortal.said), "the object class tells"


@law
@given(busy_worlds(hidden=False), st.data(), deaths, st.lists(st.integers(1, 60), max_size=2))
def test_an_undo_that_died_is_made_good_by_the_next(
    world: World, data: st.DataObject, deaths: list[int], before: list[int]
) -> None:
    """The run that is taken back may have died itself, and gone on. One that wrote nothing leaves no hold."""
    first = data.draw(st.booleans())
    mortal, undisturbed = Mortal(world, classes_first=first), Mortal(world, classes_first=first)
    if data.draw(st.booleans()):
        mortal.apply(), undisturbed.apply()
        mortal.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
    plans = mortal.save(), undisturbed.save()

    def resumed(last: int | None) -> FinishedRun:
        try:
            return mortal.apply(plans[0], last)
        except RefusedError:
            return FinishedRun(plans[0], refused=False)

    until_it_ends(mortal, resumed, before)
    undisturbed.apply(plans[1])
    undisturbed.undo(plans[1].id)
    run = until_it_ends(mortal, lambda last: mortal.undo(plans[0].id, last), deaths)
    assert not run.count_ending.in_part
    held = undisturbed.world.state.read_hold("law")
    assert (mortal.world.state.read_hold("law") is None) is (held is None)
    made_good(mortal, undisturbed)


def prune(mortal: Mortal, last: int) -> None:
    """Take out all that nothing needs any more, perhaps not to the end."""
    mortal.fate.begin(last)
    pruning = mortal.world.state.make_pruning("law", format_now(), audited=False)
    try:
        list(pruning.take_out(pruning.find_old()))
    except DeathError:
        mortal.said.append("died")


@pytest.mark.slow
@law
@given(busy_worlds(), st.data(), deaths)
def test_pruning_that_died_between_runs_that_died_changes_nothing_that_they_write_own_or_take_back(
    world: World, data: st.DataObject, prunings: list[int]
) -> None:
    first = data.draw(st.booleans())
    mortal, undisturbed = Mortal(world, classes_first=first), Mortal(world, classes_first=first)
    for last in prunings:
        mortal.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
        undisturbed.apply()
        try:
            mortal.apply(last=data.draw(st.integers(1, 60)))
        except DeathError:
            prune(mortal, data.draw(st.integers(1, 12)))
        mortal.apply()
        prune(mortal, last)
        assert _same(mortal, undisturbed)
    assert mortal.apply().plan.changes == ()
    assert mortal.world.state.find_faults("law", Sealer(world.key)) == []
    mortal.world.tenant = undisturbed.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
    runs = mortal.apply().plan.id, undisturbed.apply().plan.id
    prune(mortal, 10_000)
    assert [id_ for (id_,) in mortal.database.rows("select id from runs")] == [runs[0]]
    mortal.undo(runs[0]), undisturbed.undo(runs[1])
    assert _same(mortal, undisturbed)


def _same(mortal: Mortal, undisturbed: Mortal) -> bool:
    here, there = mortal.world.store.snapshot(), undisturbed.world.store.snapshot()
    same = {id_: _sets(entry) for id_, entry in here.items()} == {id_: _sets(entry) for id_, entry in there.items()}
    return same and mortal.owned() == undisturbed.owned()


@pytest.mark.slow
@law
@given(busy_worlds(), st.integers(1, 40))
def test_what_one_job_left_open_is_not_settled_by_another(world: World, last: int) -> None:
    """The other one has a key of its own, and may not even see these users."""
    mortal = Mortal(world)
    try:
        mortal.apply(last=last)
    except DeathError:
        left = mortal.journal(None)
        mortal.world.job = "another"
        mortal.world.tenant = Tenant([Agent(77, "somebody")])
        mortal.apply()
        assert mortal.journal(None) == left


@pytest.mark.slow
@law
@given(busy_worlds(), st.integers(1, 40))
def test_a_plan_that_was_taken_back_is_not_applied_again(world: World, last: int) -> None:
    mortal = Mortal(world)
    plan = mortal.save()
    try:
        mortal.apply(plan, last)
    except DeathError:
        if not mortal.database.rows("select id from runs"):
            return
    mortal.undo(plan.id)
    mortal.world.state.release_job("law")
    with pytest.raises(RefusedError, match="undone by run"):
        mortal.apply(plan)

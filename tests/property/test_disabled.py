"""Law 2 where users are disabled, moved, retitled and deleted between runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run
from connector.model import Agent, Change, Outcome, Plan, Tenant, dn
from tests.property.test_laws import law
from tests.property.test_two_jobs import apply, plan, quiet
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import DeathError
from tests.support.worlds import BASE, SEATS, World, busy_worlds, later

ENABLED = "(&(objectClass=inetOrgPerson)(!(nsAccountLock=TRUE))(!(title=left)))"
FATES = ("stays", "stays", "disabled", "disabled", "retitled", "both", "moved", "deleted")


def enabled(world: World) -> World:
    """The same world with a filter that leaves out disabled users."""
    world.connect = lambda view: MemoryDirectory(world.store, view, base=BASE, filter=ENABLED)
    return world


def fate(store: MemoryStore, id_: str, name: str) -> None:
    """What becomes of a user between two runs."""
    dn_, values = store.snapshot()[id_]
    marks = {"nsAccountLock": ["TRUE"]} if name in ("disabled", "both") else {}
    marks |= {"title": ["left"]} if name in ("retitled", "both") else {}
    if name == "deleted":
        store.remove(id_)
    elif name == "moved":
        store.put(id_, dn_.replace(BASE, "ou=away,dc=example,dc=org"), {**values, "nsAccountLock": ["TRUE"]})
    elif name != "stays":
        store.put(id_, dn_, {**values, **marks})


@pytest.mark.slow
@law
@given(busy_worlds(hidden=False), st.data())
def test_past_the_filter_our_values_of_disabled_users_alone_are_cleared(world: World, data: st.DataObject) -> None:
    world = enabled(world)
    world.mapping = replace(world.mapping, disabled=data.draw(st.sampled_from(["report", "clear"])))
    first = world.store.snapshot()
    apply(world)
    ours = world.store.snapshot()
    fates = {id_: data.draw(st.sampled_from(FATES)) for id_ in first}
    for id_, name in fates.items():
        fate(world.store, id_, name)
    world.tenant = data.draw(later(world.tenant))
    before = world.store.snapshot()
    cleared = {change.user.id for change in apply(world).plan.changes if change.agent is None}
    assert {fates[id_] for id_ in cleared} <= {"stays", "disabled"}, "nor is anything planned for others"
    after = world.store.snapshot()
    names = {rule.name for rule in world.mapping.attributes}
    for id_, (name, old) in before.items():
        new = after[id_][1]
        if fates[id_] == "stays" or new == old:
            continue
        assert (fates[id_], world.mapping.disabled) == ("disabled", "clear")
        assert dn.is_below(name, dn.split_rdns(BASE))
        for attribute in old.keys() | new.keys():
            taken = set(old.get(attribute, ())) - set(new.get(attribute, ()))
            assert set(new.get(attribute, ())) <= set(old.get(attribute, ()))
            assert not taken or attribute in names
            assert taken <= set(ours[id_][1].get(attribute, ()))
            assert taken.isdisjoint(first[id_][1].get(attribute, ()))


def people(count: int) -> dict[str, tuple[str, dict[str, list[str | bytes]]]]:
    return {
        f"id-{number}": (
            f"uid=u{number},{BASE}",
            {"objectClass": ["inetOrgPerson"], "cn": ["x"], "sn": ["x"], "uid": [f"u{number}"]},
        )
        for number in range(count)
    }


def stale(of: Plan) -> list[str]:
    return [each.why for each in of.problems if each.kind == "stale"]


def leavers(name: str) -> World:
    """Of three users that were written, the first has no agent any more and has this fate."""
    agents = [Agent(1000 + number, f"u{number}", str(7000 + number)) for number in range(3)]
    world = enabled(World(Tenant(agents), MemoryStore(people(3)), replace(SEATS, stale="clear", disabled="clear")))
    apply(world)
    fate(world.store, "id-0", name)
    world.tenant = Tenant(agents[1:])
    return world


def test_who_is_shown_again_is_ours_again() -> None:
    """A replica that lags shows a user not, and then shows it."""
    world = leavers("stays")
    kept = world.store.entries.pop("id-0")
    assert len(stale(apply(world).plan)) == 1
    assert stale(plan(world)) == []
    world.store.entries["id-0"] = kept
    (line,) = stale(plan(world))
    assert "deleted" not in line
    assert [change.user.id for change in apply(world).plan.changes] == ["id-0"]


def test_where_nobody_may_look_nobody_lapses() -> None:
    world = leavers("deleted")
    for _ in range(2):
        with world.context() as context:
            blind = replace(context, beyond=None)
            (line,) = stale(apply_run(blind, quiet).plan)
        assert "To tell which, " in line


def test_who_has_lapsed_stays_so_where_nobody_may_look() -> None:
    world = leavers("deleted")
    apply(world)
    with world.context() as context:
        assert stale(dry_run(replace(context, beyond=None), quiet).plan) == []


def test_a_disabled_user_whose_agent_is_still_there_is_cleared_and_keeps_nobody_else() -> None:
    world = leavers("disabled")
    fate(world.store, "id-1", "disabled")
    assert {change.user.id for change in apply(world).plan.changes} == {"id-0", "id-1"}
    assert plan(world).changes == ()


class Dying(MemoryDirectory):
    """The program dies when a write is done, and before it is noted."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        list(super().write(changes))
        raise DeathError


def test_a_clear_whose_program_died_is_settled_by_reading_the_disabled_user() -> None:
    world = leavers("disabled")
    living = world.connect
    world.connect = lambda view: Dying(world.store, view, base=BASE, filter=ENABLED)
    with pytest.raises(DeathError):
        apply(world)
    world.connect = living
    apply(world)
    with world.context() as context:
        assert context.state.read_open_steps(context.reader.describe().identity, world.job, context.sealer) == []
    assert plan(world).changes == ()
    assert "cecWorkNo" not in world.store.snapshot()["id-0"][1]


@law
@given(busy_worlds(hidden=False), st.data())
def test_nobody_is_cleared_who_is_enabled_or_disabled_between_plan_and_write(world: World, data: st.DataObject) -> None:
    """Whoever is enabled is an agent's again, and no agent was asked about the user while it was disabled."""
    world = enabled(world)
    world.mapping = replace(world.mapping, disabled="clear")
    apply(world)
    users = sorted(world.store.snapshot())
    for id_ in users:
        fate(world.store, id_, data.draw(st.sampled_from(["stays", "disabled"])))
    world.tenant = data.draw(later(world.tenant))
    planned = dict[str, bool]()

    def toggle() -> None:
        for id_ in users if planned else ():
            if data.draw(st.booleans()):
                dn_, values = world.store.snapshot()[id_]
                world.store.put(id_, dn_, {**values, "nsAccountLock": [] if values.get("nsAccountLock") else ["TRUE"]})

    class Toggled(Disturbed):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            planned.update((id_, bool(values.get("nsAccountLock"))) for id_, (_, values) in first.items())
            return super().write(changes)

        def alone(self, change: Change) -> Iterator[Outcome]:
            before = world.store.snapshot()
            outcomes = list(super().alone(change))
            values = before[change.user.id][1]
            if change.agent is None and world.store.snapshot()[change.user.id][1] != values:
                assert bool(values.get("nsAccountLock")) is planned[change.user.id]
            return iter(outcomes)

    first = world.store.snapshot()
    world.connect = lambda view: Toggled(MemoryDirectory(world.store, view, base=BASE, filter=ENABLED), toggle)
    apply(world)

"""The laws of the design, over random tenants, directories and mappings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.planning import Show
from connector.apply.sync import FinishedRun, apply_run, dry_run, make_plan
from connector.errors import IncompleteRead, TruncatedError, UnreachableError
from connector.matching.people import ExcludeList
from connector.model import (
    Agent,
    InvalidRecord,
    Key,
    Outcome,
    Plan,
    Result,
    Secret,
    Tenant,
    User,
    dn,
    equality,
    patterns,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.reports import csv, document, html, ldif, markdown, text
from connector.state.sqlite import Sqlite
from connector.state.store import State
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, CANARY, FILTER, SEATS, World, later, worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def show(world: World) -> Show:
    def shown(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        for renderer in (text, document, csv, markdown, html, ldif):
            world.shown.append("".join(renderer.render(plan, outcomes)))

    return shown


def apply(world: World) -> FinishedRun:
    with world.context() as context:
        return apply_run(context, show(world))


def everything_kept(database: Sqlite) -> list[object]:
    tables = [name for (name,) in database.rows("select name from sqlite_master where type = 'table'")]
    return [row for name in tables for row in database.rows(f"select * from {name}")]


def plan(world: World) -> Plan:
    with world.context() as context:
        return make_plan(context).plan


@law
@given(worlds(), st.data())
def test_1_convergence_after_an_apply_that_wrote_everything_the_next_plan_is_empty(
    world: World, data: st.DataObject
) -> None:
    for _ in range(3):
        run = apply(world)
        assert run.outcomes is not None
        assert [outcome for outcome in run.outcomes if outcome.result is not Result.WRITTEN] == []
        assert plan(world).changes == ()
        world.tenant = data.draw(later(world.tenant))


@law
@given(worlds(), st.booleans(), st.data())
def test_1_convergence_also_where_the_server_stores_another_spelling(
    world: World, shows: bool, data: st.DataObject
) -> None:
    """A secret that can only be compared is left out; the next test has it."""
    told = not world.store.hidden or not world.store.compares
    spelt = [
        rule.name
        for rule in world.mapping.attributes
        if rule.name in ("employeeNumber", "cecAccountCode") or (rule.secret and told)
    ]
    world.store.respells, world.store.shows = frozenset(map(world.store.schema.attribute_key, spelt)), shows
    for _ in range(3):
        run = apply(world)
        assert run.outcomes is not None
        assert [outcome for outcome in run.outcomes if outcome.result is not Result.WRITTEN] == []
        assert plan(world).changes == ()
        world.tenant = data.draw(later(world.tenant))


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("before", [[], [b"old"]])
def test_1_a_secret_that_can_only_be_compared_and_differs_fails_and_is_planned_again(
    before: list[bytes], shows: bool
) -> None:
    """Nothing tells another spelling from what somebody else has written, or from a write that was dropped."""
    name = "SIPIdentityPassword"
    user: dict[str, list[str | bytes]] = {
        "objectClass": ["inetOrgPerson", "SIPIdentity"],
        "uid": ["ann"],
        name: [*before],
    }
    people = MemoryStore({"id-0": (f"uid=ann,{BASE}", user)}, hidden=[name], respells=[name], shows=shows)
    world = World(
        Tenant([Agent(1, "ann", None, Secret(CANARY))]), people, replace(SEATS, attributes=SEATS.attributes[3:])
    )
    for _ in range(2):
        assert [(each.result, each.lost) for each in apply(world).outcomes or ()] == [(Result.FAILED, (name,))]
    assert [each.name for change in plan(world).changes for each in change.attributes] == [name]


@law
@given(worlds(), st.data())
def test_2_hands_off_whatever_the_tenant_the_directory_and_the_mapping(world: World, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        apply(world)
        world.tenant = data.draw(later(world.tenant))
    before = world.store.snapshot()
    run = apply(world)
    after = world.store.snapshot()
    owns = {rule.name: rule.owns for rule in world.mapping.attributes}
    allowed = {name.lower() for name in world.mapping.object_classes}
    changed = {change.user.id for change in run.plan.changes}
    assert before.keys() == after.keys()
    for id_, (name, old) in before.items():
        new = after[id_][1]
        if (
            id_ not in changed
            or not dn.is_below(name, dn.split_rdns(BASE))
            or "inetOrgPerson" not in old["objectClass"]
        ):
            assert new == old
            continue
        for attribute in old.keys() | new.keys():
            was, now = old.get(attribute, ()), new.get(attribute, ())
            if attribute == "objectClass":
                assert now[: len(was)] == was
                assert {str(value).lower() for value in now[len(was) :]} <= allowed
            elif attribute not in owns:
                assert now == was
            elif (pattern := owns[attribute]) is not None:
                ours = patterns.is_owned(pattern)
                assert [v for v in now if not ours(v)] == [v for v in was if not ours(v)]


@law
@given(worlds())
def test_2_each_user_that_is_written_is_claimed_by_one_agent_and_each_agent_has_one_user(world: World) -> None:
    drawn = plan(world)
    users = [change.user.id for change in drawn.changes if change.agent]
    agents = [change.agent for change in drawn.changes if change.agent]
    assert len(set(users)) == len(users)
    assert len(set(agents)) == len(agents)
    spared = {agent.account_code for agent in agents} & world.exclude.account_codes
    assert not spared


class OneByOne(MemoryDirectory):
    """Looks one key up after the other, as a server does, so that what has been found decides what else is asked."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        for key in keys:
            yield from super().find([key])


@law
@given(worlds())
def test_looking_up_rule_after_rule_finds_out_the_same_as_reading_everybody(world: World) -> None:
    world.connect = lambda view: OneByOne(world.store, view, base=BASE, filter=FILTER)
    with world.context() as context:
        read, looked_up = make_plan(replace(context, read="scan")).plan, make_plan(replace(context, read="find")).plan
    assert looked_up.digest == read.digest
    assert replace(looked_up, id="", created="") == replace(read, id="", created="")


@law
@given(worlds())
def test_the_counts_add_up(world: World) -> None:
    drawn = plan(world)
    counts = drawn.summary
    listed = Counter(problem.kind for problem in drawn.problems)
    for kind in ("unmatched", "ambiguous", "contested", "invalid"):
        assert listed[kind] == getattr(counts, kind), kind
    added = counts.matched + counts.unmatched + counts.ambiguous + counts.contested + counts.unassigned + counts.invalid
    assert counts.agents == added == world.tenant.size
    assert 0 <= counts.unchanged <= counts.matched


@law
@given(worlds(), st.data())
def test_a_unique_value_is_never_given_to_a_second_user(world: World, data: st.DataObject) -> None:
    def holders(attribute: str) -> dict[object, int]:
        held: dict[object, int] = {}
        for name, values in world.store.snapshot().values():
            if not dn.is_below(name, dn.split_rdns(BASE)) or "account" in values["objectClass"]:
                continue  # what is outside base and filter is neither read nor written
            for value in values.get(attribute, ()):
                key = equality.equality_key(world.store.schema.info(attribute).equality, value)
                held[key] = held.get(key, 0) + 1
        return held

    unique = [rule.name for rule in world.mapping.attributes if rule.unique]
    for _ in range(2):
        before = {name: holders(name) for name in unique}
        apply(world)
        for name in unique:
            for value, count in holders(name).items():
                assert count <= max(1, before[name].get(value, 0))
        world.tenant = data.draw(later(world.tenant))


class Cut(MemoryDirectory):
    """A directory that stops before it has given everything."""

    after = 0

    def _cut(self, users: Iterator[User]) -> Iterator[User]:
        for number, user in enumerate(users):
            if number >= self.after:
                break
            yield user
        raise TruncatedError("the server stopped at its size limit")

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        return self._cut(super().scan(holding))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return self._cut(super().find(keys))


def is_looked_for(world: World, agent: Agent) -> bool:
    """Whether the agent has an account that is not pinned to another seat than it has."""
    seats = [pin.work_no for pin in world.pins if pin.account_code == agent.account_code]
    return agent.account_code is not None and all(seat in (None, agent.work_no) for seat in seats)


@law
@given(worlds(), st.integers(0, 4))
def test_3_a_read_that_is_cut_off_is_an_error_and_changes_nothing(world: World, after: int) -> None:
    apply(world)
    before = world.store.snapshot()
    with world.context() as context:
        directory = Cut(world.store, world.mapping.view(), base=BASE)
        directory.after = after
        assume(any(is_looked_for(world, agent) for agent in world.tenant.agents))
        with pytest.raises(IncompleteRead):
            apply_run(replace(context, reader=directory, directory=directory), show(world))
    assert world.store.snapshot() == before


@law
@given(worlds(), st.booleans())
def test_3_an_empty_or_failed_source_changes_nothing(world: World, empty: bool) -> None:
    apply(world)
    before = world.store.snapshot()

    def gone() -> Tenant:
        if empty:
            return Tenant([])
        raise UnreachableError("no route to the tenant")

    world.source = gone
    if empty:
        run = apply(world)
        assert run.refused
        assert run.plan.changes == ()
        with world.context() as context:
            apply_run(context, show(world), accept=run.plan.digest)
    else:
        with pytest.raises(UnreachableError):
            apply(world)
    assert world.store.snapshot() == before


@law
@given(worlds())
def test_6_silence_no_password_is_in_any_report_plan_state_or_repr(world: World) -> None:
    with closing(Sqlite(None)) as database:
        world.state = State(database)
        run = apply(world)
        dump = "".join(map(str, everything_kept(database)))
    everything = "".join([*world.shown, dump, repr(run), repr(world.tenant), f"{world.tenant}"])
    assert CANARY not in everything
    assert CANARY.encode().hex() not in everything


@law
@given(worlds(), st.integers(1, 99), st.sampled_from(["workNo is a list", "accountCode occurs twice", "\x1b]0;\n"]))
def test_7_a_bad_record_is_one_line_and_changes_nothing_else(world: World, record: int, why: str) -> None:
    assume(world.mapping.stale == "report")
    before = plan(world)
    world.tenant = replace(world.tenant, invalid=[*world.tenant.invalid, InvalidRecord(record, why)])
    after = plan(world)
    assert after.changes == before.changes
    assert after.summary.invalid == before.summary.invalid + 1
    assert len(after.problems) == len(before.problems) + 1


@law
@given(worlds())
def test_a_dry_run_writes_nothing_and_says_the_same_twice(world: World) -> None:
    before = world.store.snapshot()
    with world.context() as context:
        first = dry_run(context, show(world))
    with world.context() as context:
        second = dry_run(context, show(world))
    assert first.plan.digest == second.plan.digest
    assert first.plan.id != second.plan.id
    assert world.store.snapshot() == before
    assert world.store.writes == 0


@law
@given(st.permutations(range(7)), st.sets(st.integers(0, 6)), st.sets(st.integers(0, 6)))
def test_seats_that_change_hands_end_where_they_belong_and_nobody_ever_shares_one(
    seats: list[int], leavers: set[int], newcomers: set[int]
) -> None:
    """User n holds seat n (newcomers none); afterwards agent n sits on seats[n]; leavers have no agent any more."""
    entries = {
        f"id-{n}": (
            f"uid=u{n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "employeeNumber": [] if n in newcomers else [str(n)]},
        )
        for n in range(7)
    }
    seat = AttributeRule("employeeNumber", Template.parse("{workNo}"), unique=True)
    mapping = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (seat,))
    agents = [Agent(seats[n], f"u{n}") for n in range(7) if n not in leavers and seats[n] > 0]
    assume(agents)
    world = World(Tenant(agents), MemoryStore(entries), mapping)
    run = apply(world)
    held = {id_: values.get("employeeNumber", ()) for id_, (_, values) in world.store.snapshot().items()}
    problems = {name for problem in run.plan.problems if problem.kind == "reassigned" for name in problem.users[:1]}
    for agent in agents:
        user = f"id-{str(agent.account_code)[1:]}"
        assert held[user] == (str(agent.work_no),) or f"uid={agent.account_code},{BASE}" in problems
    seats_held = [values for values in held.values() if values]
    assert len(set(seats_held)) == len(seats_held)
    if not leavers and 0 not in seats:
        assert not problems
    assert plan(world).changes == ()


def test_whoever_the_exclude_list_names_as_they_are_named_now_is_not_cleared() -> None:
    """The state knows a user by the name that it had; it has been moved since, and its agent is gone."""
    values = {"objectClass": ["inetOrgPerson"], "cn": ["Somebody"]}
    store = MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", {**values, "uid": [f"u{n}"]}) for n in range(3)})
    world = World(Tenant([Agent(n, f"u{n}", str(n)) for n in range(3)]), store, replace(SEATS, stale="clear"))
    assert len(apply(world).plan.changes) == 3
    for number in (1, 2):
        _, held = store.snapshot()[f"id-{number}"]
        store.put(f"id-{number}", f"uid=u{number},ou=moved,{BASE}", {name: list(some) for name, some in held.items()})
    world.tenant = Tenant(world.tenant.agents[:1])
    world.exclude = ExcludeList(users=frozenset({f"uid=u1,ou=moved,{BASE}"}))
    run = apply(world)
    assert [change.user.id for change in run.plan.changes] == ["id-2"]
    assert "cecWorkNo" in store.snapshot()["id-1"][1]
    assert "cecWorkNo" not in store.snapshot()["id-2"][1]

"""Law 12, getting on: with finitely many users refused for good, finitely many runs write all others.

Some refusals stay, some come and go; seats are single-holder values that go round, so that users wait for each other.
In many worlds in memory behind a wrapper that refuses, and in a few on a file and on real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run
from connector.directories.port import Directory
from connector.directories.scim.protocol import Answer, Request
from connector.model import Agent, Change, Outcome, Result, Tenant, View
from connector.model.limits import ApplyPace
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support import scim_provider as scim
from tests.support.directory_fixtures import DirectoryFixture
from tests.support.disturbed import Disturbed
from tests.support.examples import examples
from tests.support.grounds import ROOM, SEAT, Ground, MemoryGround, few, ground_of
from tests.support.memory import MemoryStore
from tests.support.scim_servers import ScimServer
from tests.support.worlds import World

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
USERS = 7
everybody = range(USERS)
some = st.frozensets(st.sampled_from(everybody))


@pytest.fixture
def ground(served: DirectoryFixture | ScimServer) -> Iterator[Ground]:
    with closing(ground_of(served)) as users:
        yield users


class Refusing(Disturbed):
    """Refuses the users of the fixture that are refused now, in one way or another."""

    def __init__(self, fixture: Fixture, view: View) -> None:
        super().__init__(fixture.ground.open(view), lambda: None)
        self._scene = fixture

    def alone(self, change: Change) -> Iterator[Outcome]:
        user = self._scene.ground.users[change.user.id]
        if user in self._scene.refused:
            self._scene.tried.append(user)
            return iter([Outcome(change.user, self._scene.how, "refused")])
        return super().alone(change)


@dataclass
class Fixture:
    """A job, and the users that are refused now, and `how`; `tried`: which of them a run has tried."""

    ground: Ground
    how: Result
    pace: ApplyPace
    refused: frozenset[int] = frozenset()
    tried: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        rules = (
            AttributeRule(self.ground.names[SEAT], Template.parse("{workNo}"), unique=True),
            AttributeRule(self.ground.names[ROOM], Template.parse("{sipAccount}"), owns="*"),
        )
        match = (MatchRule(Template.parse("{accountCode}"), self.ground.account),)
        self.world = World(
            Tenant([]),
            MemoryStore({}),
            Mapping(match, rules),
            pace=self.pace,
            connect=lambda view: Refusing(self, view),
        )

    def employ(self, seats: Iterable[int]) -> None:
        self.world.tenant = Tenant([Agent(seat, f"u{n}", f"1{seat}") for n, seat in enumerate(seats)])

    def apply(self) -> FinishedRun:
        self.tried.clear()
        with self.world.context() as context:
            return apply_run(context, lambda plan, outcomes: None)

    def waits_for(self, changes: Iterable[Change]) -> set[int]:
        """The users refused now, and whoever waits for them, at once or by way of others."""
        users = self.ground.users
        after = {users[change.user.id]: {users[each] for each in change.after} for change in changes}
        found = set(self.refused)
        while more := {user for user, ahead in after.items() if ahead & found} - found:
            found |= more
        return found


def get_on(fixture: Fixture, data: st.DataObject) -> None:
    """Refusals come and go for some runs; then those that are left stay, and all others are written."""
    fixture.ground.begin(USERS)
    fixture.employ(data.draw(st.permutations(everybody)))
    for _ in range(data.draw(st.integers(0, 4))):
        fixture.refused = data.draw(some)
        fixture.apply()
        if data.draw(st.integers(0, 2)) == 2:
            fixture.employ(data.draw(st.permutations(everybody)))
    fixture.refused = data.draw(some)
    for runs in range(3 * USERS):
        run = fixture.apply()
        pending = {fixture.ground.users[change.user.id] for change in run.plan.changes}
        if pending <= fixture.waits_for(run.plan.changes):
            break
        event(f"{'some' if fixture.refused else 'none'} refused, run {min(runs, 3)} was not the last")
    else:
        pytest.fail(f"still to be written: {pending}; refused: {set(fixture.refused)}")


paces = st.builds(
    ApplyPace, st.sampled_from([(), (1,), (2, 3), (1, 1, 1)]), st.integers(1, 3)
)  # fmt: skip
ways = st.sampled_from([Result.FAILED, Result.FAILED, Result.CONFLICT])


@settings(suppress_health_check=CHECKS, max_examples=examples(150))
@given(ways, paces, st.data())
def test_12_all_others_are_written(how: Result, pace: ApplyPace, data: st.DataObject) -> None:
    get_on(Fixture(MemoryGround(), how, pace), data)


@pytest.mark.slow
def test_12_all_others_are_written_on_a_file_or_a_server(served: DirectoryFixture | ScimServer, ground: Ground) -> None:
    @settings(suppress_health_check=CHECKS, max_examples=few(served, 6))
    @given(ways, paces, st.data())
    def law(how: Result, pace: ApplyPace, data: st.DataObject) -> None:
        get_on(Fixture(ground, how, pace), data)

    law()


class ProviderGround(MemoryGround):
    """Users of a SCIM server in this process; those that the fixture refuses are answered in a way of their own."""

    account = "userName"

    def __init__(self, way: str) -> None:
        super().__init__()
        self.names = {SEAT: scim.SEAT, ROOM: scim.LINE}
        self._way = way
        self.refused: Callable[[], frozenset[int]] = frozenset

    def begin(self, count: int) -> None:
        self.users = {f"u{n}": n for n in range(count)}
        some = ({"schemas": [scim.CORE], "id": id_, "userName": id_} for id_ in self.users)
        self.provider = scim.Provider(*some, meddle=self._meddle)

    def _meddle(self, request: Request) -> Answer | None:
        user = self.users.get(request.path.removeprefix("/Users/"))
        if request.method != "PATCH" or user not in self.refused():
            return None
        if self._way == "lists":
            single = any(not isinstance(each.get("value", []), list) for each in request.body["Operations"])
            return scim.said({"detail": "The value must be a list"}, 400, request=request) if single else None
        detail, status = WAYS[self._way]
        return scim.said({"detail": detail}, status, request=request)

    def open(self, view: View) -> Directory:
        return scim.opened(self.provider, view, read="scan", settle_time=0)


WAYS = {
    "its own version": ("", 412),
    "demands a version": ("", 428),
    "a rule of lists": ("value must be a valid list member", 400),
    "offers operations": ("Operation 'Replace' is forbidden for this user", 400),
}
"""Refusals that are no word on how the others are to be written."""


@pytest.mark.slow
@settings(suppress_health_check=CHECKS, max_examples=examples(60), deadline=None)
@given(st.sampled_from([*WAYS, "lists"]), paces, st.data())
def test_12_no_refusal_of_a_scim_server_changes_how_others_are_written(
    way: str, pace: ApplyPace, data: st.DataObject
) -> None:
    ground = ProviderGround(way)
    fixture = Fixture(ground, Result.FAILED, pace)
    ground.refused = lambda: fixture.refused
    fixture.world.connect = ground.open
    get_on(fixture, data)
    held = [held for id_ in ground.users for held in ground.provider.stored(id_).get(scim.CEC, {}).values()]
    assert way == "lists" or not any(isinstance(each, list) for each in held)
    assert all(map(scim.given, ground.provider.writes)), "a version protects every write"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_12_of_those_refused_before_a_few_are_tried_in_a_run_and_each_in_turn(most: int) -> None:
    fixture = Fixture(MemoryGround(), Result.FAILED, ApplyPace((), most), frozenset(range(5)))
    fixture.ground.begin(USERS)
    fixture.employ(everybody)
    while len(fixture.apply().plan.changes) > len(fixture.refused):
        pass
    turns = []
    for _ in range(5):
        run = fixture.apply()
        assert len(fixture.tried) <= most
        turns += fixture.tried
        lines = [problem.why for problem in run.plan.problems if problem.kind == "refused"]
        assert len(lines) == 5
        assert all("`exclude`" in why for why in lines)
        assert run.count_ending.in_part
    assert {turns.count(user) for user in fixture.refused} == {most}
    said = [problem.why for problem in fixture.apply().plan.problems if problem.kind == "refused"]
    assert any(f"refused {most + 1} runs running (refused)" in why for why in said), said
    fixture.refused = frozenset()
    fixture.apply()
    assert not [problem for problem in fixture.apply().plan.problems if problem.kind == "refused"]
    assert fixture.apply().plan.changes == ()


def test_12_what_earlier_runs_were_refused_is_in_no_digest() -> None:
    fixture = Fixture(MemoryGround(), Result.FAILED, ApplyPace((1,), 8), frozenset({0}))
    fixture.ground.begin(1)
    fixture.employ([0])
    first, second, third = (fixture.apply().plan for _ in range(3))
    assert [len(each.problems) for each in (first, second, third)] == [0, 1, 1]
    assert first.digest == second.digest == third.digest
    assert second.problems != third.problems
    assert replace(second, problems=()).digest == third.digest

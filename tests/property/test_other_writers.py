"""Law 8, ours only, and law 10, jobs keep apart: jobs of one state, and somebody else, write to one directory.

In many worlds in memory, and in a few on a file and on real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, event, given, settings, strategies as st

from connector.model import Agent, Problem
from connector.model.mapping import Stale
from connector.runtime.clock import format_now
from tests.support.directory_fixtures import DirectoryFixture
from tests.support.examples import examples
from tests.support.grounds import SEAT, Ground, MemoryGround, ground_of
from tests.support.scim_servers import ScimServer
from tests.support.shared_state import RULES, USERS, Job, Shared

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
law = settings(suppress_health_check=CHECKS, max_examples=examples(60))
few = settings(suppress_health_check=CHECKS, max_examples=5)
"""For real directories."""


@pytest.fixture
def ground(served: DirectoryFixture | ScimServer) -> Iterator[Ground]:
    with closing(ground_of(served)) as users:
        yield users


@st.composite
def agents(draw: st.DrawFn) -> list[Agent]:
    """Whoever is in a tenant; somebody always is, so that a tenant that is empty is not what is tried here."""
    seats = draw(st.permutations(range(1, USERS + 1)))
    lines = st.sampled_from([True, True, True, False])
    here = [
        Agent(seats[n], f"u{n}", str(seats[n]) if draw(lines) else None) for n in range(USERS) if draw(st.booleans())
    ]
    return [*here, Agent(99, "nobody")]


@st.composite
def several(draw: st.DrawFn, take_over: bool = True) -> dict[str, Job]:
    names = draw(st.sampled_from([["hr"], ["hr", "it"], ["hr", "it", "copy"]]))
    attributes = st.lists(st.sampled_from(sorted(RULES)), min_size=2, unique=True).map(tuple)
    stale: st.SearchStrategy[Stale] = st.sampled_from(["clear", "clear", "report"])
    taking = st.booleans() if take_over else st.just(False)
    return {
        name: Job(
            name, draw(attributes), draw(stale), draw(taking), draw(agents()), draw(st.booleans()), draw(st.booleans()),
            draw(st.sampled_from(["clear", "keep"])),
        )
        for name in names
    }  # fmt: skip


values = st.sampled_from(sorted(RULES)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.lists(st.sampled_from(RULES[name][2]), max_size=2 if RULES[name][1] else 1, unique=True)
    )
)  # fmt: skip
writes = st.tuples(st.integers(0, USERS - 1), values)


def disturbing(world: Shared, data: st.DataObject) -> Callable[[], None]:
    """Somebody else writes now and then, but not the same again after each write: a server's own spelling does that."""
    last: dict[tuple[int, str], list[str]] = {}

    def disturb() -> None:
        if data.draw(st.integers(0, 9)) == 9:
            user, (name, put) = data.draw(writes)
            if last.get((user, name)) != put:
                world.put(user, name, put)
            last[user, name] = put

    return disturb


def keep_to_what_is_theirs(world: Shared, data: st.DataObject) -> None:
    """Jobs of one state run and are undone in any order, and somebody else writes between any two steps."""
    world.disturb = disturbing(world, data)
    for job in world.jobs.values():
        world.apply(job)
    for _ in range(data.draw(st.integers(3, 9))):
        job = data.draw(st.sampled_from(sorted(world.jobs.values(), key=lambda job: job.name)))
        step = data.draw(st.sampled_from(["apply", "leave", "write", "undo", "prune"]))
        if step == "apply":
            world.apply(job)
        elif step == "leave":
            job.agents = data.draw(agents())
            world.apply(job)
        elif step == "write":
            user, (name, put) = data.draw(writes)
            world.put(user, name, put)
        elif step == "prune":
            prune(world, job, data)
        elif runs := [run.id for run in world.state.history.list_runs(job.name) if run.kind == "apply"]:
            world.undo(job, data.draw(st.sampled_from(runs)))
    assert not world.ledger.broken
    event(f"{len(world.jobs)} jobs, {'some' if world.ledger.owner else 'nothing'} written")


def prune(world: Shared, job: Job, data: st.DataObject) -> None:
    """Take out runs of the job; as of any run, all that ended before it are old."""
    ends = [run.started for run in world.state.history.list_runs(job.name)]
    pruning = world.state.make_pruning(job.name, data.draw(st.sampled_from([format_now(), *ends])), audited=False)
    event(f"{len([run.id for run in pruning.take_out(pruning.find_old())])} runs pruned")


def find_their_own(world: Shared, data: st.DataObject) -> None:
    """Without anybody else: whatever the order of runs, what a job wrote last and no longer claims is stale for it."""
    for _ in range(data.draw(st.integers(3, 9))):
        job = data.draw(st.sampled_from(sorted(world.jobs.values(), key=lambda job: job.name)))
        if data.draw(st.booleans()):
            job.agents = data.draw(agents())
        world.apply(job)
        if data.draw(st.booleans()):
            prune(world, job, data)
    for job in world.jobs.values():
        claimed = job.claimed()
        stale = {id_ for (id_, _), (owner, _) in world.ledger.owner.items() if owner == job.name and id_ not in claimed}
        drawn = world.plan(job)
        assert _stale(drawn.problems) == {world.ground.name(int(id_[3:])) for id_ in stale}
        assert drawn.summary.stale == len(stale)
    assert not world.ledger.broken


def _stale(problems: Iterable[Problem]) -> set[str]:
    return {name for problem in problems if problem.kind == "stale" for name in problem.users}


def begun(ground: Ground, jobs: dict[str, Job]) -> Shared:
    ground.begin(USERS)
    return Shared(ground, jobs)


@law
@given(several(), st.data())
def test_nobody_else_s_value_is_taken_from_whom_no_agent_claims_nor_undone(
    jobs: dict[str, Job], data: st.DataObject
) -> None:
    keep_to_what_is_theirs(begun(MemoryGround(), jobs), data)


@law
@given(several(), st.booleans(), st.data())
def test_nor_where_the_server_stores_another_spelling(jobs: dict[str, Job], shows: bool, data: st.DataObject) -> None:
    ground = MemoryGround()
    ground.store.respells, ground.store.shows = frozenset({SEAT.lower()}), shows
    keep_to_what_is_theirs(begun(ground, jobs), data)


@given(st.just(SEAT))
def test_a_value_as_it_was_sent_stays_where_the_server_had_spelt_ours_otherwise(name: str) -> None:
    """It is not what this job's write left there, so it is somebody's, even if no write could bring it."""
    ground = MemoryGround()
    ground.store.respells, ground.store.shows = frozenset({name.lower()}), False
    job = Job("hr", (name,), "clear", False, [Agent(2, "u1"), Agent(99, "nobody")])
    world = begun(ground, {"hr": job})
    world.apply(job)
    assert ground.held(1)[name] == {"~2"}
    ground.store.respells = frozenset()
    world.put(1, name, ["2"])
    (run,) = [run.id for run in world.state.history.list_runs("hr")]
    world.undo(job, run)
    assert not world.ledger.broken
    assert ground.held(1)[name] == {"2"}


@pytest.mark.slow
@few
@given(jobs=several(), data=st.data())
def test_nobody_else_s_value_is_taken_on_a_file_or_a_server(
    ground: Ground, jobs: dict[str, Job], data: st.DataObject
) -> None:
    keep_to_what_is_theirs(begun(ground, jobs), data)


@pytest.mark.slow
@law
@given(several(take_over=False), st.data())
def test_each_job_finds_its_own_stale_users_and_no_other_s(jobs: dict[str, Job], data: st.DataObject) -> None:
    find_their_own(begun(MemoryGround(), jobs), data)


@pytest.mark.slow
@few
@given(jobs=several(take_over=False), data=st.data())
def test_each_job_finds_its_own_stale_users_on_a_file_or_a_server(
    ground: Ground, jobs: dict[str, Job], data: st.DataObject
) -> None:
    find_their_own(begun(ground, jobs), data)

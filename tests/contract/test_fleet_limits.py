"""The limits of a fleet in PostgreSQL: no more at once than they say, in turn, and nothing after the brake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.errors import StateError
from connector.fleet.limits import DENIED_REST, LEASE, MINUTE, PlaceRequest, SharedLimits
from connector.fleet.values import JobStatus, State
from connector.settings.fleet import Brake, FleetLimits
from tests.support.examples import examples
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgresql


class Limits:
    """The limits of a fleet of its own, whose time `pass_time` moves on."""

    def __init__(self, server: Postgres, database: str, **more: int) -> None:
        self.server, self.database, self.fleet = server, database, uuid4().hex
        brake = Brake.model_validate({"share": "25%", **({"least": more.pop("least")} if "least" in more else {})})
        limits = FleetLimits(brake=brake, **{"applies": 2, "per_server": 1, **more})
        self.shared = SharedLimits(server.url(database), self.fleet, limits)
        self.shared.set_limits()

    def pass_time(self, seconds: float) -> None:
        """As if so much time had passed: all that the rows remember was earlier."""
        for table, column in (
            ("fleet_steps", "leased_until"), ("fleet_sources", "step_begun"), ("fleet_accounts", "tried"),
            ("fleet_watches", "leased_until"), ("fleet_jobs", "ended"), ("fleet_jobs", "since"), ("fleet_limits", "alarm_at"),
        ):  # fmt: skip
            self.server.run(
                self.database, f"update {table} set {column} = {column} - {seconds} where fleet = '{self.fleet}'"
            )

    def ask(self, *steps: PlaceRequest) -> list[str]:
        """The jobs whose steps may begin, of those that ask now, one after the other."""
        for step in steps:
            self.shared.grant_places([], [])
            self.shared.grant_places([step])
        let_in = self.shared.grant_places(steps).tokens
        return [step.job for step in steps if step.token in let_in]

    def note(self, job: str, state: State) -> bool:
        """Whether applies have stopped, once a job stands so."""
        self.shared.note_job(JobStatus(job, state))
        return bool(self.shared.read_status().braked)


Make = Callable[..., Limits]


@pytest.fixture(scope="module")
def database(postgresql: Postgres) -> str:
    name = f"limits_{uuid4().hex}"
    postgresql.create(name)
    return name


@pytest.fixture
def limits(postgresql: Postgres, database: str) -> Iterator[Make]:
    made: list[Limits] = []

    def make(**more: int) -> Limits:
        made.append(Limits(postgresql, database, **more))
        return made[-1]

    yield make
    for each in made:
        each.shared.close()


def apply(job: str, server: str = "s1", run: int = 1) -> PlaceRequest:
    return PlaceRequest(f"{job}/{run}", job, "apply", "", server)


def plan(job: str, source: str = "", account: str = "") -> PlaceRequest:
    return PlaceRequest(f"{job}/1", job, "plan", source, "s1", account)


def test_one_apply_a_server_and_so_many_altogether(limits: Make) -> None:
    fleet = limits()
    steps = [apply("a"), apply("b"), apply("c", "s2"), apply("d", "s3")]
    assert fleet.ask(*steps) == ["a", "c"]
    fleet.shared.end_step(steps[2])
    assert fleet.ask(*steps[1:2], *steps[3:]) == ["d"], "b waits for its server, and holds up nobody"
    fleet.shared.end_step(steps[0])
    assert fleet.ask(steps[1]) == ["b"]
    assert fleet.ask(plan("e")) == ["e"], "plans need no place of an apply"
    status = fleet.shared.read_status()
    assert (status.under_way, status.waiting) == (["b", "d", "e"], 0)


def test_steps_begin_in_the_order_in_which_they_asked(limits: Make) -> None:
    fleet = limits(applies=1)
    first, *others = [apply(job, job) for job in "zyx"]
    assert fleet.ask(first, *others) == ["z"]
    fleet.shared.end_step(first)
    assert fleet.ask(others[1]) == [], "it asks again, and another has waited for longer"
    assert fleet.ask(others[0]) == ["y"]


def test_a_source_is_read_at_its_rate_and_no_other_waits_for_it(limits: Make) -> None:
    fleet = limits(source_rate=6)
    a, b = plan("a", "host"), plan("b", "host")
    assert fleet.ask(a, b, plan("d", "other")) == ["a", "d"]
    pause = fleet.shared.grant_places([b]).pause
    assert pause is not None
    assert 5 < pause <= 10
    fleet.pass_time(9)
    assert fleet.ask(b) == [] or pause < 9.5
    fleet.pass_time(1)
    assert fleet.ask(b) == ["b"]


def test_a_step_keeps_its_place_while_its_worker_says_so_and_no_longer(limits: Make) -> None:
    fleet = limits()
    dead, alive, other = apply("a"), apply("b", "s2"), apply("c")
    fleet.ask(dead, alive)
    assert fleet.shared.begin_step(alive)
    fleet.pass_time(LEASE - 5)
    fleet.shared.grant_places([], [alive])
    assert fleet.ask(other) == []
    fleet.pass_time(6)
    assert fleet.ask(other) == ["c"]
    assert not fleet.shared.begin_step(dead), "its place has gone to another"
    assert fleet.shared.read_status().under_way == ["b", "c"]


def test_the_next_run_of_a_job_frees_what_an_ended_one_was_let_in_for(limits: Make) -> None:
    fleet = limits()
    assert fleet.ask(apply("a")) == ["a"]
    assert fleet.ask(apply("a", run=2)) == ["a"]
    assert fleet.shared.begin_step(apply("a", run=2))
    assert fleet.ask(apply("a", run=3)) == [], "the process of the earlier one still runs"


def test_a_run_that_asks_for_its_next_step_holds_nothing_by_the_last(limits: Make) -> None:
    fleet = limits(applies=1)
    assert fleet.ask(plan("a"), apply("b", "s2")) == ["a", "b"]
    assert fleet.ask(apply("a")) == []
    assert fleet.shared.read_status().under_way == ["b"]


def test_the_brake_stops_applies_until_somebody_says_so(limits: Make) -> None:
    fleet = limits(applies=9, per_server=9)
    for job in "abc":
        assert not fleet.note(job, "in step")
    assert not fleet.note("d", "failing")
    assert not fleet.note("e", "in step"), "one of five is not more than a quarter"
    assert fleet.note("e", "refused"), "two of five are"
    alarm = fleet.shared.take_alarm()
    assert alarm is not None
    assert (alarm.ran, alarm.turned_bad) == (5, ["d", "e"])
    assert fleet.shared.take_alarm() is None, "another worker has taken it"
    fleet.pass_time(301)
    assert fleet.shared.take_alarm() == alarm, "which died of it"
    fleet.shared.end_alarm(alarm)
    fleet.pass_time(301)
    assert fleet.shared.take_alarm() is None
    assert fleet.ask(apply("a"), plan("b")) == ["b"]
    assert fleet.shared.resume_applies()
    assert not fleet.shared.resume_applies()
    assert fleet.ask(apply("a")) == ["a"]
    assert not fleet.note("d", "failing"), "what was before counts no more"


def test_the_brake_counts_the_last_hour_and_five_jobs_at_least(limits: Make) -> None:
    fleet = limits()
    for job in "abcd":
        assert not fleet.note(job, "failing")
    fleet.pass_time(3600)
    for job in "efgh":
        assert not fleet.note(job, "in step"), "those of an hour ago count no more"
    assert not fleet.note("i", "failing"), "one of five"
    assert fleet.note("j", "failing"), "two of six"


def test_jobs_that_stay_bad_and_those_that_are_about_to_run_do_not_trip_the_brake(limits: Make) -> None:
    fleet = limits(applies=99, per_server=99)
    for job in "abc":
        fleet.note(job, "failing")
    fleet.shared.resume_applies()
    for job in "abcde":
        assert not fleet.note(job, "failing" if job in "abc" else "in step"), "these were bad before"
    fleet.shared.grant_places([apply(f"job{number}") for number in range(20)])
    assert not fleet.note("f", "failing")
    assert not fleet.note("g", "refused"), "two of twenty-seven, of which twenty have not ended yet"


def test_an_account_that_a_directory_refused_is_tried_by_one_step_and_after_a_rest(limits: Make) -> None:
    fleet = limits()
    a, b, c, e = (plan(job, account="account") for job in "abce")
    assert fleet.ask(a, b, c, plan("d", account="another")) == ["a", "d"], "nobody knows yet whether it is taken"
    fleet.shared.end_step(a, denied=True)
    assert fleet.ask(b, c) == []
    fleet.pass_time(DENIED_REST - 30)
    assert fleet.ask(b, c) == []
    fleet.pass_time(30)
    assert fleet.ask(b, c) == ["b"]
    fleet.shared.end_step(b, denied=False)
    assert fleet.ask(c, e) == ["c", "e"], "now it is taken"


def test_since_when_a_job_stands_so_and_when_it_last_went_well(limits: Make) -> None:
    fleet = limits()
    fleet.note("a", "in step")
    fleet.pass_time(10)
    fleet.note("a", "failing")
    fleet.pass_time(10)
    fleet.note("a", "failing")
    stands = fleet.shared.read_status().jobs["a"]
    assert (stands.state, 10 <= stands.ended - stands.since < 20) == ("failing", True)
    assert 0 < stands.last_good < stands.ended


def test_workers_share_the_limits_of_the_one_that_began_last(limits: Make, postgresql: Postgres) -> None:
    fleet = limits(applies=1)
    other = SharedLimits(postgresql.url(fleet.database), fleet.fleet, FleetLimits(applies=5, per_server=5))
    assert fleet.ask(apply("a"), apply("b", "s2")) == ["a"]
    assert not other.grant_places([apply("b", "s2")]).tokens
    other.set_limits()
    assert fleet.ask(apply("b", "s2")) == ["b"]
    other.close()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_who_waited_for_the_others_sees_what_they_did(postgresql: Postgres, isolation: str) -> None:
    database = f"limits_{uuid4().hex}"
    postgresql.create(database)
    postgresql.run(database, f"alter database {database} set default_transaction_isolation = '{isolation}'")
    shared = SharedLimits(postgresql.url(database), "fleet", FleetLimits(applies=1))
    shared.set_limits()
    with ThreadPoolExecutor(1) as pool, closing(postgresql.connect(database)) as other:
        with other.transaction():
            other.execute("select pg_advisory_xact_lock(7162239829045699941)")
            asked = pool.submit(shared.grant_places, [apply("b")])
            while not postgresql.run(database, "select 1 from pg_locks where locktype = 'advisory' and not granted"):
                time.sleep(0.01)
            other.execute(
                "insert into fleet_steps (fleet, token, job, step, source, server, account, let_in, runs, leased_until)"
                " values ('fleet', 'a/1', 'a', 'apply', '', 's2', '', true, true, extract(epoch from now()) + 60)"
            )
        assert not asked.result().tokens, "the one apply is under way"
    shared.close()


def test_a_database_that_was_away_is_asked_again_and_a_dropped_connection_costs_nothing() -> None:
    with Postgres.start() as own:
        own.create("limits")
        shared = SharedLimits(own.url("limits"), "fleet", FleetLimits())
        assert shared.grant_places([plan("a")]).tokens
        own.stop()
        with pytest.raises(StateError, match="the limits of the fleet cannot be read or written: "):
            shared.read_status()
        own.restart()
        assert shared.read_status().under_way == ["a"]
        own.run("limits", "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        shared.end_step(plan("a"))
        assert shared.read_status().under_way == [], "a dropped connection cost a call"
        shared.close()


servers = st.sampled_from(["s1", "s2", "s3"])
steps = st.builds(
    lambda job, step, server, source, run: PlaceRequest(f"{job}/{run}", job, step, source, server),
    st.sampled_from("abcdefgh"), st.sampled_from(["plan", "apply"]), servers, st.sampled_from(["", "h1", "h2"]),
    st.integers(1, 3),
)  # fmt: skip
events = st.lists(st.one_of(steps, st.integers(0, 9), st.floats(0, 30)), max_size=25)


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.integers(1, 3), st.integers(1, 2), st.integers(1, 120))
def test_whatever_happens_the_limits_hold(
    limits: Make, events: list[PlaceRequest | int | float], applies: int, per_server: int, rate: int
) -> None:
    fleet = limits(applies=applies, per_server=per_server, source_rate=rate)
    held: dict[str, PlaceRequest] = {}
    begun: dict[str, float] = {}
    now = 0.0
    for event in events:
        if isinstance(event, PlaceRequest):
            held = {token: step for token, step in held.items() if step.job != event.job}
            before = fleet.shared.read_status().under_way
            if fleet.shared.grant_places([event]).tokens:
                held[event.token] = event
                if event.source and event.job not in before:
                    assert now - begun.get(event.source, -MINUTE) >= MINUTE / rate - 1
                    begun[event.source] = now
        elif isinstance(event, int) and held:
            fleet.shared.end_step(held.pop(sorted(held)[event % len(held)]))
        elif isinstance(event, float):
            now += event
            fleet.pass_time(event)
            held = {}
        under_way = fleet.shared.read_status().under_way
        writing = [step for step in held.values() if step.step == "apply"]
        assert len(writing) <= min(applies, len(under_way))
        assert all([each.server for each in writing].count(step.server) <= per_server for step in writing)
    fleet.shared.close()


def test_one_worker_looks_at_a_time_and_with_accounts_that_were_taken_last(limits: Make) -> None:
    made = limits()
    steps = [PlaceRequest(name, name, "plan", account=name) for name in ("good", "bad")]
    for step in steps:
        made.shared.end_step(step, denied=step.job == "bad")
    assert made.shared.keep_watch("one") == frozenset({"good"})
    assert made.shared.keep_watch("two") is None
    made.pass_time(LEASE - 5)
    assert made.shared.keep_watch("one") == frozenset({"good"})
    made.pass_time(LEASE - 5)
    assert made.shared.keep_watch("two") is None, "the lease was renewed"
    made.pass_time(10)
    assert made.shared.keep_watch("two") == frozenset({"good"})
    made.shared.end_watch("one")
    assert made.shared.keep_watch("one") is None, "the watch is another's"
    made.shared.end_watch("two")
    made.shared.end_step(steps[0], denied=True)
    assert made.shared.keep_watch("one") == frozenset()

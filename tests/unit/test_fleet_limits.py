"""The limits of a fleet: no more at once than they say, in turn, and nothing after the brake."""

from __future__ import annotations

from hypothesis import given, strategies as st

from connector.fleet.limits import DENIED, MINUTE, Gate
from connector.fleet.values import Ask, Brake, FleetState, Limits, Over, State, Told

NOW = 1_800_000_000.0


def gate(applies: int = 2, per_server: int = 1, source_rate: int = 60, brake: Brake | None = None) -> Gate:
    return Gate(FleetState(Limits(applies, per_server, source_rate, brake or Brake())))


def apply(job: str, server: str = "s1", attempt: int = 1) -> Ask:
    return Ask(f"{job}/{attempt}", job, "apply", "", server)


def stops(limits: Gate, told: Told, now: float) -> bool:
    """Whether applies stop for what a gate is told, and did not before."""
    before = limits.unsounded
    limits.tell(told, now)
    return limits.unsounded and not before


def tokens(asks: list[Ask]) -> list[str]:
    return [ask.token for ask in asks]


def test_one_apply_a_server_and_so_many_altogether() -> None:
    limits = gate()
    for ask in (apply("a"), apply("b"), apply("c", "s2"), apply("d", "s3")):
        limits.ask(ask)
    assert tokens(limits.grant(NOW)) == ["a/1", "c/1"]
    assert limits.grant(NOW) == []
    limits.over(Over("c/1"), NOW)
    assert tokens(limits.grant(NOW)) == ["d/1"], "b waits for its server, and holds up nobody"
    limits.over(Over("a/1"), NOW)
    assert tokens(limits.grant(NOW)) == ["b/1"]


def test_plans_need_no_place_of_an_apply() -> None:
    limits = gate(applies=1)
    limits.ask(apply("a"))
    limits.ask(Ask("b/1", "b", "plan"))
    assert tokens(limits.grant(NOW)) == ["a/1", "b/1"]


def test_a_source_is_read_at_its_rate_and_no_other_waits_for_it() -> None:
    limits = gate(source_rate=6)
    for job in ("a", "b", "c"):
        limits.ask(Ask(f"{job}/1", job, "plan", "host"))
    limits.ask(Ask("d/1", "d", "plan", "other"))
    assert tokens(limits.grant(NOW)) == ["a/1", "d/1"]
    assert limits.look_at(NOW) == NOW + 10
    assert limits.grant(NOW + 9) == []
    assert tokens(limits.grant(NOW + 10)) == ["b/1"]
    assert tokens(limits.grant(NOW + 20)) == ["c/1"]
    assert limits.look_at(NOW + 20) is None


def test_who_asks_twice_has_one_place_and_is_told_twice() -> None:
    limits = gate()
    limits.ask(apply("a"))
    limits.ask(apply("a"))
    assert tokens(limits.grant(NOW)) == ["a/1"]
    limits.ask(apply("a"))
    assert tokens(limits.grant(NOW)) == ["a/1"], "its word was lost"
    limits.ask(apply("a", attempt=2))
    assert tokens(limits.grant(NOW)) == ["a/2"], "its next run frees what an ended one held"
    assert list(limits.held) == ["a/2"]


def told(job: str, state: State) -> Told:
    return Told(job, state)


def test_the_brake_stops_applies_until_somebody_says_so() -> None:
    limits = gate(applies=9, per_server=9)
    for job in "abc":
        assert not stops(limits, told(job, "in step"), NOW)
    assert not stops(limits, told("d", "failing"), NOW)
    assert not stops(limits, told("e", "in step"), NOW), "one of five is not more than a quarter"
    assert stops(limits, told("e", "refused"), NOW + 1), "two of five are"
    assert not stops(limits, told("c", "in part"), NOW + 2), "which is told once"
    limits.ask(apply("a"))
    limits.ask(Ask("b/1", "b", "plan"))
    assert tokens(limits.grant(NOW + 3)) == ["b/1"]
    limits.resume()
    assert tokens(limits.grant(NOW + 4)) == ["a/1"]
    assert not stops(limits, told("d", "failing"), NOW + 5), "what was before counts no more"


def test_the_brake_counts_the_last_hour_and_five_jobs_at_least() -> None:
    limits = gate(brake=Brake(share=0.25, least=5, seconds=3600))
    for job in "abcd":
        assert not stops(limits, told(job, "failing"), NOW)
    assert not stops(limits, told("e", "in step"), NOW + 3600), "those of an hour ago count no more"
    for job in "fgh":
        limits.tell(told(job, "in step"), NOW + 3600)
    assert not stops(limits, told("i", "failing"), NOW + 3600), "one of five"
    assert stops(limits, told("j", "failing"), NOW + 3600), "two of six"


def test_jobs_that_stay_bad_and_those_that_are_about_to_run_do_not_trip_the_brake() -> None:
    limits = gate(applies=99, per_server=99)
    for job in "abc":
        limits.tell(told(job, "failing"), NOW)
    limits.resume()
    for job in "abcde":
        assert not stops(limits, told(job, "failing" if job in "abc" else "in step"), NOW + 10), "these were bad before"
    for number in range(20):
        limits.ask(apply(f"job{number}"))
    assert not stops(limits, told("f", "failing"), NOW + 20)
    assert not stops(limits, told("g", "refused"), NOW + 20), "two of twenty-seven, of which twenty have not ended yet"


def test_an_account_that_a_directory_refused_is_tried_by_one_step_and_after_a_rest() -> None:
    limits = gate()
    for job in "abc":
        limits.ask(Ask(f"{job}/1", job, "plan", "", "s1", "account"))
    limits.ask(Ask("d/1", "d", "plan", "", "s1", "another"))
    assert tokens(limits.grant(NOW)) == ["a/1", "d/1"], "nobody knows yet whether it is taken"
    limits.over(Over("a/1", known=True, denied=True), NOW)
    assert limits.grant(NOW + DENIED - 1) == []
    assert limits.look_at(NOW) == NOW + DENIED
    assert tokens(limits.grant(NOW + DENIED)) == ["b/1"]
    assert limits.grant(NOW + DENIED) == []
    limits.over(Over("b/1", known=True), NOW + DENIED + 1)
    limits.ask(Ask("e/1", "e", "plan", "", "s1", "account"))
    assert tokens(limits.grant(NOW + DENIED + 1)) == ["c/1", "e/1"], "now it is taken"


def test_a_token_that_asks_for_something_else_holds_nothing_by_it() -> None:
    limits = gate(applies=1)
    limits.ask(Ask("a/1", "a", "plan", "", "s1"))
    limits.ask(apply("b"))
    assert len(limits.grant(NOW)) == 2
    limits.ask(Ask("a/1", "a", "apply", "", "s2"))
    assert limits.grant(NOW) == []
    assert [ask.workflow for ask, _ in limits.held.values()] == ["b"]


def test_since_when_a_job_stands_so_and_when_it_last_went_well() -> None:
    limits = gate()
    for state, at in (("in step", NOW), ("failing", NOW + 10), ("failing", NOW + 20)):
        limits.tell(Told("a", state), at)  # type: ignore[arg-type]  # the list has texts
    stands = limits.jobs["a"]
    assert (stands.state, stands.since, stands.at, stands.good) == ("failing", NOW + 10, NOW + 20, NOW)


SERVERS = st.sampled_from(["s1", "s2", "s3"])
ASKS = st.builds(
    lambda job, step, server, source, attempt: Ask(f"{job}/{attempt}", job, step, source, server),
    st.sampled_from("abcdefgh"), st.sampled_from(["plan", "apply"]), SERVERS, st.sampled_from(["", "h1", "h2"]),
    st.integers(1, 3),
)  # fmt: skip
EVENTS = st.lists(st.one_of(ASKS, st.tuples(st.just("over"), st.integers(0, 9)), st.floats(0, 30)), max_size=40)


@given(EVENTS, st.integers(1, 3), st.integers(1, 2), st.integers(1, 120))
def test_whatever_happens_the_limits_hold_and_a_gate_made_anew_goes_on(
    events: list[Ask | tuple[str, int] | float], applies: int, per_server: int, rate: int
) -> None:
    limits, now = gate(applies, per_server, rate), NOW
    begun: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Ask):
            limits.ask(event)
        elif isinstance(event, tuple):
            held = sorted(limits.held)
            if held:
                limits.over(Over(held[event[1] % len(held)]), now)
        else:
            now += event
        known = limits.known()
        again = Gate(known)
        before = set(limits.held)
        granted = limits.grant(now)
        assert again.grant(now) == granted
        for ask in granted:
            if ask.source and ask.token not in before:
                times = begun.setdefault(ask.source, [])
                assert not times or now - times[-1] >= MINUTE / rate
                times.append(now)
        writing = [ask for ask, _ in limits.held.values() if ask.step == "apply"]
        assert len(writing) <= applies
        assert all([ask.server for ask in writing].count(ask.server) <= per_server for ask in writing)

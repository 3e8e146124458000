"""Law 13, told once: every write that the journal knows is in the audit exactly once, by its number, whatever died."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.errors import RefusedError
from connector.model import Agent, Plan, Tenant
from connector.sync import Run
from tests.property.test_runs import world as small
from tests.support.audit_lines import records
from tests.support.examples import examples
from tests.support.mortal import DeathError, Mortal
from tests.support.mortal_audit import Audited, audited
from tests.support.worlds import World, busy_tenants, busy_worlds

law = settings(max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
deaths = st.lists(st.integers(1, 60), min_size=1, max_size=4)


def until_it_ends(
    run: Callable[[int | None], Run], deaths: list[int], between: Callable[[], None] = lambda: None
) -> Run:
    """Begin a run again and again, as often as it dies."""
    for last in deaths:
        try:
            return run(last)
        except (DeathError, KeyboardInterrupt):
            between()
    return run(None)


def told_once(audit: Audited) -> None:
    """The law; what an audit says beyond the journal is an outcome that a later one has replaced there."""
    told, known = audit.told(), audit.known()
    assert not [number for number in known if number not in told], "in no audit"
    for path in (*audit.rotated, audit.path):
        assert not [number for number, times in audit.told(path).items() if times > 1], "twice in one file"
    half = audit.path.read_bytes().rpartition(b"\n")[2]  # of a run's end, where nothing was told after it
    assert b'"event":"write"' not in half
    said = {
        (record["run"], record["number"]): (record["user"]["id"], record["result"])
        for path in (*audit.rotated, audit.path)
        for record in records(path.read_bytes())
        if record["event"] == "write"
    }
    assert {number: said[number] for number in known} == known
    assert not audit.faults(), "the chain is broken"


def mortal_of(world: World, data: st.DataObject) -> Mortal:
    return Mortal(world, shows=data.draw(st.booleans()), classes_first=data.draw(st.booleans()))


@law
@given(busy_worlds(), st.data(), deaths, st.booleans())
def test_killed_anywhere_each_write_is_told_once(
    world: World, data: st.DataObject, deaths: list[int], power: bool
) -> None:
    mortal = mortal_of(world, data)

    def torn(octets: int) -> int:
        return data.draw(st.integers(0, octets))

    with audited(mortal, torn if power else None) as audit:
        if data.draw(st.booleans()):
            audit.apply()
            mortal.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
        until_it_ends(audit.apply, deaths)
        told_once(audit)
        assert not [number for number, times in audit.told().items() if times > 1]
        audit.apply()
        told_once(audit)


@law
@given(busy_worlds(), st.data(), deaths, st.sampled_from([DeathError, KeyboardInterrupt]))
def test_a_receiver_and_a_file_are_told_all_whatever_was_broken_off(
    world: World, data: st.DataObject, moments: list[int], how: type[BaseException]
) -> None:
    """A second signal ends a run at any moment. It lives on, and says how it ended: the marks have to be right."""
    mortal = mortal_of(world, data)
    mortal.fate.how = how
    with audited(mortal, stream=True) as audit:
        for moment in moments:
            with suppress(DeathError, KeyboardInterrupt):
                audit.apply(moment)
        audit.apply()
        told_once(audit)
        received = audit.received()
        assert not [number for number in audit.known() if number not in received], "the receiver lacks it"
        assert not audit.faults("syslog"), "the receiver's chain is broken"


@pytest.mark.parametrize("second", [20, 21, 22])
def test_a_receiver_is_told_the_same_again_after_each_of_two_deaths(second: int) -> None:
    mortal = Mortal(small(1))
    mortal.world.tenant = Tenant([Agent(0, "u0")])
    with audited(mortal, stream=True) as audit:
        for moment in (26, second):
            with suppress(DeathError):
                audit.apply(moment)
        audit.apply()
        assert not audit.faults("syslog")


@law
@given(busy_worlds(), st.data(), deaths)
def test_a_reviewed_run_that_goes_on_tells_nothing_twice(world: World, data: st.DataObject, deaths: list[int]) -> None:
    """What its first attempt has written is not told again by the one that goes on."""
    mortal = mortal_of(world, data)
    plan = mortal.save()

    def resumed(last: int | None) -> Run:
        try:
            return audit.apply(last, reviewed=plan)
        except RefusedError:
            return Run(plan, refused=False)

    with audited(mortal) as audit:
        until_it_ends(resumed, deaths)
        told_once(audit)
        written = [
            (record["user"]["id"], record.get("part"))
            for record in records(audit.path.read_bytes())
            if record["event"] == "write" and record["result"] == "written"
        ]
        assert len(written) == len(set(written)), "written once, and told twice"


@law
@given(busy_worlds(hidden=False), st.data(), deaths)
def test_an_undo_that_died_is_told_once_too(world: World, data: st.DataObject, deaths: list[int]) -> None:
    mortal = mortal_of(world, data)
    with audited(mortal) as audit:
        plan: Plan = audit.apply().plan
        if mortal.database.rows("select 1 from runs where id = ?", plan.id):
            until_it_ends(lambda last: audit.undo(plan.id, last), deaths)
        told_once(audit)


@law
@given(busy_worlds(), st.data(), deaths)
def test_a_file_that_is_rotated_meanwhile_loses_nothing(world: World, data: st.DataObject, deaths: list[int]) -> None:
    """The new file does not tell what was told; then the marks decide, and a number may be in both."""
    mortal = mortal_of(world, data)
    with audited(mortal) as audit:
        until_it_ends(audit.apply, deaths, between=audit.rotate)
        audit.apply()
        told_once(audit)


@pytest.mark.parametrize("death", range(5, 40))
def test_what_is_told_late_says_so_with_its_own_time_and_author(death: int) -> None:
    """By the next run, before anything else; and what was told before the death is not."""
    mortal = Mortal(small(6))
    mortal.world.tenant = Tenant([Agent(number, f"u{number}") for number in range(6)])
    with audited(mortal) as audit:
        try:
            audit.apply(death)
        except DeathError:
            before = audit.told() if audit.path.exists() else {}
            (owed,) = [mortal.database.rows("select run, told_as, noted from journal where told_as is not null")]
            audit.apply()
            found = [each for each in records(audit.path.read_bytes()) if each["event"] == "write"]
            late = {(each["run"], each["number"]): each["time"] for each in found if each.get("late")}
            assert late == {(run, number): time for run, number, time in owed if (run, number) not in before}
            assert all(each["who"] for each in found)
            summaries = [each for each in records(audit.path.read_bytes()) if each["event"] == "late"]
            assert [each["writes"] for each in summaries] == ([len(late)] if late else [])
            told_once(audit)

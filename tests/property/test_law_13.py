"""Law 13, told once: each write that the journal knows is once in the audit's file or state, whatever died."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.apply.approval import Review
from connector.apply.sync import FinishedRun
from connector.errors import RefusedError
from connector.model import Agent, Plan, Tenant
from tests.property.test_runs import world as small
from tests.support.examples import examples
from tests.support.mortal import DeathError, Mortal
from tests.support.mortal_audit import Audited, Places, audited, write_of
from tests.support.worlds import World, busy_tenants, busy_worlds

law = settings(max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
PLACES: tuple[Places, ...] = ("file", "syslog", "both")
deaths = st.lists(st.integers(1, 60), min_size=1, max_size=4)


def until_it_ends(
    run: Callable[[int | None], FinishedRun], deaths: list[int], between: Callable[[], None] = lambda: None
) -> FinishedRun:
    """Begin a run again and again, as often as it dies."""
    for last in deaths:
        try:
            return run(last)
        except (DeathError, KeyboardInterrupt):
            between()
    return run(None)


def told_once(audit: Audited) -> None:
    """The law; what an audit says beyond the journal is an outcome that a later one has replaced there."""
    assert audit.known() <= {write_of(record) for record in audit.told()}, "in no audit"
    numbers = [json.loads(text)["number"] for text in audit.texts()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), "a number twice, or none"
    for path in audit.files:
        texts = audit.texts(path)
        assert len(texts) == len(set(texts)), "twice in one file"
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
        assert not audit.kept, "the file lacks it"
        audit.apply()
        told_once(audit)


@law
@given(busy_worlds(), st.data(), deaths, st.sampled_from([DeathError, KeyboardInterrupt]), st.sampled_from(PLACES))
def test_file_and_state_are_told_all_whatever_was_broken_off(
    world: World, data: st.DataObject, moments: list[int], how: type[BaseException], places: Places
) -> None:
    """A second signal ends a run at any moment. It lives on, and says how it ended."""
    mortal = mortal_of(world, data)
    mortal.fate.how = how
    with audited(mortal, places=places) as audit:
        for moment in moments:
            with suppress(DeathError, KeyboardInterrupt):
                audit.apply(moment)
        audit.apply()
        told_once(audit)
        assert not audit.kept or places == "syslog", "the file lacks it"
        assert set(audit.got) <= set(audit.texts()), "the receiver was sent something else"


@law
@given(busy_worlds(), st.data(), deaths)
def test_a_reviewed_run_that_goes_on_tells_nothing_twice(world: World, data: st.DataObject, deaths: list[int]) -> None:
    """What its first attempt has written is not told again by the one that goes on."""
    mortal = mortal_of(world, data)
    plan = mortal.save()

    def resumed(last: int | None) -> FinishedRun:
        try:
            return audit.apply(last, review=Review(plan))
        except RefusedError:
            return FinishedRun(plan, refused=False)

    with audited(mortal) as audit:
        until_it_ends(resumed, deaths)
        told_once(audit)
        written = [write_of(record) for record in audit.told() if record["result"] == "written"]
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
    """The new file does not show what the old one has: lines that the disk may have lacked are in both."""
    mortal = mortal_of(world, data)
    with audited(mortal) as audit:
        until_it_ends(audit.apply, deaths, between=audit.rotate)
        audit.apply()
        told_once(audit)


@pytest.mark.parametrize("death", range(5, 40))
def test_a_file_is_told_by_the_next_run_what_it_lacks_before_anything_else(death: int) -> None:
    """The same lines that the dead run had made, and no others."""
    mortal = Mortal(small(6))
    mortal.world.tenant = Tenant([Agent(number, f"u{number}") for number in range(6)])
    with audited(mortal) as audit:
        try:
            audit.apply(death)
        except DeathError:
            made = audit.texts()
            audit.apply()
            assert audit.texts(audit.path)[: len(made)] == made
            told_once(audit)


@pytest.mark.parametrize("places", ["file", "syslog"])
def test_a_job_whose_audit_gets_another_place_has_one_chain(places: Places) -> None:
    mortal = Mortal(small(3))
    mortal.world.tenant = Tenant([Agent(number, f"u{number}") for number in range(3)])
    with audited(mortal, places=places) as audit:
        audit.apply()
        audit.move("both" if places == "syslog" else "syslog")
        audit.apply()
        assert bool(audit.kept) == (places == "file")
        told_once(audit)

"""Law 8 with people who come and go: between any two steps somebody renames, moves, disables or deletes users.

Names go round, and a new user may get the name or the account of one who was deleted. Whatever happens: nobody but the
agent's own user is written, nothing that was not seen is replaced, and only what this job wrote last is taken away.
In many worlds in memory, and in a few on a file and on real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from tests.support.directory_fixtures import DirectoryFixture, MemoryFixture
from tests.support.examples import examples
from tests.support.grounds import few
from tests.support.people_world import People, tenants
from tests.support.scim_servers import ScimServer
from tests.support.staff import HouseStaff, Staff, staff_of

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
law = settings(max_examples=examples(100), report_multiple_bugs=False, suppress_health_check=CHECKS)


@pytest.fixture
def staff(served: DirectoryFixture | ScimServer) -> Iterator[Staff]:
    with closing(staff_of(served)) as people:
        yield people


def come_and_go(people: People, data: st.DataObject) -> None:
    """Runs, some of which are undone."""
    for _ in range(data.draw(st.integers(2, 6))):
        people.run(data.draw(tenants()))
        people.disturb()
        runs = people.runs()
        if runs and data.draw(st.integers(0, 3)) == 3:
            people.undo(data.draw(st.sampled_from(runs)))


def put_back(people: People, data: st.DataObject) -> None:
    """A few runs; then somebody puts back what the job has replaced or cleared, and a run is undone."""
    people.calm = True
    for _ in range(3):
        people.run(data.draw(tenants()))
    for _ in range(2):
        people.meddle(["put"])
    if runs := people.runs():
        people.undo(data.draw(st.sampled_from(runs)))


@law
@given(st.data())
def test_only_the_agents_own_users_are_written_whatever_becomes_of_people(data: st.DataObject) -> None:
    come_and_go(People(data, HouseStaff(MemoryFixture())), data)


@pytest.mark.slow
@law
@given(st.data())
def test_an_undo_leaves_what_somebody_has_put_back(data: st.DataObject) -> None:
    put_back(People(data, HouseStaff(MemoryFixture())), data)


@pytest.mark.slow
@pytest.mark.parametrize("happens", [come_and_go, put_back])
def test_it_is_so_on_a_file_or_a_server(
    served: DirectoryFixture | ScimServer, staff: Staff, happens: Callable[[People, st.DataObject], None]
) -> None:
    @settings(law, max_examples=few(served, 4), phases=[Phase.generate])  # to shrink a failure takes minutes here
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        happens(People(data, staff), data)

    holds()

"""Copies of one 389-DS directory: one identity, conflicts of replication, and copies that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.ds389 import Ds389
from tests.support.ds389_replicas import CONSUMER, enable, pause, supply, until
from tests.support.jobs import configure
from tests.support.slapd import PEOPLE, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = [pytest.mark.ds389, pytest.mark.slow]

COUNT = 5


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ds389, Ds389, Ds389]]:
    """Two that take changes from each other, and one that only takes them."""
    folder = tmp_path_factory.mktemp("replicas")
    people = [person(f"agent{number:03}") for number in range(1, COUNT + 1)]
    with (
        Ds389.start(folder / "first", people) as first,
        Ds389(folder / "second").begin() as second,
        Ds389(folder / "consumer").begin() as consumer,
    ):
        for server, number in ((first, 1), (second, 2), (consumer, CONSUMER)):
            enable(server, number)
        supply(first, second, whole=True)
        supply(second, first, whole=False)
        supply(first, consumer, whole=True)
        yield first, second, consumer


@pytest.fixture
def worlds(tmp_path: Path, servers: tuple[Ds389, Ds389, Ds389]) -> Iterator[tuple[World, World, World]]:
    """A job of its own for each server, of one tenant and with one state."""
    agents = tenant([agent(number) for number in range(1, COUNT + 1)])
    with Simulator(agents, ssl_context=server_context()) as cec:
        made = []
        for number, server in enumerate(servers):
            (tmp_path / str(number)).mkdir()
            world = World(tmp_path / str(number), server, cec, "389ds")
            world.job(state=f"sqlite:///{tmp_path}/state.db")
            made.append(world)
        yield made[0], made[1], made[2]


def test_copies_are_one_directory_with_the_same_users(worlds: tuple[World, World, World]) -> None:
    first, second, consumer = worlds
    plans = [world.plan() for world in worlds]
    users = [[change["user"] for change in plan["changes"]] for plan in plans]
    assert users[0] == users[1] == users[2]
    assert len(users[0]) == COUNT
    first.run("apply")
    for world, server in ((second, second.server), (consumer, consumer.server)):
        assert isinstance(server, Ds389)
        until(server, "cecWorkNo: 1005", "(uid=agent005)")
        until(server, "cecWorkNo: 1001", "(uid=agent001)")
        assert world.plan("--fail-on-changes")["changes"] == []
    listed = second.run("runs").out
    assert first.run("runs").out == listed, "the state knows the copies as one directory"


def test_a_copy_that_cannot_be_written_says_where_to_write(worlds: tuple[World, World, World]) -> None:
    first, _, consumer = worlds
    first.cec.document = tenant([agent(number, workNo=2000 + number) for number in range(1, COUNT + 1)])
    before = consumer.everything()
    out = consumer.run("apply", code=4).out
    assert "read-only replica. In `urls`, list a writable server" in out
    assert f"it refers to ldap://localhost:{first.server.port}" in out
    assert consumer.everything() == before
    first.run("apply")


def test_two_entries_of_one_name_are_no_choice_of_ours(worlds: tuple[World, World, World]) -> None:
    """Made on two servers at once; the later one is renamed by its id, and hidden from who does not ask for such."""
    first, second, _ = worlds
    one, other = first.server, second.server
    assert isinstance(one, Ds389)
    assert isinstance(other, Ds389)
    for here, there in ((one, other), (other, one)):
        pause(here, there, on=True)
    for server, title in ((one, "first"), (other, "second")):
        server.add(person("agent099", f"title: {title}"))
    for here, there in ((one, other), (other, one)):
        pause(here, there, on=False)
    hidden = "(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))"
    for server in (one, other):
        until(server, "uid=agent099", hidden, "dn")
    first.cec.document = tenant([agent(99)])
    (change,) = first.plan()["changes"]
    assert change["user"]["name"] == f"uid=agent099,{PEOPLE}"
    first.job(directory={"filter": "(|(objectClass=inetOrgPerson)(objectClass=ldapSubEntry))"})
    planned = first.plan()
    assert planned["changes"] == []
    (problem,) = planned["problems"]
    assert problem["kind"] == "ambiguous"
    assert len(problem["users"]) == 2
    assert any(name.startswith("nsuniqueid=") for name in problem["users"])


def test_a_user_that_was_deleted_is_gone_though_its_tombstone_is_kept(worlds: tuple[World, World, World]) -> None:
    first, _, _ = worlds
    first.cec.document = tenant([agent(number) for number in range(1, COUNT + 1)])
    first.run("apply")
    first.server.modify(f"dn: uid=agent002,{PEOPLE}\nchangetype: delete\n")
    assert isinstance(first.server, Ds389)
    until(first.server, "uid: agent002", "(&(objectClass=nsTombstone)(uid=agent002))", "*")
    configure(first.folder / "job.yaml", limits={"matched_drop": 1})
    planned = first.plan()
    assert planned["summary"]["matched"] == COUNT - 1
    assert planned["summary"]["unmatched"] == 1
    first.job(directory={"filter": "(|(objectClass=inetOrgPerson)(objectClass=nsTombstone))"})
    assert first.plan()["summary"]["matched"] == COUNT - 1

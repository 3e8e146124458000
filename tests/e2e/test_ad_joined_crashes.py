"""A run is killed at one controller. The next one is at another of the domain, which has not heard of it yet.

Each job has users of its own, so that all share one domain, and what replicates at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ad_job import WITHOUT_TLS, AdJob, agent, held, named, people, told
from tests.support.killed import Instant, Killer, left_open
from tests.support.ldap_proxy import LdapProxy
from tests.support.samba import SYNC_PASSWORD, Samba

pytestmark = [pytest.mark.samba, pytest.mark.slow]

USERS = 4
INSTANTS: list[Instant] = [("before", 1), ("before", 3), ("after", 1), ("after", USERS)]
ATTRIBUTES = ("ipPhone", "employeeNumber", "otherIpPhone")
FOREIGN = "h323:6@192.0.2.1"
"""A value of somebody else's, which each user has from the beginning."""


class Pair(NamedTuple):
    first: Samba
    second: Samba

    def converge(self) -> None:
        """Let each hear of all that the other was told."""
        self.first.pull(self.second)
        self.second.pull(self.first)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    users = [f"{user}otherIpPhone: {FOREIGN}\n" for user in people(USERS * (len(INSTANTS) + 2))]
    with (
        Samba.start(folder / "first", users, services="ldap, rpc", options=WITHOUT_TLS) as first,
        first.joined(folder / "second") as second,
    ):
        yield Pair(first, second)


class Dies(NamedTuple):
    """A job whose first run dies."""

    job: AdJob
    users: range

    def at(self, server: Samba) -> AdJob:
        self.job.configure(directory={"urls": [server.url]})
        return self.job

    def shown(self, server: Samba) -> list[list[str]]:
        return [held(server, number, *ATTRIBUTES) for number in self.users]

    def written(self) -> list[list[str]]:
        """What each user holds after undisturbed runs."""
        found = ([str(7000 + each), str(1000 + each), f"sip:{7000 + each}@192.0.2.10", FOREIGN] for each in self.users)
        return [sorted(values) for values in found]


def dies(pair: Pair, folder: Path, place: int, instant: Instant) -> Dies:
    """An apply at the first controller that dies at this instant."""
    users = range(place * USERS, (place + 1) * USERS)
    killer = Killer(instant)
    with LdapProxy(389, killer.meddle, acted=killer.acted, host=pair.first.host) as proxy:
        job = AdJob(folder / f"job{place}", proxy.url, agents=0)
        job.agents([agent(number) for number in users])
        killer.apply(job.folder, SYNC_PASSWORD)
    one = Dies(job, users)
    kind, number = instant
    reached = sum(values != [FOREIGN] for values in one.shown(pair.first))
    assert reached >= number if kind == "after" else reached < number
    assert left_open(job.folder), "the run died while it wrote"
    assert one.shown(pair.second) == [[FOREIGN]] * USERS
    return one


def test_the_next_run_at_another_controller_makes_it_good(pair: Pair, tmp_path: Path) -> None:
    scenarios = [dies(pair, tmp_path, place, instant) for place, instant in enumerate(INSTANTS)]
    for one in scenarios:
        one.at(pair.second).run("apply")
        assert one.shown(pair.second) == one.written()
    pair.converge()
    for place, one in enumerate(scenarios):
        for server in (pair.first, pair.second):
            assert one.shown(server) == one.written()
        report = one.at(pair[place % 2]).run("apply")
        assert report["changes"] == []
        assert told(report, "unsettled") == []
        assert left_open(one.job.folder) == 0

    for one in scenarios:
        one.job.agents([agent(number) for number in one.users[1:]])
        one.at(pair.first).run("apply")
    pair.second.pull(pair.first)
    for one in scenarios:
        assert one.shown(pair.second) == one.shown(pair.first) == [[FOREIGN], *one.written()[1:]]

    for one in scenarios:
        for run in [each["id"] for each in one.at(pair.second).runs()]:
            one.job.run("undo", run, "--apply")
    pair.first.pull(pair.second)
    for one in scenarios:
        assert one.shown(pair.second) == one.shown(pair.first) == [[FOREIGN]] * USERS
        assert left_open(one.job.folder) == 0


def test_an_undo_at_another_controller_names_what_may_still_arrive(pair: Pair, tmp_path: Path) -> None:
    one = dies(pair, tmp_path, len(INSTANTS), ("after", 2))
    reached = sum(values != [FOREIGN] for values in one.shown(pair.first))
    (run,) = [each["id"] for each in one.at(pair.second).runs()]
    report = one.job.run("undo", run, "--apply")
    (problem,) = [each for each in report["problems"] if each["kind"] == "unsettled"]
    assert sorted(problem["users"]) == [named(number) for number in one.users]
    assert one.shown(pair.second) == [[FOREIGN]] * USERS
    pair.second.pull(pair.first)
    assert one.shown(pair.second) != [[FOREIGN]] * USERS
    one.job.run("undo", run, "--apply")
    assert one.shown(pair.second) == [[FOREIGN]] * USERS
    pair.first.pull(pair.second)
    assert one.shown(pair.first) == [[FOREIGN]] * USERS
    # a write that was noted and never sent stays open: the address that it was meant for is gone with the proxy
    assert left_open(one.job.folder) <= USERS - reached


def test_who_left_before_the_write_arrived_is_cleared_once_it_has(pair: Pair, tmp_path: Path) -> None:
    one = dies(pair, tmp_path, len(INSTANTS) + 1, ("after", USERS))
    stays, *leave = one.users
    one.job.agents([agent(stays)])
    report = one.at(pair.second).run("apply")
    (problem,) = [each for each in report["problems"] if each["kind"] == "unsettled"]
    assert set(problem["users"]) >= {named(number) for number in leave}
    expected = [one.written()[0], *[[FOREIGN]] * len(leave)]
    assert one.shown(pair.second) == expected
    pair.second.pull(pair.first)
    assert one.shown(pair.second) == one.written(), "all has arrived"
    one.job.run("apply")
    assert one.shown(pair.second) == expected
    pair.first.pull(pair.second)
    assert one.shown(pair.first) == expected
    assert one.at(pair.first).run("plan")["changes"] == []
    assert left_open(one.job.folder) == 0

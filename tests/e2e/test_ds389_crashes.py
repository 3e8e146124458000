"""A run is killed at one 389-DS supplier. The next one is at another, which has not heard of it yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.ds389 import Ds389
from tests.support.ds389_replicas import catch_up, enable, pause, supply
from tests.support.jobs import configure
from tests.support.killed import Instant, Killer, left_open
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import LdapProxy
from tests.support.ldap_server import SYNC_PASSWORD
from tests.support.program import program
from tests.support.slapd import person

pytestmark = [pytest.mark.ds389, pytest.mark.slow]

USERS = 4
INSTANTS: list[Instant] = [("before", 1), ("before", 3), ("after", 1), ("after", USERS)]
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  description: {value: "seat {workNo}", owns: "seat *"}
stale: clear
"""
FOREIGN = "somebody else's"
LIMITS = {"update": "100%", "clear": 100, "agents_drop": "100%", "matched_drop": "100%"}


class Pair(NamedTuple):
    first: Ds389
    second: Ds389

    def replicate(self, *, on: bool) -> None:
        """Let changes go both ways, until each has heard of all, or hold them back."""
        for here, there in (self, self[::-1]):
            pause(here, there, on=not on)
        if on:
            for here, there in (self, self[::-1]):
                catch_up(here, there, "agent001")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    numbers = range(1, USERS * len(INSTANTS) + 2)
    users = [person(f"agent{number:03}", f"description: {FOREIGN}") for number in numbers]
    with Ds389.start(tmp_path / "one", users) as first, Ds389(tmp_path / "two").begin() as second:
        for number, server in enumerate((first, second), 1):
            enable(server, number)
        supply(first, second, whole=True)
        supply(second, first, whole=False)
        yield Pair(first, second)


class Dies(NamedTuple):
    """A job whose first run dies."""

    job: LdapJob
    uids: list[str]

    def run(self, server: Ds389, command: str, *options: str) -> dict[str, Any]:
        """Run a command at this server, and return its report."""
        configure(self.job.folder / "job.yaml", directory={"urls": [server.url]})
        ended, report = self.job.run(command, *options)
        assert ended.code == 0, ended.said
        return report

    def runs(self) -> list[dict[str, Any]]:
        done = program("runs", "job.yaml", "--json", folder=self.job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        found: list[dict[str, Any]] = json.loads(done.out)
        return found

    def shown(self, server: Ds389) -> list[list[str]]:
        return [sorted(held(server, uid, "employeeNumber") + held(server, uid, "description")) for uid in self.uids]

    def written(self) -> list[list[str]]:
        """What each user holds after undisturbed runs."""
        return [sorted([str(1000 + place), f"seat {1000 + place}", FOREIGN]) for place in range(USERS)]


def dies(pair: Pair, folder: Path, place: int, instant: Instant) -> Dies:
    """An apply at the first server that dies at this instant."""
    uids = [f"agent{2 + place * USERS + number:03}" for number in range(USERS)]
    killer = Killer(instant)
    with LdapProxy(pair.first.port, killer.meddle, acted=killer.acted) as proxy:
        job = LdapJob(folder / f"job{place}", proxy.url, *uids, mapping=MAPPING, limits=LIMITS)
        killer.apply(job.folder, SYNC_PASSWORD)
    one = Dies(job, uids)
    kind, number = instant
    reached = sum(values != [FOREIGN] for values in one.shown(pair.first))
    assert reached >= number if kind == "after" else reached < number
    assert left_open(job.folder), "the run died while it wrote"
    assert one.shown(pair.second) == [[FOREIGN]] * USERS
    return one


def test_the_next_run_at_another_supplier_makes_it_good(pair: Pair, tmp_path: Path) -> None:
    pair.replicate(on=False)
    scenarios = [dies(pair, tmp_path, place, instant) for place, instant in enumerate(INSTANTS)]
    for one in scenarios:
        one.run(pair.second, "apply")
        assert one.shown(pair.second) == one.written()
    pair.replicate(on=True)
    for place, one in enumerate(scenarios):
        assert one.shown(pair.first) == one.shown(pair.second) == one.written()
        report = one.run(pair[place % 2], "apply")
        assert report["changes"] == []
        assert left_open(one.job.folder) == 0

    for one in scenarios:
        agents = one.job.folder / "agents.json"
        agents.write_text(json.dumps({"agents": json.loads(agents.read_text())["agents"][1:]}))
        one.run(pair.first, "apply")
    catch_up(pair.first, pair.second, "agent001")
    for one in scenarios:
        assert one.shown(pair.second) == one.shown(pair.first) == [[FOREIGN], *one.written()[1:]]

    for one in scenarios:
        for run in [each["id"] for each in one.runs()]:
            one.run(pair.second, "undo", run, "--apply")
    catch_up(pair.second, pair.first, "agent001")
    for one in scenarios:
        assert one.shown(pair.second) == one.shown(pair.first) == [[FOREIGN]] * USERS
        assert left_open(one.job.folder) == 0

"""Servers whose readers see a write later: a replica, a load balancer. The apply looks again, within `settle_time`."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_proxy import Asked, HttpProxy, Reply
from tests.support.http_server import Act
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import SEARCH, LdapProxy
from tests.support.program import ended, started
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import EACH_KIND, ScimServer, people
from tests.support.slapd import Slapd, person

pytestmark = pytest.mark.slow

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: "{workNo}"}
"""
USERS = 3


class Lag:
    """Reads of a user show it as it was before its last write, until so many seconds after that write."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._before: dict[str, tuple[float, Reply | None]] = {}
        self.late = 0
        self.written = threading.Event()

    def __call__(self, asked: Asked) -> Act:
        if asked.method == "PATCH":
            shown = asked.get()
            answer = asked.forward()
            if answer.status < 300:
                self._before[asked.path.partition("?")[0]] = time.monotonic(), shown
                self.written.set()
            return answer
        since, before = self._before.get(asked.path, (0.0, None))
        if before is None or time.monotonic() - since >= self.seconds:
            return asked.forward()
        self.late += 1
        return before


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    # an answer to PATCH shows nobody there, and no version is heeded
    with ScimServer.start(
        tmp_path_factory.mktemp("scim"), people(USERS), kind=request.param, features={"etag": {"supported": False}}
    ) as started:
        yield started


@pytest.mark.parametrize(("settle", "code"), [(None, 0), (0, 4)], ids=["by default", "not at all"])
def test_a_scim_server_whose_reads_lag_has_written_where_it_is_waited_for(
    tmp_path: Path, server: ScimServer, settle: float | None, code: int
) -> None:
    server.restore([])
    server.put(people(USERS))
    lag = Lag(0.3)
    with HttpProxy(server.root, lag) as proxy:
        more = {} if settle is None else {"settle_time": settle}
        job = ScimJob(tmp_path / "job", server, agents=USERS, url=proxy.url, **more)
        report = job.run("apply", code=code)
    assert set(job.outcomes(report).values()) == ({"written"} if code == 0 else {"failed"})
    assert len(job.written()) == USERS
    assert lag.late >= USERS


def test_a_signal_ends_the_wait_and_what_is_not_seen_yet_is_settled_by_the_next_run(
    tmp_path: Path, server: ScimServer
) -> None:
    server.restore([])
    server.put(people(USERS))
    lag = Lag(60)
    with HttpProxy(server.root, lag) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=USERS, url=proxy.url, settle_time=50)
        begun = time.monotonic()
        with started("apply", "job.yaml", folder=job.folder, env={"SCIM_TOKEN": server.token}) as process:
            assert lag.written.wait(30)
            while lag.late < 2 * USERS:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            end = ended(process)
        lag.seconds = 0
        assert job.run("apply")["changes"] == []
        *_, first = json.loads(job.try_("runs", "--json").out)
        assert len(job.run("undo", first["id"])["changes"]) == USERS, "what was not seen then is known to be ours"
    assert end.code == 4, end.said
    assert time.monotonic() - begun < 40
    assert "Not awaited: stopped by SIGTERM" in end.said


@pytest.mark.slapd
@pytest.mark.parametrize(("settle", "outcome"), [(5, "written"), (0, "failed")])
def test_an_ldap_server_behind_a_proxy_whose_reads_lag_has_written_where_it_is_waited_for(
    tmp_path: Path, settle: int, outcome: str
) -> None:
    """The answer is a yes, and the server that is read has the write only when it has been asked twice."""
    with Slapd.start(tmp_path / "s", [person("agent1")]) as slapd:
        searches: list[int] = []
        taken: list[str] = []

        def meddle(name: str, message: bytes) -> None:
            taken.append(name)

        def heard(kind: int) -> None:
            if kind != SEARCH or not taken:
                return
            searches.append(kind)
            if len(searches) == 3:
                slapd.modify(f"dn: {taken[0]}\nchangetype: modify\nadd: employeeNumber\nemployeeNumber: 1000\n")

        with LdapProxy(slapd.port, meddle, heard=heard) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, "agent1", mapping=MAPPING)
            configure(job.folder / "job.yaml", directory={"settle_time": settle})
            outcomes = job.apply(0 if outcome == "written" else 4)
        assert outcomes["agent1"]["outcome"] == outcome
        assert held(slapd, "agent1", "employeeNumber") == (["1000"] if outcome == "written" else [])

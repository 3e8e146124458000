"""Applies of a fleet's run that are killed, stopped, or go on alone: what is left is written, and nothing twice."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.serve.run_process import FleetRun
from tests.support.fleet_steps import TICKS, Steps
from tests.support.jobs import changed, configure, file
from tests.support.ldap_proxy import LdapProxy
from tests.support.plain_job import PASSWORD, UIDS, Plain, Stalled
from tests.support.postgres import Postgres
from tests.support.serving import PATIENCE
from tests.support.slapd import Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.postgresql, pytest.mark.slow]

STEPS = [1] * 14
"""Users that are written one by one, so that a run can end between two of them."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd.start(tmp_path / "slapd", [person(uid) for uid in UIDS]) as started:
        yield started


class Fleet:
    """A job of forty agents whose steps are asked of `steps`; its writes go through a proxy at `url`."""

    def __init__(self, folder: Path, server: Slapd, postgresql: Postgres, url: str) -> None:
        self.plain = Plain(folder, server, url)
        self.steps = Steps(folder, postgresql, PASSWORD)
        (folder / "key").write_text("the key of a job\n")
        configure(folder / "job.yaml", state=self.steps.url, key=file("key"))

    def runs(self) -> list[tuple[str, str | None]]:
        return self.steps.query("select id, result from runs order by number")

    def outcomes(self) -> Counter[str]:
        """What became of every write, as the journal has it."""
        rows = self.steps.query("select coalesce(outcome, 'open'), count(*) from journal group by 1")
        return Counter(dict(rows))


class Ender(LdapProxy):
    """A proxy that does something to a process before it passes on a write, or after the server has answered so many.

    `sent`: the users of the writes that it passed on.
    """

    def __init__(self, port: int, end: Callable[[subprocess.Popen[bytes]], None], when: str, number: int) -> None:
        self.sent: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._end, self._instant, self._answered = end, (when, number), 0
        super().__init__(port, self._before, acted=self._after)

    def _before(self, name: str, message: bytes) -> bytes:
        self._reach("before", len(self.sent) + 1)
        self.sent.append(name[4:].partition(",")[0])
        return message

    def _after(self, name: str) -> None:
        self._answered += 1
        self._reach("after", self._answered)

    def _reach(self, when: str, number: int) -> None:
        if self.process is not None and (when, number) == self._instant:
            process, self.process = self.process, None
            self._end(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("when", "number", "window"), [("before", 1, 1), ("before", 12, 4), ("after", 12, 1), ("after", 40, 1)]
)
def test_killed_in_the_middle_it_goes_on_under_its_plan_and_writes_nothing_twice(
    tmp_path: Path, server: Slapd, postgresql: Postgres, when: str, number: int, window: int
) -> None:
    with Ender(server.port, kill, when, number) as proxy:
        fleet = Fleet(tmp_path, server, postgresql, proxy.url)
        configure(tmp_path / "job.yaml", directory={"window": window})
        plan = fleet.steps.plan().plan
        with fleet.steps.asked(fleet.steps.request(FleetRun("apply", plan))) as proxy.process:
            assert proxy.process.wait(PATIENCE) == -signal.SIGKILL
        assert (len(proxy.sent), fleet.runs()) == (number - (when == "before"), [(plan, None)])
        assert fleet.outcomes()["open"]
        assert (fleet.steps.waits(), fleet.steps.ticks()) == ([plan], [(TICKS[0], 0, None)])
        again = fleet.steps.apply(plan)
        assert fleet.steps.ticks() == [(TICKS[0], 1, TICKS[0])]
        assert fleet.steps.plan(TICKS[1]).plan == ""
    assert Counter(proxy.sent) == Counter(UIDS)
    assert fleet.plain.stored() == UIDS
    assert (again.result.spent, fleet.runs(), fleet.outcomes()) == (True, [(plan, "done")], {"written": 40})
    (kind, report) = fleet.steps.documents()[plan]
    assert (kind, len(report["outcomes"])) == ("report", 40)


def test_told_to_stop_in_the_middle_it_hands_over_to_a_plan_of_the_rest(
    tmp_path: Path, server: Slapd, postgresql: Postgres
) -> None:
    with Ender(server.port, lambda process: process.send_signal(signal.SIGTERM), "before", 12) as proxy:
        fleet = Fleet(tmp_path, server, postgresql, proxy.url)
        configure(tmp_path / "job.yaml", ramp=STEPS)
        first = fleet.steps.plan().plan
        with fleet.steps.asked(fleet.steps.request(FleetRun("apply", first))) as proxy.process:
            ended = fleet.steps.answer(proxy.process)
        assert (ended.code, ended.result.stopped, ended.result.spent) == (4, True, False)
        written = len(proxy.sent)
        assert 12 <= written < 40
        assert fleet.runs() == [(first, "stopped")]
        assert fleet.steps.ticks() == [(TICKS[0], 0, None)]
        second = fleet.steps.plan()
        assert (second.taken, second.plan == first) == (False, False)
        assert second.summary is not None
        assert second.summary.plan.changes == 40 - written
        assert fleet.steps.waits() == [second.plan]
        fleet.steps.apply(second.plan)
    assert Counter(proxy.sent) == Counter(UIDS)
    assert fleet.plain.stored() == UIDS
    assert fleet.steps.ticks() == [(TICKS[0], 1, TICKS[0])]


def test_a_database_that_goes_away_in_the_middle_leaves_the_rest_to_the_next_attempt(
    tmp_path: Path, server: Slapd
) -> None:
    with Postgres.start() as own, Ender(server.port, lambda process: own.kill(), "before", 12) as proxy:
        fleet = Fleet(tmp_path, server, own, proxy.url)
        configure(tmp_path / "job.yaml", ramp=STEPS)
        plan = fleet.steps.plan().plan
        with fleet.steps.asked(fleet.steps.request(FleetRun("apply", plan))) as proxy.process:
            cut = fleet.steps.answer(proxy.process)
        assert (cut.code, cut.result.stopped, cut.result.spent) == (1, False, False), cut.err
        assert cut.result.summary is not None
        assert cut.result.summary.exit_code == 1, "which another attempt may mend"
        assert 12 <= len(proxy.sent) < 40
        own.restart()
        assert fleet.runs() == [(plan, None)]
        assert (fleet.steps.waits(), fleet.steps.ticks()) == ([plan], [(TICKS[0], 0, None)])
        again = fleet.steps.apply(plan)
        assert (again.result.spent, fleet.runs(), fleet.outcomes()) == (True, [(plan, "done")], {"written": 40})
        assert fleet.steps.ticks() == [(TICKS[0], 1, TICKS[0])]
    assert Counter(proxy.sent) == Counter(UIDS)
    assert fleet.plain.stored() == UIDS


def test_a_process_that_went_on_alone_keeps_others_off_and_they_answer_what_it_came_to(
    tmp_path: Path, server: Slapd, postgresql: Postgres
) -> None:
    arrived, go = threading.Event(), threading.Event()

    def wait(kind: int) -> None:
        arrived.set()
        assert go.wait(PATIENCE)

    with Stalled(server.port) as stalled, LdapProxy(server.port, heard=wait) as waits:
        fleet = Fleet(tmp_path, server, postgresql, stalled.url)
        steps = fleet.steps
        plan = steps.plan().plan
        apply = FleetRun("apply", plan)
        past = {}
        for name, url in (("direct", server.url), ("waiting", waits.url)):
            past[name] = changed((tmp_path / "job.yaml").read_text(), directory={"urls": [url]})
        with steps.asked(steps.request(apply)) as alone, steps.asked(steps.request(apply, job=past["waiting"])) as late:
            assert stalled.held.wait(PATIENCE)
            assert arrived.wait(PATIENCE), "it saw no end of that run, and waits for the directory"
            busy = steps.run(apply, job=past["direct"])
            assert (busy.code, busy.result.spent, steps.ticks()) == (75, False, [(TICKS[0], 0, None)])
            stalled.let.set()
            first = steps.answer(alone)
            go.set()
            second = steps.answer(late)
    third = steps.run(apply)
    for each in (first, second, third):
        assert (each.code, each.outcomes, each.result.spent) == (0, {"written": 40}, True), each.err
        assert each.result.summary is not None
        assert each.result.summary.run == plan
    assert stalled.asked[0x66] == len(UIDS)
    assert fleet.plain.stored() == UIDS
    assert (fleet.runs(), fleet.outcomes()) == ([(plan, "done")], {"written": 40})
    assert steps.ticks() == [(TICKS[0], 1, TICKS[0])]


def test_of_two_processes_with_one_tick_one_has_its_turn(tmp_path: Path, server: Slapd, postgresql: Postgres) -> None:
    arrived, go = threading.Event(), threading.Event()

    def wait(kind: int) -> None:
        arrived.set()
        assert go.wait(PATIENCE)

    with LdapProxy(server.port, heard=wait) as waits:
        fleet = Fleet(tmp_path, server, postgresql, waits.url)
        with fleet.steps.asked(fleet.steps.request(FleetRun("plan"))) as first:
            assert arrived.wait(PATIENCE)
            assert fleet.steps.plan(code=75).plan == ""
            go.set()
            drawn = fleet.steps.answer(first).result
        fleet.steps.apply(drawn.plan)
        assert fleet.steps.plan().taken
    assert fleet.plain.stored() == UIDS


@pytest.mark.parametrize("manual", [True, False])
def test_told_to_stop_before_it_writes_it_says_so(
    tmp_path: Path, server: Slapd, postgresql: Postgres, *, manual: bool
) -> None:
    arrived, go = threading.Event(), threading.Event()

    def wait(kind: int) -> None:
        arrived.set()
        assert go.wait(PATIENCE)

    with LdapProxy(server.port, heard=wait) as waits:
        fleet = Fleet(tmp_path, server, postgresql, waits.url)
        with fleet.steps.asked(fleet.steps.request(FleetRun("plan", manual=manual))) as process:
            assert arrived.wait(PATIENCE)
            process.send_signal(signal.SIGTERM)
            ended = fleet.steps.answer(process)
            go.set()
    assert (ended.code, ended.result.stopped, ended.result.plan) == (1, True, "")
    assert "KeyboardInterrupt" not in ended.err
    assert fleet.steps.ticks() == ([] if manual else [(TICKS[0], 0, None)])

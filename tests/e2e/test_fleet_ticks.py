"""When Temporal starts the ticks of a job's schedule: as its own next times say, and after it was away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from connector.serve.schedule import Cron
from tests.support.fleet import Fleet
from tests.support.temporal import Temporal
from tests.support.tick_worker import ticking

pytestmark = pytest.mark.temporal


@pytest.fixture
def fleet(tmp_path: Path, temporal_server: Temporal) -> Fleet:
    return Fleet(tmp_path, temporal_server)


def next_times(fleet: Fleet, job: str) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in fleet.described(job)["info"]["futureActionTimes"]]


CRONS = [
    "15 6 13 * 5",
    "*/7 8-10 * 2,3 *",
    "0 12 */2 * 1",
    "30 18 * * SUN",
    "5 4 1 JAN,JUL *",
    "59 23 29 2 *",
    "10 30 12 * * 2",
]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_the_servers_next_times_are_those_of_the_expression(fleet: Fleet, zone: str) -> None:
    for number, cron in enumerate(CRONS):
        fleet.job(f"job-{number}", serve={"cron": cron, "timezone": zone})
    now = datetime.now(UTC)
    assert fleet.schedule("--apply").code == 0
    for number, cron in enumerate(CRONS):
        found = next_times(fleet, f"job-{number}")
        assert len(found) >= 5
        tick, expected = now, []
        for _ in found:
            tick = Cron(cron, zone).find_next_tick(tick)
            expected.append(tick)
        assert found == expected, cron


def test_jobs_of_one_interval_begin_apart_from_each_other(fleet: Fleet) -> None:
    for number in range(8):
        fleet.job(f"job-{number}", serve={"every": "1h"})
    assert fleet.schedule("--apply").code == 0
    found = [next_times(fleet, f"job-{number}") for number in range(8)]
    assert {(two - one).total_seconds() for times in found for one, two in pairwise(times)} == {3600}
    assert len({times[0] for times in found}) == 8
    assert {(times[0] - datetime.now(UTC)).total_seconds() < 3600 for times in found} == {True}


@pytest.mark.parametrize(
    ("zone", "cron", "since", "temporal", "serve"),
    [
        # forward: Temporal leaves 02:30 out; for `serve` it is 03:00
        ("Europe/Berlin", "30 2 * * *", "2027-03-27T12:00Z", ["2027-03-29T00:30Z"], ["2027-03-28T01:00Z"]),
        # back: for Temporal 02:30 may be that of the second hour, or both; for `serve` it is that of the first
        (
            "Europe/Berlin", "30 2 * * *", "2027-10-30T12:00Z",
            ["2027-10-31T01:30Z", "2027-11-01T01:30Z"], ["2027-10-31T00:30Z", "2027-11-01T01:30Z"],
        ),
        (
            "America/New_York", "30 1 * * *", "2027-11-06T12:00Z",
            ["2027-11-07T05:30Z", "2027-11-07T06:30Z"], ["2027-11-07T05:30Z", "2027-11-08T06:30Z"],
        ),
        # and one of two hours may be left out
        (
            "Europe/Berlin", "30 * * * *", "2027-10-30T23:00Z",
            ["2027-10-30T23:30Z", "2027-10-31T00:30Z", "2027-10-31T02:30Z"],
            ["2027-10-30T23:30Z", "2027-10-31T00:30Z", "2027-10-31T01:30Z"],
        ),
    ],
)  # fmt: skip
def test_where_clocks_change_temporal_differs_as_the_page_says(
    fleet: Fleet, zone: str, cron: str, since: str, temporal: list[str], serve: list[str]
) -> None:
    minute, hour = cron.split()[:2]
    same = (
        "--calendar",
        json.dumps({"hour": hour, "minute": minute}),
        "--time-zone",
        zone,
        "--start-time",
        f"{since[:-1]}:00Z",
    )
    start = ("--workflow-id", "w", "--type", "Tick", "--task-queue", "q", "--namespace", fleet.namespace)
    fleet.server.cli("schedule", "create", "--schedule-id", "cec-connector/later", *same, *start)
    assert next_times(fleet, "later")[: len(temporal)] == [*map(datetime.fromisoformat, temporal)]
    tick, found = datetime.fromisoformat(since), []
    for _ in serve:
        tick = Cron(cron, zone).find_next_tick(tick)
        found.append(tick)
    assert found == [*map(datetime.fromisoformat, serve)]


def ticks(fleet: Fleet) -> dict[datetime, str]:
    """The ticks that were started, by the times of the schedule, and what became of each."""
    found = fleet.temporal("workflow", "list", "--limit", "1000") or []
    return {
        datetime.fromisoformat(each["execution"]["workflowId"].removeprefix("cec-connector/tick/acme-")): each["status"]
        for each in found
    }


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_of_all_ticks_that_were_missed_one_is_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    with Temporal.start(tmp_path / "server") as server:
        fleet = Fleet(tmp_path / "jobs", server)
        fleet.job("acme", serve={"every": "1s"})
        assert fleet.schedule("--apply").code == 0
        wait(lambda: int(fleet.described("acme")["info"].get("overlapSkipped", 0)) >= 3)
        (early,) = ticks(fleet)  # no worker was there
        with ticking(server.address, fleet.namespace):
            wait(lambda: len(ticks(fleet)) >= 4)
            server.kill()
            gone = datetime.now(UTC)
            time.sleep(4)  # ticks that nobody starts
            back = datetime.now(UTC)
            server.restart()
            wait(lambda: sum(tick > back for tick in ticks(fleet)) >= 4)
        found = ticks(fleet)
    assert found[early].endswith("COMPLETED")
    second = timedelta(seconds=1)
    assert len([tick for tick in found if early < tick < early + 3 * second]) == 0
    assert len([tick for tick in found if gone < tick <= back]) <= 1
    assert len([tick for tick in found if gone - second < tick <= back + second]) >= 1

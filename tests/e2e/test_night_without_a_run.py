"""A job whose time is left out, or comes twice, in the night in which clocks change: `serve` runs it once."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.jobs import changed
from tests.support.ldif_job import JOB, Job
from tests.support.serving import serving
from tests.support.soak_clock import Clock

pytestmark = [pytest.mark.slow, pytest.mark.monitoring]

SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "now", "first", "second"),
    [
        # forward at 01:00 UTC: 02:00, 02:20 and 02:40 are left out, and come as one
        ("*/20 2 * * *", "2027-03-28T00:30", "2027-03-28T01:00", "2027-03-29T00:00"),
        # back at 01:00 UTC: 02:40 has been, and 02:00 to 02:40 come again
        ("*/20 1-3 * * *", "2027-10-31T00:35", "2027-10-31T00:40", "2027-10-31T02:00"),
    ],
)
def test_times_that_a_night_leaves_out_or_repeats_have_one_run(
    tmp_path: Path, cron: str, now: str, first: str, second: str
) -> None:
    job = Job(tmp_path, users=3)
    job.write("job.yaml", changed(JOB, serve={"cron": cron, "timezone": "Europe/Berlin", "mode": "apply"}))
    clock = Clock(tmp_path / "clock", at(now))
    with serving(tmp_path, "job.yaml", env=clock.env) as served:
        assert served.next("next run")["at"] == at(first).isoformat()
        clock.set(at(first) + SECOND)
        served.signal(signal.SIGHUP)  # so that it looks at the clock
        assert served.next("run started")["tick"] == at(first).isoformat()
        assert served.next("run ended")["ending"] == "done"
        assert served.next("next run")["at"] == at(second).isoformat()
        assert served.stop() == 0
    assert "employeeNumber: 1003" in job.read("people.ldif")

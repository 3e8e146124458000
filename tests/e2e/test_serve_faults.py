"""What goes wrong beside the schedule: a state that hangs, runs that fail for a while, and runs that never end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from connector.serve.schedule import FIRST_PAUSE, LONGEST_PAUSE, draw_pause
from tests.support.jobs import changed, file
from tests.support.ldif_job import JOB, Job
from tests.support.postgres import Postgres
from tests.support.serving import serving
from tests.support.slow_cec import ENV, SlowCec

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.write("job.yaml", changed(JOB, serve={"every": "1s", "mode": "apply"}))
    made.write("key", "the key of a job\n")
    return made


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


def other(job: Job, **changes: object) -> None:
    """Another job, with a directory of its own."""
    job.write("other.ldif", job.read("people.ldif"))
    told = {"directory": {"path": "other.ldif"}, "key": file("key"), "serve": {"every": "1h", "mode": "apply"}}
    job.write("other.yaml", changed(JOB, **told | changes))


# ---------------------------------------------------------------- a state that hangs


@pytest.mark.postgresql
def test_a_frozen_database_holds_up_its_own_job_alone(job: Job, own_server: Postgres) -> None:
    other(job, state=f"{own_server.create('cec')}&connect_timeout=600")
    own_server.freeze()
    with serving(job.folder, "job.yaml", "other.yaml") as served:
        for _ in range(3):
            assert served.next("run ended")["job"] == "job"
        assert served.get("/healthz") == (200, "ok\n")
        assert served.ever("schedule waits for the state")["job"] == "other"
        status, said = served.get("/readyz")
        assert (status, said.splitlines()[-1].partition(": ")[0]) == (503, "other")
        assert "its state does not answer" in said
        assert served.next("run ended")["job"] == "job"
        assert served.get("/healthz") == (200, "ok\n")
        assert served.stop() == 0  # long before its question has failed


@pytest.mark.postgresql
def test_a_database_that_freezes_under_a_run_neither_holds_up_another_job_nor_the_end(
    job: Job, own_server: Postgres
) -> None:
    with SlowCec(job.read("agents.json").encode()) as cec:
        other(job, state=own_server.create("cec"), source=cec.source)
        with serving(job.folder, "job.yaml", "other.yaml", env=ENV) as served:
            cec.wait()
            own_server.freeze()
            cec.let()
            for _ in range(3):
                served.next("run ended", job="job")
            assert served.get("/healthz") == (200, "ok\n")
            began = time.monotonic()
            assert served.stop() == 0
            assert time.monotonic() - began < 20
        own_server.thaw()
        with serving(job.folder, "other.yaml", env=ENV) as again:  # its tick is still due
            assert again.next("run ended")["ending"] == "done"
            assert again.stop() == 0


# ---------------------------------------------------------------- runs that fail for a while


def test_a_run_that_fails_is_tried_again_though_its_next_tick_is_far(job: Job) -> None:
    job.configure(serve={"every": "1h"})
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    with serving(job.folder, "job.yaml") as served:
        first = served.next("run started")
        assert (first["attempt"], served.next("run ended")["ending"]) == (1, "failed")
        due = datetime.fromisoformat(served.next("next run")["at"]).timestamp()
        assert 0 < due - time.time() < FIRST_PAUSE * 1.25 + 1
        assert served.metric("next_run_timestamp_seconds") == pytest.approx(due, abs=1)
        job.write("agents.json", agents)
        second = served.next("run started")
        assert (second["attempt"], second["tick"]) == (2, first["tick"])
        assert served.next("run ended")["ending"] == "done"
        due = datetime.fromisoformat(served.next("next run")["at"]).timestamp()
        assert due - time.time() > 3000
        assert served.stop() == 0
    assert served.names("run started") == ["run started"] * 2


def test_a_run_that_failed_is_due_again_after_a_start(job: Job) -> None:
    job.configure(serve={"every": "1h"})
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "failed"
        assert served.stop() == 0
    job.write("agents.json", agents)
    with serving(job.folder, "job.yaml") as again:
        assert again.next("run ended")["ending"] == "done"
        assert again.stop() == 0


@pytest.mark.parametrize("ending", ["refused", "wrong file"])
def test_what_another_attempt_does_not_mend_waits_for_the_next_tick(job: Job, ending: str) -> None:
    job.configure(serve={"every": "1h"}, limits={"update": 1})
    if ending == "wrong file":
        job.configure(key=file("nowhere"))
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["exit_code"] == (3 if ending == "refused" else 78)
        due = datetime.fromisoformat(served.next("next run")["at"]).timestamp()
        assert due - time.time() > 3000
        assert served.stop() == 0


def test_sighup_tries_again_at_once(job: Job) -> None:
    job.configure(serve={"every": "1h"})
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    with serving(job.folder, "job.yaml") as served:
        served.next("next run")
        job.write("agents.json", agents)
        began = time.monotonic()
        served.signal(signal.SIGHUP)
        assert served.next("run ended", ending="done")
        assert time.monotonic() - began < FIRST_PAUSE
        assert served.stop() == 0


def test_pauses_double_and_have_an_end() -> None:
    means = [draw_pause(failures, 0.5) for failures in (1, 2, 3, 4, 5, 6, 7, 5000)]
    assert means == [FIRST_PAUSE * factor for factor in (1, 2, 4, 8, 16)] + [LONGEST_PAUSE] * 3
    assert (draw_pause(1, 0.0), draw_pause(1, 1.0)) == (0.75 * FIRST_PAUSE, 1.25 * FIRST_PAUSE)


# ---------------------------------------------------------------- runs that never end


def test_a_run_that_takes_longer_than_it_may_is_ended_and_counts_as_failed(job: Job) -> None:
    with SlowCec(job.read("agents.json").encode()) as cec:
        other(job, source=cec.source, state="sqlite:///other.db", serve={"every": "1h", "max_run_time": "2s"})
        with serving(job.folder, "other.yaml", env=ENV) as served:
            cec.wait()
            assert served.next("run takes too long")["job"] == "other"
            ended = served.next("run ended")
            assert (ended["ending"], ended["exit_code"]) == ("failed", 1)
            assert served.metric("runs_total", ending="failed") == 1
            cec.let()
            assert served.next("run ended")["ending"] == "done"
            assert served.stop() == 0

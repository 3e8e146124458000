"""The built-in schedule: what it runs, what it leaves for people, and what it survives."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Request, Simulator
from connector.serve.scheduled_job import ScheduledJob
from connector.serve.service import STUCK, Service
from connector.serve.web import WebServer
from tests.support.held_file import entry, held, set_gate
from tests.support.jobs import cec_source, changed, file
from tests.support.ldap_proxy import LdapProxy
from tests.support.ldif_job import JOB, Job, agent
from tests.support.monitoring import nobody_in
from tests.support.plain_job import PASSWORD, UIDS, Plain
from tests.support.program import program
from tests.support.serving import PATIENCE, asked, serving, until
from tests.support.slapd import Slapd, person
from tests.support.soak_clock import Clock

pytestmark = pytest.mark.slow

FOR_EVER = 600.0
"""Seconds that no test waits for."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    schedule(made, every="1s", mode="apply")
    return made


def schedule(job: Job, name: str = "job.yaml", **when: str) -> None:
    job.write(name, changed(JOB, serve=when))


def noted(job: Job) -> tuple[str, int, str | None]:
    with closing(sqlite3.connect(job.folder / "state.db")) as db:
        found: tuple[str, int, str | None] = db.execute("select tick, ended, good from schedule").fetchone()
        return found


# ---------------------------------------------------------------- what it runs


def test_a_job_is_applied_again_and_again_until_sigterm(job: Job) -> None:
    schedule(job, every="1s", mode="apply", max_age="1h")
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "done"
        assert "employeeNumber: 1003" in job.read("people.ldif")
        job.agents([agent(1), agent(2), agent(3, workNo=1033)])
        served.next("outcome", result="written")
        served.next("run ended")
        assert "employeeNumber: 1033" in job.read("people.ldif")
        assert served.get("/healthz") == (200, "ok\n")
        assert served.get("/readyz") == (200, "ok\n")
        assert (served.metric("runs_total", kind="apply", ending="done") or 0) >= 2
        assert served.metric("outcomes_total", outcome="written") == 4
        assert served.metric("ready", cec_job="job") == 1
        nobody_in(served.get("/metrics")[1])
        assert served.get("/else")[0] == 404
        assert served.stop() == 0
    starts = served.names("run started", "run ended")
    assert starts[:4] == ["run started", "run ended", "run started", "run ended"]


def test_a_dry_run_leaves_its_plan_for_somebody_to_apply(job: Job) -> None:
    schedule(job, every="1s")
    before = job.read("people.ldif")
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["waiting"] == str(job.folder / "job.plan.json")
        plan = job.read("job.plan.json")
        served.next("run ended")
        assert job.read("job.plan.json") == plan, "a plan under review was replaced by its like"
        assert job.read("people.ldif") == before
        job.agents([agent(1), agent(2), agent(3, workNo=1033)])
        served.fresh()
        assert json.loads(job.read("job.plan.json"))["digest"] != json.loads(plan)["digest"]
        job.run("apply", "--plan", "job.plan.json")
        assert "employeeNumber: 1033" in job.read("people.ldif")
        served.next("run ended", waiting=None)
        assert not (job.folder / "job.plan.json").exists()
        assert served.stop() == 0


def test_what_goes_beyond_a_limit_waits_and_is_not_written(job: Job) -> None:
    job.configure(limits={"update": 2}, exclude="exclude.csv")
    job.write("exclude.csv", "user\n")
    (job.folder / "plans").mkdir()
    job.configure(serve={"every": "1h", "plans": "plans"})
    before = job.read("people.ldif")
    with serving(job.folder, "job.yaml") as served:
        ended = served.next("run ended")
        assert (ended["ending"], ended["waiting"]) == ("refused", str(job.folder / "plans" / "job.plan.json"))
        assert job.read("people.ldif") == before
        assert served.metric("refusals_total", limit="update") == 1
        plan = json.loads(job.read("plans/job.plan.json"))
        job.run("apply", "--plan", "plans/job.plan.json", "--accept", plan["digest"])
        job.configure(serve={"every": "1s"})
        served.signal(signal.SIGHUP)
        served.next("run ended", ending="done")
        assert "employeeNumber: 1003" in job.read("people.ldif")
        assert served.stop() == 0


def test_a_run_that_takes_longer_than_its_interval_is_not_overtaken(job: Job) -> None:
    with slow(job, lambda number: 2.5 if number == 1 else 0) as tenant, serving(job.folder, "job.yaml") as served:
        served.next("run ended")
        served.next("run ended")
        assert served.stop() == 0
    assert served.names("run started", "run ended")[:4] == ["run started", "run ended"] * 2
    assert len(tenant.requests) >= 4
    starts = [event for event in served.events if event["event"] == "run started"]
    first, second = (datetime.fromisoformat(event["tick"]) for event in starts[:2])
    assert second - first > timedelta(seconds=1), "what was missed meanwhile was not made one"


class slow:  # noqa: N801  # read as a phrase
    """A tenant whose query number n takes `delay(n)` seconds, or less if it is let; the job is made to ask it."""

    def __init__(self, job: Job, delay: Any) -> None:
        self._delay = delay
        self._number = 0
        self.asked, self._let = threading.Event(), threading.Event()
        self.simulator = Simulator(json.loads(job.read("agents.json")))
        self.simulator.answer = self._answer  # type: ignore[method-assign]  # as its docstring says
        job.write("key", "demo-key")
        job.write("secret", "demo-secret")
        source = cec_source(self.simulator.url, app_key=file("key"), app_secret=file("secret"), timeout=300, retries=0)
        job.configure(source=source)

    def _answer(self, request: Request) -> None:
        if request.command == "GET":
            self._number += 1
            self.asked.set()
            self._let.wait(self._delay(self._number))
        Simulator.answer(self.simulator, request)

    def __enter__(self) -> Simulator:
        return self.simulator.__enter__()

    def let(self) -> None:
        """Answer at once from now on."""
        self._let.set()

    def __exit__(self, *arguments: object) -> None:
        self.let()
        self.simulator.__exit__(*arguments)


# ---------------------------------------------------------------- neither missed nor doubled


def test_a_run_that_was_missed_is_caught_up_once(job: Job) -> None:
    schedule(job, every="1h", mode="apply")
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended")
        assert served.stop() == 0
    tick, ended, good = noted(job)
    assert (ended, good) == (1, tick)
    with serving(job.folder, "job.yaml") as served:  # nothing was missed: nothing runs
        served.next("next run")
        assert served.metric("next_run_timestamp_seconds") == pytest.approx(
            (datetime.fromisoformat(tick) + timedelta(hours=1)).timestamp(), abs=1
        )
        assert served.stop() == 0
    assert served.names("run started") == []
    job.sql(f"update schedule set tick = '{(datetime.now(UTC) - timedelta(hours=5, minutes=10)).isoformat()}'")
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended")
        served.next("next run")
        assert (served.metric("next_run_timestamp_seconds") or 0) > datetime.now(UTC).timestamp() + 45 * 60
        assert served.stop() == 0
    assert served.names("run started") == ["run started"]


def test_a_job_with_a_cron_expression_waits_for_its_time_and_catches_up_what_it_missed(job: Job) -> None:
    soon = datetime.now(UTC) + timedelta(hours=7)
    schedule(job, cron=f"{soon.minute} {soon.hour} * * *", mode="apply")
    with serving(job.folder, "job.yaml") as served:
        served.next("next run")
        due = served.metric("next_run_timestamp_seconds")
        assert due == soon.replace(second=0, microsecond=0).timestamp()
        assert served.stop() == 0
    assert served.names("run started") == []
    job.run("apply")  # makes the state
    job.sql(f"insert into schedule values ('job', '{(datetime.now(UTC) - timedelta(days=3)).isoformat()}', 1, null)")
    with serving(job.folder, "job.yaml") as served:
        ended = served.next("run started")
        assert ended["tick"] == (soon - timedelta(days=1)).replace(second=0, microsecond=0).isoformat()
        served.next("run ended")
        assert served.stop() == 0
    assert served.names("run started") == ["run started"]


def test_what_was_noted_by_a_clock_that_was_far_ahead_neither_stops_the_runs_nor_counts_as_good(job: Job) -> None:
    schedule(job, every="1s", mode="apply", max_age="1s")
    job.run("apply")  # makes the state
    ahead = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    job.sql(f"insert into schedule values ('job', '{ahead}', 1, '{ahead}')")
    job.write("agents.json", "{")
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "failed"
        assert served.next("run ended")["ending"] == "failed"
        assert served.get("/readyz")[0] == 503
        assert served.stop() == 0


@pytest.mark.monitoring
def test_a_night_that_comes_again_after_a_clock_was_a_day_ahead_has_its_run(job: Job) -> None:
    schedule(job, cron="30 2 * * *", mode="apply")
    noon = datetime(2027, 3, 1, 12, tzinfo=UTC)
    night = datetime(2027, 3, 2, 2, 30, tzinfo=UTC)
    clock = Clock(job.folder / "clock", noon)
    with serving(job.folder, "job.yaml", env=clock.env) as served:
        served.next("next run")
        for _ in range(2):
            clock.set(night + timedelta(seconds=1))
            served.signal(signal.SIGHUP)  # so that it looks at the clock
            assert served.next("run started")["tick"] == night.isoformat()
            assert served.next("run ended")["ending"] == "done"
            served.next("next run", at=(night + timedelta(days=1)).isoformat())
            clock.set(noon)
            served.signal(signal.SIGHUP)
            served.next("files read again")
            served.next("next run", at=night.isoformat())
        assert served.stop() == 0


def test_a_run_that_was_killed_with_its_schedule_is_run_again_after_the_start(job: Job) -> None:
    schedule(job, every="1h", mode="apply")
    job.configure(serve={"reports": {"folder": "reports"}})
    index = job.folder / "reports" / "index.html"
    tenant = slow(job, lambda number: FOR_EVER if number == 1 else 0)
    with tenant, serving(job.folder, "job.yaml") as served:
        served.next("access token received")
        assert tenant.asked.wait(PATIENCE)
        (run,) = children(served.process.pid)
        os.kill(run, signal.SIGKILL)
        ended = served.next("run ended")
        assert (ended["ending"], ended["exit_code"]) == ("failed", 1)
        assert served.metric("runs_total", ending="failed") == 1
        until(index.exists)
        assert "ended by SIGKILL" in index.read_text()
        assert served.stop() == 0
        assert noted(job)[1] == 0
        with serving(job.folder, "job.yaml") as again:
            assert again.next("run ended")["ending"] == "done"
            assert again.stop() == 0
    assert noted(job)[1] == 1


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_schedules_of_one_job_never_run_it_at_the_same_time(job: Job) -> None:
    schedule(job, every="1h", mode="dry-run")
    tenant = slow(job, lambda number: FOR_EVER)
    with tenant, serving(job.folder, "job.yaml") as one:
        one.next("access token received")
        with serving(job.folder, "job.yaml") as other:
            assert other.next("run ended")["ending"] == "busy"
            assert other.stop() == 0
        tenant.let()
        assert one.next("run ended")["ending"] == "done"
        assert one.stop() == 0
    assert (len(one.names("planned")), len(other.names("planned"))) == (1, 0)


def test_jobs_of_one_state_run_one_after_the_other(job: Job) -> None:
    for name in ("one.yaml", "two.yaml", "three.yaml"):
        schedule(job, name=name, every="1h", mode="apply")
    with serving(job.folder, "one.yaml", "two.yaml", "three.yaml") as served:
        for _ in range(3):
            assert served.next("run ended")["ending"] == "done"
        assert served.stop() == 0
    assert served.names("run started", "run ended") == ["run started", "run ended"] * 3


# ---------------------------------------------------------------- signals and files


def test_sigterm_ends_a_run_in_good_order_and_its_tick_is_still_due(job: Job) -> None:
    schedule(job, every="1h", mode="apply")
    tenant = slow(job, lambda number: FOR_EVER if number == 1 else 0)
    with tenant, serving(job.folder, "job.yaml") as served:
        served.next("access token received")
        assert tenant.asked.wait(PATIENCE)
        assert served.stop() == 0
        assert noted(job)[1] == 0
        with serving(job.folder, "job.yaml") as again:
            assert again.next("run ended")["ending"] == "done"
            assert again.stop() == 0


@pytest.mark.slapd
@pytest.mark.parametrize(("signals", "ending"), [(1, "in part"), (2, "failed")])
def test_sigterm_lets_a_run_that_writes_finish_what_is_in_flight_and_the_second_one_does_not(
    tmp_path: Path, signals: int, ending: str
) -> None:
    sent: list[str] = []
    held, let = threading.Event(), threading.Event()

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == 12:
            held.set()
            let.wait(PATIENCE)
        return message

    when = {"every": "1h", "mode": "apply"}
    people = [person(uid) for uid in UIDS]
    with Slapd.start(tmp_path / "s", people) as server, LdapProxy(server.port, meddle) as proxy:
        Plain(tmp_path, server, proxy.url, serve=when)
        with serving(tmp_path, "job.yaml", env=PASSWORD) as served:
            assert held.wait(PATIENCE)
            for number in range(signals):
                served.signal(signal.SIGTERM)
                assert served.next("stopping")["at_once"] == (number == 1)
            let.set()
            assert served.ended() == 0
        assert [event["ending"] for event in served.events if event["event"] == "run ended"] == [ending]
        job = Plain(tmp_path, server, serve=when)
        if signals == 1:
            assert 12 <= len(job.stored()) == len(sent) <= 12 + 4
        with serving(tmp_path, "job.yaml", env=PASSWORD) as again:
            assert again.next("run ended")["ending"] == "done"
            assert again.stop() == 0
        assert job.stored() == UIDS
        with closing(sqlite3.connect(tmp_path / "state.db")) as db:
            known = db.execute("select count(*) from journal where outcome = 'written' or outcome is null").fetchall()
        assert known == [(40,)], "each was written once, and is known to be"


def test_sighup_takes_new_files_and_refuses_wrong_ones_while_the_old_go_on(job: Job) -> None:
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended")
        job.write("mapping.yaml", "match: [\n")
        served.signal(signal.SIGHUP)
        refused = served.next("files invalid, the old ones stay in use")
        assert "mapping.yaml" in refused["reason"]
        assert served.metric("files_accepted") == 0
        job.agents([agent(1), agent(2), agent(3, workNo=1033)])
        served.next("outcome")
        assert served.next("run ended")["ending"] == "done"
        assert "employeeNumber: 1033" in job.read("people.ldif")
        schedule(job, every="1h", mode="apply")
        job.write(
            "mapping.yaml",
            'match: [{agent: "{accountCode}", directory: uid}]\nattributes: {telephoneNumber: "{workNo}"}\n',
        )
        served.signal(signal.SIGHUP)
        served.next("files read again")
        assert served.metric("files_accepted") == 1
        assert served.stop() == 0


def test_while_files_are_read_again_the_old_ones_are_in_order(job: Job) -> None:
    schedule(job, every="1h")
    with serving(job.folder, "job.yaml", entry=entry("mapping.yaml")) as served:
        served.next("run ended")
        set_gate(job.folder / "mapping.yaml")
        served.signal(signal.SIGHUP)
        with held(job.folder / "mapping.yaml"):
            assert served.metric("files_accepted") == 1
        served.next("files read again")
        assert served.metric("files_accepted") == 1
        assert served.stop() == 0


def test_a_secret_is_rotated_without_a_restart(job: Job) -> None:
    with slow(job, lambda number: 0) as tenant, serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "done"
        tenant.credentials["app_secret"] = "canary-rotated"
        tenant.revoke()
        assert served.next("run ended", ending="failed")["exit_code"] == 1
        job.write("secret", "canary-rotated\n")
        served.next("run ended", ending="done")
        assert served.stop() == 0


def test_a_job_without_good_runs_is_not_ready(job: Job) -> None:
    schedule(job, every="1s", mode="apply", max_age="1h")
    job.run("apply")  # makes the state
    good = (datetime.now(UTC) - timedelta(hours=2)).isoformat(timespec="seconds")
    job.sql(f"insert into schedule values ('job', '{good}', 1, '{good}')")
    job.write("agents.json", "{")
    with serving(job.folder, "job.yaml") as served:
        for _ in range(2):
            assert served.next("run ended")["ending"] == "failed"
        code, said = served.get("/readyz")
        why = f"ended as: failed (exit code 1); {job.folder}/agents.json: not JSON: cut off after byte 1"
        assert code == 503
        assert re.fullmatch(
            rf"job: no run has ended well since {re.escape(good)}\. The last run, of 20\S+, {re.escape(why)}\n", said
        ), said
        assert served.metric("ready") == 0
        assert served.get("/healthz")[0] == 200
        job.agents([agent(1), agent(2), agent(3)])
        served.next("run ended", ending="done")
        assert served.get("/readyz") == (200, "ok\n")
        assert served.stop() == 0


def test_a_job_that_is_not_ready_says_what_refused_its_last_run(job: Job) -> None:
    schedule(job, every="1s", mode="apply", max_age="1s")
    job.configure(limits={"update": 0, "secret": 0})
    refused = [f"too many {what} (3 planned, 0 allowed)" for what in ("updates", "secrets to set")]
    with serving(job.folder, "job.yaml") as served:
        for _ in range(3):
            ended = served.next("run ended")
            assert (ended["ending"], ended["level"]) == ("refused", "warning")
            assert ended["why_refused"] == refused
        code, said = served.get("/readyz")
        why = f"ended as: refused (exit code 3); {', '.join(refused)}; a plan waits in {job.folder}/"
        assert code == 503
        assert why in said
        assert "uid=" not in said
        job.configure(limits={"update": "100%", "secret": "100%"})
        hold = "'hold', 'job', '', '', '', '2026-11-01T00:00:00+00:00', 'its run x was taken back'"
        job.sql(f"insert into events values ({hold}, '', '', null, null, 0)")
        served.signal(signal.SIGHUP)
        served.next("files read again")
        for _ in range(2):
            assert served.next("run ended")["ending"] == "refused"
        said = served.get("/readyz")[1]
        assert "this job is on hold since 2026-11-01T00:00:00+00:00: its run x was taken back" in said
        job.run("release")
        served.next("run ended", ending="done")
        assert served.stop() == 0
    listed = json.loads(job.run("runs", "--json"))
    assert listed[0]["result"] == "done"
    reasons = {each["why"].partition(":")[0] for each in listed if each["result"] == "refused"}
    assert reasons == {"update", "job"}, "beyond limits, then on hold"
    assert listed[0]["by"] == "serve"


def test_a_run_that_takes_longer_than_three_intervals_is_recent_when_it_ends(job: Job) -> None:
    schedule(job, every="10m")
    tick = datetime(2027, 3, 1, 12, tzinfo=UTC)
    over = tick + timedelta(hours=2)
    scheduled = ScheduledJob(job.folder / "job.yaml", tick, lambda: None)
    assert scheduled.explain_trouble(over)
    scheduled.progress.good, scheduled.progress.good_end = tick, over
    assert not scheduled.explain_trouble(over + timedelta(minutes=29))
    assert scheduled.explain_trouble(over + timedelta(minutes=30))
    schedule(job, every="10m", max_age="1h")
    scheduled.reread_files()
    until(lambda: scheduled.reading is not None and not scheduled.reading.is_awaited)
    scheduled.settle_files(over)
    assert scheduled.explain_trouble(over), "how old what it read may be was said"


def test_a_schedule_that_no_longer_looks_at_its_clock_is_ill(job: Job) -> None:
    now = [0.0]
    service = Service([job.folder / "job.yaml"], [], lambda *_: None, lambda: now[0])
    with WebServer("127.0.0.1", 0, service) as web:
        assert asked(f"http://{web.address}/healthz") == (200, "ok\n")
        now[0] = STUCK + 1
        assert asked(f"http://{web.address}/healthz") == (
            503, f"the schedule has not looked at its clock for {STUCK + 1:.0f} seconds\n",
        )  # fmt: skip


def test_a_state_that_is_away_is_waited_for(job: Job) -> None:
    (job.folder / "gone").mkdir()
    schedule(job, every="1h", mode="apply")
    job.configure(state="sqlite:///gone/state.db")
    job.write("gone/state.db", "no database, but long enough to be looked at")
    with serving(job.folder, "job.yaml") as served:
        assert "state" in served.next("schedule waits for the state")["reason"]
        assert served.stop() == 0


def test_what_is_wrong_in_any_file_is_said_before_anything_runs(job: Job) -> None:
    schedule(job, cron="1 2 3", timezone="Europe/Atlantis", jitter="soon")
    job.write("other.yaml", JOB)
    ended = program("serve", "job.yaml", "other.yaml", folder=job.folder)
    assert ended.code == 78
    assert "job.yaml:5: serve.timezone: is not a known time zone" in ended.err
    assert "serve.cron: is no cron expression" in ended.err
    assert "serve.jitter: must be a length of time" in ended.err
    assert "other.yaml: has no `serve` section" in ended.err
    schedule(job, every="1h", cron="1 2 3 4 5")
    assert "needs exactly one of" in program("serve", "job.yaml", folder=job.folder).err
    schedule(job, cron="0 0 30 2 *")
    assert "is no cron expression (bad day-of-month)" in program("serve", "job.yaml", folder=job.folder).err
    schedule(job, every="1h", timezone="Europe/Berlin")
    assert "job.yaml:5: serve: timezone goes with cron" in program("serve", "job.yaml", folder=job.folder).err


def test_an_address_that_cannot_be_had_is_said(job: Job) -> None:
    with serving(job.folder, "job.yaml") as served:
        address = served.url.removeprefix("http://")
        ended = program("serve", "job.yaml", "--listen", address, folder=job.folder)
        assert (ended.code, f"cannot listen at {address}" in ended.err) == (64, True), ended.said
        assert program("serve", "job.yaml", "--listen", "nowhere", folder=job.folder).code == 64
        assert served.stop() == 0

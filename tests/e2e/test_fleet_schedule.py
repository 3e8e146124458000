"""`fleet schedule` on a real Temporal: schedules match the job files, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet, told
from tests.support.program import Ended, program
from tests.support.temporal import Temporal
from tests.support.terminal import session

pytestmark = pytest.mark.temporal

HOURLY = {"every": "1h", "jitter": "5m", "mode": "apply"}
DAILY = {"cron": "15 6 * * 1-5", "timezone": "Europe/Berlin"}


@pytest.fixture
def fleet(tmp_path: Path, temporal_server: Temporal) -> Fleet:
    return Fleet(tmp_path, temporal_server)


@pytest.fixture
def scheduled(fleet: Fleet) -> Fleet:
    """One with two schedules."""
    fleet.job("acme", serve=HOURLY)
    fleet.job("globex", serve=DAILY)
    assert fleet.schedule("--apply").code == 0
    return fleet


def test_a_dry_run_shows_what_an_apply_makes_and_then_there_is_nothing_left(fleet: Fleet) -> None:
    fleet.job("acme", serve=HOURLY)
    fleet.job("globex", serve=DAILY)
    fleet.job("idle")
    shown = fleet.schedule()
    assert shown.code == 2, shown.said
    assert "create  acme: every 1h, jitter 5m, mode apply\n" in shown.out
    assert "create  globex: cron 15 6 * * 1-5, timezone Europe/Berlin, mode dry-run\n" in shown.out
    assert "2 changes, 0 schedules in step." in shown.out
    assert "cec-connector fleet schedule . --apply" in shown.out
    fleet.lists(set())
    made = fleet.schedule("--apply")
    assert (made.code, made.err) == (0, "")
    assert "Made 2 changes of 2." in made.out
    again = fleet.schedule()
    assert (again.code, again.out) == (0, "0 changes, 2 schedules in step.\n")
    again = fleet.schedule("--apply")
    assert (again.code, again.out) == (0, "0 changes, 2 schedules in step.\n")


def test_a_schedule_starts_a_tick_of_its_job_one_at_a_time(scheduled: Fleet) -> None:
    found = scheduled.described("acme")["schedule"]
    start = found["action"]["startWorkflow"]
    assert (start["workflowId"], start["workflowType"]["name"]) == ("cec-connector/tick/acme", "Tick")
    assert start["taskQueue"]["name"] == "cec-connector"
    assert [told(each) for each in start["input"]["payloads"]] == [{"job": "acme", "mode": "apply"}]
    assert found["policies"]["overlapPolicy"] == "SCHEDULE_OVERLAP_POLICY_SKIP"
    assert (found["policies"]["catchupWindow"], start["workflowExecutionTimeout"]) == ("31536000s", "86400s")
    assert (found["spec"]["interval"][0]["interval"], found["spec"]["jitter"]) == ("3600s", "300s")
    assert scheduled.described("globex")["schedule"]["spec"]["timezoneName"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("serve", "said", "new"),
    [
        ({**HOURLY, "every": "90m"}, "times", "every 90m, jitter 5m, mode apply"),
        ({**HOURLY, "jitter": "6m"}, "jitter", "every 1h, jitter 6m, mode apply"),
        ({**HOURLY, "mode": "dry-run"}, "job or mode", "every 1h, jitter 5m, mode dry-run"),
        (
            {"cron": "*/20 6,9 1 * 1-5", "timezone": "Europe/Berlin", "mode": "apply"},
            "times, time zone, jitter",
            "cron */20 6,9 1 * 1-5, timezone Europe/Berlin, mode apply",
        ),
    ],
)
def test_a_changed_job_file_changes_its_schedule_alone(
    scheduled: Fleet, serve: dict[str, str], said: str, new: str
) -> None:
    scheduled.job("acme", serve=serve)
    shown = scheduled.schedule()
    change = f"acme: other {said}: {new}"
    assert (shown.code, f"update  {change}\n1 change, 1 schedule in step." in shown.out) == (2, True), shown.out
    assert scheduled.schedule("--apply").code == 0
    assert scheduled.schedule().code == 0


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (["--interval", "1h"], "times"),
        (["--cron", "@hourly"], "times"),
        (["--interval", "1h/0s", "--jitter", "1m"], "times, jitter"),
        (["--interval", "1h", "--overlap-policy", "AllowAll"], "times, overlap"),
        (["--interval", "1h", "--catchup-window", "10m"], "times, catch-up"),
        (["--interval", "1h", "--pause-on-failure"], "times, what follows a failure"),
        (["--interval", "1h", "--remaining-actions", "3"], "times, number of runs"),
        (["--interval", "1h", "--end-time", "2099-01-01T00:00:00Z"], "times"),
        (["--interval", "1h", "--input", '{"job":"globex","mode":"apply"}'], "times, job or mode"),
        (["--interval", "1h", "--type", "Job"], "times, workflow"),
        (["--interval", "1h", "--workflow-id", "cec-connector/acme"], "times, workflow"),
    ],
)
def test_an_edit_by_hand_is_seen_and_taken_back(scheduled: Fleet, edit: list[str], said: str) -> None:
    before = scheduled.described("acme")["schedule"]
    usual = {
        "--type": "Tick", "--workflow-id": "cec-connector/tick/acme", "--task-queue": "cec-connector",
        "--input": '{"job":"acme","mode":"apply"}', "--jitter": "5m", "--catchup-window": "365d",
        "--execution-timeout": "24h", "--overlap-policy": "Skip",
    }  # fmt: skip
    words = [word for name, value in usual.items() if name not in edit for word in (name, value)]
    scheduled.server.cli(
        "schedule", "update", "--schedule-id", "cec-connector/acme", *words, *edit, "--namespace", scheduled.namespace
    )
    shown = scheduled.schedule()
    assert (shown.code, shown.out.partition("\n")[0].split(": ")[:2]) == (2, ["update  acme", f"other {said}"])
    assert scheduled.schedule("--apply").code == 0
    assert scheduled.described("acme")["schedule"] == before
    assert scheduled.schedule().code == 0


def test_without_a_serve_section_a_schedule_is_paused_and_resumed_with_it(scheduled: Fleet) -> None:
    scheduled.job("acme")
    shown = scheduled.schedule()
    assert (shown.code, "pause   acme: its job file has no `serve` section" in shown.out) == (2, True), shown.out
    assert scheduled.schedule("--apply").code == 0
    assert scheduled.described("acme")["schedule"]["state"]["paused"] is True
    assert scheduled.schedule().out == "0 changes, 2 schedules in step.\n"
    scheduled.job("acme", serve={**HOURLY, "every": "3h"})
    shown = scheduled.schedule("--apply")
    assert (shown.code, "resume  acme: its job file has a `serve` section again" in shown.out) == (0, True), shown.out
    found = scheduled.described("acme")["schedule"]
    assert (found["state"], found["spec"]["interval"][0]["interval"]) == ({}, "10800s")
    assert scheduled.schedule().code == 0


def test_a_schedule_that_somebody_paused_stays_so_and_is_named(scheduled: Fleet) -> None:
    toggle = ("schedule", "toggle", "--schedule-id", "cec-connector/acme", "--namespace", scheduled.namespace)
    scheduled.server.cli(*toggle, "--pause", "--reason", "moving\x1b[31m the tenant")
    shown = scheduled.schedule("--apply")
    assert shown.code == 0, shown.said
    assert shown.out.startswith("paused  acme: by hand (moving<U+001B>[31m the tenant). It stays paused"), shown.out
    scheduled.job("acme", serve={**HOURLY, "every": "3h"})
    assert scheduled.schedule("--apply").code == 0
    found = scheduled.described("acme")["schedule"]
    assert (found["state"]["paused"], found["spec"]["interval"][0]["interval"]) == (True, "10800s")
    scheduled.job("acme")
    assert scheduled.schedule().code == 0
    scheduled.job("acme", serve={**HOURLY, "every": "3h"})
    scheduled.server.cli(*toggle, "--unpause", "--reason", "moved")
    assert scheduled.schedule().out == "0 changes, 2 schedules in step.\n"


def test_the_schedule_of_a_job_that_is_gone_is_deleted_and_no_other(scheduled: Fleet) -> None:
    start = ("--interval", "1h", "--workflow-id", "w", "--type", "Tick", "--namespace", scheduled.namespace)
    for name, queue in (("cec-connector/others", "another-fleet"), ("own", "cec-connector")):
        scheduled.server.cli("schedule", "create", "--schedule-id", name, "--task-queue", queue, *start)
    (scheduled.folder / "globex.yaml").unlink()
    shown = scheduled.schedule("--apply")
    assert (shown.code, "delete  globex: its job file is gone" in shown.out) == (0, True), shown.said
    scheduled.lists({"cec-connector/acme", "cec-connector/others", "own"})
    assert scheduled.schedule().out == "0 changes, 1 schedule in step.\n"


def test_a_job_of_the_name_that_another_fleet_has_is_refused_and_nothing_changes(scheduled: Fleet) -> None:
    before = scheduled.described("acme")["schedule"]
    scheduled.configure(task_queue="other")
    scheduled.job("new", serve=HOURLY)
    ended = scheduled.schedule("--apply")
    assert (ended.code, ended.out) == (78, "")
    assert "acme.yaml: Temporal has a schedule cec-connector/acme for the task queue 'cec-connector'" in ended.err
    assert "globex.yaml: Temporal has a schedule" in ended.err
    assert "Correct `task_queue` in the fleet file. If it is right, rename the job, or use another" in ended.err
    scheduled.lists({"cec-connector/acme", "cec-connector/globex"})
    assert scheduled.described("acme")["schedule"] == before


def test_a_run_for_another_task_queue_is_refused_or_named(scheduled: Fleet) -> None:
    def run(job: str) -> Ended:
        return program("fleet", "run", f"{job}.yaml", "--no-wait", folder=scheduled.folder)

    scheduled.job("new")
    scheduled.configure(task_queue="other")
    ended = run("acme")
    assert ended.code == 78
    assert "acme.yaml: Temporal has a schedule cec-connector/acme for the task queue 'cec-connector'" in ended.err
    assert run("new").code == 0
    scheduled.configure()
    ended = run("new")
    assert ended.code == 75
    said = " ".join(ended.err.split())
    assert "new: a run of this job is open in the fleet" in said
    assert "compare `task_queue` in the fleet file with the workflow cec-connector/new in Temporal" in said
    assert run("acme").code == 0


def test_all_that_is_wrong_in_all_files_is_said_at_once_and_nothing_changes(scheduled: Fleet) -> None:
    (scheduled.folder / "acme.yaml").unlink()
    scheduled.job("globex", serve=HOURLY)
    scheduled.job("bad", state="sqlite:///state.db")
    scheduled.job("worse", mapping="nowhere.yaml")
    (scheduled.folder / "worst.yaml").write_text("source: [\n")
    ended = scheduled.schedule("--apply")
    assert (ended.code, ended.out) == (78, "")
    assert "bad.yaml:5: a fleet needs a state that all its workers share" in ended.err
    assert "worse.yaml:3: mapping: there is no file" in ended.err
    assert "worst.yaml:2:1: a `[` or `{` above is not closed" in ended.err
    scheduled.lists({"cec-connector/acme", "cec-connector/globex"})
    assert scheduled.described("globex")["schedule"]["spec"]["timezoneName"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("0 6 L * *", "Temporal has no last or nth day in a month (L, #)"),
        ("0 6 LW * *", "Temporal has no last or nth day in a month (L, #)"),
        ("0 6 * * 5L", "Temporal has no last or nth day in a month (L, #)"),
        ("0 6 * * 1#2", "Temporal has no last or nth day in a month (L, #)"),
    ],
)
def test_a_cron_expression_that_temporal_cannot_express_has_its_line(fleet: Fleet, cron: str, why: str) -> None:
    fleet.job("acme", serve={"cron": cron})
    fleet.job("globex", serve=HOURLY)
    ended = fleet.schedule("--apply")
    assert ended.code == 78
    assert f"acme.yaml:7: serve.cron: {why}" in ended.err
    fleet.lists(set())


def test_mappings_and_hidden_files_may_lie_beside_the_jobs_but_not_two_jobs_of_a_name(fleet: Fleet) -> None:
    path = fleet.job("acme", serve=HOURLY)
    (fleet.folder / "own.yaml").write_text("match: []\nattributes: {}\n")
    (fleet.folder / ".acme.yaml").write_text("{")
    assert fleet.schedule().code == 2
    (fleet.folder / "acme.yml").write_text(path.read_text())
    ended = fleet.schedule()
    assert (ended.code, "acme.yml: acme.yaml is a job of the same name. Rename one" in ended.err) == (78, True)
    (fleet.folder / "acme.yml").rename(fleet.folder / "fleet.yml")
    ended = fleet.schedule()
    assert (ended.code, "fleet.yml: no job of a fleet can have this name. Rename the file" in ended.err) == (78, True)


def test_another_fleet_file_can_be_named(fleet: Fleet) -> None:
    fleet.job("acme", serve=HOURLY)
    fleet.configure(task_queue="other")
    (fleet.folder / "fleet.yaml").rename(fleet.folder / "other.yaml")
    (fleet.folder / "fleet.yaml").write_text("address: [\n")
    shown = fleet.schedule("--fleet", "other.yaml")
    assert (shown.code, "fleet schedule . --fleet=other.yaml --apply" in shown.out) == (2, True), shown.said
    assert fleet.schedule("--fleet", "other.yaml", "--apply").code == 0
    found = fleet.described("acme")["schedule"]["action"]["startWorkflow"]
    assert found["taskQueue"]["name"] == "other"


def test_a_folder_without_jobs_deletes_nothing(scheduled: Fleet) -> None:
    for name in ("acme", "globex"):
        (scheduled.folder / f"{name}.yaml").unlink()
    ended = scheduled.schedule("--apply")
    assert (ended.code, "holds no job files, so nothing is done" in ended.err) == (64, True)
    scheduled.lists({"cec-connector/acme", "cec-connector/globex"})


def test_somebody_at_a_terminal_is_asked_and_what_changed_meanwhile_is_left_alone(scheduled: Fleet) -> None:
    scheduled.job("acme", serve={**HOURLY, "every": "3h"})
    (scheduled.folder / "globex.yaml").unlink()
    scheduled.job("new", serve=HOURLY)
    scheduled.job("other", serve=HOURLY)
    pause = ("schedule", "toggle", "--pause", "--reason", "stop", "--namespace", scheduled.namespace, "--schedule-id")
    create = ("--interval", "1h", "--workflow-id", "w", "--type", "Tick", "--namespace", scheduled.namespace)
    with session(scheduled.folder, "fleet", "schedule", ".", "--apply") as running:
        running.wait_for("Make 4 changes? [y/N]")
        scheduled.server.cli(*pause, "cec-connector/acme")
        scheduled.server.cli(*pause, "cec-connector/globex")
        scheduled.server.cli(
            "schedule", "create", "--schedule-id", "cec-connector/new", "--task-queue", "cec-connector", *create
        )
        running.type("y\n")
        assert running.end() == 4, running.seen
    said = " ".join(running.seen.split())
    assert "Not made: update acme: somebody has changed it since it was read." in said
    assert "Not made: delete globex: somebody has changed it since it was read." in said
    assert "Not made: create new: there is one by now." in said
    assert "Made 1 change of 4." in said
    assert scheduled.described("acme")["schedule"]["spec"]["interval"][0]["interval"] == "3600s"
    scheduled.lists({f"cec-connector/{name}" for name in ("acme", "globex", "new", "other")})


def test_without_a_yes_nothing_changes(fleet: Fleet) -> None:
    fleet.job("acme", serve=HOURLY)
    with session(fleet.folder, "fleet", "schedule", ".", "--apply") as running:
        running.wait_for("[y/N]")
        running.type("n\n")
        assert running.end() == 3
    fleet.lists(set())
    with session(fleet.folder, "fleet", "schedule", ".", "--apply", "--yes") as running:
        assert running.end() == 0, running.seen
    fleet.lists({"cec-connector/acme"})


def test_hundreds_of_schedules_are_made_and_compared_in_one_go(fleet: Fleet) -> None:
    for number in range(100):
        fleet.job(f"tenant-{number:03}", serve=HOURLY)
    made = fleet.schedule("--apply")
    assert (made.code, "Made 100 changes of 100." in made.out) == (0, True), made.said
    assert fleet.schedule().out == "0 changes, 100 schedules in step.\n"

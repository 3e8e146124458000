"""Where the log goes: nowhere at a terminal, to standard error elsewhere, or to a file."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import Job
from tests.support.program import program, started
from tests.support.serving import until
from tests.support.terminal import at_a_terminal, plain


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=3)


def logged(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_at_a_terminal_nothing_is_logged_and_a_warning_is_a_sentence(job: Job) -> None:
    job.write("key", "the key\n")
    (job.folder / "key").chmod(0o644)
    job.configure(key={"file": "key"})
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", "--yes", width=400)
    assert code == 0, seen
    lines = [line for line in plain(seen).splitlines() if "Warning" in line]
    (warning,) = lines
    path = job.folder / "key"
    details = f"fix=chmod o-r,g-r {path} path={path}"
    assert warning.endswith(f"Warning: other users of this machine can read this secret file {details}")
    for word in ("event", "finished", "exit_code", "describe directory  agents", "outcome "):
        assert word not in plain(seen)


def test_at_a_terminal_a_run_that_fails_is_told_once(job: Job) -> None:
    job.write("agents.json", "{")
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", "--yes")
    assert code == 1
    assert plain(seen).count("agents.json") == 1, seen


def test_a_file_takes_the_log_and_keeps_what_it_has(job: Job) -> None:
    ended = job.program("--log-file", "run.log", "plan", "job.yaml")
    assert (ended.code, ended.err) == (0, "")
    first = logged(job.folder / "run.log")
    code, seen = at_a_terminal(job.folder, "--log-file", "run.log", "apply", "job.yaml", "--yes")
    assert code == 0, seen
    assert "exit_code" not in seen
    both = logged(job.folder / "run.log")
    assert both[: len(first)] == first
    assert [each["event"] for each in both].count("finished") == 2
    assert [each["person"] for each in both if each["event"] == "outcome"]
    assert "canary" not in job.read("run.log")


def test_an_error_has_the_same_code_in_the_log_and_for_people(job: Job) -> None:
    job.write("agents.json", "[")
    ended = job.program("--log-file", "run.log", "plan", "job.yaml")
    assert (ended.code, logged(job.folder / "run.log")[-1]["code"]) == (1, "CEC-0127")
    assert "\nCEC-0127: " in ended.err


def test_a_level_holds_for_the_file_too(job: Job) -> None:
    job.program("--log-file", "run.log", "--log-level", "error", "apply", "job.yaml")
    assert job.read("run.log") == ""


@pytest.mark.parametrize("name", ["people.ldif", "agents.json", "job.yaml", "plan.json", "state.db", "agents.bin"])
def test_no_file_that_is_something_else_gets_a_line(job: Job, name: str) -> None:
    job.run("plan", "--save", "plan.json")
    (job.folder / "agents.bin").write_bytes(b"\xff\xfe\n")
    before = (job.folder / name).read_bytes()
    ended = job.program("--log-file", name, "apply", "job.yaml")
    assert (ended.code, (job.folder / name).read_bytes()) == (64, before)
    assert f"cec-connector: {name}: this file is no log. Name another file" in ended.err


def test_a_log_that_cannot_be_opened_ends_the_run_before_it_begins(job: Job) -> None:
    ended = job.program("--log-file", "missing/run.log", "apply", "job.yaml")
    assert ended.code == 1
    assert "missing/run.log: cannot be opened: No such file or directory" in ended.err
    assert "1001" not in job.read("people.ldif")


def test_a_log_whose_disk_is_full_is_told_once_and_hinders_no_write(job: Job) -> None:
    ended = job.program("--log-file", "/dev/full", "apply", "job.yaml")
    assert ended.code == 0, ended.said
    assert ended.err == "Warning: the log is incomplete: /dev/full: No space left on device\n"
    assert "Done: 3 of 3 users written." in ended.out


def test_a_service_and_its_runs_log_to_the_file(job: Job) -> None:
    job.configure(serve={"every": "1s", "mode": "apply"})
    command = ("--log-file", "serve.log", "serve", "job.yaml", "--listen", "127.0.0.1:0")
    with started(*command, folder=job.folder) as served:
        log = job.folder / "serve.log"
        until(lambda: log.exists() and '"exit_code": 0' in log.read_text())
        served.send_signal(signal.SIGTERM)
        _, errors = served.communicate(timeout=60)
    assert errors == ""
    events = [each["event"] for each in logged(log)]
    assert {"serving", "run started", "outcome", "finished", "run ended"} <= set(events)


def test_a_pipe_takes_the_log(job: Job) -> None:
    os.mkfifo(job.folder / "pipe")
    with started("--log-file", "pipe", "plan", "job.yaml", folder=job.folder) as process:
        text = (job.folder / "pipe").read_text()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert '"finished"' in text


def test_the_version_needs_no_log(tmp_path: Path) -> None:
    assert program("--log-file", "run.log", "--version", folder=tmp_path).code == 0
    assert not (tmp_path / "run.log").exists()

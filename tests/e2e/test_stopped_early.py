"""A run that is stopped before its first write says that nothing is written, and how much was to be."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.program import ended, started
from tests.support.slow_cec import ENV, SlowCec
from tests.support.terminal import Session, plain, session

NOTHING = "Stopped: nothing was written. Rerun the same command."
UNSENT = "Stopped: 0 of 4 written, 4 not sent. Rerun the same command."
WAITING = """
import threading
from connector.cli import main as program
def stopped(**_):
    threading.Thread(target=threading.Event().wait, args=(60,)).start()
    raise KeyboardInterrupt
program.cli.main = stopped
program.main()
"""
AGAIN = """
import os, signal
from connector.cli import main as program, signals
def stopped(**_):
    raise KeyboardInterrupt
program.cli.main = stopped
signals.tell_stopped = lambda account: os.kill(os.getpid(), signal.SIGINT)
program.main()
"""
QUESTION = "Apply 4 changes? [y/N] "


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def interrupted(running: Session) -> str:
    """The last line after Ctrl-C; nothing else is said of it."""
    running.type("\x03")
    assert running.end() == 1, running.seen
    assert "Done" not in plain(running.seen)
    assert "interrupted" not in running.seen
    return re.split("[\r\n]", plain(running.seen).rpartition("^C")[2].strip())[-1]


def test_at_the_question_of_an_apply_and_of_an_undo(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for(QUESTION)
        assert interrupted(apply) == UNSENT
    assert "1001" not in job.read("people.ldif")
    job.run("apply")
    with session(job.folder, "undo", "job.yaml", "last", "--apply") as undo:
        undo.wait_for(QUESTION)
        assert interrupted(undo) == UNSENT
    assert "1001" in job.read("people.ldif")
    assert "on hold" not in job.run("runs")


def test_at_the_question_about_a_plan_of_which_an_earlier_run_may_have_written_a_part(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    with session(job.folder, "apply", "job.yaml", "--plan", "plan.json") as apply:
        apply.wait_for(QUESTION)
        assert interrupted(apply) == NOTHING


def test_while_all_is_read_once_more_after_a_yes(job: Job) -> None:
    with SlowCec(job.read("agents.json").encode()) as cec:
        cec.let()
        job.configure(source=cec.source)
        with session(job.folder, "apply", "job.yaml", env=ENV) as apply:
            apply.wait_for(QUESTION)
            cec.hold()
            apply.type("y\n")
            cec.wait()
            assert interrupted(apply) == UNSENT
    assert "1001" not in job.read("people.ldif")
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], attempt["why"]) == ("failed", "stopped by a signal")


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_before_there_is_a_plan(job: Job, told: signal.Signals) -> None:
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.configure(source=cec.source)
        with started("--log-level", "error", "apply", "job.yaml", folder=job.folder, env=ENV) as apply:
            cec.wait()
            apply.send_signal(told)
            done = ended(apply)
    assert (done.code, done.out.splitlines()[-1]) == (1, NOTHING)
    assert "interrupted" not in done.err


def test_while_the_plan_is_shown(job: Job) -> None:
    strangers = [agent(number, accountCode=f"stranger{number}") for number in range(10, 500)]
    job.agents([*(agent(number) for number in range(1, 5)), *strangers])
    with session(job.folder, "apply", "job.yaml", "--yes") as apply:
        apply.wait_for("would be changed")  # and nobody reads what follows
        assert interrupted(apply) == UNSENT
    assert "1001" not in job.read("people.ldif")


def test_a_thread_that_waits_for_a_server_does_not_hold_up_the_end() -> None:
    """Signals are ignored by then."""
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, "interrupted\n")


def test_ctrl_c_again_while_the_end_is_told_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, "")

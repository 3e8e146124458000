"""A state that cannot be asked is away, and never one without a run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from connector.apply.job_state import read_last_tick
from connector.errors import StateError
from connector.serve.background import BackgroundCall
from connector.settings import job as jobs
from connector.state.notes import Tick
from tests.support.ldif_job import Job


def test_a_state_whose_path_cannot_be_followed_is_away(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1)
    (tmp_path / "folder").write_text("")
    job.configure(state="sqlite:///folder/state.db")
    with pytest.raises(StateError):
        read_last_tick(jobs.load_job(tmp_path / "job.yaml"))


def test_any_fault_of_the_system_is_an_answer_that_failed() -> None:
    def ask() -> Tick | None:
        raise PermissionError(13, "Permission denied")

    ended = threading.Event()
    call = BackgroundCall(ask, 10.0, ended.set)
    assert ended.wait(10)
    assert (call.is_open, call.is_awaited) == (False, False)
    with pytest.raises(StateError, match="Permission denied"):
        call.take_answer()

"""What somebody at a terminal sees: progress that goes away, and a report that stays."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.ldif_job import Job
from tests.support.terminal import at_a_terminal


def test_progress_is_shown_while_it_lasts_and_the_report_is_whole(tmp_path: Path) -> None:
    job = Job(tmp_path, users=300)
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml")
    assert code == 0, seen
    assert "Done: 300 of 300 users written, 0 not written, 0 not sent, 0 not known." in seen
    assert re.search(r"read source|write", seen), "no stage was shown"
    assert "canary" not in seen
    assert '"event"' not in seen, "logs for machines came to a terminal"
    code, seen = at_a_terminal(tmp_path, "plan", "job.yaml", "--fail-on-changes")
    assert code == 0, seen
    assert job.plan()["changes"] == []


def test_the_log_at_a_terminal_tells_the_exit_code_as_a_number(tmp_path: Path) -> None:
    Job(tmp_path)
    code, seen = at_a_terminal(tmp_path, "--log-level", "info", "plan", "job.yaml")
    assert code == 0, seen
    assert re.search(r"exit_code=0\b", re.sub(r"\x1b\[[0-9;]*m", "", seen)), seen


def test_an_error_at_a_terminal_leaves_no_bar_behind(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("agents.json", "{")
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml")
    assert code == 1
    assert "agents.json" in seen
    assert "Traceback" not in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h"), "the cursor stays hidden"

"""What somebody at a terminal sees: progress that goes away, and a report that stays."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.support.ldap_proxy import LdapProxy
from tests.support.ldif_job import Job
from tests.support.plain_job import PASSWORD, UIDS, Plain
from tests.support.program import LONGEST
from tests.support.slapd import Slapd, person
from tests.support.terminal import at_a_terminal, plain, session


def test_progress_is_shown_while_it_lasts_and_the_report_is_whole(tmp_path: Path) -> None:
    job = Job(tmp_path, users=300)
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml")
    assert code == 0, seen
    assert "Done: 300 of 300 users written." in seen
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


@pytest.mark.slapd
def test_an_apply_that_is_interrupted_says_what_is_left_and_the_same_command_does_it(tmp_path: Path) -> None:
    held, let = threading.Event(), threading.Event()
    sent: list[str] = []

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == 12:
            held.set()
            assert let.wait(LONGEST)
        return message

    with Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        with LdapProxy(server.port, meddle) as proxy:
            Plain(tmp_path, server, proxy.url)
            with session(tmp_path, "apply", "job.yaml", env=PASSWORD) as apply:
                assert held.wait(LONGEST)
                apply.type("\x03")
                apply.wait_for("^C")
                let.set()
                assert apply.end() == 4
                said = plain(apply.seen)
        line = r"^Stopped: (\d+) of 40 written, (\d+) not sent\. Rerun the same command\.$"
        stopped = re.search(line, said, re.MULTILINE)
        assert stopped, said
        job = Plain(tmp_path, server)
        written, left = map(int, stopped.groups())
        assert (written, left) == (len(job.stored()), 40 - len(job.stored()))
        assert 0 < left < 40
        assert said.rstrip().splitlines()[-1].startswith("Stopped: ")
        assert "Done" not in said
        code, said = at_a_terminal(tmp_path, "apply", "job.yaml", env=PASSWORD)
        assert code == 0, said
        assert f"Done: {left} of {left} users written." in said

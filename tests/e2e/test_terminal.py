"""What somebody at a terminal sees: progress that goes away, and a report that stays."""

from __future__ import annotations

import base64
import os
import pty
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldap_proxy import LdapProxy
from tests.support.ldif_job import Job, agent
from tests.support.plain_job import PASSWORD, UIDS, Plain, Stalled
from tests.support.program import LONGEST, WARNINGS, environment, to_its_end
from tests.support.slapd import Slapd, person
from tests.support.terminal import at_a_terminal, plain, session


@pytest.mark.slow
def test_progress_is_shown_while_it_lasts_and_the_report_is_whole(tmp_path: Path) -> None:
    job = Job(tmp_path, users=300)
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml", "--yes")
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


@pytest.mark.slow
def test_results_go_to_standard_output_also_where_progress_is_at_a_terminal(tmp_path: Path) -> None:
    Job(tmp_path, users=2)
    for line in ("check job.yaml", "plan job.yaml", "explain job.yaml user1", "apply job.yaml", "runs job.yaml"):
        ours, theirs = pty.openpty()
        start = [sys.executable, *WARNINGS, "-m", "connector", *line.split()]
        done = subprocess.run(
            start, cwd=tmp_path, env=environment({"TERM": "xterm"}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=theirs, timeout=LONGEST, check=False,
        )  # fmt: skip
        os.close(theirs)
        said = plain(to_its_end(ours).decode())
        assert done.returncode == 0, said
        assert done.stdout.strip(), line
        assert "user1" not in said, line


def test_an_error_at_a_terminal_leaves_no_bar_behind(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("agents.json", "{")
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml", "--yes")
    assert code == 1
    assert "agents.json" in seen
    assert "Traceback" not in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h"), "the cursor stays hidden"


@pytest.mark.slapd
def test_an_apply_that_is_interrupted_says_what_is_left_and_the_same_command_does_it(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        with Stalled(server.port) as proxy:
            Plain(tmp_path, server, proxy.url)
            with session(tmp_path, "apply", "job.yaml", "--yes", env=PASSWORD) as apply:
                assert proxy.held.wait(LONGEST)
                apply.type("\x03")
                apply.wait_for("^C")
                proxy.let.set()
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
        code, said = at_a_terminal(tmp_path, "apply", "job.yaml", "--yes", env=PASSWORD)
        assert code == 0, said
        assert f"Done: {left} of {left} users written." in said


def piped(job: Job, command: str) -> tuple[int, str]:
    """The exit code of a command whose reader goes at once, and what came to standard error."""
    line = f"set -o pipefail; {shlex.quote(sys.executable)} {' '.join(WARNINGS)} -m connector {command} | true"
    done = subprocess.run(
        ["bash", "-c", line], cwd=job.folder, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_reader_that_goes_is_no_error_and_changes_no_exit_code(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1500)  # more than a pipe holds
    for command, expected in (
        ("--log-level error plan job.yaml --fail-on-changes --report report.md", 2),
        ("--log-level error explain job.yaml user1", 0),
        ("runs job.yaml", 0),
        ("schema job", 0),
        ("--help", 0),
    ):
        assert piped(job, command) == (expected, ""), command
    assert "user1500" in job.read("report.md")


def test_an_apply_whose_plan_nobody_reads_to_its_end_writes_nothing_and_says_so(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1500)
    before = job.read("people.ldif")
    code, said = piped(job, "--log-level error apply job.yaml")
    assert code == 1
    assert "cec-connector: standard output: its reader has gone before the plan was shown whole" in said
    assert "Nothing was written." in said
    assert "Traceback" not in said
    assert job.read("people.ldif") == before


@pytest.mark.slow
@pytest.mark.slapd
def test_progress_says_how_much_there_is_to_write_and_how_fast_it_goes(tmp_path: Path) -> None:
    let = threading.Event()
    sent: list[str] = []

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == 20:
            assert let.wait(LONGEST)
        return message

    with (
        Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server,
        LdapProxy(server.port, meddle) as proxy,
    ):
        Plain(tmp_path, server, proxy.url)
        with session(tmp_path, "apply", "job.yaml", "--yes", env=PASSWORD, width=40) as apply:
            apply.wait_for(" of 40, ")
            apply.wait_for("/s, 0:")
            let.set()
            assert apply.end() == 0
    assert re.search(r"write +\d+ of 40, \d+(\.\d)?/s, 0:\d\d", plain(apply.seen))
    assert re.search(r"look-up +for 40, ", plain(apply.seen))


@pytest.mark.slow
def test_forty_columns_can_be_read(tmp_path: Path) -> None:
    """No word is broken, and nothing is said that eighty columns do not say."""
    job = Job(tmp_path, users=3)
    job.agents([agent(1), agent(2), agent(9, accountCode="user0"), agent(4, accountCode=None)])
    job.configure(limits={"update": 1})
    narrow, wide = (at_a_terminal(tmp_path, "plan", "job.yaml", width=width) for width in (40, 200))
    said = [plain(seen).rpartition("\r")[2] for _, seen in (narrow, wide)]
    for line in said[0].splitlines():
        assert len(line) <= 40 or len(line.split()) == 1 or "cec-connector apply" in line, line
    for number, text in enumerate(said):
        said[number] = re.sub(r"[0-9a-f-]{36}|\d{4}-\S+", "", text)
    assert sorted(said[0].split()) == sorted(said[1].split())
    code, seen = at_a_terminal(tmp_path, "plan", "gone.yaml", width=40)
    assert code == 78
    assert all(len(line) <= 40 for line in plain(seen).splitlines()), seen


def test_colour_is_for_terminals_that_want_it_and_never_from_outside(tmp_path: Path) -> None:
    job = Job(tmp_path, users=2)
    hostile = base64.b64encode(b"\x1b[32mDone: ").decode()
    job.write(
        "people.ldif", job.read("people.ldif").replace("sn: User\n", f"sn: User\nemployeeNumber:: {hostile}\n", 1)
    )
    code, seen = at_a_terminal(tmp_path, "apply", "job.yaml", "--yes")
    assert code == 0, seen
    assert "\x1b[32mDone: 2 of 2 users written." in seen
    assert seen.count("\x1b[32m") == 1
    assert "<U+001B>[32mDone" in seen
    for variable in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, seen = at_a_terminal(tmp_path, "plan", "job.yaml", env=variable)
        assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", seen), variable
    assert "\x1b" not in job.run("plan")


def various_agents(count: int) -> list[dict[str, Any]]:
    """Agents of whom everybody changes, in several ways, and others that nobody can match."""
    changed = []
    for number in range(1, count + 1):
        fields: dict[str, Any] = {"workNo": 1001 + number} if number % 2 else {"sipPwd": f"canary-new-{number}"}
        if number % 5 == 0:
            fields |= {"sipAccount": str(9000 + number), "workNo": 5000 + number}
        changed.append(agent(number, **fields))
    broken = [{"workNo": None, "accountCode": f"broken.{number}"} for number in range(30)]
    strangers = [agent(3000 + number, accountCode=f"stranger.{number}") for number in range(40)]
    twice = [agent(1, workNo=8000), agent(2, accountCode="USER2", workNo=8001)]
    return [*changed, *broken, *strangers, *twice]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(("users", "most"), [(2, 20), (5, 60), (500, 60)])
def test_a_plan_fits_on_a_screen_or_two_however_many_changes_and_problems(
    tmp_path: Path, width: int, users: int, most: int
) -> None:
    job = Job(tmp_path, users=users)
    job.run("apply")
    job.agents([agent(number, workNo=2000 + number) for number in range(1, users + 1)])
    code, seen = at_a_terminal(tmp_path, "plan", "job.yaml", width=width)
    assert code == 0, seen
    assert rows_of(seen, width) <= most
    if users > 5:
        job.agents(various_agents(users))
        job.configure(limits={"update": 3})
        code, seen = at_a_terminal(tmp_path, "plan", "job.yaml", width=width)
        assert code == 3, seen
        assert rows_of(seen, width) <= most
        assert "Kinds of changes" in seen
        assert "Problems" in seen
        assert "--accept sha256:" in plain(seen)


def rows_of(seen: str, width: int) -> int:
    """The lines of a terminal that the report takes, from its head on."""
    report = plain(seen).partition("job: what apply would do")
    return sum(max(1, -(-len(line) // width)) for line in "".join(report[1:]).splitlines())

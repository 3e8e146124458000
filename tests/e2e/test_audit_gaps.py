"""Law 13 from outside: what a full disk or a kill kept from the audit's file is in the state, and is added later."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.state.store import open_state
from tests.support.audit_lines import keep_again, records
from tests.support.ldif_job import Job, agent
from tests.support.rsyslog import Rsyslog
from tests.support.serving import serving
from tests.support.states import database

USERS = 120


def job_of(folder: Path, users: int = USERS, **audit: Any) -> Job:
    made = Job(folder, users)
    made.configure(audit=audit, ramp=[10] * 12)
    return made


def rows(job: Job, query: str) -> list[tuple[Any, ...]]:
    with closing(database(f"sqlite:///{job.folder / 'state.db'}")) as opened:
        return opened.rows(query)


def owed(job: Job) -> set[tuple[Any, ...]]:
    """What the journal knows."""
    return set(rows(job, "select run, user_id, outcome from journal where outcome is not null"))


def writes(octets: bytes) -> list[dict[str, Any]]:
    return [record for record in records(octets) if record["event"] == "write"]


def told(found: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    return Counter((record["run"], record["user"]["id"], record["result"]) for record in found)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_what_a_full_disk_kept_from_the_audit_is_told_once_there_is_room(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    with small_disk(tmp_path / "disk", "64k") as disk:
        job.configure(audit={"file": "disk/audit.jsonl"})
        (disk / "filler").write_bytes(b"." * (24 << 10))
        assert "not sent: the audit cannot be kept" in job.run("apply", code=4)
        torn = (disk / "audit.jsonl").read_bytes()
        assert not torn.endswith(b"\n"), "there is no half line"
        before = job.read("people.ldif")
        assert 0 < before.count("employeeNumber") < USERS
        assert owed(job) - set(told(writes(torn))), "nothing was left untold"

        said = job.run("apply", code=1)
        assert "audit.jsonl: the audit cannot be kept: writes of earlier runs cannot be sent: No space left" in said
        assert job.read("people.ldif") == before, "something was written that no audit has"

        (disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        job.run("apply")
        kept = (disk / "audit.jsonl").read_bytes()
        verified = job.program("audit", "verify", "--job", "job.yaml", "disk/audit.jsonl")
        assert verified.code == 0, verified.said
    assert job.read("people.ldif").count("employeeNumber") == USERS
    found = writes(kept)
    assert told(found) == dict.fromkeys(owed(job), 1)
    assert rows(job, "select number from audit_lines") == []
    assert kept.startswith(torn + b"\n"), "something was added to half a line"


def test_catching_up_needs_no_run(tmp_path: Path) -> None:
    """A process killed after its journal and before its audit: the file has less than the journal."""
    job = job_of(tmp_path, 12, file="audit.jsonl")
    job.run("apply")
    whole = job.read("audit.jsonl")
    lines = whole.splitlines(keepends=True)
    half = "".join(lines[:7]) + lines[7][:50]
    job.write("audit.jsonl", half)
    keep_again(job.folder / "state.db", lines[2:])
    before = job.read("people.ldif")
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, ended.out) == (0, f"{job.folder / 'audit.jsonl'}: 7 records sent late.\n"), ended.said
    assert job.read("audit.jsonl") == f"{half}\n{''.join(lines[7:])}"
    again = job.program("audit", "catch-up", "job.yaml")
    assert again.out == f"{job.folder / 'audit.jsonl'}: complete.\n"
    verified = job.program("audit", "verify", "--job", "job.yaml", "audit.jsonl")
    assert (verified.code, "records 1 to 14, unchanged" in verified.out) == (0, True), verified.said
    assert job.read("people.ldif") == before


def test_catching_up_says_what_it_cannot_do(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2, file="audit.jsonl")
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, ended.out) == (0, "This job has no state yet, so no record is to be sent.\n")
    job.run("apply")
    keep_again(job.folder / "state.db", job.read("audit.jsonl").splitlines())
    job.configure(audit={"file": "/dev/full"})
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, "the audit cannot be kept" in ended.err) == (1, True)
    job.configure(audit=None)
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, "has no `audit` section" in ended.err) == (64, True)


def test_an_audit_that_is_new_in_a_job_is_told_from_then_on(tmp_path: Path) -> None:
    job = job_of(tmp_path, 3, file=None)
    job.configure(audit=None)
    job.run("apply")
    job.configure(audit={"file": "audit.jsonl"})
    job.agents([agent(number, workNo=2000 + number) for number in (1, 2)] + [agent(3)])
    job.run("apply")
    found = writes((tmp_path / "audit.jsonl").read_bytes())
    assert [record["number"] for record in found] == [2, 3]


@pytest.mark.monitoring
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_rsyslog_keeps_every_record_once_and_may_miss_some_when_it_is_killed(tmp_path: Path, scheme: str) -> None:
    with Rsyslog(scheme, tmp_path) as rsyslog:
        trust = {"ca_file": str(rsyslog.ca)} if scheme == "tls" else {"allow_plaintext": True}
        job = job_of(tmp_path, syslog=rsyslog.url, **trust)
        ended = job.program("apply", "job.yaml")
        assert (ended.code, "audit" in ended.err) == (0, False), ended.said
        assert told([each for each in rsyslog.kept() if each["event"] == "write"]) == dict.fromkeys(owed(job), 1)

        rsyslog.freeze()
        job.agents([agent(number, workNo=2000 + number) for number in range(1, USERS + 1)])
        ended = job.program("apply", "job.yaml")
        assert ended.code == 0, ended.said
        # over TCP its system takes all; over TLS it answers no handshake
        assert ("audit not sent to syslog" in ended.err) == (scheme == "tls")
        rsyslog.kill()
        rsyslog.begin()
        job.run("apply")
        received = {each["number"] for each in rsyslog.kept()}
    kept = {number for (number,) in rows(job, "select number from audit_lines")}
    assert received < kept
    assert len(kept) == 2 * USERS + 6


@pytest.mark.slow
def test_serve_adds_what_an_earlier_run_could_not_before_anything_else(tmp_path: Path) -> None:
    job = job_of(tmp_path, 4, file="audit.jsonl")
    job.run("apply")
    before = job.read("audit.jsonl").splitlines(keepends=True)
    job.write("audit.jsonl", "".join(before[:2]))
    keep_again(tmp_path / "state.db", before)
    job.agents([agent(number, workNo=2000 + number) for number in range(1, 5)])
    job.configure(serve={"every": "1h", "mode": "apply"})
    with serving(tmp_path, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "done"
        assert served.stop() == 0
    assert job.read("audit.jsonl").startswith("".join(before))
    found = writes((tmp_path / "audit.jsonl").read_bytes())
    assert told(found) == dict.fromkeys(owed(job), 1)


def test_a_job_whose_audit_was_taken_away_keeps_no_account(tmp_path: Path) -> None:
    job = job_of(tmp_path, 3, file="audit.jsonl")
    job.run("apply")
    job.configure(audit=None)
    job.agents([agent(number, workNo=2000 + number) for number in range(1, 4)])
    job.run("apply")
    job.configure(audit={"file": "audit.jsonl"})
    before = job.read("audit.jsonl")
    ended = job.program("audit", "catch-up", "job.yaml")
    assert ended.code == 0, ended.said
    assert job.read("audit.jsonl") == before


def test_no_one_catches_up_while_a_run_is_under_way(tmp_path: Path) -> None:
    job = job_of(tmp_path, 3, file="audit.jsonl")
    job.run("apply")
    opened = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    ((directory,),) = rows(job, "select distinct directory from runs")
    with closing(opened), opened.lease(directory, "job"):
        ended = job.program("audit", "catch-up", "job.yaml")
    assert ended.code == 75, ended.said

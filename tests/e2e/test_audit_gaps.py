"""Law 13 from outside: what a full disk, a kill or a dead receiver kept from the audit is told later, by number."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.state.store import open_state
from tests.support.audit_lines import records
from tests.support.ldif_job import Job, agent
from tests.support.rsyslog import Rsyslog
from tests.support.serving import serving
from tests.support.slapd import free_port
from tests.support.states import database

USERS = 120
Number = tuple[str, int]


def job_of(folder: Path, users: int = USERS, **audit: Any) -> Job:
    made = Job(folder, users)
    made.configure(audit=audit, ramp=[10] * 12)
    return made


def rows(job: Job, query: str) -> list[tuple[Any, ...]]:
    with closing(database(f"sqlite:///{job.folder / 'state.db'}")) as opened:
        return opened.rows(query)


def owed(job: Job) -> set[Number]:
    """What the journal knows."""
    found = rows(job, "select run, told_as from journal where outcome is not null")
    assert all(number for _, number in found)
    return {(run, number) for run, number in found}


def writes(octets: bytes) -> list[dict[str, Any]]:
    return [record for record in records(octets) if record["event"] == "write"]


def numbers(found: list[dict[str, Any]]) -> Counter[Number]:
    return Counter((record["run"], record["number"]) for record in found)


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
        assert owed(job) - set(numbers(writes(torn))), "nothing was left untold"

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
    assert numbers(found) == dict.fromkeys(owed(job), 1)
    late = [record for record in found if record.get("late")]
    assert late, "nothing was told late"
    first = found.index(late[0])
    assert all(record.get("late") for record in found[first : first + len(late)]), "not before anything else"
    assert kept.startswith(torn + b"\n"), "something was added to half a line"


def test_catching_up_needs_no_run(tmp_path: Path) -> None:
    """A process killed after its journal and before its audit: the file has less than the journal."""
    job = job_of(tmp_path, 12, file="audit.jsonl")
    job.run("apply")
    lines = job.read("audit.jsonl").splitlines(keepends=True)
    job.write("audit.jsonl", "".join(lines[:7]) + lines[7][:50])
    job.sql("update told set number = 2")
    before = job.read("people.ldif")
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, ended.out) == (0, f"{job.folder / 'audit.jsonl'}: 6 writes sent late.\n"), ended.said
    found = writes((job.folder / "audit.jsonl").read_bytes())
    assert numbers(found) == dict.fromkeys(owed(job), 1)
    assert [record["number"] for record in found if record.get("late")] == [7, 8, 9, 10, 11, 12]
    assert all(record["who"]["user"] for record in found)
    (summary,) = [record for record in records((job.folder / "audit.jsonl").read_bytes()) if record["event"] == "late"]
    assert (summary["writes"], summary["result"]) == (6, "done")
    again = job.program("audit", "catch-up", "job.yaml")
    assert again.out == f"{job.folder / 'audit.jsonl'}: complete.\n"
    assert job.read("people.ldif") == before


def test_catching_up_says_what_it_cannot_do(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2, file="audit.jsonl")
    ended = job.program("audit", "catch-up", "job.yaml")
    assert (ended.code, ended.out) == (0, "This job has no state yet, so no write is to be sent.\n")
    job.run("apply")
    job.sql("update told set number = 0")
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
    assert [(record["number"], "late" in record) for record in found] == [(1, False), (2, False)]


def test_a_sink_that_a_job_had_once_is_told_no_history_when_it_comes_back(tmp_path: Path) -> None:
    job = job_of(tmp_path, 3, file="audit.jsonl")
    job.run("apply")
    (tmp_path / "audit.jsonl").unlink()
    job.sql("update told set number = 0")
    socket_ = tmp_path / "log"
    job.configure(audit={"file": None, "syslog": f"unix://{socket_}"})
    with receiver(tmp_path, "unix", socket_):
        job.agents([agent(number, workNo=2000 + number) for number in (1, 2, 3)])
        job.run("apply")
    job.configure(audit={"file": "audit.jsonl", "syslog": None})
    job.run("apply")
    assert not writes((tmp_path / "audit.jsonl").read_bytes())


RECEIVER = """
import fcntl, os, signal, socket, struct, sys, termios, time
scheme, where, most, kept = sys.argv[1], sys.argv[2], int(sys.argv[3]), open(sys.argv[4], "ab", buffering=0)
if scheme == "unix":
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(where)
    print("ready", flush=True)
    while True:
        kept.write(listening.recv(1 << 16) + b"\\n")
listening = socket.create_server(("127.0.0.1", int(where)))
print("ready", flush=True)
while True:
    peer, _ = listening.accept()
    stream = peer.makefile("rb", buffering=0)
    while length := b"".join(iter(lambda: stream.read(1).strip(), b"")):
        message = b""
        while len(message) < int(length):
            message += stream.read(int(length) - len(message))
        kept.write(message + b"\\n")
        most -= 1
        if most == 0:  # dies with much unread, as one that is slow
            while struct.unpack("i", fcntl.ioctl(peer, termios.FIONREAD, b"0000"))[0] < 10_000:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
    stream.close()
    peer.close()
"""


@contextmanager
def receiver(folder: Path, scheme: str, where: object, most: int = -1) -> Iterator[subprocess.Popen[str]]:
    """A receiver of its own process, which dies after so many messages."""
    command = [sys.executable, "-c", RECEIVER, scheme, str(where), str(most), str(folder / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def kept(folder: Path) -> list[dict[str, Any]]:
    """The writes that a receiver has read."""
    lines = (folder / "kept").read_text().splitlines()
    found = [json.loads(re.sub(r"^[^{]*", "", line)) for line in lines]
    return [record for record in found if record["event"] == "write"]


@pytest.mark.slow
def test_what_a_receiver_had_not_read_when_it_was_killed_is_sent_again(tmp_path: Path) -> None:
    """Its system had taken it all; it read slowly, and died."""
    port = free_port()
    job = job_of(tmp_path, syslog=f"tcp://127.0.0.1:{port}", allow_plaintext=True)
    with receiver(tmp_path, "tcp", port, most=40) as slow:
        said = job.run("apply", code=4)
        assert slow.wait(20) == -9
    assert set(numbers(kept(tmp_path))) < owed(job)
    assert "The audit may lack writes: the audit cannot be kept" in said
    assert "cec-connector audit catch-up job.yaml" in said
    with receiver(tmp_path, "tcp", port):
        job.run("apply")
    found = kept(tmp_path)
    assert set(numbers(found)) == owed(job)
    assert len({record["user"]["id"] for record in found}) == USERS
    seen: set[Number] = set()
    for record in found:
        number = (record["run"], record["number"])
        assert number not in seen or record["late"], "a repeat that does not say so"
        seen.add(number)
    ended = job.program("audit", "verify", "--job", "job.yaml", "--syslog", "kept")
    assert (ended.code, "unchanged" in ended.out) == (0, True), ended.said


def test_a_receiver_that_closes_after_our_end_has_read_all(tmp_path: Path) -> None:
    port = free_port()
    job = job_of(tmp_path, syslog=f"tcp://127.0.0.1:{port}", allow_plaintext=True)
    with receiver(tmp_path, "tcp", port):
        job.run("apply")
        assert numbers(kept(tmp_path)) == dict.fromkeys(owed(job), 1)
        opened = job.program("audit", "catch-up", "job.yaml")
    assert "complete" in opened.out, opened.said


@pytest.mark.monitoring
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_rsyslog_keeps_every_number_once_and_what_it_had_not_read_when_it_was_killed(
    tmp_path: Path, scheme: str
) -> None:
    with Rsyslog(scheme, tmp_path) as rsyslog:
        trust = {"ca_file": str(rsyslog.ca)} if scheme == "tls" else {"allow_plaintext": True}
        job = job_of(tmp_path, syslog=rsyslog.url, **trust)
        ended = job.program("apply", "job.yaml")
        assert (ended.code, "audit" in ended.err) == (0, False), ended.said
        assert numbers([each for each in rsyslog.kept() if each["event"] == "write"]) == dict.fromkeys(owed(job), 1)

        rsyslog.freeze()
        job.agents([agent(number, workNo=2000 + number) for number in range(1, USERS + 1)])
        if scheme == "tls":  # it answers no handshake
            before = job.read("people.ldif")
            assert "the audit cannot be kept: no connection" in job.run("apply", code=1)
            assert job.read("people.ldif") == before
        else:  # its system takes all
            ended = job.program("apply", "job.yaml")
            assert "audit receiver does not close" in ended.err
            assert set(numbers([each for each in rsyslog.kept() if each["event"] == "write"])) < owed(job)
        rsyslog.kill()
        rsyslog.begin()
        job.run("apply")
        assert set(numbers([each for each in rsyslog.kept() if each["event"] == "write"])) == owed(job)
        assert len(owed(job)) == 2 * USERS


@pytest.mark.slow
def test_serve_tells_what_an_earlier_run_could_not_before_anything_else(tmp_path: Path) -> None:
    job = job_of(tmp_path, 4, file="audit.jsonl")
    job.run("apply")
    before = job.read("audit.jsonl")
    job.write("audit.jsonl", "".join(before.splitlines(keepends=True)[:2]))
    job.sql("update told set number = 0")
    job.agents([agent(number, workNo=2000 + number) for number in range(1, 5)])
    job.configure(serve={"every": "1h", "mode": "apply"})
    with serving(tmp_path, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "done"
        assert served.stop() == 0
    found = writes((tmp_path / "audit.jsonl").read_bytes())
    assert numbers(found) == dict.fromkeys(owed(job), 1)
    assert [bool(record.get("late")) for record in found] == [False, True, True, True, False, False, False, False]


def test_an_undo_tells_it_too(tmp_path: Path) -> None:
    job = job_of(tmp_path, 3, file="audit.jsonl")
    job.run("apply")
    (run,) = json.loads(job.run("runs", "--json"))
    job.write("audit.jsonl", "")
    job.sql("update told set number = 0")
    job.run("undo", run["id"], "--apply")
    found = writes((tmp_path / "audit.jsonl").read_bytes())
    assert numbers(found) == dict.fromkeys(owed(job), 1)
    assert [bool(record.get("late")) for record in found] == [True] * 3 + [False] * 3


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

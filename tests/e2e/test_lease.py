"""Two runs never write one directory: not of one job, not of two, and not by way of two of its addresses."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import changed, file, file_source, ldap_directory
from tests.support.ldif_job import JOB, Job
from tests.support.postgres import Postgres
from tests.support.program import ended, program, started
from tests.support.serving import PATIENCE
from tests.support.slapd import PEOPLE, SYNC, Slapd, person
from tests.support.slow_cec import ENV, SlowCec

pytestmark = pytest.mark.slow

_numbers = count()


class Meeting:
    """A job that is held in the middle of its run (`slow.yaml`), and others that meet it there."""

    def __init__(self, job: Job, cec: SlowCec, state: str) -> None:
        self.job, self.cec, self.state = job, cec, state
        job.write("key", "the key of a job\n")
        self.write("slow", source=cec.source)
        self.write("same")
        job.write("elsewhere.ldif", job.read("people.ldif"))

    def write(self, name: str, **changes: Any) -> None:
        self.job.write(f"{name}.yaml", changed(JOB, state=self.state, key=file("key"), **changes))

    def apply(self, name: str, code: int = 0) -> str:
        done = program("apply", f"{name}.yaml", folder=self.job.folder, env=ENV)
        assert done.code == code, done.said
        return done.said

    def apply_soon(self, name: str) -> None:
        """The same once it may: a database may need an instant to see that the holder of its lease is dead."""
        arguments = ("apply", f"{name}.yaml")
        deadline = time.monotonic() + PATIENCE
        while (done := program(*arguments, folder=self.job.folder, env=ENV)).code == 75:
            assert self.state.startswith("postgresql"), "a lock of a file is gone with its holder"
            assert time.monotonic() < deadline
        assert done.code == 0, done.said

    def runs(self, name: str) -> list[str | None]:
        shown = program("runs", f"{name}.yaml", "--json", folder=self.job.folder, env=ENV)
        return [run["result"] for run in json.loads(shown.out)]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("pooler", marks=[pytest.mark.postgresql, pytest.mark.pgbouncer]),
    ]
)
def meeting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meeting]:
    url = "sqlite:///state.db"
    if request.param != "sqlite":
        server: Postgres = request.getfixturevalue("postgresql")
        name = f"lease{next(_numbers)}"
        url = server.create(name)
        if request.param == "pooler":
            url = request.getfixturevalue("pooler").url(name)
    job = Job(tmp_path)
    with SlowCec(job.read("agents.json").encode()) as cec:
        yield Meeting(job, cec, url)


def test_the_second_of_two_applies_at_once_ends_with_75_and_is_no_run(meeting: Meeting) -> None:
    long = "people-of-the-whole-company-every-night-and-on-sundays"
    meeting.write(long, source=meeting.cec.source)
    with started("apply", f"{long}.yaml", folder=meeting.job.folder, env=ENV) as first:
        meeting.cec.wait()
        for name in (long, "same"):  # the same job again, and another one on the same directory
            said = meeting.apply(name, 75)
            assert "another run holds this directory" in said
            assert "people.ldif" in said
            host = socket.gethostname()
            who = rf": job {long} on {re.escape(host)}, process {first.pid}, since 20[0-9T:+-]+\n"
            if not meeting.state.startswith("sqlite"):  # a session's name has 63 octets
                short = f"cec-connector on {re.escape(host[:20])}, process {first.pid}, job peo"
                who = rf": {short}[a-z-]*, since 20[0-9T:Z-]+\n"
            assert re.search(who, said), said
            assert "end its process on that host" in said
        assert (meeting.runs(long), meeting.runs("same")) == ([], [])
        assert "employeeNumber" not in meeting.job.read("people.ldif")
        planned = program("plan", "same.yaml", "--fail-on-changes", folder=meeting.job.folder, env=ENV)
        assert planned.code == 2, "a dry run had to wait"
        meeting.cec.let()
        done = ended(first)
    assert done.code == 0, done.said
    assert "employeeNumber: 1001" in meeting.job.read("people.ldif")
    assert (meeting.runs(long), meeting.runs("same")) == (["done"], [])
    meeting.apply("same")


def test_an_undo_waits_outside_as_well(meeting: Meeting) -> None:
    meeting.apply("same")
    (run,) = json.loads(program("runs", "same.yaml", "--json", folder=meeting.job.folder, env=ENV).out)
    after = meeting.job.read("people.ldif")
    with started("apply", "slow.yaml", folder=meeting.job.folder, env=ENV):
        meeting.cec.wait()
        undone = program("undo", "same.yaml", run["id"], "--apply", folder=meeting.job.folder, env=ENV)
        assert undone.code == 75, undone.said
    assert meeting.job.read("people.ldif") == after
    meeting.apply("same")  # it was not put on hold either


def test_a_directory_is_itself_by_whatever_path_it_is_named(meeting: Meeting) -> None:
    (meeting.job.folder / "linked").symlink_to(meeting.job.folder)
    meeting.write("linked", directory={"path": "linked/people.ldif"})
    with started("apply", "slow.yaml", folder=meeting.job.folder, env=ENV):
        meeting.cec.wait()
        meeting.apply("linked", 75)


def test_two_directories_on_one_state_do_not_hold_each_other_up(meeting: Meeting) -> None:
    meeting.write("other", directory={"path": "elsewhere.ldif"})
    with started("apply", "slow.yaml", folder=meeting.job.folder, env=ENV) as first:
        meeting.cec.wait()
        meeting.apply("other")
        assert "employeeNumber: 1001" in meeting.job.read("elsewhere.ldif")
        meeting.cec.let()
        assert ended(first).code == 0


def test_the_lease_of_a_run_that_was_killed_is_gone_at_once(meeting: Meeting) -> None:
    with started("apply", "slow.yaml", folder=meeting.job.folder, env=ENV) as first:
        meeting.cec.wait()
        meeting.apply("same", 75)
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
        meeting.apply_soon("same")
    assert meeting.runs("same") == ["done"]


@pytest.mark.slapd
def test_a_server_is_itself_by_whatever_address_it_is_reached(meeting: Meeting, tmp_path: Path) -> None:
    people = [person(f"user{number}") for number in range(1, 6)]
    with Slapd.start(tmp_path / "slapd", people, tls=False) as server:
        by_name = server.url.replace("127.0.0.1", "localhost")

        def write(name: str, url: str, base: str = PEOPLE) -> None:
            ldap = ldap_directory(url, bind_dn=SYNC, base=base)
            source = meeting.cec.source if name == "slow" else file_source()
            meeting.write(name, source=source, directory=ldap, mapping="openldap-h350")

        write("slow", server.url)
        write("same", by_name)
        write("socket", server.ldapi_url)
        write("part", by_name, base=f"uid=user1,{PEOPLE}")
        with started("apply", "slow.yaml", folder=meeting.job.folder, env=ENV) as first:
            meeting.cec.wait()
            for name in ("same", "socket", "part"):
                assert "another run holds this directory" in meeting.apply(name, 75)
            meeting.cec.let()
            done = ended(first)
        assert done.code == 0, done.said
        meeting.apply("same")

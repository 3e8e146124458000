"""A server that refuses, a signal, another writer: an apply on a real OpenLDAP ends in good order and tells it all."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ldap_proxy import LdapProxy
from tests.support.plain_job import PASSWORD, UIDS, Plain
from tests.support.program import ended, started
from tests.support.slapd import PEOPLE, SYNC, Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]


@pytest.fixture
def people() -> list[str]:
    return [person(uid) for uid in UIDS]


def refusing(*uids: str) -> str:
    """Access rules by which these users may be read and not written."""
    rules = "".join(f'access to dn.exact="uid={uid},{PEOPLE}" by users read by anonymous auth\n' for uid in uids)
    return f'\n{rules}access to * by dn.exact="{SYNC}" write by users read by anonymous auth\n'


def test_an_apply_ends_itself_after_so_many_refusals_and_says_who_is_written_and_who_is_not(
    tmp_path: Path, people: list[str]
) -> None:
    refused = UIDS[10:30:2]
    with Slapd.start(tmp_path / "s", people, acl=refusing(*refused)) as server:
        job = Plain(tmp_path, server, ramp=[], max_failures=3)
        said = job.apply(4).out
        became = job.outcomes()
        assert job.stored() == sorted(became["written"])
        assert set(became["failed"]) <= set(refused)
        assert 3 <= len(became["failed"]) <= 3 + 4, "more than the window was sent after the third"
        assert len(became["skipped"]) >= 15
        assert job.why(became["failed"][0]).startswith("insufficientAccessRights")
        assert re.fullmatch(r"not sent: [3-7] writes failed \(max_failures\)", job.why(became["skipped"][0]))
        assert f"written: {len(became['written'])}\n" in said
        assert f"failed: {len(became['failed'])}\n" in said
        assert f"skipped: {len(became['skipped'])}\n" in said
        assert job.result() == "stopped"
        for name in ("report.md", "report.html"):
            text = (tmp_path / name).read_text()
            assert "insufficientAccessRights" in text
            assert "max_failures" in text


def test_users_that_are_always_refused_keep_nobody_else_waiting(tmp_path: Path, people: list[str]) -> None:
    """Law 12, on a server whose access rules let nobody write the first twelve users."""
    refused, others = UIDS[:12], sorted(UIDS[12:])
    with Slapd.start(tmp_path / "s", people, acl=refusing(*refused)) as server:
        job = Plain(tmp_path, server, ramp=[5], max_failures=3)
        runs = 0
        while job.stored() != others:
            job.apply(4)
            runs += 1
            assert runs < 6, f"written so far: {job.stored()}"
        job.apply(4)
        became = job.outcomes()
        assert (len(became["failed"]), len(became["skipped"])) == (3, 9)
        assert job.why(became["skipped"][0]).startswith("not tried: refused in earlier runs")
        assert job.result() == "part"
        said = (tmp_path / "report.md").read_text()
        assert "runs running (insufficientAccessRights" in said
        assert "name it in the job's" in said


def test_a_first_step_that_is_refused_whole_is_the_last(tmp_path: Path, people: list[str]) -> None:
    with Slapd.start(tmp_path / "s", people, acl=refusing(*UIDS)) as server:
        job = Plain(tmp_path, server, max_failures=1000)
        job.apply(4)
        became = job.outcomes()
        assert (len(became["failed"]), len(became["skipped"])) == (5, 35)
        assert job.why(became["skipped"][0]) == "not sent: no write was confirmed for the 5 users of this step"
        assert job.stored() == []


def test_single_values_that_a_server_has_no_room_for_fail_alone(tmp_path: Path, people: list[str]) -> None:
    """As with a constraint of the server's own, which its schema does not tell of."""
    constraint = 'overlay constraint\nconstraint_attribute employeeNumber regex "^10[0-2][0-9]$|^103[13579]$"\n'
    with Slapd.start(tmp_path / "s", people, overlays=constraint) as server:
        job = Plain(tmp_path, server)
        job.apply(4)
        became = job.outcomes()
        assert became["failed"] == UIDS[30::2]
        assert job.why("user30").startswith("constraintViolation")
        assert sorted(became["written"]) == job.stored()
        assert job.result() == "part"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [1, 7, 20])
def test_asked_to_stop_it_finishes_what_is_in_flight_tells_all_and_lets_go(
    tmp_path: Path, people: list[str], at: int, sign: signal.Signals
) -> None:
    running: list[int] = []
    sent: list[str] = []

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == at:
            os.kill(running[0], sign)
        return message

    with Slapd.start(tmp_path / "s", people, accesslog=True) as server, LdapProxy(server.port, meddle) as proxy:
        job = Plain(tmp_path, server, proxy.url)
        with started(*job.command, folder=tmp_path, env=PASSWORD) as process:
            running.append(process.pid)
            said = job.checked(ended(process), 4).out
        became = job.outcomes()
        written = len(sent)
        assert at <= written <= at + 4
        assert len(became["written"]) == written
        assert sorted(became["written"]) == job.stored()
        assert len(became["skipped"]) == 40 - written
        assert job.why(became["skipped"][0]) == f"not sent: stopped by {sign.name}"
        assert f"skipped: {40 - written}\n" in said
        assert job.result() == "stopped"
        with closing(sqlite3.connect(tmp_path / "state.db")) as db:
            journal = db.execute("select outcome, count(*) from journal group by 1 order by 1").fetchall()
        assert journal == [("skipped", 40 - written), ("written", written)]
        job.apply(0)
        assert job.stored() == UIDS
        assert len(sent) == 40, "something was written twice"


def test_asked_twice_it_ends_at_once_and_the_next_run_finds_out_what_was_written(
    tmp_path: Path, people: list[str]
) -> None:
    running: list[int] = []
    sent: list[str] = []
    over = threading.Event()

    def acted(name: str) -> None:
        """The server has written the 12th, and its answer does not come."""
        sent.append(name)
        if len(sent) == 12:
            os.kill(running[0], signal.SIGTERM)
            os.kill(running[0], signal.SIGINT)  # two of the same at once would be one
            over.wait(20)
            raise ConnectionResetError

    with Slapd.start(tmp_path / "s", people) as server, LdapProxy(server.port, acted=acted) as proxy:
        job = Plain(tmp_path, server, proxy.url)
        with started(*job.command, folder=tmp_path, env=PASSWORD) as process:
            running.append(process.pid)
            done = ended(process)
        over.set()
        assert (done.code, done.out.strip().splitlines()[-1][:9]) == (4, "Stopped: "), done.said
        written = len(job.stored())
        assert 12 <= written <= 12 + 4
        job.apply(0)
        assert job.stored() == UIDS
        with closing(sqlite3.connect(tmp_path / "state.db")) as db:
            journal = db.execute("select outcome, count(*) from journal where outcome = 'written' or outcome is null")
            assert journal.fetchall() == [("written", 40)]


def test_a_value_that_somebody_else_takes_back_each_time_is_named(tmp_path: Path, people: list[str]) -> None:
    with Slapd.start(tmp_path / "s", people) as server:
        job = Plain(tmp_path, server)
        job.apply(0)
        theirs = f"dn: uid=user07,{PEOPLE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 7\n"
        server.modify(theirs)
        assert "flapping" not in job.apply(0).out, "once may be a mistake"
        server.modify(theirs)
        said = job.apply(0).out
        assert "Problems: flapping (1)" in said
        assert "wrote the same value 2 times in a row" in said
        (problem,) = json.loads((tmp_path / "report.json").read_text())["problems"]
        assert (problem["kind"], problem["users"]) == ("flapping", [f"uid=user07,{PEOPLE}"])
        assert problem["attribute"] == "employeeNumber"
        for name in ("report.md", "report.html"):
            assert "flapping" in (tmp_path / name).read_text()
        assert "flapping" not in job.apply(0).out, "it was left alone this time"

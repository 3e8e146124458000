"""The whole job on LDAP servers that others have made: ldapjs, Net::LDAP::Server; and reading from ldaptor.

They list no paging, and ldaptor refuses it (result 12). They have no entryUUID, no schema and no controls; two have no
root DSE. ldaptor answers compareFalse for an attribute that is not there, so nothing is written to it where a user
shows no value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob
from tests.support.ldap_server import PEOPLE, SYNC_PASSWORD
from tests.support.program import program
from tests.support.wild.servers import LDAP_KINDS, WildLdap

pytestmark = pytest.mark.wild

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  title: {value: "number {workNo}", owns: "*"}
  description: {value: "seat {workNo}", owns: "seat *"}
"""
UIDS = [f"user{number:02}" for number in range(16)]
UNMATCHED = [f"other{number:02}" for number in range(6)]
THEIRS = "user07"
"""Whose values others have put there."""


@pytest.fixture(params=LDAP_KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WildLdap]:
    users: dict[str, dict[str, list[str]]] = {uid: {"employeeNumber": [f"n-{uid}"]} for uid in UIDS + UNMATCHED}
    users[THEIRS] |= {"title": ["of old"], "description": ["theirs"]}
    with WildLdap.start(tmp_path / "server", request.param, users) as started:
        yield started


@pytest.fixture
def job(tmp_path: Path, server: WildLdap) -> LdapJob:
    made = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=MAPPING, limits={"clear": 100})
    configure(made.folder / "job.yaml", directory={"id": "employeeNumber"})
    return made


def stored(server: WildLdap) -> dict[str, tuple[list[str], list[str]]]:
    return {
        uid: (server.held(uid, "title"), sorted(server.held(uid, "description")))
        for uid in (UIDS[0], THEIRS, UIDS[-1], UNMATCHED[0])
    }


def planned(job: LdapJob) -> list[dict[str, Any]]:
    ended, report = job.run("plan")
    assert ended.code == 0, ended.said
    assert report["problems"] == []
    changes: list[dict[str, Any]] = report["changes"]
    return changes


@pytest.mark.parametrize("read", ["scan", "find"])
def test_a_job_is_checked_planned_applied_and_undone(job: LdapJob, server: WildLdap, read: str) -> None:
    configure(job.folder / "job.yaml", directory={"read": read})
    before = stored(server)
    checked = program("check", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
    assert checked.code == 0, checked.said
    assert f"{len(UIDS) + len(UNMATCHED)} users within base and filter (" in checked.out
    assert "the server shows no schema" in checked.out
    assert "the server has no assertion control (RFC 4528)" in checked.out
    assert len(planned(job)) == len(UIDS)
    assert stored(server) == before
    assert {each["outcome"] for each in job.apply().values()} == {"written"}
    assert stored(server) == {
        UIDS[0]: (["number 1000"], ["seat 1000"]),
        THEIRS: (["number 1007"], ["seat 1007", "theirs"]),
        UIDS[-1]: (["number 1015"], ["seat 1015"]),
        UNMATCHED[0]: ([], []),
    }
    assert planned(job) == []
    (run,) = json.loads(program("runs", "job.yaml", "--json", folder=job.folder).out)
    ended, report = job.run("undo", run["id"], "--apply")
    assert ended.code == 0, ended.said
    assert {each["outcome"] for each in report["outcomes"]} == {"written"}
    assert stored(server) == before


@pytest.mark.parametrize("page_size", [1000, 0])
def test_no_pages_are_asked_of_a_server_that_refuses_them(tmp_path: Path, page_size: int) -> None:
    users = {uid: {"employeeNumber": [f"n-{uid}"]} for uid in UIDS}
    with WildLdap.start(tmp_path / "server", "ldaptor", users) as server:
        with pytest.raises(RuntimeError, match=r"unavailable \(12\)|Critical extension is unavailable"):
            server.search("-E", "!pr=5/noprompt", "(uid=*)")
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=MAPPING)
        configure(job.folder / "job.yaml", directory={"id": "employeeNumber", "read": "scan", "page_size": page_size})
        ended, report = job.run("plan")
        assert ended.code == 0, ended.said
        assert report["summary"]["matched"] == len(UIDS)
        assert {each["kind"] for each in report["problems"]} == {"unreadable"}


def test_an_undo_leaves_what_somebody_has_put_there_since(job: LdapJob, server: WildLdap) -> None:
    job.apply()
    server.modify(f"dn: uid=user00,{PEOPLE}\nchangetype: modify\nreplace: title\ntitle: since\n")
    (run,) = json.loads(program("runs", "job.yaml", "--json", folder=job.folder).out)
    ended, report = job.run("undo", run["id"], "--apply")
    assert ended.code == 0, ended.said
    assert len(report["outcomes"]) == len(UIDS)
    assert stored(server)[UIDS[0]] == (["since"], [])
    assert stored(server)[THEIRS] == (["of old"], ["theirs"])


def test_without_ids_nothing_is_planned_and_the_way_round_is_named(job: LdapJob, server: WildLdap) -> None:
    before = stored(server)
    configure(job.folder / "job.yaml", directory={"id": None})
    ended, _ = job.run("apply")
    assert ended.code == 1, ended.said
    said = " ".join(ended.err.split())
    assert "shows no entryUUID. Not written. If the server has entryUUID, grant the account the right" in said
    assert "If not, set `directory.id` to an attribute" in said
    assert stored(server) == before


def test_a_wrong_password_is_told(job: LdapJob) -> None:
    ended = program("plan", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": "not-the-password"})
    assert ended.code == 1, ended.said
    assert "invalidCredentials (49)" in ended.err

"""A filter, a base or a match rule by which nobody matches: the first words of the report, and no good check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob
from tests.support.ldif_job import BASE, Job
from tests.support.program import program
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people
from tests.support.slapd import PEOPLE, SYNC_PASSWORD, Slapd, person

WRONG = "(objectClass=account)"
EMPTY = f"Nobody matches: 0 users are within base {BASE} and filter {WRONG}. Check both"
ALONE = f"no user within base {BASE} and filter (objectClass=inetOrgPerson) is one that an agent looks for"
SUFFIXES = ("json", "md", "html")
"""The formats with a headline."""

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""


def test_a_wrong_filter_is_the_headline_of_a_plan_and_of_its_reports(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.configure(directory={"filter": WRONG})
    reports = [f"report.{suffix}" for suffix in SUFFIXES]
    for command in ("plan", "apply"):
        said = job.run(command, *(option for name in reports for option in ("--report", name)))
        assert said.splitlines()[3].startswith(f"! {EMPTY}")
        for name in reports:
            assert "0 users are within base" in job.read(name), name
    assert json.loads(job.read("report.json"))["summary"]["unmatched"] == 5
    assert EMPTY in job.program("show", "report.json").out


def test_a_check_of_a_wrong_filter_fails(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.run("check")
    job.configure(directory={"filter": WRONG})
    ended = job.program("check", "job.yaml")
    assert ended.code == 1
    assert "directory  0 users within base and filter" in ended.out
    assert EMPTY in ended.out


def test_users_of_whom_no_agent_is_looking_for_any_are_told_apart(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("mapping.yaml", job.read("mapping.yaml").replace('agent: "', 'agent: "x'))
    ended = job.program("check", "job.yaml")
    assert ended.code == 1
    assert ALONE in ended.out
    assert ALONE in job.run("plan")


def test_one_match_or_no_agent_with_an_account_is_no_headline(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.configure(directory={"filter": "(uid=user1)"})
    assert "Nobody matches" not in job.run("plan")
    assert "Nobody matches" not in job.run("check")
    job.agents([{"workNo": 1001}])
    assert "Nobody matches" not in job.run("plan")
    assert "Nobody matches" not in job.run("check")


@pytest.mark.slapd
@pytest.mark.parametrize("read", ["find", "scan"])
def test_on_a_server_it_is_said_however_users_are_read(tmp_path: Path, read: str) -> None:
    with Slapd.start(tmp_path / "s", [person("anna"), person("bert")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", "carl", mapping=MAPPING)
        configure(job.folder / "job.yaml", directory={"filter": "(title=x)", "read": read})
        ended, report = job.run("plan")
        said = f"0 users are within base {PEOPLE} and filter (title=x)"
        assert ended.code == 0
        assert f"Nobody matches: {said}" in ended.out
        assert said in report["about"]["nobody matches"]
        checked = program("check", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert checked.code == 1
        assert f"Nobody matches: {said}" in checked.out


def test_on_scim_the_filter_and_the_address_are_named(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "scim") as server:
        server.put(people(3))
        job = ScimJob(tmp_path / "job", server, agents=3, allow_plaintext=True, filter='userName sw "other"')
        said = f'Nobody matches: 0 users are within directory {server.url} and filter userName sw "other"'
        ended = job.try_("plan")
        assert ended.code == 0, ended.said
        assert said in ended.out
        checked = job.try_("check")
        assert checked.code == 1
        assert said in checked.out

"""A server with a size limit: users are looked up where they cannot all be read, and only a scan is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.program import Ended, program
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd, person

USERS = 1_200
UIDS = [f"user{number:04}" for number in range(USERS)]
STRANGERS = [f"nobody{number:04}" for number in range(1_000)]
"""With them there are more agents than are looked up without a thought."""
STOCK = {"rules": "sizelimit 500", "limits": "time.soft=unlimited"}
"""OpenLDAP as it comes: slapd.conf(5) has 500, and nothing else for this account."""
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: {value: "{workNo}"%s}
stale: clear
"""
CUT = "sizeLimitExceeded (4)"
LOOKED_UP = "the agents were looked up, since not all users can be read"


def check(job: LdapJob) -> Ended:
    return program("check", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd.start(tmp_path_factory.mktemp("stock") / "s", map(person, UIDS), **STOCK) as running:
        yield running


@pytest.mark.slapd
def test_a_job_with_more_agents_than_the_limit_is_written(server: Slapd, tmp_path: Path) -> None:
    job = LdapJob(tmp_path / "job", server.url, *UIDS, *STRANGERS, mapping=MAPPING % "")
    ended, report = job.run("plan", "--all")
    assert ended.code == 0, ended.said
    assert report["summary"]["update"] == USERS
    assert report["summary"]["unmatched"] == len(STRANGERS)
    notes = [what for place, what in report["about"].items() if LOOKED_UP in what]
    assert len(notes) == 1
    assert CUT in notes[0]
    assert "size.soft, size.hard and size.prtotal" in notes[0]
    assert ended.out.count(LOOKED_UP) == 1
    assert {each["outcome"] for each in job.apply().values()} == {"written"}
    assert held(server, UIDS[-1], "employeeNumber") == [str(1000 + USERS - 1)]
    job.problems()


@pytest.mark.slapd
def test_leavers_are_cleared_where_users_are_looked_up(server: Slapd, tmp_path: Path) -> None:
    job = LdapJob(tmp_path / "job", server.url, *reversed(UIDS), mapping=MAPPING % "")
    configure(job.folder / "job.yaml", directory={"read": "scan"}, limits={"agents_drop": 1, "matched_drop": 1})
    job.apply()
    agents = json.loads((job.folder / "agents.json").read_text())
    agents["agents"].pop()
    (job.folder / "agents.json").write_text(json.dumps(agents))
    outcomes = job.apply()
    assert list(outcomes) == [UIDS[0]]
    assert held(server, UIDS[0], "employeeNumber") == []


@pytest.mark.slapd
@pytest.mark.parametrize(
    "limits",
    [
        "size.pr=100",
        "size.prtotal=disabled",
        "size.soft=unlimited size.hard=unlimited size.prtotal=600",
        "size.unchecked=500",
    ],
)
def test_each_limit_of_openldap_is_got_along_with(tmp_path: Path, limits: str) -> None:
    with Slapd.start(tmp_path / "s", map(person, UIDS), rules="sizelimit 500", limits=limits) as limited:
        job = LdapJob(tmp_path / "job", limited.url, *UIDS, *STRANGERS, mapping=MAPPING % "")
        assert check(job).code == 0
        ended, report = job.run("plan", "--all")
        assert ended.code == 0, ended.said
        assert report["summary"]["matched"] == USERS
        assert LOOKED_UP in ended.out


@pytest.mark.slapd
@pytest.mark.parametrize("limits", ["size.pr=100", "size.prtotal=disabled"])
def test_a_server_that_limits_only_pages_is_read_without_them(tmp_path: Path, limits: str) -> None:
    limits += " size.soft=unlimited size.hard=unlimited"
    with Slapd.start(tmp_path / "s", map(person, UIDS), limits=limits) as limited:
        job = LdapJob(tmp_path / "job", limited.url, *UIDS, *STRANGERS, mapping=MAPPING % "")
        ended, report = job.run("plan", "--all")
        assert report["summary"]["matched"] == USERS
        assert LOOKED_UP not in ended.out


@pytest.mark.slapd
def test_a_check_says_what_a_plan_will_do(tmp_path: Path) -> None:
    people = [person(uid, "employeeNumber: 7") for uid in UIDS]
    with Slapd.start(tmp_path / "s", people, **STOCK) as limited:
        ended = check(LdapJob(tmp_path / "job", limited.url, *UIDS, mapping=MAPPING % ", adopt: true"))
    assert ended.code == 0, ended.said
    assert "in use     not counted: " in ended.out
    assert "users or more within base and filter" in ended.out
    assert "a plan looks the agents up, since not all users can be read" in ended.out
    assert "`adopt: true` of employeeNumber has to see every user" in ended.out


@pytest.mark.slapd
def test_what_needs_a_scan_is_refused_and_named(tmp_path: Path) -> None:
    people = [person(uid, "employeeNumber: 7", "photo: x") for uid in UIDS]
    with Slapd.start(tmp_path / "s", people, **STOCK) as limited:
        adopting = LdapJob(tmp_path / "adopt", limited.url, *UIDS, mapping=MAPPING % ", adopt: true")
        without_rule = MAPPING.replace("directory: uid", "directory: photo") % ""
        unfindable = LdapJob(tmp_path / "photo", limited.url, *UIDS, mapping=without_rule)
        for job, named in ((adopting, "`adopt: true` of employeeNumber"), (unfindable, "no look-ups by photo")):
            for command in ("plan", "apply"):
                ended, _ = job.run(command)
                assert ended.code == 1
                assert named in ended.err
                assert CUT in ended.err
        assert check(unfindable).code == 1
        assert held(limited, UIDS[0], "employeeNumber") == ["7"]


@pytest.mark.ds389
@pytest.mark.parametrize("read", ["auto", "scan"])
def test_the_look_through_limit_of_389_ds_is_got_along_with(tmp_path: Path, read: str) -> None:
    uids = UIDS[:300]
    with Ds389.start(tmp_path / "s", map(person, uids)) as limited:
        limited.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: nsLookThroughLimit\nnsLookThroughLimit: 100\n-\n")
        job = LdapJob(tmp_path / "job", limited.url, *uids, mapping=MAPPING % "")
        configure(job.folder / "job.yaml", directory={"read": read})
        assert check(job).code == 0
        ended, report = job.run("plan", "--all")
        assert ended.code == 0, ended.said
        assert report["summary"]["matched"] == len(uids)
        if read == "scan":
            assert ended.out.count(LOOKED_UP) == 1
            assert "adminLimitExceeded (11)" in ended.out
        else:  # the size is unknown, so few agents are looked up without a scan
            assert '"how": "find"' in ended.err
        assert {each["outcome"] for each in job.apply().values()} == {"written"}
        job.problems()

"""Servers without ids of their own: what is said of them, and `directory.id`, an attribute that a job takes for ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.directories.ldap.ber import Frame
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import LdapProxy, octets_of
from tests.support.program import program
from tests.support.slapd import PEOPLE, Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  title: {value: "number {workNo}", owns: "*"}
"""
UIDS = [f"user{number:02}" for number in range(12)]
NUMBERS = [f"n{number}" for number in range(9)] + ["same", "same"]
"""Ids of all users but the last; two have the same."""


class Idless(LdapProxy):
    """The server behind it has no entryUUID, as far as anybody can see."""

    def _heard(self, frame: Frame) -> bytes:
        return octets_of(frame).replace(b"entryUUID", b"entryUUIX").replace(b"1.3.6.1.1.16.4", b"1.3.6.1.1.99.4")


class Schemaless(Idless):
    """Nor does it show a schema that would tell."""

    def _heard(self, frame: Frame) -> bytes:
        return super()._heard(frame).replace(b"subschemaSubentry", b"subschemaSubentrX")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    people = [person(uid, f"employeeNumber: {number}") for uid, number in zip(UIDS, NUMBERS, strict=False)]
    with Slapd.start(tmp_path / "s", [*people, person(UIDS[-1])]) as server:
        yield server


@pytest.fixture
def job(tmp_path: Path, server: Slapd) -> Iterator[LdapJob]:
    with Idless(server.port) as proxy:
        yield LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING)


def by_id(job: LdapJob, name: str = "employeeNumber", **more: object) -> None:
    configure(job.folder / "job.yaml", directory={"id": name, **more})


def test_of_a_server_without_ids_both_ways_out_are_named(job: LdapJob) -> None:
    ended, _ = job.run("plan")
    assert ended.code == 1
    said = " ".join(ended.err.split())
    assert "the user shows no entryUUID. Not written. If the server has entryUUID, grant the account" in said
    assert "If not, set `directory.id` to an attribute" in said
    assert "nsUniqueId, ibm-entryUuid, orclguid, GUID" in said


def test_where_no_schema_tells_both_ways_out_are_named(tmp_path: Path, server: Slapd) -> None:
    with Schemaless(server.port) as proxy:
        ended, _ = LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING).run("plan")
    assert ended.code == 1
    said = " ".join(ended.err.split())
    assert "grant the account the right to read it and the schema. If not, set `directory.id`" in said


@pytest.mark.parametrize("read", ["find", "scan"])
def test_users_are_known_by_the_attribute_that_the_job_names(job: LdapJob, server: Slapd, read: str) -> None:
    """Whoever lacks a value, or shares one, is a problem of one line and stays as it is; all others are written."""
    by_id(job, read=read)
    ended, report = job.run("apply")
    assert ended.code == 0, ended.said
    assert {each["outcome"] for each in report["outcomes"]} == {"written"}
    written = {each["user"][4:10] for each in report["outcomes"]}
    assert written == set(UIDS[:9])
    assert {change["user"]["id"] for change in report["changes"]} == set(NUMBERS[:9])
    told = {each["users"][0][4:10]: each["why"] for each in report["problems"]}
    assert set(told) == set(UIDS[9:])
    assert len(report["problems"]) == 3
    assert "shows no value of employeeNumber, the job's `directory.id`" in told["user11"]
    assert [held(server, uid, "title") for uid in UIDS[9:]] == [[], [], []]
    assert held(server, "user03", "title") == ["number 1003"]
    _, report = job.run("plan")
    assert report["changes"] == []


def test_one_user_whose_id_another_has_too_is_not_written(job: LdapJob, server: Slapd) -> None:
    """Also where nobody looks for the other one."""
    by_id(job, read="find")
    (job.folder / "agents.json").write_text('{"agents": [{"workNo": 1, "accountCode": "user09"}]}')
    _, report = job.run("apply")
    (problem,) = report["problems"]
    assert problem["why"].startswith(
        f"its employeeNumber 'same' (`directory.id`) is also that of uid=user10,{PEOPLE}. Neither is written"
    )
    assert report["changes"] == []
    assert held(server, "user09", "title") == []


def test_a_renamed_user_is_found_by_its_id_and_an_undo_takes_back_what_was_written(job: LdapJob, server: Slapd) -> None:
    by_id(job)
    job.apply()
    server.modify(f"dn: uid=user03,{PEOPLE}\nchangetype: modrdn\nnewrdn: cn=Person user03\ndeleteoldrdn: 0\n")
    (run,) = json.loads(program("runs", "job.yaml", "--json", folder=job.folder).out)
    ended, report = job.run("undo", run["id"], "--apply")
    assert ended.code == 0, ended.said
    assert len(report["outcomes"]) == 9
    assert [held(server, uid, "title") for uid in UIDS] == [[]] * len(UIDS)


def test_ids_compare_as_their_attribute_does(job: LdapJob, server: Slapd) -> None:
    """employeeNumber ignores case (RFC 2798 §2.4): `N3` is the user `n3`, and what was written there is ours."""
    by_id(job)
    job.apply()
    server.modify(f"dn: uid=user03,{PEOPLE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: N3\n")
    _, report = job.run("plan")
    assert (report["changes"], report["summary"]["stale"]) == ([], 0)
    (run,) = json.loads(program("runs", "job.yaml", "--json", folder=job.folder).out)
    ended, _ = job.run("undo", run["id"], "--apply")
    assert ended.code == 0, ended.said
    assert held(server, "user03", "title") == []


@pytest.mark.parametrize(
    ("name", "mapping", "why"),
    [
        ("title", "employeeNumber", "title: the server's schema lets it hold several values: name another attribute"),
        (
            "preferredDeliveryMethod",
            "title",
            "the server's schema has no equality rule for it",
        ),
        ("noSuchName", "title", "noSuchName: the server's schema has no such attribute: name another attribute"),
        ("employeeNumber", "employeeNumber", "employeeNumber is the job's `directory.id`, and an id never changes"),
        ("2.16.840.1.113730.3.1.3", "title", "must be an attribute's name without options, such as nsUniqueId"),
    ],
)
def test_what_cannot_be_an_id_is_refused(job: LdapJob, server: Slapd, name: str, mapping: str, why: str) -> None:
    by_id(job, name)
    (job.folder / "mapping.yaml").write_text(MAPPING.replace("title", mapping))
    for command in ("plan", "apply"):
        ended, _ = job.run(command)
        assert ended.code == 78, ended.said
        assert why in " ".join(ended.err.split())
    assert held(server, "user03", "title") == []

"""Controls that a server lists and that do not work: behind OpenLDAP's overlay rwm, or where they are passed over.

rwm maps the names of requests and answers, but not those inside controls. What the tests map, `departmentNumber`, is
`employeeNumber` in the database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap import ber, requests
from connector.directories.ldap.ber import Frame
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import MODIFY, SEARCH, LdapProxy, Meddle
from tests.support.slapd import Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

MAPPED: dict[str, Any] = {
    "rules": "moduleload rwm.la",
    "overlays": "\noverlay rwm\nrwm-map attribute departmentNumber employeeNumber\n",
}
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  departmentNumber: {value: "{workNo}", owns: "*"}
  title: {value: "{accountCode}", owns: "*"}
"""
UIDS = [f"user{number:02}" for number in range(60)]
OUTCOME = "outcome"


def people(*lines: str) -> list[str]:
    return [person(uid, *lines) for uid in UIDS]


def applied(job: LdapJob, code: int = 0) -> tuple[dict[str, str], str]:
    """Apply; the outcomes by uid, and what was noticed."""
    ended, report = job.run("apply")
    assert ended.code == code, ended.said
    noticed = report["about"].get("noticed", "")
    assert ("Note: " in ended.out) == bool(noticed)
    return {each["user"][4:].partition(",")[0]: each[OUTCOME] for each in report["outcomes"]}, noticed


@pytest.mark.parametrize("before", ["employeeNumber: 1", "description: nothing"])
@pytest.mark.parametrize("ramp", [[5, 50], []])
def test_behind_rwm_all_is_written_and_the_report_says_once_what_did_not_work(
    tmp_path: Path, before: str, ramp: list[int]
) -> None:
    with Slapd.start(tmp_path / "s", people(before), **MAPPED) as server:
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=MAPPING, ramp=ramp)
        outcomes, noticed = applied(job)
        assert set(outcomes.values()) == {"written"}
        assert noticed.count("answers to writes (RFC 4527) did not show departmentNumber as written") == 1
        if before.startswith("employee") or ramp:  # else all are under way before somebody has a value
            assert noticed.count("assertion control (RFC 4528) does not work for departmentNumber. ") == 1
            assert "The entry's mark entryCSN is checked instead" in noticed
        assert held(server, "user07", "departmentNumber") == ["1007"]
        assert job.problems() == []


def test_behind_rwm_values_are_cleared_and_that_is_seen(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", people("employeeNumber: 1"), **MAPPED) as server:
        mapping = MAPPING.replace('value: "{workNo}"', 'value: "{sipAccount}", when_absent: clear')
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=mapping, limits={"clear": 100, "update": "100%"})
        outcomes, _ = applied(job)
        assert set(outcomes.values()) == {"written"}
        assert {value for uid in UIDS for value in held(server, uid, "departmentNumber")} == set()


def late(server: Slapd, edit: str) -> Meddle:
    """Somebody who writes to the last user just before a modify of it arrives."""

    def second(name: str, message: bytes) -> bytes:
        if name.startswith(f"uid={UIDS[-1]},"):
            server.modify(f"dn: {name}\nchangetype: modify\n{edit}\n")
        return message

    return second


@pytest.mark.parametrize("before", ["employeeNumber: 1", "description: nothing"])
def test_behind_rwm_nobody_elses_value_is_lost_in_between(tmp_path: Path, before: str) -> None:
    """The attribute is asserted by nothing, but the mark of the entry is."""
    theirs = "replace: departmentNumber\ndepartmentNumber: 5"
    with (
        Slapd.start(tmp_path / "s", people(before), **MAPPED) as server,
        LdapProxy(server.port, late(server, theirs)) as proxy,
    ):
        outcomes, _ = applied(LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING), code=4)
        assert {uid for uid, outcome in outcomes.items() if outcome != "written"} == {UIDS[-1]}
        assert outcomes[UIDS[-1]] == "conflict"
        assert held(server, UIDS[-1], "departmentNumber") == ["5"]


def test_a_filter_that_an_assertion_does_not_know_holds_nobody_up(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", people("employeeNumber: 1"), **MAPPED) as server:
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=MAPPING.replace("departmentNumber", "description"))
        job_file = job.folder / "job.yaml"
        job_file.write_text(job_file.read_text().replace("(objectClass=inetOrgPerson)", "(departmentNumber=1)"))
        outcomes, noticed = applied(job)
        assert set(outcomes.values()) == {"written"}
        assert "does not work for the job's filter. " in noticed


class Deaf(LdapProxy):
    """A server that lists the assertion control and passes it over, with all that is beside it."""

    def _request(self, frame: Frame) -> bytes:
        octets = super()._request(frame)
        if requests.ASSERTION.encode() not in octets:
            return octets
        return requests.encode_message(frame.id, ber.encode_tlv(frame.tag, frame.data[frame.start : frame.stop]))


class Unwilling(LdapProxy):
    """A server that lists the assertion control and does not know it with searches."""

    def _request(self, frame: Frame) -> bytes:
        octets = super()._request(frame)
        return octets.replace(b"1.3.6.1.1.12", b"1.3.6.1.1.99") if frame.tag == SEARCH else octets


@pytest.mark.parametrize("kind", [Deaf, Unwilling])
def test_assertions_that_are_passed_over_or_refused_are_not_believed(tmp_path: Path, kind: type[LdapProxy]) -> None:
    with Slapd.start(tmp_path / "s", people("title: x")) as server, kind(server.port) as proxy:
        outcomes, noticed = applied(LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING))
        assert set(outcomes.values()) == {"written"}
        names = noticed.partition("does not work for ")[2].partition(". ")[0]
        assert names == "departmentNumber, entryCSN, the job's filter, the user's id, title"
        assert noticed.endswith("may go unnoticed. In `urls`, name the server itself, not a proxy")


def test_where_assertions_are_passed_over_a_change_made_before_the_last_look_is_a_conflict(tmp_path: Path) -> None:
    """The first user is written alone; when its modify arrives, the last one's value changes."""
    with Slapd.start(tmp_path / "s", people("title: x")) as server:

        def early(name: str, message: bytes) -> bytes:
            if name.startswith(f"uid={UIDS[0]},"):
                other = name.replace(UIDS[0], UIDS[-1])
                server.modify(f"dn: {other}\nchangetype: modify\nreplace: title\ntitle: theirs\n")
            return message

        with Deaf(server.port, early) as proxy:
            outcomes, _ = applied(LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING, ramp=[1]), code=4)
        assert outcomes[UIDS[-1]] == "conflict"
        assert held(server, UIDS[-1], "title") == ["theirs"]


@pytest.mark.parametrize("before", ["departmentNumber: 1", "description: nothing"])
def test_controls_that_work_are_proven_once_and_then_users_are_not_read_before(tmp_path: Path, before: str) -> None:
    """From the first modify on: a few read back a batch, and what proves a first value."""
    with Slapd.start(tmp_path / "s", people(before, "title: x")) as server:
        searches: list[int] = []
        with LdapProxy(server.port, heard=searches.append) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, *UIDS, mapping=MAPPING)
            outcomes, noticed = applied(job)
            assert set(outcomes.values()) == {"written"}
            assert noticed == ""
            assert proxy.asked[MODIFY] == len(UIDS)
            first_look = before.startswith("description")
            assert proxy.asked[SEARCH] <= 5 + 8 + 8 + 3 * first_look
            assert searches.index(MODIFY) <= 30
            assert job.problems() == []

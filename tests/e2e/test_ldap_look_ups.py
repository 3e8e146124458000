"""Look-ups on real servers: who finds nobody though somebody is there, and what counts as equal."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_server import SYNC
from tests.support.slapd import Slapd, person

SEAT = """\
match: [{agent: "{accountCode}", directory: %s}]
attributes:
  employeeNumber: "{workNo}"
stale: clear
"""
UIDS = [f"user{number}" for number in range(6)]
Read = Literal["find", "scan", "auto"]

KINDS = [
    pytest.param(Slapd, marks=pytest.mark.slapd, id="OpenLDAP"),
    pytest.param(Ds389, marks=pytest.mark.ds389, id="389-DS"),
]
each_kind = pytest.mark.parametrize("kind", KINDS)
ODD = [
    "ann\u00ad1",
    "ann\u200b2",
    "ann\u00a03",
    "\uff41nn4",
    "\u0219tefan",
    "\u03bf\u03c2",
    "e\u0301ve",
    "\u00fcwe",
    "a\tb",
]
ASKED = ["ann1", "ann2", "ann 3", "ann4", "\u0218tefan", "\u039f\u03a3", "\u00e9ve", "\u00dcwe", "a b"]


def no_search(kind: type[Slapd | Ds389]) -> dict[str, Any]:
    """Our account may read uid, and not search by it."""
    if kind is Ds389:
        rule = 'version 3.0; acl "it"; allow'
        return {
            "rights": (
                f'(targetattr!="uid")({rule} (all) userdn="ldap:///{SYNC}";)',
                f'(targetattr="uid")({rule} (read, compare) userdn="ldap:///{SYNC}";)',
            )
        }
    return {
        "acl": f"""
access to attrs=userPassword by anonymous auth by * none
access to attrs=uid by dn.exact="{SYNC}" =rcw by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
    }


def reading(job: LdapJob, read: Read, agents: list[str] | None = None) -> None:
    configure(job.folder / "job.yaml", directory={"read": read}, limits={"agents_drop": "100%", "matched_drop": "100%"})
    if agents is not None:
        document = [{"workNo": 1000 + place, "accountCode": uid} for place, uid in enumerate(agents)]
        (job.folder / "agents.json").write_text(json.dumps({"agents": document}))


@each_kind
def test_who_may_not_search_by_an_attribute_clears_nobody_by_it(tmp_path: Path, kind: type[Slapd | Ds389]) -> None:
    with kind.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=SEAT % "uid")
        reading(job, "find")
        assert len(job.apply()) == len(UIDS)
    people = [person(uid, f"employeeNumber: {1000 + place}") for place, uid in enumerate(UIDS)]
    with kind.start(tmp_path / "again", people, **no_search(kind)) as server:
        job = LdapJob(tmp_path / "other", server.url, *UIDS, mapping=SEAT % "uid")
        reading(job, "find")
        ended, _ = job.run("plan")
        assert ended.code == 1
        assert "look-ups by uid do not find even a user that shows a value of it" in ended.said
        reading(job, "auto")
        _, report = job.run("plan")
        assert report["summary"]["matched"] == len(UIDS)
        assert report["changes"] == []


@pytest.mark.slapd
def test_an_attribute_without_an_equality_rule_is_scanned_or_refused_by_name(tmp_path: Path) -> None:
    people = [person(uid, f"facsimileTelephoneNumber: {uid}") for uid in UIDS]
    with Slapd.start(tmp_path / "s", people) as server:
        job = LdapJob(tmp_path / "job", server.url, *UIDS, mapping=SEAT % "facsimileTelephoneNumber")
        reading(job, "find")
        ended, _ = job.run("plan")
        assert ended.code == 78
        assert "no look-ups by facsimileTelephoneNumber" in ended.said
        modes: tuple[Read, ...] = ("auto", "scan")
        for read in modes:
            reading(job, read)
            _, report = job.run("plan")
            assert report["summary"]["matched"] == len(UIDS)
        assert len(job.apply()) == len(UIDS)
        assert job.problems() == []
        reading(job, "auto", UIDS[:4])
        configure(job.folder / "job.yaml", limits={"clear": 2})
        assert {uid: each["outcome"] for uid, each in job.apply().items()} == {"user4": "written", "user5": "written"}
        assert held(server, "user5", "employeeNumber") == []
        assert held(server, "user0", "employeeNumber") == ["1000"]


@each_kind
def test_find_and_scan_match_the_same_users_however_they_are_spelt(tmp_path: Path, kind: type[Slapd | Ds389]) -> None:
    people = [person(f"u{place}", f"description:: {b64encode(odd.encode()).decode()}") for place, odd in enumerate(ODD)]
    with kind.start(tmp_path / "s", people) as server:
        job = LdapJob(tmp_path / "job", server.url, *ASKED, mapping=SEAT % "description")
        found = {}
        reads: tuple[Read, ...] = ("find", "scan", "auto")
        for read in reads:
            reading(job, read)
            ended, report = job.run("plan")
            assert ended.code == 0, ended.said
            found[read] = {change["agent"]["accountCode"]: change["user"]["name"] for change in report["changes"]}
        assert found["find"] == found["scan"] == found["auto"]
        assert "\u00dcwe" in found["find"], "every server knows the case of these letters"


@each_kind
def test_a_number_with_an_invisible_letter_is_in_step_only_if_the_server_says_so(
    tmp_path: Path, kind: type[Slapd | Ds389]
) -> None:
    with kind.start(tmp_path / "s", [person("anna", "employeeNumber:: MTAwMOKAiw==")]) as server:  # 1000 and U+200B
        job = LdapJob(tmp_path / "job", server.url, "anna", mapping=SEAT % "uid")
        same = b"uid: anna" in server.search("(employeeNumber=1000)", "uid")
        assert set(job.apply()) == (set() if same else {"anna"})
        assert job.problems() == []
        assert held(server, "anna", "employeeNumber") == ([] if same else ["1000"])

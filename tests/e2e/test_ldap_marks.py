"""Attributes whose values no server can compare: what somebody else has written there is never overwritten unseen.

`facsimileTelephoneNumber` has no equality rule. No filter finds a value of it, and none can be asserted; so an entry's
mark (entryCSN) is. On 389-DS its values are compared by their syntax.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import MODIFY, LdapProxy, Meddle
from tests.support.ldap_server import PEOPLE, SYNC, LdapServer
from tests.support.program import program
from tests.support.slapd import Slapd, person

FAX = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  facsimileTelephoneNumber: {value: "+49 {workNo}", owns: "*"}
"""
THEIRS = "replace: facsimileTelephoneNumber\nfacsimileTelephoneNumber: +49 555"
BESIDE = "replace: description\ndescription: an edit that is no concern of ours"
NO_ASSERTIONS = """
access to dn.base="" attrs=supportedControl val.regex="^1[.]3[.]6[.]1[.]1[.]12$" by * none
access to * by * read
"""
NO_MARKS = f"""
access to attrs=entryCSN by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""

slapd = pytest.mark.slapd


FAX_NUMBER = "facsimileTelephoneNumber"


def faster(server: LdapServer, *edits: str, uid: str = "anna") -> Meddle:
    """Somebody who writes to one user just before a modify of it arrives: the first time this, the next time that."""
    left = list(edits)

    def second(name: str, message: bytes) -> bytes:
        if name.startswith(f"uid={uid},") and left:
            server.modify(f"dn: {name}\nchangetype: modify\n{left.pop(0)}\n")
        return message

    return second


def early(server: LdapServer) -> Meddle:
    """Somebody who writes to Bert when a modify of Anna arrives."""

    def second(name: str, message: bytes) -> bytes:
        if name.startswith("uid=anna,"):
            server.modify(f"dn: uid=bert,{PEOPLE}\nchangetype: modify\n{THEIRS}\n")
        return message

    return second


KINDS = [pytest.param(Slapd, marks=slapd, id="OpenLDAP"), pytest.param(Ds389, marks=pytest.mark.ds389, id="389-DS")]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("kind", "before", "options"),
    [
        pytest.param(Slapd, "facsimileTelephoneNumber: +49 1", {}, marks=slapd, id="OpenLDAP"),
        pytest.param(Slapd, "sn: nothing", {}, marks=slapd, id="OpenLDAP, first value"),
        pytest.param(Slapd, "sn: nothing", {"rules": NO_ASSERTIONS}, marks=slapd, id="the same without assertions"),
        pytest.param(Ds389, "facsimileTelephoneNumber: +49 1", {}, marks=pytest.mark.ds389, id="389-DS"),
    ],
)
def test_a_value_that_somebody_wrote_a_moment_before_is_a_conflict(
    tmp_path: Path, kind: type[Slapd | Ds389], before: str, options: dict[str, Any]
) -> None:
    """Two that each add a first value of several both succeed on 389-DS, as its reports say."""
    people = [person("anna", before), person("bert", before)]
    with (
        kind.start(tmp_path / "s", people, **options) as server,
        LdapProxy(server.port, faster(server, THEIRS)) as proxy,
    ):
        job = LdapJob(tmp_path / "job", proxy.url, "anna", "bert", mapping=FAX, ramp=[])
        outcomes = job.apply(code=4)
        assert {uid: each["outcome"] for uid, each in outcomes.items()} == {"anna": "conflict", "bert": "written"}
        assert held(server, "anna", FAX_NUMBER) == ["+49 555"]
        assert held(server, "anna", "employeeNumber") == [], "a part of a lost change was written"
        assert held(server, "bert", FAX_NUMBER) == ["+49 1001"]


@each_kind
def test_a_value_that_somebody_wrote_after_the_plan_and_before_the_first_look_is_a_conflict(
    tmp_path: Path, kind: type[Slapd | Ds389]
) -> None:
    """Anna is written first, and alone; when her modify arrives, Bert's number changes."""
    people = [person("anna"), person("bert", "facsimileTelephoneNumber: +49 1")]
    with kind.start(tmp_path / "s", people) as server, LdapProxy(server.port, early(server)) as proxy:
        outcomes = LdapJob(tmp_path / "job", proxy.url, "anna", "bert", mapping=FAX, ramp=[1]).apply(code=4)
        assert {uid: each["outcome"] for uid, each in outcomes.items()} == {"anna": "written", "bert": "conflict"}
        assert outcomes["bert"]["why"] == "facsimileTelephoneNumber changed since the plan"
        assert held(server, "bert", FAX_NUMBER) == ["+49 555"]


@slapd
@pytest.mark.parametrize(
    ("edits", "outcome", "sent"),
    [
        ([BESIDE], "written", 2),
        ([BESIDE, BESIDE], "another program changed the entry twice", 2),
        ([BESIDE, THEIRS], "another program changed the entry twice", 2),
        ([THEIRS], "facsimileTelephoneNumber changed since the plan", 1),
    ],
)
def test_an_edit_beside_costs_one_more_try(tmp_path: Path, edits: list[str], outcome: str, sent: int) -> None:
    people = [person("anna", "facsimileTelephoneNumber: +49 1")]
    with Slapd.start(tmp_path / "s", people) as server, LdapProxy(server.port, faster(server, *edits)) as proxy:
        written = outcome == "written"
        (anna,) = LdapJob(tmp_path / "job", proxy.url, "anna", mapping=FAX).apply(code=0 if written else 4).values()
        assert (anna["outcome"], anna.get("why", "").startswith(outcome)) == (
            "written" if written else "conflict",
            not written,
        )
        assert proxy.asked[MODIFY] == sent
        left = "+49 1000" if written else "+49 555" if THEIRS in edits else "+49 1"
        assert held(server, "anna", FAX_NUMBER) == [left]


@each_kind
def test_first_values_are_written_and_then_changed_and_nothing_is_left_to_do(
    tmp_path: Path, kind: type[Slapd | Ds389]
) -> None:
    uids = [f"user{number:02}" for number in range(30)]
    with kind.start(tmp_path / "s", [person(uid) for uid in uids]) as server:
        job = LdapJob(tmp_path / "job", server.url, *uids, mapping=FAX)
        for template in ("+49 {workNo}", "+44 {workNo}"):
            (job.folder / "mapping.yaml").write_text(FAX.replace("+49 {workNo}", template))
            outcomes = job.apply()
            assert {each["outcome"] for each in outcomes.values()} == {"written"}
            assert len(outcomes) == 30
            assert held(server, "user07", FAX_NUMBER) == [template.format(workNo=1007)]
            assert job.problems() == []


@slapd
@pytest.mark.parametrize(("edits", "left"), [([], "+49 1"), ([BESIDE], "+49 1"), ([THEIRS], "+49 555")])
def test_an_undo_puts_back_what_nobody_has_changed_since(tmp_path: Path, edits: list[str], left: str) -> None:
    with Slapd.start(tmp_path / "s", [person("anna", "facsimileTelephoneNumber: +49 1")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", mapping=FAX)
        job.apply()
        ended = program("runs", "job.yaml", "--json", folder=job.folder)
        (run,) = json.loads(ended.out)
        with LdapProxy(server.port, faster(server, *edits)) as proxy:
            configure(job.folder / "job.yaml", directory={"urls": [proxy.url]})
            ended, _ = job.run("undo", run["id"], "--apply")
        assert ended.code == (4 if THEIRS in edits else 0), ended.said
        assert held(server, "anna", FAX_NUMBER) == [left]


@slapd
def test_without_marks_users_are_read_just_before_and_the_report_says_what_may_go_unnoticed(tmp_path: Path) -> None:
    people = [person(uid, "facsimileTelephoneNumber: +49 1") for uid in ("anna", "bert")]
    with Slapd.start(tmp_path / "s", people, acl=NO_MARKS) as server, LdapProxy(server.port, early(server)) as proxy:
        job = LdapJob(tmp_path / "job", proxy.url, "anna", "bert", mapping=FAX, ramp=[1])
        _, report = job.run("plan")
        (caution,) = report["cautions"]
        assert caution == (
            "no equality rule for facsimileTelephoneNumber, and entries show no mark of their last change. Users are "
            "read before and after each write of them. Another program's change in between may go unnoticed"
        )
        outcomes = job.apply(code=4)
        assert {uid: each["outcome"] for uid, each in outcomes.items()} == {"anna": "written", "bert": "conflict"}
        assert held(server, "anna", FAX_NUMBER) == ["+49 1000"]
        assert held(server, "bert", FAX_NUMBER) == ["+49 555"]


@slapd
def test_with_marks_there_is_nothing_to_be_said(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person("anna")]) as server:
        _, report = LdapJob(tmp_path / "job", server.url, "anna", mapping=FAX).run("plan")
    assert "cautions" not in report


@slapd
def test_unique_is_refused_where_nobody_can_find_out_who_holds_a_value(tmp_path: Path) -> None:
    unique = FAX.replace('owns: "*"', 'owns: "*", unique: true')
    with Slapd.start(tmp_path / "s", [person("anna")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", mapping=unique)
        for command in ("plan", "apply"):
            ended, _ = job.run(command)
            assert ended.code == 78, ended.said
            assert "mapping.yaml:4: facsimileTelephoneNumber has no equality rule" in ended.said.replace("\n", " ")
            assert "Remove `unique`" in ended.said.replace("\n", " ")
        assert held(server, "anna", FAX_NUMBER) == []

"""What a domain controller hides from the job's account, or does not let it write, is told as that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ad_job import MAPPING, WITHOUT_TLS, AdJob, agent, held, named, outcomes, people, told
from tests.support.samba import EXTENDED, Samba

pytestmark = pytest.mark.samba


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    with Samba.start(tmp_path_factory.mktemp("rights") / "dc", people(9), options=WITHOUT_TLS) as started:
        yield started


@pytest.fixture
def job(server: Samba, tmp_path: Path) -> AdJob:
    return AdJob(tmp_path / "job", server.url, agents=4)


def test_a_user_whose_id_is_hidden_is_a_line_and_not_the_end_of_the_run(server: Samba, job: AdJob) -> None:
    server.hide(named(1), "objectGUID")
    for read in ("find", "scan"):
        job.configure(directory={"read": read})
        (why,) = told(job.run("plan"), "unreadable")
        assert "does not show its id (objectGUID" in why
    report = job.run("apply")
    assert [name for name, _ in sorted(outcomes(report).items())] == ["agent000", "agent002", "agent003"]
    assert held(server, 1, "ipPhone") == []
    assert held(server, 2, "ipPhone") == ["7002"]
    assert job.run("plan")["summary"]["matched"] == 4


def test_a_user_of_ours_whose_id_becomes_hidden_is_not_stale(server: Samba, job: AdJob) -> None:
    job.run("apply", code=0)
    server.hide(named(3), "objectGUID")
    planned = job.run("plan")
    assert (planned["changes"], planned["summary"]["stale"]) == ([], 0)


def test_where_no_user_shows_its_id_the_run_fails(server: Samba, tmp_path: Path) -> None:
    job = AdJob(tmp_path / "job", server.url, agents=2)
    server.hide(named(0), "objectGUID")
    job.run("apply", code=1)
    assert "does not show its id" in job.ended.err


def test_a_write_that_is_denied_names_its_attributes(server: Samba, tmp_path: Path) -> None:
    mapping = EXTENDED.replace('  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}\n', "")
    job = AdJob(tmp_path / "job", server.url, agents=6, mapping=mapping)
    server.hide(named(5), "objectClass", "WP")
    result, why = outcomes(job.run("apply", code=4))["agent005"]
    assert result == "failed"
    assert "insufficientAccessRights (50) to write objectClass" in why


def test_a_value_that_is_hidden_is_named_as_the_cause(server: Samba, tmp_path: Path) -> None:
    server.modify(f"dn: {named(6)}\nchangetype: modify\nadd: otherIpPhone\notherIpPhone: sip:7006@192.0.2.10\n")
    server.hide(named(6), "otherIpPhone")
    job = AdJob(tmp_path / "job", server.url, agents=7)
    result, why = outcomes(job.run("apply", code=4))["agent006"]
    assert result == "conflict"
    assert "If it was not shown, grant this account the right to read" in why
    assert "otherIpPhone" in why


def test_a_match_attribute_that_is_confidential_is_told_by_check(server: Samba, tmp_path: Path) -> None:
    job = AdJob(
        tmp_path / "job", server.url, agents=1, mapping=MAPPING.replace("sAMAccountName", "SIPIdentityPassword")
    )
    said = job.program("check", "job.yaml")
    assert said.code == 1, said.said  # nobody matches
    assert "match rule 1: SIPIdentityPassword is confidential" in said.out


BOTH = '["sip:{sipAccount}@{sipServiceIp}", "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"]'


def test_what_a_dropped_template_made_is_not_taken_out_unseen(server: Samba, tmp_path: Path) -> None:
    """Without a port the second address stays, as `when_absent: keep` says, though nobody shows it."""
    assert held(server, 8, "otherIpPhone") == [], "no other test writes this user"
    server.hide(named(8), "otherIpPhone")
    job = AdJob(
        tmp_path / "job", server.url, agents=0, mapping=MAPPING.replace('"sip:{sipAccount}@{sipServiceIp}"', BOTH)
    )
    tenant = {"sipServiceIp": "192.0.2.10", "agents": [agent(8)]}
    (job.folder / "agents.json").write_text(json.dumps({**tenant, "sipServicePort": 5060}))
    assert outcomes(job.run("apply", code=4))["agent008"][0] == "failed"
    both = ["sip:7008@192.0.2.10", "sip:7008@192.0.2.10:5060"]
    assert sorted(held(server, 8, "otherIpPhone")) == both
    (job.folder / "agents.json").write_text(json.dumps(tenant))
    assert len(told(job.run("apply"), "unreadable")) == 1
    assert sorted(held(server, 8, "otherIpPhone")) == both
    server.show(named(8), "otherIpPhone")


def test_a_leavers_value_that_cannot_be_read_is_cleared_by_saying_it(server: Samba, tmp_path: Path) -> None:
    server.hide(named(7), "otherIpPhone")
    job = AdJob(tmp_path / "job", server.url, agents=0)
    job.agents([agent(2), agent(7)], "192.0.2.10")
    assert outcomes(job.run("apply", code=4))["agent007"][0] == "failed"
    assert held(server, 7, "otherIpPhone") == ["sip:7007@192.0.2.10"]
    job.agents([agent(2)], "192.0.2.10")
    job.run("apply")
    assert held(server, 7, "ipPhone", "otherIpPhone") == []
    server.show(named(7), "otherIpPhone")


def test_values_that_cannot_be_read_do_not_pile_up(server: Samba, tmp_path: Path) -> None:
    """Each change takes the value of the one before it out by value, until that is not there any more."""
    server.hide(named(7), "otherIpPhone")
    job = AdJob(tmp_path / "job", server.url, agents=0)
    runs = []
    for gateway in ("192.0.2.10", "192.0.2.11", "192.0.2.12"):
        job.agents([agent(7)], gateway)
        result, why = outcomes(job.run("apply", code=4))["agent007"]
        assert (result, "does not show otherIpPhone as written" in why) == ("failed", True)
        assert held(server, 7, "otherIpPhone") == [f"sip:7007@{gateway}"], "one value, and not one for each change"
        runs.append(job.runs()[0]["id"])
        (why,) = told(job.run("apply"), "unreadable")
        assert "shows none. Probably this account may not read it" in why
    for run in runs:
        assert any("did not show it" in why for why in told(job.run("undo", run), "undo"))

    server.modify(f"dn: {named(7)}\nchangetype: modify\nreplace: otherIpPhone\notherIpPhone: sip:7007@theirs\n")
    job.agents([agent(7)], "192.0.2.13")
    result, why = outcomes(job.run("apply", code=4))["agent007"]
    assert (result, "a value to be taken out is not there" in why) == ("conflict", True)
    assert len(told(job.run("apply"), "unreadable")) == 1, "held from now on"
    assert held(server, 7, "otherIpPhone") == ["sip:7007@theirs"]
    server.modify(f"dn: {named(7)}\nchangetype: modify\nreplace: otherIpPhone\notherIpPhone: sip:7007@192.0.2.10\n")
    job.agents([agent(7)], "192.0.2.12")

    server.show(named(7), "otherIpPhone")
    job.run("apply")
    assert held(server, 7, "otherIpPhone") == ["sip:7007@192.0.2.12"]
    job.agents([])
    job.agents([agent(2)], "192.0.2.12")
    job.run("apply")
    assert held(server, 7, "ipPhone", "otherIpPhone") == [], "what was shown is ours, as is what was written since"


def test_the_rights_are_printed_as_commands_one_a_line(job: AdJob) -> None:
    printed = job.program("check", "job.yaml", "--acl").out.splitlines()
    assert len(printed) >= 2
    assert [line for line in printed if not re.match(r'dsacls ".*:(RP|WP);', line)] == []

"""The program's commands, its exit codes and its files, on an LDIF directory: as a subprocess, as its users run it."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import BASE, MAPPING, Job, agent, person
from tests.support.program import program

NEEDLESS = {
    "connector.apply.engine",
    "connector.directories.ldap.reader",
    "connector.directories.scim.adapter",
    "cryptography",
    "httpx",
    "ldap3",
    "psycopg",
}
"""Modules that a plan of an LDIF file does without: each makes every start slower."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_plan_apply_plan_edit_plan_apply(job: Job) -> None:
    before = job.read("people.ldif")
    planned = job.plan("--fail-on-changes", code=2)
    assert planned["schema"] == "cec-connector/plan/1"
    assert len(planned["changes"]) == planned["summary"]["update"] == planned["summary"]["secret"] == 5
    assert job.read("people.ldif") == before

    job.run("apply")
    after = job.read("people.ldif")
    assert "employeeNumber: 1001" in after
    assert "SIPIdentitySIPURI: sip:7001@192.0.2.10:5060" in after
    assert "canary-1" in after
    assert job.plan("--fail-on-changes")["changes"] == []

    job.write("people.ldif", after.replace("employeeNumber: 1003", "employeeNumber: 9"))
    (change,) = job.plan()["changes"]
    assert change["user"]["name"] == f"uid=user3,{BASE}"
    assert change["attributes"] == [{"name": "employeeNumber", "old": ["9"], "new": ["1003"]}]
    job.run("apply")
    assert job.read("people.ldif") == after
    assert job.plan("--fail-on-changes")["changes"] == []


def test_a_run_for_machines_logs_json_and_loads_neither_a_terminals_colours_nor_other_adapters(job: Job) -> None:
    job.plan()
    ended = program("plan", "job.yaml", folder=job.folder, env={"PYTHONPROFILEIMPORTTIME": "1"})
    lines = ended.err.splitlines()
    loaded = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    events = [json.loads(line) for line in lines if line.startswith("{")]
    stages = ["read source", "describe directory", "look-up", "look-up", "planned", "show", "finished"]
    assert [event["event"] for event in events] == stages
    assert all(event["job"] == "job" and event["level"] == "info" and event["timestamp"] for event in events)
    assert "connector.apply.composition" in loaded
    assert loaded & NEEDLESS == set()


def test_a_dry_run_leaves_the_directory_untouched_even_by_its_time(job: Job) -> None:
    before = (job.folder / "people.ldif").stat()
    job.plan()
    after = (job.folder / "people.ldif").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_only_keeps_one_agents_changes_by_account_or_by_seat(job: Job) -> None:
    assert [change["agent"]["accountCode"] for change in job.plan("--only", "user2")["changes"]] == ["user2"]
    job.run("apply", "--only", "1002")
    planned = job.plan()
    assert planned["summary"]["matched"] == 5
    assert {change["agent"]["workNo"] for change in planned["changes"]} == {1001, 1003, 1004, 1005}


def test_an_agent_that_only_names_and_nobody_has_is_a_usage_error(job: Job) -> None:
    assert "nobody-here" in job.run("plan", "--only", "nobody-here", code=64)


def test_accounts_seats_and_users_are_named_alike_everywhere(job: Job) -> None:
    job.agents([agent(1, accountCode="1002"), agent(2), agent(3), agent(4)])
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", "uid: user1\nuid: 1002\n"))
    dn = f"UID=user2, {BASE}"
    for names, seats in (
        (["account:1002"], {1001}), (["seat:1002"], {1002}), ([f"user:{dn}"], {1002}),
        (["user:00000000-0000-0000-0000-000000000003", "seat:1001"], {1001, 1003}),
    ):  # fmt: skip
        only = [option for name in names for option in ("--only", name)]
        assert {change["agent"]["workNo"] for change in job.plan(*only)["changes"]} == seats
    for name, seat in (("account:1002", 1001), ("seat:1002", 1002), (f"user:{dn}", 1002)):
        (explained,) = json.loads(job.run("explain", name, "--json"))["agents"]
        assert explained["agent"]["workNo"] == seat
    for command in (["plan", "--only", "1002"], ["apply", "--only", "1002"], ["explain", "1002"]):
        said = job.run(command[0], *command[1:], code=64)
        assert "say account:1002 or seat:1002" in said
        assert "1002 (workNo 1001)" in said
        assert "user2 (workNo 1002)" in said
    assert "no user 'uid=nobody'" in job.run("plan", "--only", "user:uid=nobody", code=64)
    assert "no agent looks for uid 'user5'" in job.run("explain", f"user:uid=user5,{BASE}")


def test_a_reviewed_plan_is_applied_for_a_named_user_alone(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    job.run("apply", "--plan", "plan.json", "--only", f"user:uid=user2,{BASE}")
    assert {change["agent"]["workNo"] for change in job.plan()["changes"]} == {1001, 1003, 1004, 1005}


def test_a_limit_refuses_shows_the_plan_and_is_lifted_by_its_digest_alone(job: Job) -> None:
    job.configure(limits={"update": "20%"})
    shown = job.run("plan", "--report", "report.json", code=3)
    planned = json.loads(job.read("report.json"))
    assert planned["refusals"][0] | {"why": ""} == {"limit": "update", "allowed": 1, "planned": 5, "why": ""}
    assert f"cec-connector apply job.yaml --accept {planned['digest']}" in shown
    assert f"uid=user1,{BASE}" in shown
    before = job.read("people.ldif")
    job.run("plan", "--fail-on-changes", code=3)
    job.run("apply", code=3)
    job.run("apply", "--accept", "sha256:" + 64 * "0", code=3)
    assert job.read("people.ldif") == before
    job.run("apply", "--accept", planned["digest"])
    assert job.plan()["changes"] == []


def test_an_empty_tenant_is_refused_and_changes_nothing_even_when_acknowledged(job: Job) -> None:
    job.run("apply")
    before = job.read("people.ldif")
    job.agents([])
    planned = job.plan(code=3)
    assert [refusal["limit"] for refusal in planned["refusals"]] == ["agents"]
    assert planned["changes"] == []
    job.run("apply", "--accept", planned["digest"])
    assert job.read("people.ldif") == before


def test_a_tenant_that_shrank_since_the_last_good_run_is_refused(job: Job) -> None:
    job.run("apply")
    job.agents([agent(number) for number in (1, 2)])
    refused = job.plan(code=3)["refusals"][0]
    assert (refused["limit"], refused["allowed"], refused["planned"]) == ("agents_drop", 0, 3)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "<html>please log in</html>",
        "[]",
        "{}",
        '{"agents": null}',
        '{"resultCode": "0101", "resultMessage": "no rights"}',
        '{"errorCode": "0", "exceptionInfo": "auth fail!"}',
        '{"agents": {}}',
        '{"agents": [{"workNo": 1, "accountCode": "user1"}',
    ],
)
def test_a_source_that_is_no_whole_tenant_is_an_error_that_nothing_lifts(job: Job, body: str) -> None:
    job.run("apply")
    before = job.read("people.ldif")
    job.write("agents.json", body)
    said = job.run("apply", code=1)
    assert "agents.json" in said
    assert job.read("people.ldif") == before


def test_bad_records_are_a_line_each_and_the_others_go_on(job: Job) -> None:
    bad: list[Any] = [
        {"workNo": None},
        {"workNo": "x"},
        7,
        {"workNo": 1, "accountCode": 3},
        {"workNo": 2, "accountCode": "a\nb"},
    ]
    bad += [{"workNo": 2000, "accountCode": "user2", "sipPwd": ["canary"]}]
    job.agents([agent(1), *bad, agent(3)])
    planned = job.plan()
    assert planned["summary"]["invalid"] == 6
    assert [problem["record"] for problem in planned["problems"] if problem["kind"] == "invalid"] == [2, 3, 4, 5, 6, 7]
    assert {change["agent"]["accountCode"] for change in planned["changes"]} == {"user1", "user3"}


def test_doubles_and_contested_users_are_left_alone_and_named(job: Job) -> None:
    job.agents([agent(1), agent(9, accountCode="mail1"), agent(2), agent(3, workNo=1002), agent(4), agent(4, workNo=7)])
    planned = job.plan()
    assert planned["changes"] == []
    assert planned["summary"]["contested"] == 6
    assert all(problem["users"] for problem in planned["problems"] if problem["kind"] == "contested")


def test_hostile_values_reach_the_directory_as_they_are(job: Job) -> None:
    hostile = [
        "*)(uid=*",
        "a,b+c=d\\",
        '"quoted"',
        " spaced ",
        "#hash",
        "j\u00fcrgen",
        "ju\u0308rgen",
        "=cmd|' /C calc'!A0",
    ]
    job.write("mapping.yaml", MAPPING.replace("directory: uid", "directory: employeeType"))
    people = "".join(
        person(number).replace("mail:", f"employeeType:: {_base64(code)}\nmail:")
        for number, code in enumerate(hostile, 1)
    )
    job.write("people.ldif", people)
    job.agents([agent(number, accountCode=code) for number, code in enumerate(hostile, 1)])
    planned = job.plan()
    # what one server takes for one value, such as composed and decomposed forms, is two values in a file
    assert planned["summary"]["matched"] == len(hostile)
    job.run("apply", "--report", "out.csv", "--report", "out.md", "--report", "out.html", "--report", "out.ldif")
    assert job.plan()["changes"] == []
    with (job.folder / "out.csv").open(encoding="utf-8", newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))]


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_pins_and_the_exclude_list(job: Job) -> None:
    job.write("pins.csv", f'accountCode,user\nexternal,"UID=user2, {BASE}"\nlost,"uid=nobody,{BASE}"\n')
    job.write("exclude.csv", f'accountCode,user\nuser3,\n,"uid=user4, {BASE}"\n')
    job.configure(pins="pins.csv", exclude="exclude.csv")
    job.agents([agent(1), agent(2, accountCode="external"), agent(3), agent(4), agent(5, accountCode="lost")])
    planned = job.plan()
    assert [(change["agent"]["accountCode"], change["rule"]) for change in planned["changes"]] == [
        ("user1", 1),
        ("external", 0),
    ]
    assert [problem["kind"] for problem in planned["problems"]] == ["exclude", "exclude", "unmatched"]


def test_an_entry_without_an_id_is_not_the_user_of_an_agent_whose_pin_names_another_seat(job: Job) -> None:
    job.write("pins.csv", f'accountCode,workNo,user\nuser1,77,"uid=user1,{BASE}"\n')
    job.configure(pins="pins.csv")
    job.agents([agent(1), agent(3)])
    job.write("people.ldif", person(2).replace("00000000-0000-0000-0000-000000000002", "") + person(3))
    planned = job.plan()
    assert [change["agent"]["accountCode"] for change in planned["changes"]] == ["user3"]
    assert [(problem["kind"], problem["users"]) for problem in planned["problems"]] == [("unmatched", [])]
    assert "the pin names another workNo" in job.run("explain", "user1")


def test_a_name_with_an_octet_that_is_no_utf_8_is_a_name_like_all_others(job: Job) -> None:
    """RFC 4514 §2.4 lets a DN say such octets; without an entryUUID the DN is what the entry is known by."""
    odd = person(2).replace("uid=user2", r"cn=M\FCller")
    without_id = "".join(line for line in odd.splitlines(keepends=True) if not line.startswith("entryUUID"))
    job.write("people.ldif", person(1) + without_id)
    job.agents([agent(1), agent(2)])
    planned = job.plan()
    assert {change["user"]["name"] for change in planned["changes"]} == {f"uid=user1,{BASE}", rf"cn=M\FCller,{BASE}"}
    job.run("apply")
    assert job.read("people.ldif").count("SIPIdentityPassword: ") == 2
    assert job.plan("--fail-on-changes")["changes"] == []
    job.run("undo", json.loads(job.run("runs", "--json"))[0]["id"], "--apply", code=0)


def test_all_faults_at_once_are_a_line_each_and_the_rest_is_written(job: Job) -> None:
    """Law 7: records that are none or say things twice, texts that a terminal obeys, names and ids that are odd."""
    override, order = "\u202euser9", "user9\x1b]0;owned\x07"
    agents = [agent(number) for number in range(1, 6)]
    agents += [agent(40, accountCode=override), agent(41, accountCode=order), agent(42, workNo="x"), agent(43)]
    body = json.dumps({"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents})
    twice, deep = r', {"workNo": 9, "sipPwd": "canary-8", "sip\u0050wd": "canary-9"}', f", {'[' * 100 + ']' * 100}"
    job.write("agents.json", body[:-2] + twice + deep + "]}")
    job.write("pins.csv", f'accountCode,workNo,user\nuser1,77,"uid=user1,{BASE}"\n')
    job.configure(pins="pins.csv")
    people = [person(number) for number in range(1, 6)]
    people[1] = people[1].replace("dn: uid=user2", r"dn: cn=M\FCller").replace("entryUUID", "x-was")
    people[2] = people[2].replace("dn: uid=user3", r"dn: cn=\1B]0\3Bowned\07\0AFORGED")
    people[3] = people[3].replace("00000000-0000-0000-0000-000000000004", "")
    job.write("people.ldif", "".join(people))
    summary = job.plan()["summary"]
    assert (summary["matched"], summary["update"], summary["unmatched"], summary["invalid"]) == (4, 4, 3, 4), summary
    job.run("apply")
    assert job.read("people.ldif").count("SIPIdentityPassword: ") == 4
    assert job.plan("--fail-on-changes")["changes"] == []


def test_a_file_with_another_hard_link_is_planned_for_and_never_replaced(job: Job) -> None:
    before = job.read("people.ldif")
    (job.folder / "other.ldif").hardlink_to(job.folder / "people.ldif")
    assert "another hard link" in job.run("check")
    assert any("an apply would fail" in caution for caution in job.plan()["cautions"])
    said = job.run("apply", code=78)
    assert "people.ldif: the file has another hard link, which would keep the old content" in said
    assert job.read("people.ldif") == before
    (job.folder / "other.ldif").unlink()
    job.run("apply")


def test_users_that_no_agent_claims_any_more_are_stale_and_reported(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"agents_drop": "100%"})
    job.agents([agent(number) for number in (1, 2, 3)])
    planned = job.plan()
    assert planned["changes"] == []
    assert planned["summary"]["stale"] == 2
    assert [problem["users"] for problem in planned["problems"] if problem["kind"] == "stale"] == [
        [f"uid=user4,{BASE}"],
        [f"uid=user5,{BASE}"],
    ]


def test_stale_clear_takes_away_what_we_wrote_and_nothing_else(job: Job) -> None:
    before = job.read("people.ldif")
    job.run("apply")
    job.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    job.write("mapping.yaml", MAPPING + "stale: clear\n")
    job.agents([agent(number) for number in (1, 2, 3, 4)] + [{"workNo": "broken"}])
    assert job.plan()["changes"] == []
    job.agents([agent(number) for number in (1, 2, 3, 4)])
    (change,) = job.plan()["changes"]
    assert change["agent"] is None
    job.run("apply")
    untouched = before[before.index("dn: uid=user5") :].strip()
    cleared = job.read("people.ldif")[job.read("people.ldif").index("dn: uid=user5") :].strip()
    left = [line for line in cleared.splitlines() if line not in {"objectClass: cecAgent", "objectClass: SIPIdentity"}]
    assert left == untouched.splitlines()
    assert job.plan()["summary"]["stale"] == 0


def test_when_absent_keeps_or_clears_and_a_tenant_field_always_keeps(job: Job) -> None:
    job.run("apply")
    bare = {"workNo": 1001, "accountCode": "user1"}
    job.agents([bare] + [agent(number) for number in range(2, 6)])
    assert job.plan()["changes"] == []
    job.write("mapping.yaml", MAPPING + "when_absent: clear\n")
    (change,) = job.plan()["changes"]
    assert [(each["name"], each.get("new", each.get("secret"))) for each in change["attributes"]] == [
        ("SIPIdentitySIPURI", []),
        ("SIPIdentityPassword", "clear"),
    ]
    job.write("agents.json", json.dumps({"agents": [agent(number) for number in range(1, 6)]}))
    planned = job.plan()
    assert planned["changes"] == []
    assert [problem["kind"] for problem in planned["problems"]] == ["tenant", "tenant"]


def test_a_second_run_on_one_directory_waits_outside(job: Job) -> None:
    job.run("apply")
    (lock,) = job.folder.glob("state.db.*.lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another run" in job.run("apply", code=75)
        job.run("plan")
    job.run("apply")


def test_runs_lists_what_was_applied_newest_first(job: Job) -> None:
    assert json.loads(job.run("runs", "--json")) == []
    job.run("apply")
    job.run("apply")
    runs = json.loads(job.run("runs", "--json"))
    assert [run["outcomes"] for run in runs] == [{}, {"written": 5}]
    assert all(run["id"] and run["result"] == "done" for run in runs)


def test_the_state_holds_no_secret_and_is_for_its_owner_alone(job: Job) -> None:
    job.run("apply")
    assert b"canary" not in (job.folder / "state.db").read_bytes()
    assert (job.folder / "state.db").stat().st_mode & 0o077 == 0


def test_a_state_of_a_newer_version_is_an_error_and_stays_as_it_is(job: Job) -> None:
    with sqlite3.connect(job.folder / "state.db") as db:
        db.execute("pragma user_version = 99")
    db.close()
    before = job.read("people.ldif")
    assert "newer version" in job.run("apply", code=1)
    assert job.read("people.ldif") == before


def test_a_state_that_is_no_database_is_an_error(job: Job) -> None:
    job.write("state.db", "not a database, and not empty either" * 50)
    assert "state.db" in job.run("apply", code=1)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_report_that_cannot_be_written_is_an_error_before_anything_is(job: Job) -> None:
    before = job.read("people.ldif")
    assert "no-such-folder" in job.run("apply", "--report", "no-such-folder/report.json", code=1)
    assert job.read("people.ldif") == before


def test_an_unknown_report_suffix_is_a_usage_error(job: Job) -> None:
    assert ".xls" in job.run("plan", "--report", "report.xls", code=64)


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "job.yaml", "--what"], ["frobnicate"], ["plan", "a", "b"]])
def test_a_wrong_command_line_is_64(job: Job, arguments: list[str]) -> None:
    assert program(*arguments, folder=job.folder).code == 64


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("job.yaml", "limits:", "limit:", "job.yaml:4"),
        ("job.yaml", "agents.json", "missing.json", "job.yaml:1"),
        ("job.yaml", "mapping.yaml", "missing.yaml", "job.yaml:3"),
        ("job.yaml", "(objectClass=inetOrgPerson)", '"(objectClass="', "filter"),
        ("job.yaml", "(objectClass=inetOrgPerson)", "(!(cecAccountCode=*))", "mapping.yaml:5: writing cecAccountCode"),
        ("job.yaml", "(objectClass=inetOrgPerson)", "(!(objectClass=cecAgent))", "mapping.yaml:9: writing cecAgent"),
        ("job.yaml", "(objectClass=inetOrgPerson)", "(employeeNumber=*)", "mapping.yaml:6: clearing employeeNumber"),
        ("mapping.yaml", "{accountCode|lower}", "{accountCode|shout}", "mapping.yaml:3"),
        ("mapping.yaml", '"{accountCode}"\n  employee', '"{account}"\n  employee', "mapping.yaml:5"),
        ("mapping.yaml", '"{accountCode}"\n  employee', "{accountCode}\n  employee", "mapping.yaml:5"),
        ("mapping.yaml", "cecAccountCode:", "userPassword:", "mapping.yaml:5"),
        ("mapping.yaml", "cecAccountCode:", "uid:", "mapping.yaml:5"),
        ("mapping.yaml", 'owns: "sip:*"', 'own: "sip:*"', "mapping.yaml:7"),
        ("mapping.yaml", ', owns: "sip:*"', "", "mapping.yaml:7"),
        ("mapping.yaml", ", secret: true", "", "mapping.yaml:8"),
    ],
)
def test_a_faulty_file_is_named_with_its_line(job: Job, name: str, old: str, new: str, said: str) -> None:
    text = job.read(name)
    assert old in text
    job.write(name, text.replace(old, new))
    before = job.read("people.ldif")
    assert said in job.run("apply", code=78)
    assert job.read("people.ldif") == before


def test_a_job_that_is_not_there_is_a_file_error(job: Job) -> None:
    ended = program("plan", "nowhere.yaml", folder=job.folder)
    assert ended.code == 78
    assert "nowhere.yaml" in ended.err


def test_a_plan_restricted_to_some_agents_says_so_and_is_acknowledged_as_such(job: Job) -> None:
    job.configure(limits={"update": "0%"})
    shown = job.run("plan", "--only", "user2", "--report", "report.json", code=3)
    planned = json.loads(job.read("report.json"))
    assert any("--only" in caution and "4 other users" in caution for caution in planned["cautions"])
    assert planned["summary"]["unchanged"] == 0
    assert "4 matched users left out by --only, or held back" in shown
    command = next(line.strip() for line in shown.splitlines() if "--accept" in line)
    job.run(*shlex.split(command)[1:2], *shlex.split(command)[3:])
    assert {change["agent"]["accountCode"] for change in job.plan(code=3)["changes"]} == {
        "user1",
        "user3",
        "user4",
        "user5",
    }


def test_an_acknowledgement_of_another_plan_is_said_to_be_one(job: Job) -> None:
    job.configure(limits={"update": "0%"})
    other = "sha256:" + 64 * "0"
    said = f"The accepted digest {other} is not that of this plan."
    assert f"{said} Review this plan." in job.run("apply", "--accept", other, code=3)
    job.run("apply", "--accept", "yes", code=64)
    job.configure(limits={"update": "100%"})
    assert f"{said} Review this plan. To apply it, run:" in job.run("apply", "--accept", other, code=3)


def test_a_typing_error_in_pins_clears_nobody_and_every_line_that_names_nobody_is_told(job: Job) -> None:
    job.run("apply")
    job.write("mapping.yaml", MAPPING + "stale: clear\n")
    job.configure(pins="pins.csv", exclude="exclude.csv", limits={"matched_drop": "100%"})
    job.write(
        "pins.csv",
        f'accountCode,workNo,user\nuser2,,"uid=typo,{BASE}"\nghost,,"uid=user1,{BASE}"\nuser3,7,"uid=user3,{BASE}"\n',
    )
    job.write("exclude.csv", f'accountCode,user\nsomebody-else,\n,"uid=nobody,{BASE}"\n')
    planned = job.plan(code=3)
    assert [refusal["limit"] for refusal in planned["refusals"]] == ["exclude"]
    assert planned["changes"] == []
    assert any("stale users are kept" in caution for caution in planned["cautions"])
    kinds = [problem["kind"] for problem in planned["problems"]]
    assert (kinds.count("pin"), kinds.count("exclude"), kinds.count("stale")) == (1, 2, planned["summary"]["stale"])
    assert kinds.count("unmatched") == planned["summary"]["unmatched"] == 2


def test_a_report_says_between_what_it_was_drawn(job: Job) -> None:
    planned = job.plan("--report", "out.md", "--report", "out.html")
    assert planned["about"]["directory"].endswith("people.ldif")
    assert planned["about"]["base"] == BASE
    for report in ("out.md", "out.html"):
        assert "people.ldif" in job.read(report)


def test_check_reads_everything_and_leaves_no_trace(job: Job) -> None:
    before = sorted(job.folder.iterdir())
    out = job.run("check")
    assert "5 agents" in out
    assert "5 users within base and filter" in out
    assert sorted(job.folder.iterdir()) == before
    job.write("people.ldif", job.read("people.ldif") + "\nno colon here\n")
    assert "people.ldif:" in job.run("check", code=1)


def test_the_demo_never_writes_into_a_folder_with_something_in_it(job: Job) -> None:
    before = job.read("job.yaml")
    assert program("demo", "--folder", job.folder, folder=job.folder).code == 64
    assert job.read("job.yaml") == before


# ---------------------------------------------------------------- what an attack has found


@pytest.mark.parametrize("name", ["people.ldif", "agents.json", "job.yaml", "mapping.yaml", "state.db"])
def test_a_report_never_replaces_one_of_the_jobs_own_files(job: Job, name: str) -> None:
    job.run("plan")
    (job.folder / "link.ldif").symlink_to(job.folder / "people.ldif")
    before = {path.name: path.read_bytes() for path in job.folder.iterdir()}
    job.run("plan", "--save", name, code=64)
    if name.endswith((".json", ".ldif")):
        job.run("apply", "--report", name, code=64)
        job.run("plan", "--report", "link.ldif", code=64)
    assert {path.name: path.read_bytes() for path in job.folder.iterdir()} == before


def test_agents_that_could_not_be_looked_for_clear_nobody(job: Job) -> None:
    rule = '  - {agent: "{accountCode}@{sipServiceIp}", directory: mail}\n'
    job.write("mapping.yaml", "match:\n" + rule + MAPPING.split("\n", 3)[3] + "stale: clear\n")
    people = [person(n).replace(f"mail{n}@example.org", f"user{n}@192.0.2.10") for n in range(1, 6)]
    job.write("people.ldif", "".join(people))
    job.run("apply")
    job.configure(limits={"matched_drop": "100%"})
    job.write("agents.json", json.dumps({"agents": [agent(number) for number in range(1, 6)]}))
    planned = job.plan()
    assert planned["changes"] == []
    assert planned["summary"]["stale"] == 5
    kept = [each["why"] for each in planned["problems"] if "no value for the match rule of mail" in each["why"]]
    assert len(kept) == 5


TWICE = "  fax: {value: '{workNo}', owns: '*'}\n  facsimileTelephoneNumber: {value: '{sipAccount}', owns: '*'}\n"
REWRITTEN = '"{sipAccount}", directory: employeeNumber'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  employeeNumber:", TWICE + "  employeeNumber:", "two names"),
        ('"{accountCode|lower}@example.org", directory: mail', REWRITTEN, "match other users"),
    ],
)
def test_a_mapping_that_would_undo_itself_is_refused(job: Job, old: str, new: str, said: str) -> None:
    job.write("mapping.yaml", MAPPING.replace(old, new))
    assert said in job.run("plan", code=78)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"agents": [{"workNo": 1}, {"workNo": 2}], "agents": [{"workNo": 1}]}', 1),
        ('{"agents": [{"workNo": 1}, {"workNo": 2}], "\\u0061gents": [{"workNo": 1}]}', 1),
        ('{"resultCode": "1", "resultMessage": "agent 5 sipPwd=canary-5 is wrong"}', 1),
    ],
)
def test_an_answer_that_says_something_twice_or_a_password_aloud(job: Job, body: str, code: int) -> None:
    job.write("agents.json", body)
    job.run("plan", code=code)


def test_a_record_that_says_a_member_twice_is_one_line_and_the_others_are_written(job: Job) -> None:
    body = json.dumps({"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": [agent(1), agent(2)]})
    named = '"accountCode": "user2"'
    job.write("agents.json", body.replace(named, rf'{named}, "account\u0043ode": "user3"'))
    planned = job.plan()
    assert [change["agent"]["accountCode"] for change in planned["changes"]] == ["user1"]
    assert [(each["kind"], each["why"]) for each in planned["problems"]] == [("invalid", "accountCode occurs twice")]


def test_a_damaged_state_is_an_error_without_a_traceback(job: Job) -> None:
    job.run("apply")
    with sqlite3.connect(job.folder / "state.db") as db:
        db.execute("drop table ownership")
        db.execute("delete from facts where kind = 'key'")
    db.close()
    for command in ("plan", "apply"):
        said = job.run(command, code=1)
        assert "state.db" in said
        assert "unexpected" not in said


def test_an_output_that_cannot_be_written_is_no_traceback(job: Job) -> None:
    for redirection, code in ((">/dev/full", 1), ("| head -c 10 >/dev/null", 0), (">&-", 0), ("2>&-", 0)):
        command = f"{shlex.quote(sys.executable)} -m connector plan job.yaml {redirection}"
        done = subprocess.run(["sh", "-c", command], cwd=job.folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "unexpected" not in done.stderr


def test_a_crowd_on_one_key_is_told_in_time(job: Job) -> None:
    """A constant match rule makes every agent a candidate of every user: a thousand squared, and nobody is written."""
    crowd = [person(n).replace(f"mail{n}@example.org", "all@example.org") for n in range(1, 1001)]
    job.write("people.ldif", "".join(crowd))
    job.agents([agent(number) | {"accountCode": "all" if number == 1 else f"x{number}"} for number in range(1, 1001)])
    job.write("mapping.yaml", MAPPING.replace("directory: uid", "directory: employeeType"))
    planned = job.plan()
    assert planned["changes"] == []
    (problem,) = [problem for problem in planned["problems"] if problem["kind"] == "ambiguous"]
    assert problem["why"] == "1000 users match"
    assert len(problem["users"]) == 50

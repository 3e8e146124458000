"""`explain` of a user, through the program, on an LDIF file: who it is to the job, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import BASE, MAPPING, Job, agent, person

GONE = f"uid=user3,{BASE}"
GONE_UID = "user3"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """User 3 was written, and its agent is gone; user 5 was never written, and agent 4 almost looks for it."""
    job = Job(tmp_path)
    job.agents([agent(1), agent(2), agent(3), agent(4, accountCode="user05")])
    job.run("apply", code=0)
    job.agents([agent(1), agent(2), agent(4, accountCode="user05")])
    job.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    return job


def explained(job: Job, name: str) -> dict[str, Any]:
    (found,) = json.loads(job.run("explain", name, "--json"))["agents"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "name", [f"user:uid=user1,{BASE}", f"UID=user1, {BASE}", "00000000-0000-0000-0000-000000000001"]
)
def test_a_user_that_an_agent_claims_stands_for_that_agent_however_it_is_named(job: Job, name: str) -> None:
    found = explained(job, name)
    assert (found["agent"]["accountCode"], found["verdict"]) == ("user1", "matched")


def test_a_user_of_ours_that_no_agent_claims_is_explained_as_the_plan_has_it(job: Job) -> None:
    plan = job.plan()
    lines = [each for each in plan["problems"] if each["kind"] == "stale"]
    assert lines
    kept = explained(job, GONE)
    assert (kept["agent"], kept["verdict"], kept["change"], kept["problems"]) == (None, "stale", None, lines)
    assert "since `stale` is report" in kept["why"]
    for name in (GONE_UID, f"user:{GONE_UID}"):
        assert explained(job, name) == kept

    job.write("mapping.yaml", f"{MAPPING}stale: clear\n")
    plan = job.plan()
    (change,) = [each for each in plan["changes"] if each["user"]["name"] == GONE]
    cleared = explained(job, GONE)
    assert (cleared["change"], cleared["why"].partition(": ")[2]) == (change, "its values are cleared")
    assert "  employeeNumber\n      cleared: 1003 → (none)" in job.run("explain", GONE)

    job.write("exclude.csv", f'accountCode,workNo,user\n,,"{GONE}"\n')
    job.configure(exclude="exclude.csv")
    assert "on the exclude list" in explained(job, GONE)["why"]
    job.configure(exclude=None)

    job.agents([agent(1), agent(2), {"workNo": "x", "accountCode": "broken"}])
    unsure = explained(job, GONE)
    assert unsure["change"] is None
    assert "some agents may be anybody" in unsure["why"]


@pytest.mark.parametrize("stale", ["report", "clear"])
def test_a_leaver_with_only_a_value_of_somebody_else_holds_nothing_of_ours(job: Job, stale: str) -> None:
    record = person(3).rstrip() + "\n" + "objectClass: cecAgent\ncecAccountCode: theirs\n"
    job.write("mapping.yaml", f"{MAPPING}stale: {stale}\n")
    left = job.read("people.ldif").split("\n\n")
    job.write("people.ldif", "\n\n".join(each for each in left if GONE not in each).rstrip() + "\n\n" + record)
    job.run("apply")
    plan = job.plan()
    said = [(each["attribute"], each["why"]) for each in plan["problems"] if each["kind"] == "stale"]
    assert said == [("cecAccountCode", "changed by somebody since this job wrote it; kept")]
    assert (plan["summary"]["stale"], plan["changes"]) == (0, [])
    found = explained(job, GONE)
    assert (found["verdict"], found["change"]) == ("untouched", None)
    assert "changed by somebody" in found["why"]


def test_a_deleted_user_is_not_called_by_the_name_of_who_has_its_dn_now(job: Job) -> None:
    left = [each for each in job.read("people.ldif").split("\n\n") if GONE not in each]
    record = person(3).replace("User 3", "Somebody Else").replace("000000003", "000000099")
    job.write("people.ldif", "\n\n".join(left).rstrip() + "\n\n" + record)
    plan = job.plan()
    (line,) = [each for each in plan["problems"] if each["kind"] == "stale"]
    assert line["users"] == [GONE]
    assert "The user was deleted" in line["why"]
    assert "Somebody Else" not in job.run("plan")


def test_a_file_of_agents_is_advised_about_as_a_file(job: Job) -> None:
    job.configure(source={"max_bytes": 20})
    said = job.run("plan", code=1)
    assert "longer than source.max_bytes (20)" in said
    assert "Raise the limit above in `source` of the job" in said
    assert "filter" not in said.rpartition("cec-connector:")[2]
    job.configure(source={"max_bytes": 1 << 20})
    job.write("agents.json", "[]")
    said = job.run("plan", code=1)
    assert "Fix the file, then rerun" in said
    assert "proxy" not in said


def test_all_faults_of_a_template_are_told_at_once(job: Job) -> None:
    job.write("mapping.yaml", MAPPING.replace('{accountCode}"\n', '{acountCode|uper}-{workNr}}"\n'))
    said = job.run("check", code=78)
    for fault in ("no field 'acountCode'", "no transform 'uper'", "no field 'workNr'", "a closing brace without"):
        assert fault in said


def test_a_user_of_ours_that_was_moved_away_is_told_to_be_outside(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace(GONE, "uid=user3,ou=left,dc=example,dc=org"))
    lines = [each for each in job.plan()["problems"] if each["kind"] == "stale"]
    found = explained(job, GONE)
    assert (found["verdict"], found["problems"]) == ("stale", lines)
    assert "moved out of the base" in lines[0]["why"]
    assert explained(job, GONE_UID) == found, "by uid, though no user within the base has it"


def test_a_user_that_was_renamed_stands_for_its_agent_by_its_old_name_too(job: Job) -> None:
    old, new = f"dn: uid=user1,{BASE}", f"dn: cn=User 1,{BASE}"
    job.write("people.ldif", job.read("people.ldif").replace(old, new))
    found = explained(job, f"user:uid=user1,{BASE}")
    assert (found["agent"]["accountCode"], found["verdict"]) == ("user1", "matched")


def test_a_user_that_nobody_looks_for_is_told_what_is_wanted_and_who_is_near(job: Job) -> None:
    found = explained(job, f"uid=user5,{BASE}")
    assert (found["agent"], found["verdict"], found["user"]["name"]) == (None, "untouched", f"uid=user5,{BASE}")
    assert found["why"] == (
        "no agent looks for uid 'user5' or mail 'mail5@example.org'; almost: user05 (workNo 1004) (uid: differs in "
        "leading zeros)"
    )
    said = job.run("explain", f"uid=user5,{BASE}")
    assert said.startswith("user: untouched\n")
    assert f"  user uid=user5,{BASE} (User 5), id " in said


def test_a_user_outside_of_base_and_filter_is_told_so_and_one_that_is_nowhere_is_a_usage_error(job: Job) -> None:
    away = person(9).replace(BASE, "ou=services,dc=example,dc=org")
    job.write("people.ldif", job.read("people.ldif") + away)
    found = explained(job, "user:uid=user9,ou=services,dc=example,dc=org")
    assert (found["verdict"], found["why"]) == ("outside", "base or filter leaves it out: no run reads or writes it")
    assert "there is no user" in job.run("explain", f"user:uid=user10,{BASE}", code=64)
    assert "base and filter have no user of that name" in job.run("explain", f"uid=user10,{BASE}", code=64)


def test_only_takes_a_bare_name_of_a_user_too(job: Job) -> None:
    job.agents([agent(1, sipAccount="7099"), agent(2, sipAccount="7098")])
    said = job.run("plan", "--only", "user2")
    assert "1 matched user left out by --only, or held back." in said
    plan = job.plan("--only", f"uid=user2,{BASE}")
    assert [each["agent"]["accountCode"] for each in plan["changes"]] == ["user2"]
    assert "base and filter have no user of that name" in job.run("plan", "--only", f"uid=no,{BASE}", code=64)

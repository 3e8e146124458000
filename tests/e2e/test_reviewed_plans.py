"""What a reviewer has signed is all that happens: saved plans, and everything that must not be done with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import changed, file_source
from tests.support.ldif_job import BASE, Job, agent
from tests.support.program import ended, started
from tests.support.soak_clock import Clock


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def saved(job: Job, *options: str, code: int = 0) -> dict[str, Any]:
    job.run("plan", "--save", "plan.json", *options, code=code)
    document: dict[str, Any] = json.loads(job.read("plan.json"))
    return document


def outcomes(job: Job, *options: str, code: int = 0) -> dict[str, str]:
    """Apply the saved plan; each user's outcome by the user's first RDN."""
    job.run("apply", "--plan", "plan.json", "--report", "done.json", *options, code=code)
    done = json.loads(job.read("done.json"))
    return {each["user"].partition(",")[0].removeprefix("uid="): each["outcome"] for each in done["outcomes"]}


def test_a_reviewed_plan_is_applied_once_under_its_own_id_and_digest(job: Job) -> None:
    plan = saved(job)
    assert outcomes(job) == {f"user{n}": "written" for n in (1, 2, 3, 4)}
    done = json.loads(job.read("done.json"))
    assert (done["id"], done["digest"], done["changes"]) == (plan["id"], plan["digest"], plan["changes"])
    (run,) = json.loads(job.run("runs", "--json"))
    assert (run["id"], run["digest"], run["result"]) == (plan["id"], plan["digest"], "done")
    before = job.read("people.ldif")
    said = job.run("apply", "--plan", "plan.json", code=3)
    assert "this plan is spent: it was applied; that run ended at 20" in said
    assert job.read("people.ldif") == before
    job.run("plan", "--fail-on-changes")


def test_nothing_but_what_was_reviewed_and_still_is_the_same_is_written(job: Job) -> None:
    job.agents([agent(1), agent(2), agent(3)])
    saved(job)
    # since then: agent 2 has another seat, agent 3's entry was written by hand just so, agent 4 is new
    job.agents([agent(1), agent(2, workNo=1200), agent(3), agent(4)])
    by_hand = (
        "objectClass: cecAgent\nobjectClass: SIPIdentity\ncecAccountCode: user3\nemployeeNumber: 1003\n"
        "SIPIdentitySIPURI: sip:7003@192.0.2.10:5060\nSIPIdentityPassword: canary-3\n"
    )
    job.write("people.ldif", job.read("people.ldif").replace("uid: user3\n", f"uid: user3\n{by_hand}"))
    assert outcomes(job, code=4) == {
        "user1": "written",
        "user2": "conflict",
        "user3": "unchanged",
        "user4": "skipped",
    }
    people = job.read("people.ldif")
    assert "employeeNumber: 1001" in people
    assert "1200" not in people
    assert "1002" not in people
    assert "1004" not in people
    said = job.run("apply", "--plan", "plan.json", code=3)
    assert "spent" in said


def test_what_is_new_since_the_review_is_said_and_is_no_error(job: Job) -> None:
    job.agents([agent(1)])
    saved(job)
    job.agents([agent(1), agent(2)])
    said = job.run("apply", "--plan", "plan.json", "--report", "done.html", "--report", "done.md")
    assert "new since the plan was reviewed" in said
    for name in ("done.html", "done.md"):
        assert "new" in job.read(name).partition("Not in this plan")[2]
    assert "1002" not in job.read("people.ldif")


def test_an_entry_that_was_changed_to_something_else_is_a_conflict_and_stays(job: Job) -> None:
    saved(job)
    job.write("people.ldif", job.read("people.ldif").replace("uid: user2\n", "uid: user2\nemployeeNumber: 9\n"))
    said = job.run("apply", "--plan", "plan.json", *(f"--report=done.{kind}" for kind in ALL), code=4)
    told = "differs from the reviewed plan in employeeNumber. Not written."
    assert f"  uid=user2,{BASE}: {told}" in said
    for kind in ("html", "csv", "ldif"):
        assert told in job.read(f"done.{kind}")
    assert told in job.read("done.md").replace("`", "")
    (conflict,) = (each for each in json.loads(job.read("done.json"))["outcomes"] if each["outcome"] == "conflict")
    assert conflict["differs"] == [{"name": "employeeNumber"}]
    assert "employeeNumber: 9\n" in job.read("people.ldif")


def test_a_user_whose_agent_has_gone_is_a_conflict(job: Job) -> None:
    job.configure(limits={"agents_drop": "100%"})
    saved(job)
    job.agents([agent(1), agent(2), agent(3)])
    assert outcomes(job, code=4)["user4"] == "conflict"
    assert "1004" not in job.read("people.ldif")


ALL = ("json", "csv", "md", "html", "ldif")


def edited(job: Job, old: str, new: str) -> None:
    text = job.read("plan.json")
    assert old in text
    job.write("plan.json", text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"new": ["1001"]', '"new": ["1009"]'),
        ('"update": 4', '"update": 3'),
        ("uid=user1", "uid=user2"),
        ('"created": "2', '"created": "1'),
        ('"directory": "', '"directory": "/elsewhere'),
        ('"job": "job"', '"job": "other"'),
        ("hmac-sha256:", "hmac-sha256:0"),
    ],
)
def test_a_plan_that_was_edited_is_refused(job: Job, old: str, new: str) -> None:
    saved(job)
    before = job.read("people.ldif")
    edited(job, old, new)
    job.run("apply", "--plan", "plan.json", code=3)
    assert job.read("people.ldif") == before
    assert {each["result"] for each in json.loads(job.run("runs", "--json"))} <= {"refused"}


@pytest.mark.parametrize(
    "edit",
    [
        {"people": {f"uid=user1,{BASE}": "Somebody Else"}},
        {"lost": 0},
        {"only": []},
        {"since": None},
        {"forms": ["first value"]},
        {"disabled": False},
    ],
    ids=str,
)
def test_what_a_reviewer_reads_beside_the_digests_is_as_it_was_saved(job: Job, edit: dict[str, Any]) -> None:
    """A document that was laid out anew is still the same plan; one that reads otherwise is not."""
    people = job.read("people.ldif").replace("cn: User 1\n", "cn: User 1\nemployeeNumber: 77\nnsAccountLock: true\n")
    job.write("people.ldif", people)
    job.configure(limits={"update": "100%"})
    saved(job, *(["--only", "account:user1"] if "only" in edit else ["--since", "last"]))
    document = json.loads(job.read("plan.json"))
    job.write("anew.json", json.dumps(document, indent=3))
    (name, value), change = next(iter(edit.items())), document["changes"][0]
    of = change if name in {"forms", "disabled"} else document
    assert of[name] != value, f"{name} says something to the reviewer"
    of[name] = value * len(change["attributes"]) if name == "forms" else value
    job.write("plan.json", json.dumps(document))
    said = job.run("apply", "--plan", "plan.json", code=3)
    assert "this plan was changed after it was saved" in said
    job.run("apply", "--plan", "anew.json")


def test_another_id_does_not_make_a_spent_plan_good_again(job: Job) -> None:
    plan = saved(job)
    outcomes(job)
    edited(job, plan["id"], "00000000-0000-4000-8000-000000000000")
    assert "foreign" in job.run("apply", "--plan", "plan.json", code=3)


def test_a_plan_of_another_job_another_state_or_another_directory_is_foreign(job: Job) -> None:
    saved(job)
    job.write("other.yaml", job.read("job.yaml"))
    job.write("away.yaml", job.read("job.yaml") + "state: sqlite:///away.db\n")
    job.write("people2.ldif", job.read("people.ldif"))
    for text, command in (
        (job.read("job.yaml"), "other"),
        (job.read("job.yaml") + "state: sqlite:///away.db\n", "job"),
        (job.read("job.yaml").replace("people.ldif", "people2.ldif"), "job"),
    ):
        kept = job.read("job.yaml")
        job.write(f"{command}.yaml", text)
        ended = job.program("apply", f"{command}.yaml", "--plan", "plan.json")
        assert (ended.code, "foreign" in ended.err) == (3, True), ended.said
        job.write("job.yaml", kept)


def test_what_is_no_plan_is_a_wrong_file(job: Job) -> None:
    job.write("plan.json", "{}")
    job.run("apply", "--plan", "plan.json", code=78)
    job.run("apply", "--plan", "away.json", code=78)


def test_a_saved_plan_that_was_refused_wants_its_own_digest(job: Job) -> None:
    job.configure(limits={"update": 1})
    plan = saved(job, code=3)
    job.run("apply", "--plan", "plan.json", code=3)
    said = job.run("apply", "--plan", "plan.json", "--accept", "sha256:" + "0" * 64, code=3)
    assert f"apply job.yaml --plan=plan.json --accept {plan['digest']}" in said
    assert set(outcomes(job, "--accept", plan["digest"]).values()) == {"written"}


def test_a_plan_that_was_good_is_refused_when_the_tenant_has_emptied_since(job: Job) -> None:
    job.run("apply")
    job.agents([agent(n, workNo=1100 + n) for n in (1, 2, 3, 4)])
    saved(job)
    job.agents([])
    said = job.run("apply", "--plan", "plan.json", code=3)
    assert "no agents at all" in said
    assert "1101" not in job.read("people.ldif")


def test_only_picks_out_of_a_reviewed_plan(job: Job) -> None:
    saved(job)
    assert outcomes(job, "--only", "user2") == {
        "user1": "skipped", "user2": "written", "user3": "skipped", "user4": "skipped",
    }  # fmt: skip


def test_a_plan_restricted_to_one_agent_is_applied_with_and_without_saying_so_again(job: Job) -> None:
    saved(job, "--only", "user2")
    assert outcomes(job, "--only", "user2")["user2"] == "written"
    saved(job, "--only", "1003")
    assert outcomes(job) == {"user3": "written", "user1": "skipped", "user4": "skipped"}


SPENT = "The reviewed plan is spent. To plan what is left"


def test_a_pilot_that_is_done_leads_to_a_plan_for_everybody(job: Job) -> None:
    saved(job, "--only", "user2")
    assert json.loads(job.read("plan.json"))["only"] == ["user2"]
    said = job.run("apply", "--plan", "plan.json", "--report", "report.md", "--report", "report.html")
    assert said.startswith("job: what apply would do")
    assert "skipped: 3\n  3 left out: not in this plan\nDone: 1 of 4 users written, 3 left out.\n" in said
    assert "Nothing was written" not in said
    assert not any("uid=user4" in job.read(f"report.{end}") for end in ("md", "html"))
    assert f"{SPENT}, run:\n    cec-connector plan job.yaml --save plan-next.json\n" in said
    saved(job)
    assert SPENT not in job.run("apply", "--plan", "plan.json")


def test_a_pilot_of_a_plan_for_everybody_leads_to_another_file(job: Job) -> None:
    saved(job)
    (job.folder / "plan.json").rename(job.folder / "pilot.json")
    said = job.run("apply", "--plan", "pilot.json", "--only", "user2")
    assert "  3 left out (--only)\n" in said
    assert "\n    cec-connector plan job.yaml --save pilot-next.json\n" in said


def test_a_pilot_that_failed_is_planned_again(job: Job) -> None:
    saved(job, "--only", "user2", "--only", "user3")
    job.agents([agent(1), agent(2), agent(3, workNo=1009), agent(4)])
    said = job.run("apply", "--plan", "plan.json", code=4)
    again = "cec-connector plan job.yaml --only=user2 --only=user3 --save plan-next.json"
    assert f"{SPENT}, run:\n    {again}\n" in said


def test_nothing_was_written_is_said_where_that_is_the_end(job: Job) -> None:
    job.configure(limits={"update": 1})
    refused = job.run("apply", code=3)
    assert "Nothing was written." in refused
    job.configure(limits={"update": "100%"})
    assert "Nothing was written." in job.run("plan")
    assert "Nothing was written." not in job.run("apply")


def test_a_seat_is_only_given_when_the_letting_go_was_reviewed_as_it_is_now(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1, workNo=1003), agent(2), agent(3, workNo=1007), agent(4)])
    saved(job)
    job.agents([agent(1, workNo=1003), agent(2), agent(3, workNo=1008), agent(4)])
    assert outcomes(job, code=4) == {"user1": "skipped", "user3": "conflict"}
    people = job.read("people.ldif")
    assert [people.count(f"employeeNumber: {seat}\n") for seat in (1001, 1003, 1007, 1008)] == [1, 1, 0, 0]


def test_a_plan_is_not_saved_where_no_state_can_remember_it(job: Job) -> None:
    job.configure(state="sqlite:///gone/state.db")
    said = job.run("plan", "--save", "plan.json", code=1)
    assert "no state can be kept" in said
    assert not (job.folder / "plan.json").exists()


def test_the_plan_is_not_a_place_for_a_report(job: Job) -> None:
    saved(job)
    before = job.read("plan.json")
    job.run("apply", "--plan", "plan.json", "--report", "plan.json", code=64)
    assert job.read("plan.json") == before


# ---------------------------------------------------------------- ramp, limits, stale


def test_a_limit_of_one_attribute_refuses_and_names_whom_it_concerns(job: Job) -> None:
    job.configure(limits={"attributes": {"EmployeeNumber": 2}})
    said = job.run("plan", "--report", "report.json", "--report", "report.md", code=3)
    assert "Too many changes of employeeNumber  4 planned, 2 allowed" in said
    assert f"uid=user3,{BASE}" in said.partition("Changes")[0]
    (refusal,) = json.loads(job.read("report.json"))["refusals"]
    assert (refusal["limit"], refusal["allowed"], refusal["planned"]) == ("attributes.employeeNumber", 2, 4)
    assert "uid=user3" in job.read("report.md").partition("## Changes")[0]


def test_a_limit_of_an_attribute_that_the_mapping_does_not_write_is_a_mistake(job: Job) -> None:
    job.configure(limits={"attributes": {"mail": 2}})
    assert "job.yaml:4: limits.attributes: the mapping does not write mail" in job.run("plan", code=78)


def leave(job: Job) -> None:
    """Agent 4 leaves."""
    job.agents([agent(1), agent(2), agent(3)])


def test_what_nobody_claims_is_cleared_after_so_many_applies(job: Job) -> None:
    job.configure(limits={"agents_drop": "100%"})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: {clear_after: 2 runs}\n")
    job.run("apply")
    leave(job)
    for _ in range(3):
        job.run("plan", "--fail-on-changes")  # looking on does not count
    job.run("apply")
    job.run("apply")
    assert "1004" in job.read("people.ldif")
    job.run("plan", "--fail-on-changes", code=2)
    job.run("apply")
    assert "1004" not in job.read("people.ldif")
    job.run("plan", "--fail-on-changes")


def test_who_is_claimed_again_begins_anew(job: Job) -> None:
    job.configure(limits={"agents_drop": "100%"})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: {clear_after: 1 run}\n")
    job.run("apply")
    leave(job)
    job.run("apply")
    job.agents([agent(n) for n in (1, 2, 3, 4)])
    job.run("apply")
    leave(job)
    job.run("apply")
    assert "1004" in job.read("people.ldif")
    job.run("apply")
    assert "1004" not in job.read("people.ldif")


def test_days_of_grace_begin_with_the_first_apply_that_sees_it(job: Job) -> None:
    job.configure(limits={"agents_drop": "100%"})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: {clear_after: 7 days}\n")
    job.run("apply")
    leave(job)
    job.run("apply")
    job.run("plan", "--fail-on-changes")
    job.sql("update notes set number = 6 * 86400 where kind = 'stale'")
    job.run("apply")
    assert "1004" in job.read("people.ldif")
    job.sql("update notes set number = 7 * 86400 where kind = 'stale'")
    job.run("apply")
    assert "1004" not in job.read("people.ldif")


@pytest.mark.slow
@pytest.mark.monitoring
@pytest.mark.parametrize("wrong", [datetime(1970, 1, 3, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)])
def test_a_wrong_clock_counts_as_a_week_at_most(job: Job, wrong: datetime) -> None:
    job.configure(limits={"agents_drop": "100%"})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: {clear_after: 10 days}\n")
    job.run("apply")
    leave(job)
    clock = Clock(job.folder / "clock", wrong)
    with started("apply", "job.yaml", folder=job.folder, env=clock.env) as process:
        assert ended(process).code == 0
    job.run("plan", "--fail-on-changes")
    for _ in range(2):
        job.run("apply")
    assert "1004" in job.read("people.ldif")
    job.sql("update notes set number = 10 * 86400 where kind = 'stale'")
    job.run("apply")
    assert "1004" not in job.read("people.ldif")


def test_what_is_adopted_is_stale_though_we_never_wrote_it(job: Job) -> None:
    job.agents([agent(1)])
    text = job.read("mapping.yaml").replace('cecAccountCode: "{accountCode}"',
                                            'cecAccountCode: {value: "{accountCode}", adopt: true}')  # fmt: skip
    job.write("mapping.yaml", text + "stale: clear\n")
    by_hand = "objectClass: cecAgent\ncecAccountCode: gone\nemployeeNumber: 5\n"
    job.write("people.ldif", job.read("people.ldif").replace("uid: user3\n", f"uid: user3\n{by_hand}"))
    said = job.run("plan", "--report", "report.json", code=0)
    assert "\n1 problem: 1 stale." in said
    job.run("apply")
    people = job.read("people.ldif")
    assert "cecAccountCode: gone" not in people
    assert "employeeNumber: 5\n" in people, "what is neither adopted nor ours was cleared"
    assert "cecAccountCode: user1" in people
    job.run("plan", "--fail-on-changes")


def test_a_drop_is_measured_against_the_last_apply_that_ended(job: Job) -> None:
    job.agents([agent(1), agent(2)])
    job.run("apply")
    job.agents([agent(n) for n in (1, 2, 3, 4)])
    # an apply in part read the whole tenant too: what it saw counts
    job.write("people.ldif", job.read("people.ldif"))
    job.run("apply")
    job.agents([agent(1), agent(2)])
    assert "agents_drop" in job.run("plan", code=3)


def test_two_tenants_in_one_directory_do_not_clear_each_others_users(job: Job) -> None:
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    job.configure(limits={"agents_drop": "100%"})
    job.write("other.yaml", changed(job.read("job.yaml"), source=file_source("other.json")))
    job.agents([agent(3), agent(4)])
    job.write("other.json", job.read("agents.json"))
    job.agents([agent(1), agent(2)])
    for _ in range(2):
        job.run("apply")
        assert job.program("apply", "other.yaml").code == 0
    people = job.read("people.ldif")
    assert [people.count(f"employeeNumber: 100{number}\n") for number in (1, 2, 3, 4)] == [1, 1, 1, 1]
    # user 2 goes over to the other tenant: whoever lets go of him clears, and the other writes anew
    job.agents([agent(2), agent(3), agent(4)])
    job.write("other.json", job.read("agents.json"))
    job.agents([agent(1)])
    assert job.program("apply", "other.yaml").code == 0
    job.run("apply")
    assert "employeeNumber: 1002" not in job.read("people.ldif")
    assert job.program("apply", "other.yaml").code == 0
    assert "employeeNumber: 1002" in job.read("people.ldif")
    # and who leaves the other one is cleared by it alone
    job.agents([agent(3), agent(4)])
    job.write("other.json", job.read("agents.json"))
    job.agents([agent(1)])
    job.run("plan", "--fail-on-changes")
    assert job.program("apply", "other.yaml").code == 0
    assert "employeeNumber: 1002" not in job.read("people.ldif")

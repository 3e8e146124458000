"""Taking a run back: what it takes back, what it leaves, and that nothing is written again by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=4)
    made.configure(limits={"agents_drop": "100%"})
    return made


def entries(people: str) -> list[list[str]]:
    """The entries, whatever the order of their lines."""
    return [sorted(entry.splitlines()) for entry in people.split("\n\n")]


def last_run(job: Job) -> str:
    return str(json.loads(job.run("runs", "--json"))[0]["id"])


def test_a_run_is_taken_back_to_the_octet_and_nothing_is_written_again_until_released(job: Job) -> None:
    before = job.read("people.ldif")
    job.run("apply")
    after = job.read("people.ldif")
    run = last_run(job)
    shown = job.run("undo", run)
    assert "job: what undo would do" in shown
    assert "SIPIdentityPassword: (secret) cleared" in shown
    assert job.read("people.ldif") == after, "undo without --apply wrote to the directory"

    done = job.run("undo", run, "--apply")
    assert "Done: 4 of 4 users written" in done
    hold = f": its run {run} was taken back. Applies are refused. To allow them again, run:\n"
    hold += "    cec-connector release job.yaml\n"
    assert done.endswith(hold)
    assert job.run("runs").endswith(hold)
    listed = job.program("runs", "job.yaml", "--json")
    assert json.loads(listed.out)
    assert listed.err.endswith(hold)
    assert "! The job is on hold since 2" in job.run("plan")
    assert job.read("people.ldif") == before
    newest = json.loads(job.run("runs", "--json"))[0]
    assert (newest["kind"], newest["undoes"], newest["result"]) == ("undo", run, "done")

    said = job.run("apply", code=3)
    assert "on hold" in said
    assert "To allow applies again, run:\n    cec-connector release job.yaml" in said
    assert "refused. To allow them, run: cec-connector release job.yaml" in job.run("plan", "--fail-on-changes", code=2)
    assert "refused. To allow them, run:\n    cec-connector release job.yaml\n" in job.run("check")
    job.configure(limits={"update": 0})
    said = job.run("plan", code=3)
    assert "Release it first. Then, to apply anyway, run:\n    cec-connector apply job.yaml --accept" in said
    job.configure(limits={"update": "100%"})
    assert job.read("people.ldif") == before
    job.run("plan", "--fail-on-changes", code=2)
    assert "Released" in job.run("release")
    assert "on hold" not in job.run("check") + job.run("plan")
    said = job.run("runs", newest["id"])
    assert "The job is on hold" not in said
    assert said.count(" apply refused by ") == 1, "an apply that came to nothing while it was on hold"
    assert "not on hold" in job.run("release")
    job.run("apply")
    assert job.read("people.ldif") == after


def test_an_undo_that_writes_nothing_says_that_the_job_is_on_hold_too(job: Job) -> None:
    job.configure(limits={"clear": 0})
    job.run("apply")
    assert "on hold" not in job.run("undo", "last", "--apply", code=3)
    job.run("undo", "last", "--report", "report.json", code=3)
    digest = json.loads(job.read("report.json"))["digest"]
    assert "The job is on hold since" in job.run("undo", "last", "--apply", "--accept", digest)
    again = job.run("undo", "last", "--apply")
    assert "nothing to write" in again
    assert "The job is on hold since" in again


def test_secrets_that_were_there_before_come_back_and_are_sealed_until_then(job: Job) -> None:
    job.run("apply")
    before = job.read("people.ldif")
    job.agents([agent(n, sipPwd=f"canary-new-{n}") for n in (1, 2, 3, 4)])
    job.run("apply")
    assert "canary-new-1" in job.read("people.ldif")
    octets = (job.folder / "state.db").read_bytes()
    assert b"canary" not in octets
    job.run("undo", last_run(job), "--apply")
    assert job.read("people.ldif") == before


def test_what_somebody_has_changed_since_stays(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    people = job.read("people.ldif").replace("employeeNumber: 1002", "employeeNumber: 77")
    job.write("people.ldif", people.replace("canary-3", "canary-by-hand"))
    said = job.run("undo", run, "--apply")
    assert "changed since that run" in said
    people = job.read("people.ldif")
    assert "employeeNumber: 77" in people
    assert "canary-by-hand" in people
    assert "1001" not in people
    user3 = people.partition("uid: user3")[2].partition("uid: user4")[0]
    assert "SIPIdentitySIPURI: held back with SIPIdentityPassword" in said
    assert "SIPIdentitySIPURI: sip:7003@" in user3, "an identity goes back whole or stays whole"
    assert "employeeNumber" not in user3


def test_an_object_class_that_something_left_needs_stays(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    beside = "SIPIdentityRegistrarAddress: registrar.example.org\n"
    job.write("people.ldif", job.read("people.ldif").replace("uid: user2\n", f"uid: user2\n{beside}"))
    job.run("undo", run, "--apply")
    people = job.read("people.ldif")
    entries = {name: people.partition(f"uid: {name}\n")[2].partition("\n\n")[0] for name in ("user1", "user2")}
    whole = {name: people.partition(f"dn: uid={name},")[2].partition("\n\n")[0] for name in ("user1", "user2")}
    assert beside in entries["user2"] + "\n"
    assert "SIPIdentity\n" in whole["user2"]
    assert "cecAgent" not in whole["user2"]
    assert "SIPIdentity" not in whole["user1"]


def test_an_object_class_that_was_there_before_stays(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", "uid: user1\nobjectClass: cecAgent\n"))
    before = job.read("people.ldif")
    job.run("apply")
    job.run("undo", last_run(job), "--apply")
    assert job.read("people.ldif") == before


def test_seats_that_changed_hands_change_back(job: Job) -> None:
    job.run("apply")
    before = job.read("people.ldif")
    job.agents([agent(1, workNo=1002), agent(2, workNo=1003), agent(3, workNo=1001), agent(4)])
    job.run("apply")
    assert entries(job.read("people.ldif")) != entries(before)
    job.run("undo", last_run(job), "--apply")
    assert entries(job.read("people.ldif")) == entries(before)


def test_of_a_run_that_was_interrupted_all_that_happened_is_shown_and_taken_back(job: Job) -> None:
    before = job.read("people.ldif")
    job.run("apply")
    run = last_run(job)
    job.sql("update journal set outcome = null")  # as after a kill behind the last write
    job.sql("update runs set ended = null, result = null")
    shown = job.run("undo", run)
    assert "4 users would be changed" in shown
    assert "4 users would be changed" in job.run("undo", run), "looking on has settled something"
    said = job.run("undo", run, "--apply")
    digests = [next(line for line in text.splitlines() if line.startswith("  digest")) for text in (shown, said)]
    assert digests[0] == digests[1], "what was shown is not what was done"
    assert job.read("people.ldif") == before


def killed(job: Job) -> str:
    """The last run, as a kill behind its last write leaves it: no outcome is noted, nor whose the values are."""
    job.sql("update journal set outcome = null")
    job.sql("update runs set ended = null, result = null")
    job.sql("delete from ownership")
    return last_run(job)


def test_what_an_interrupted_run_wrote_is_the_jobs_before_any_run_has_settled_it(job: Job) -> None:
    job.run("apply")
    run = killed(job)
    shown = job.run("undo", run)
    assert "4 users would be changed" in shown
    assert "did not write" not in shown


def test_an_undo_names_whom_an_interrupted_run_may_have_written_and_it_cannot_see(job: Job) -> None:
    """Before a new apply has looked for them, and after."""
    job.run("apply")
    run = killed(job)
    *others, moved = job.read("people.ldif").strip().split("\n\n")
    assert "uid: user4" in moved
    job.write("people.ldif", "\n\n".join([*others, moved.replace("ou=people,", "ou=archive,", 1)]) + "\n")
    told = "no answer tells whether that run wrote here, and the user is gone, or outside base and filter; kept"
    for said in (job.run("undo", run), job.run("apply") and job.run("undo", run), job.run("undo", run, "--apply")):
        words = " ".join(said.split())
        assert "3 users" in words
        assert told in words
        assert "uid=user4" in words


def test_limits_hold_for_an_undo_too(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"clear": 2, "agents_drop": None})
    run = last_run(job)
    after = job.read("people.ldif")
    said = job.run("undo", run, "--apply", code=3)
    assert "Too many users to empty  4 planned, 2 allowed" in said
    assert job.read("people.ldif") == after
    job.run("apply")  # a refused undo puts nothing on hold
    command = next(line for line in said.splitlines() if "--accept" in line).split()
    assert command[:4] == ["cec-connector", "undo", "job.yaml", run]
    job.run("undo", *command[3:])
    assert "1001" not in job.read("people.ldif")


def test_a_refused_undo_of_many_ends_with_the_command_and_says_alike_problems_once(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    job.configure(limits={"update": "100%"})
    job.run("apply")
    job.write("people.ldif", job.read("people.ldif").replace("SIPIdentitySIPURI: sip:7", "SIPIdentitySIPURI: sip:8"))
    before, run = job.read("people.ldif"), last_run(job)
    for options in ((), ("--apply",)):
        said = job.program("undo", "job.yaml", "last", *options)
        assert said.code == 3, said.said
        head, end = said.out.split("Refused. Nothing was written. To apply anyway, run:\n    ")
        assert end.startswith(f"cec-connector undo job.yaml {run} --apply --accept sha256:")
        assert len(end.splitlines()) == 1
        refused = head.partition("REFUSED\n")[2].partition("… and ")[0].splitlines()
        listed = [line for line in refused if "uid=" in line]
        assert len(listed) == 10
        assert all("(User " in line for line in listed), listed
        assert head.count("changed since that run; kept") == 1
        assert head.count("held back with SIPIdentitySIPURI") == 1
        assert head.count("  - 30 users, ") == 2
    assert job.read("people.ldif") == before
    assert job.program(*end.split()[1:]).code == 0
    assert "\nemployeeNumber" not in job.read("people.ldif")


def test_what_an_undo_puts_back_is_ours_only_if_it_was_before(job: Job) -> None:
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    job.write("people.ldif", job.read("people.ldif").replace("uid: user4\n", "uid: user4\nemployeeNumber: 55\n"))
    job.run("apply")
    job.run("undo", last_run(job), "--apply")
    assert "employeeNumber: 55" in job.read("people.ldif")
    job.run("release")
    job.agents([agent(1)])
    job.run("apply")
    assert "employeeNumber: 55" in job.read("people.ldif"), "a value that was never ours was cleared"

    job.agents([agent(1), agent(2)])
    job.run("apply")
    job.agents([agent(1), agent(2, workNo=1200)])
    job.run("apply")
    job.run("undo", last_run(job), "--apply")
    assert "employeeNumber: 1002" in job.read("people.ldif")
    job.run("release")
    job.agents([agent(1)])
    job.run("apply")
    assert "employeeNumber: 1002" not in job.read("people.ldif"), "a value that was ours has been forgotten"


def test_what_somebody_put_beside_ours_is_not_ours_for_an_undo_that_brings_it_back(job: Job) -> None:
    room = 'attributes:\n  roomNumber: {value: "{workNo}", owns: "*"}'
    job.write("mapping.yaml", job.read("mapping.yaml").replace("attributes:", room) + "stale: clear\n")
    job.run("apply")
    people = job.read("people.ldif")
    job.write("people.ldif", people.replace("roomNumber: 1002\n", "roomNumber: 1002\nroomNumber: east\n"))
    job.run("apply")
    assert "roomNumber: east" not in job.read("people.ldif")
    job.run("undo", "last", "--apply")
    job.run("release")
    job.agents([agent(1), agent(3), agent(4)])
    job.run("apply")
    assert "roomNumber: east" in job.read("people.ldif")


def test_an_undo_needs_no_tenant(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    job.write("agents.json", "no JSON")
    job.run("undo", run, "--apply")
    assert "1001" not in job.read("people.ldif")


def test_an_undo_can_be_taken_back(job: Job) -> None:
    job.run("apply")
    after = job.read("people.ldif")
    job.run("undo", last_run(job), "--apply")
    job.run("undo", last_run(job), "--apply")
    people = job.read("people.ldif")
    assert people.count("employeeNumber: 100") == 4
    # a password that was cleared had been seen, so that it comes back as well
    assert entries(people) == entries(after)


def test_attributes_that_the_mapping_has_dropped_since_are_taken_back_too(job: Job) -> None:
    before = job.read("people.ldif")
    job.run("apply")
    mapping = job.read("mapping.yaml")
    job.write("mapping.yaml", "\n".join(line for line in mapping.splitlines() if "employeeNumber" not in line) + "\n")
    job.run("undo", last_run(job), "--apply")
    assert job.read("people.ldif") == before


@pytest.mark.parametrize("run", ["", "nonsense", "' or 1=1 --"])
def test_a_run_that_is_none_is_a_mistake_of_the_command_line(job: Job, run: str) -> None:
    job.run("apply")
    assert "has no run" in job.run("undo", run, "--apply", code=64)


def test_a_run_of_another_job_or_directory_is_not_taken_back(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    job.write("other.yaml", job.read("job.yaml"))
    assert job.program("undo", "other.yaml", run, "--apply").code == 64
    job.write("people2.ldif", job.read("people.ldif"))
    job.configure(directory={"path": "people2.ldif"})
    assert "another directory" in job.run("undo", run, "--apply", code=78)


def test_a_second_undo_finds_nothing_left(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    assert "done before" not in job.run("undo", run, "--apply")
    said = job.run("undo", run)
    assert "no user would be changed" in said
    assert f"done before run {last_run(job)} took it back, as far as it could" in said
    job.run("undo", run, "--apply")  # which had nothing to write
    assert f"done before run {last_run(job)}" not in job.run("undo", run)


def test_who_is_on_the_exclusion_list_stays_as_the_run_left_it(job: Job) -> None:
    """By account, by seat, by DN in another spelling, and by id."""
    job.run("apply")
    run = last_run(job)
    after = job.read("people.ldif")
    for listed in (
        "accountCode\nuser2\n", "workNo\n1002\n", 'user\n"UID=user2, OU=People,dc=example,dc=org"\n',
        "user\n00000000-0000-0000-0000-000000000002\n",
    ):  # fmt: skip
        job.write("exclude.csv", listed)
        job.configure(exclude="exclude.csv")
        shown = job.run("undo", run)
        assert "3 users would be changed" in shown, listed
        assert "exclude list; the values of that run are kept" in shown
    job.run("undo", run, "--apply")
    left = {entry for entry in job.read("people.ldif").split("\n\n") if "employeeNumber" in entry}
    assert left == {entry for entry in after.split("\n\n") if "uid: user2" in entry}


def test_an_undo_that_takes_nothing_back_leaves_no_hold(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    job.write("exclude.csv", "accountCode\nuser1\nuser2\nuser3\nuser4\n")
    job.configure(exclude="exclude.csv")
    done = job.run("undo", run, "--apply")
    assert "no user would be changed" in done
    assert "release" not in done
    assert "not on hold" in job.run("release")
    job.configure(exclude=None)
    job.run("undo", run, "--apply")
    job.run("undo", run, "--apply")
    assert "on hold" in job.run("apply", code=3), "a second undo has ended the hold of the first"


def test_octets_that_are_no_text_in_a_unique_attribute_are_looked_for_as_octets(job: Job) -> None:
    seat = "employeeNumber:: TfxsbGVy\n"  # M, an octet that is no UTF-8, ller
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", f"uid: user1\n{seat}"))
    job.run("apply")
    run = last_run(job)
    assert "4 users would be changed" in job.run("undo", run)
    assert "3 of 4 users written" in job.run("undo", run, "--apply", code=4)


def test_a_run_is_named_by_last_or_by_the_beginning_of_its_id(job: Job) -> None:
    before = job.read("people.ldif")
    assert "has written anything yet" in job.run("runs", "last", code=64)
    for options in ((), ("--apply",), ("--apply",)):
        assert "RUN: no apply of this job has written anything yet" in job.run("undo", "last", *options, code=64)
    job.run("plan")
    assert "no apply of this job has written anything" in job.run("undo", "last", code=64)
    job.run("apply")
    wrote = last_run(job)
    job.run("apply")  # it had nothing to write
    assert last_run(job) != wrote
    assert f"takes back run {wrote}" in job.run("undo", "last").replace("  ", " ")
    assert [each["id"] for each in json.loads(job.run("runs", "last", "--json"))] == [wrote]
    assert job.run("runs", wrote[:12]).startswith(wrote)

    job.run("undo", wrote[:12], "--apply")
    assert job.read("people.ldif") == before
    undone = json.loads(job.run("runs", "--json"))[0]
    assert undone["undoes"] == wrote, "a run is kept by its whole id"
    assert f"takes back run {wrote}" in job.run("undo", "last").replace("  ", " "), "an undo is no apply"

    assert "this job has no run 'zzz'. To list its runs" in job.run("undo", "zzz", code=64)
    assert "this job has no run ''" in job.run("undo", "", code=64)
    job.sql(f"update runs set id = '{wrote[:8]}-other' where id <> '{wrote}' and kind = 'apply'")
    several = job.run("undo", wrote[:8], code=64)
    assert f"the ids of 2 runs begin with '{wrote[:8]}': {wrote[:8]}-other, {wrote}. Write more of the id" in several


def test_what_a_reader_is_told_to_run_names_the_run_by_its_whole_id(job: Job) -> None:
    job.configure(limits={"clear": 0})
    job.run("apply")
    said = job.run("undo", "last", code=3)
    assert f"cec-connector undo job.yaml {last_run(job)} --apply --accept sha256:" in said

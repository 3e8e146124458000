"""The audit as a chain: `audit verify` by files, by the state, and by hand."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from connector.cli.apply import open_record
from connector.state.store import open_state
from tests.support.audit_lines import keep_again
from tests.support.held_file import entry, held, set_gate
from tests.support.ldif_job import Job, agent
from tests.support.pages import ROOT
from tests.support.postgres import Postgres
from tests.support.program import Ended, ended, started
from tests.support.syslogd import Syslogd


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.configure(audit={"file": "audit.jsonl"})
    made.run("apply")
    return made


def again(job: Job, first: int) -> None:
    """A second run, which writes all three users."""
    job.agents([agent(number, workNo=first + number) for number in (1, 2, 3)])
    job.run("apply")


def verify(job: Job, *arguments: str, code: int = 0) -> str:
    ended = job.program("audit", "verify", *arguments)
    assert ended.code == code, ended.said
    return ended.said


def lines(job: Job) -> list[str]:
    return job.read("audit.jsonl").splitlines(keepends=True)


def test_each_record_has_a_number_and_the_digest_of_the_one_before(job: Job) -> None:
    again(job, 2000)
    assert [json.loads(line)["number"] for line in lines(job)] == list(range(1, 11))
    assert verify(job, "audit.jsonl") == (
        "job: records 1 to 10, unchanged (audit.jsonl:1 to audit.jsonl:10)\n"
        "job: the end is not verified. Add --job with its job file\n"
    )
    with_state = "job: records 1 to 10, unchanged (audit.jsonl:1 to audit.jsonl:10)\n"
    assert verify(job, "--job", "job.yaml", "audit.jsonl") == with_state


def test_records_that_begin_anew_after_a_rotated_file_are_numbered_as_they_are(job: Job) -> None:
    again(job, 2000)
    rotated = lines(job)[5:]
    (job.folder / "state.db").unlink()
    (job.folder / "audit.jsonl").unlink()
    again(job, 3000)
    job.write("both.jsonl", "".join([*rotated, *lines(job)]))
    said = verify(job, "--from", "6", "both.jsonl", code=1)
    assert "records 6 to 10 (both.jsonl:5) came before, and the chain begins anew with record 1 here" in said
    assert "job: records 1 to 5, see above (both.jsonl:6 to both.jsonl:10)" in said


EDITS: list[tuple[Callable[[list[str]], list[str]], str]] = [
    (
        lambda all_: [*all_[:2], all_[2].replace("user2", "user9"), *all_[3:]],
        "audit.jsonl:4: job: this record or the one before it was changed",
    ),
    (lambda all_: [*all_[:2], *all_[3:]], "audit.jsonl:3: job: missing before this one: record 3"),
    (lambda all_: [all_[0], *all_[3:]], "audit.jsonl:2: job: missing before this one: records 2 to 3"),
    (lambda all_: all_[1:], "audit.jsonl:1: job: missing before this one: record 1. Give older files first"),
    (lambda all_: [*all_[:2], all_[3], all_[2], all_[4]], "audit.jsonl:4: job: record 3 is out of order, or was"),
    (lambda all_: [*all_[:3], all_[2], *all_[3:]], "audit.jsonl:4: job: record 3 is here once more"),
    (
        lambda all_: [*all_[:3], "# note\n", *all_[3:]],
        "audit.jsonl:4: this line is no record, and no half of a later one",
    ),
    (
        lambda all_: [*all_[:3], '{"event":"write","job":"job"}\n', *all_[3:]],
        "audit.jsonl:4: job: the record was changed or added, or is of an earlier version",
    ),
]


def test_what_was_edited_removed_moved_or_added_is_found_by_its_line(job: Job) -> None:
    whole = lines(job)
    for edit, said in EDITS:
        job.write("audit.jsonl", "".join(edit(whole)))
        assert said in verify(job, "audit.jsonl", code=1)
    assert said in verify(job, "--job", "job.yaml", "audit.jsonl", code=1)


def test_a_cut_end_is_found_with_the_job(job: Job) -> None:
    job.write("audit.jsonl", "".join(lines(job)[:3]))
    assert "the end is not verified" in verify(job, "audit.jsonl")
    said = verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    assert "audit.jsonl:3: job: the end is cut: the state knows records up to 5. Give the newest file too" in said
    job.write("audit.jsonl", "")
    assert "the end is cut" in verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    assert verify(job, "audit.jsonl") == "No records.\n"


@pytest.mark.slow
def test_the_last_record_is_vouched_for_by_the_state_alone(job: Job) -> None:
    job.write("audit.jsonl", "".join([*lines(job)[:4], lines(job)[4].replace('"code":0', '"code":4')]))
    verify(job, "audit.jsonl")
    said = verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    assert "audit.jsonl:5: job: record 5 was changed: the state knows another digest" in said


def run_ids(job: Job) -> list[str]:
    """The job's runs, the first one first."""
    return [each["id"] for each in reversed(json.loads(job.program("runs", "job.yaml", "--json").out))]


def test_a_run_without_the_audit_is_found_with_the_job(job: Job) -> None:
    job.configure(audit=None)
    again(job, 2000)
    job.configure(audit={"file": "audit.jsonl"})
    for _ in range(2):
        verify(job, "audit.jsonl")
        said = verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
        found = re.findall(r"^job: run (\S+) of \S+ wrote 3 users, and has no record", said, re.MULTILINE)
        assert found == [run_ids(job)[1]]
        again(job, 3000)


def test_no_run_begins_between_the_record_of_a_release_and_the_release(job: Job) -> None:
    with open_record(job.folder / "job.yaml") as record:
        record("it was taken back", [])
        assert json.loads(lines(job)[-1])["event"] == "release"
        assert "BusyError" in job.run("apply", code=75)
    job.run("apply")


def test_a_release_is_a_record(job: Job) -> None:
    (run,) = run_ids(job)
    job.run("undo", run, "--apply")
    job.run("release")
    (record,) = [each for each in map(json.loads, lines(job)) if each["event"] == "release"]
    assert record["why"] == f"its run {run} was taken back"
    assert record["who"]["user"]
    job.run("release")
    assert sum('"event":"release"' in each for each in lines(job)) == 1, "it was not on hold"
    verify(job, "--job", "job.yaml", "audit.jsonl")
    (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
    (job.folder / "audit.jsonl").mkdir()
    job.run("undo", run, "--apply", code=1)


def test_rotation_keeps_the_chain(job: Job) -> None:
    (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
    again(job, 2000)
    assert "records 1 to 10, unchanged" in verify(job, "--job", "job.yaml", "audit.1", "audit.jsonl")
    said = verify(job, "audit.jsonl", code=1)
    assert "missing before this one: records 1 to 5. Give older files first; if they were deleted, add" in said
    assert "`--from 6`" in said
    assert "records 6 to 10, unchanged" in verify(job, "--job", "job.yaml", "--from", "6", "audit.jsonl")
    assert verify(job, "audit.jsonl", "audit.1", code=1).count("missing") == 1
    assert "the end is cut" in verify(job, "--job", "job.yaml", "audit.1", code=1)


@pytest.mark.slow
def test_a_record_of_an_earlier_version_cannot_be_verified_and_those_after_it_can(job: Job) -> None:
    old = [re.sub(r',"prev":.*', ',"chain":{}}', line) for line in lines(job)]
    job.write("old.jsonl", "".join(old))
    job.write("audit.jsonl", "")
    job.sql(f"update audits set digest = '{sha256(old[-1].strip().encode()).hexdigest()}'")
    again(job, 2000)
    counted = "job: records of an earlier version, not verified: 5\n"
    assert verify(job, "--job", "job.yaml", "old.jsonl", "audit.jsonl") == (
        f"{counted}job: records 6 to 10, unchanged (audit.jsonl:1 to audit.jsonl:5)\n"
    )
    job.write("old.jsonl", job.read("old.jsonl").replace(old[-1], old[-1].replace("end", "enD")))
    assert "missing before this one: records 1 to 5" in verify(job, "old.jsonl", "audit.jsonl", code=1)
    said = verify(job, "audit.jsonl", "old.jsonl", "--from", "6", code=1)
    assert "old.jsonl:1: job: the record was changed or added" in said


@pytest.mark.slow
def test_a_file_of_an_earlier_version_alone_is_verified_by_the_state_alone(job: Job) -> None:
    old = [re.sub(r',"prev":.*', ',"chain":{}}', line) for line in lines(job)]
    job.write("audit.jsonl", "".join(old))
    said = verify(job, "audit.jsonl", code=1)
    assert "job: no record has a number: nothing can be verified" in said
    assert "the end is cut" in verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    job.sql(f"update audits set digest = '{sha256(old[-1].strip().encode()).hexdigest()}'")
    said = verify(job, "--job", "job.yaml", "audit.jsonl")
    assert said == "job: records of an earlier version, not verified: 5\n"
    job.sql("delete from audits")
    assert "nothing can be verified" in verify(job, "--job", "job.yaml", "audit.jsonl", code=1)


def test_a_file_that_was_not_read_is_named(job: Job) -> None:
    again(job, 2000)
    keep_again(job.folder / "state.db", lines(job)[5:])
    said = verify(job, "--job", "job.yaml")
    assert "job: records 6 to 10, unchanged (state:6 to state:10)" in said
    assert f"{job.folder / 'audit.jsonl'}: not read. To check its records too, give it as FILE" in said


@pytest.mark.slow
def test_half_a_line_is_no_finding_once_the_whole_one_follows(job: Job) -> None:
    whole = lines(job)
    job.write("audit.jsonl", "".join(whole[:3]) + whole[3][:40])
    said = verify(job, "audit.jsonl")
    assert "audit.jsonl:4: half a record, of a run that is under way or was interrupted" in said
    keep_again(job.folder / "state.db", whole[3:])
    assert "records 1 to 5, unchanged (audit.jsonl:1 to state:5)" in verify(job, "--job", "job.yaml", "audit.jsonl")
    again(job, 2000)
    assert job.read("audit.jsonl").startswith("".join(whole[:3]) + whole[3][:40] + "\n" + "".join(whole[3:]))
    assert "records 1 to 10, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize("half", ["x", '{"time":"20'])
def test_half_a_line_at_the_end_hides_no_line_before_it(job: Job, half: str) -> None:
    whole = job.read("audit.jsonl")
    job.write("audit.jsonl", f"{whole}note: approved\n{half}")
    said = verify(job, "audit.jsonl", code=1)
    assert "audit.jsonl:6: this line is no record, and no half of a later one" in said
    assert ("audit.jsonl:7: this line is no record" in said) == (half == "x")
    job.write("audit.jsonl", f"{whole}{half}")
    verify(job, "audit.jsonl", code=int(half == "x"))
    verify(job, "--job", "job.yaml", "audit.jsonl", code=1)  # the state would have the whole line


@pytest.mark.slow
def test_a_file_that_was_rotated_after_a_kill_has_its_last_records_again(job: Job) -> None:
    keep_again(job.folder / "state.db", lines(job)[2:])
    (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
    again(job, 2000)
    assert [json.loads(line)["number"] for line in lines(job)] == list(range(3, 11))
    said = verify(job, "--job", "job.yaml", "audit.1", "audit.jsonl")
    assert "job: records 1 to 10, unchanged (audit.1:1 to audit.jsonl:8)" in said


def chained(all_: list[str]) -> list[str]:
    """Lines whose links somebody has computed anew."""
    made: list[str] = []
    prev: str | None = None
    for number, line in enumerate(all_, 1):
        text = json.dumps(json.loads(line) | {"number": number, "prev": prev}, separators=(",", ":"))
        prev = f"sha256:{sha256(text.encode()).hexdigest()}"
        made.append(f"{text}\n")
    return made


@pytest.mark.slow
def test_a_record_that_somebody_added_after_an_orderly_end_is_found_before_and_after_the_next_run(job: Job) -> None:
    job.write("audit.jsonl", "".join([*lines(job), chained([*lines(job), lines(job)[1].replace("user1", "ceo")])[-1]]))
    said = verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    assert (
        "audit.jsonl:6: job: record 6 came after the last one that the state knows. Either somebody added records"
        in said
    )
    again(job, 2000)
    for arguments in (["audit.jsonl"], ["--job", "job.yaml", "audit.jsonl"]):
        said = verify(job, *arguments, code=1)
        both = "record 6 (audit.jsonl:6) came before, and the chain begins anew with record 6 here. Either somebody"
        assert f"audit.jsonl:7: job: {both}" in said
        assert said.count("audit.jsonl:7: ") == 1
        assert "changed" not in said, "an honest record is blamed"


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_history_that_somebody_wrote_anew_is_found_after_the_next_run(job: Job, killed: bool) -> None:
    """With one record more than the state knows, so that the file looks ahead of it."""
    whole = lines(job)
    edited = [line.replace("user2", "user9") for line in whole]
    job.write("audit.jsonl", "".join(chained([*edited, whole[-1]])))
    if killed:
        keep_again(job.folder / "state.db", whole[-1:])
    again(job, 2000)
    for arguments in (["audit.jsonl"], ["--job", "job.yaml", "audit.jsonl"]):
        found = re.findall(
            r"audit.jsonl:7: job: record (\d) is out of order, or was added", verify(job, *arguments, code=1)
        )
        assert found == ["5" if killed else "6"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 10**30])
@pytest.mark.parametrize("known", [True, False])
def test_a_number_beyond_all_bounds_is_none_of_the_chain(job: Job, number: int, known: bool) -> None:
    """Nobody could count on from there, nor keep it: the state knows its own last record, or is new."""
    last = lines(job)[-1]
    job.write("audit.jsonl", job.read("audit.jsonl") + last.replace('"number":5', f'"number":{number}'))
    if not known:
        job.sql("delete from audits")
    again(job, 2000)
    assert [json.loads(line)["number"] for line in lines(job)[6:]] == list(range(6, 11))
    said = verify(job, "--job", "job.yaml", "audit.jsonl", code=1)
    assert (
        "audit.jsonl:6: job: the record was changed or added, or is of an earlier version: its place in the chain"
        in said
    )
    assert said.count("audit.jsonl:") == 3, "something else is blamed"


@pytest.mark.slow
def test_a_run_that_begins_while_its_audit_is_verified_is_not_blamed(job: Job) -> None:
    audit = job.folder / "audit.jsonl"
    set_gate(audit)
    arguments = ("audit", "verify", "--job", "job.yaml", "audit.jsonl")
    with started(*arguments, folder=job.folder, entry=entry("audit.jsonl")) as verifying:
        with held(audit):  # it has read the state by now
            again(job, 2000)
        done = ended(verifying)
    assert (done.code, "records 1 to 10, unchanged" in done.out) == (0, True), done.said


@pytest.mark.slow
@pytest.mark.parametrize("rotated", [False, True])
def test_a_job_that_was_killed_and_renamed_goes_on_with_its_chain(job: Job, rotated: bool) -> None:
    keep_again(job.folder / "state.db", lines(job)[2:])
    (job.folder / "job.yaml").rename(job.folder / "other.yaml")
    job.program("state", "rename", "job.yaml", "other.yaml")
    files = ["audit.jsonl"]
    if rotated:
        (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
        files = ["audit.1", "audit.jsonl"]
    assert "other: records 1 to 5, unchanged" in verify(job, "--job", "other.yaml", files[0])
    job.program("apply", "other.yaml")
    assert json.loads(lines(job)[-1])["job"] == "other"
    assert "other: records 1 to 7, unchanged" in verify(job, "--job", "other.yaml", *files)
    verify(job, *files)


def backup(job: Job) -> None:
    job.program("state", "backup", "job.yaml", "backup.db")
    again(job, 2000)


def restore(job: Job, *, rotated: bool) -> list[str]:
    """The state of the backup, or none; and the files of the audit after one more run."""
    for path in job.folder.glob("state.db*"):
        path.unlink()
    if (job.folder / "backup.db").exists():
        (job.folder / "backup.db").rename(job.folder / "state.db")
    if rotated:
        (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
    again(job, 3000)
    return ["audit.1", "audit.jsonl"] if rotated else ["audit.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("rotated", [False, True])
def test_a_state_restored_from_a_backup_is_named_once_and_no_record_is_called_changed(job: Job, rotated: bool) -> None:
    backup(job)
    files = restore(job, rotated=rotated)
    for arguments in (files, ["--job", "job.yaml", *files]):
        said = verify(job, *arguments, code=1)
        last = f"{files[0]}:10"
        assert f"job: records 6 to 10 ({last}) came before, and the chain begins anew with record 6 here" in said
        assert "the state was lost or replaced by an older one" in said
        assert said.count("Either") == 1
        assert "changed" not in said
    again(job, 4000)
    assert verify(job, "--job", "job.yaml", *files, code=1).count("Either") == 1


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 2])
def test_an_apply_with_a_state_of_a_backup_warns_once_that_spent_plans_are_good_again(job: Job, kept: int) -> None:
    """Also where the copy was made while a run went on, and keeps lines that the file has by now."""

    def warned() -> list[dict[str, Any]]:
        ended = job.program("apply", "job.yaml")
        assert ended.code == 0, ended.said
        return [event for event in map(json.loads, ended.err.splitlines()) if "ahead of the state" in event["event"]]

    backup(job)
    assert warned() == []
    for path in job.folder.glob("state.db*"):
        path.unlink()
    (job.folder / "backup.db").rename(job.folder / "state.db")
    keep_again(job.folder / "state.db", lines(job)[5 - kept : 5])
    (event,) = warned()
    assert (event["level"], event["state"], event["audit"]) == ("warning", 5, 12)
    assert "Plans that were spent since are good again" in event["fix"]
    assert "or a job of this name has another state too" in event["fix"]
    assert warned() == []


@pytest.mark.slow
def test_a_chain_that_begins_anew_with_a_new_state_is_named_once(job: Job) -> None:
    files = restore(job, rotated=True)
    for arguments in (files, ["--job", "job.yaml", *files]):
        said = verify(job, *arguments, code=1)
        assert (
            "audit.jsonl:1: job: records 1 to 5 (audit.1:5) came before, and the chain begins anew with record 1 here"
            in said
        )
        assert said.count("Either") == 1
        assert "changed" not in said
    assert "records 1 to 5, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")
    assert "missing" not in verify(job, "--from", "2", "audit.jsonl")


@pytest.mark.slow
def test_a_new_state_goes_on_from_the_file(job: Job) -> None:
    (file,) = restore(job, rotated=False)
    assert "records 1 to 10, unchanged" in verify(job, "--job", "job.yaml", file)


def test_an_attempt_without_the_lease_leaves_no_record(job: Job) -> None:
    before = job.read("audit.jsonl")
    for name in (str(job.folder / "people.ldif"), "the audit of job"):
        with closing(open_state(f"sqlite:///{job.folder / 'state.db'}")) as state, state.lease(name, "job"):
            said = job.run("apply", code=75)
    assert "another run adds to the audit of this job. Rerun later" in said
    assert job.read("audit.jsonl") == before
    verify(job, "--job", "job.yaml", "audit.jsonl")


@pytest.mark.slow
def test_a_refused_attempt_and_one_that_failed_are_records_under_the_lease(job: Job) -> None:
    job.configure(limits={"update": 1})
    job.agents([agent(number, workNo=3000 + number) for number in (1, 2, 3)])
    job.run("apply", code=3)
    job.write("people.ldif", job.read("people.ldif") + "this is no LDIF\n")
    job.run("apply", code=1)
    assert [json.loads(line).get("code") for line in lines(job)[5:]] == [3, None]
    assert json.loads(lines(job)[-1])["fault"]
    assert "records 1 to 7, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")


@pytest.mark.slow
def test_a_job_that_is_renamed_goes_on_with_its_chain(job: Job) -> None:
    (job.folder / "job.yaml").rename(job.folder / "other.yaml")
    job.program("state", "rename", "job.yaml", "other.yaml")
    assert "records 1 to 5, unchanged" in verify(job, "--job", "other.yaml", "audit.jsonl")
    job.program("apply", "other.yaml")
    assert "other: records 1 to 7, unchanged" in verify(job, "--job", "other.yaml", "audit.jsonl")
    assert "other: records 1 to 7, unchanged" in verify(job, "audit.jsonl")


@pytest.mark.slow
def test_a_person_who_is_forgotten_leaves_the_chain_as_it_is(job: Job) -> None:
    forgotten = job.program("state", "forget", "job.yaml", "uid=user2,ou=people,dc=example,dc=org", "--yes")
    assert forgotten.code == 0, forgotten.said
    assert "records 1 to 5, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")
    again(job, 2000)
    assert "records 1 to 10, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")


@pytest.mark.slow
def test_two_jobs_in_one_file_have_a_chain_each(job: Job) -> None:
    job.write("it.yaml", job.read("job.yaml"))
    job.program("apply", "it.yaml")
    job.run("apply")
    said = verify(job, "audit.jsonl")
    assert "job: records 1 to 7, unchanged (audit.jsonl:1 to audit.jsonl:9)" in said
    assert "it: records 1 to 2, unchanged (audit.jsonl:6 to audit.jsonl:7)" in said
    assert "job" not in verify(job, "--job", "it.yaml", "audit.jsonl")


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_said(job: Job) -> None:
    assert "gone.jsonl: cannot be read: No such file or directory" in verify(job, "gone.jsonl", code=64)


# ---------------------------------------------------------------- syslog


def received(receiver: Syslogd, count: int) -> list[str]:
    return [receiver.next() for _ in range(count)]


@pytest.mark.slow
def test_the_receiver_has_the_same_links_and_its_copy_vouches_for_the_file(tmp_path: Path) -> None:
    job = Job(tmp_path, users=3)
    with Syslogd("tcp", job.folder) as receiver:
        job.configure(audit={"file": "audit.jsonl", "syslog": receiver.url, "allow_plaintext": True})
        job.run("apply")
        copy = received(receiver, 5)
    assert [message[message.index("{") :] for message in copy] == job.read("audit.jsonl").splitlines()
    job.write("copy", "".join(f"{message}\n" for message in copy))
    said = verify(job, "--job", "job.yaml", "--syslog", "copy")
    assert said == "job: records 1 to 5, unchanged (copy:1 to copy:5)\n"
    job.write("copy", "".join(f"{message}\n" for message in copy[:-1]))
    assert "the end is cut" in verify(job, "--job", "job.yaml", "--syslog", "copy", code=1)
    job.write("copy", "".join(f"{message}\n" for message in [*copy[:2], *copy[3:]]))
    assert "missing before this one: record 3" in verify(job, "--syslog", "copy", code=1)


# ---------------------------------------------------------------- elsewhere


@pytest.mark.slow
@pytest.mark.postgresql
def test_the_link_is_kept_in_postgresql_too(tmp_path: Path, postgresql: Postgres) -> None:
    job = Job(tmp_path, users=2)
    (tmp_path / "key").write_text("a key\n")
    (tmp_path / "key").chmod(0o600)
    job.configure(audit={"file": "audit.jsonl"}, state=postgresql.create("chained"), key={"file": "key"})
    job.run("apply")
    assert "records 1 to 4, unchanged" in verify(job, "--job", "job.yaml", "audit.jsonl")
    job.write("audit.jsonl", "".join(lines(job)[:3]))
    assert "the end is cut" in verify(job, "--job", "job.yaml", "audit.jsonl", code=1)


def by_hand(job: Job, command: str) -> Ended:
    found = subprocess.run(["sh", "-c", command], cwd=job.folder, capture_output=True, text=True, check=False)
    return Ended(found.returncode, found.stdout, found.stderr)


@pytest.mark.slow
def test_the_page_says_how_to_check_a_file_by_hand(job: Job) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (command,) = re.findall(r"```sh\n(sed -n .*sha256sum\n.*)\n```", page)
    ended = by_hand(job, command.replace("/var/log/cec-connector/", "").replace("41", "3").replace("42", "4"))
    digest, prev = ended.out.splitlines()
    assert prev == f'"prev":"sha256:{digest.split()[0]}"'

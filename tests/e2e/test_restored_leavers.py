"""After a restore nobody keeps a phone without a word: values that were cleared and are back are named in each plan."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.jobs import changed
from tests.support.ldif_job import MAPPING, Job, agent

CLEARING = MAPPING + "stale: clear\n"
PASSWORD = "SIPIdentityPassword"
EVERYBODY = [agent(number) for number in range(1, 6)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Five users were written, and kept in `before.ldif`; then the fifth has left and was cleared."""
    made = Job(tmp_path, 5)
    made.write("mapping.yaml", CLEARING)
    made.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    made.run("apply")
    shutil.copy(tmp_path / "people.ldif", tmp_path / "before.ldif")
    shutil.copy(tmp_path / "state.db", tmp_path / "before.db")
    made.agents(EVERYBODY[:4])
    made.run("apply")
    assert phones(made) == 4
    return made


def phones(job: Job) -> int:
    return job.read("people.ldif").count(PASSWORD)


def restore(job: Job) -> None:
    """Put the directory back as it was before the clearing."""
    job.write("people.ldif", job.read("before.ldif"))


def back(said: str) -> bool:
    today = datetime.now(UTC).date().isoformat()
    names = f"cecAccountCode, employeeNumber, SIPIdentitySIPURI, {PASSWORD}"
    return f"{names}: cleared on {today}, and back" in re.sub(r"\s+", " ", said)


def test_a_leaver_who_gets_the_cleared_values_back_is_named_in_each_plan_and_counted(job: Job) -> None:
    assert not back(job.run("plan"))
    restore(job)
    for command in ("plan", "apply", "plan"):
        said = job.run(command)
        assert back(said)
        assert "! 1 stale user keeps credentials of this job" in said
        assert phones(job) == 5, "somebody may have put them back on purpose"
    assert back(job.run("explain", "user:user5"))


def test_what_was_cleared_is_known_after_pruning_and_by_fingerprint_alone(job: Job) -> None:
    job.sql("update runs set started = '2020-01-01T00:00:00+00:00', ended = '2020-01-01T00:00:00+00:00'")
    job.run("apply")
    assert job.program("state", "prune", "job.yaml", "--older", "365d", "--yes").code == 0
    restore(job)
    assert back(job.run("plan"))
    assert b"canary" not in (job.folder / "state.db").read_bytes()


def test_what_was_cleared_under_another_spelling_of_the_attribute_is_known_too(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    job.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    job.run("apply")
    before = job.read("people.ldif")
    job.write("mapping.yaml", CLEARING.replace("employeeNumber:", "EMPLOYEENUMBER:"))
    job.agents(EVERYBODY[:1])
    job.run("apply")
    job.write("people.ldif", before)
    assert f"EMPLOYEENUMBER, SIPIdentitySIPURI, {PASSWORD}: cleared on" in re.sub(r"\s+", " ", job.run("plan"))


def test_values_that_somebody_else_has_put_there_since_are_not_named(job: Job) -> None:
    restore(job)
    job.write("people.ldif", job.read("people.ldif").replace("cecAccountCode: user5\n", "cecAccountCode: theirs\n"))
    said = re.sub(r"\s+", " ", job.run("plan"))
    assert f"employeeNumber, SIPIdentitySIPURI, {PASSWORD}: cleared on" in said
    assert "cecAccountCode, employeeNumber" not in said


def test_adopt_clears_what_is_back(job: Job) -> None:
    restore(job)
    job.write("mapping.yaml", CLEARING.replace("secret: true}", "secret: true, adopt: true}"))
    job.run("apply")
    assert phones(job) == 4


def test_whoever_comes_back_as_an_agent_is_the_jobs_again(job: Job) -> None:
    job.agents(EVERYBODY)
    job.run("apply")
    assert phones(job) == 5
    job.agents(EVERYBODY[:4])
    assert "and back" not in job.run("plan")
    job.run("apply")
    assert phones(job) == 4


def test_an_undo_of_the_clearing_puts_values_back_and_nobody_is_blamed(job: Job) -> None:
    job.run("undo", "last", "--apply")
    assert phones(job) == 5
    assert "and back" not in job.run("plan")


def test_a_forgotten_user_is_forgotten_here_too(job: Job) -> None:
    assert job.program("state", "forget", "job.yaml", "uid=user5,ou=people,dc=example,dc=org", "--yes").code == 0
    restore(job)
    assert "and back" not in job.run("plan")


def test_under_another_name_the_job_still_knows_what_it_cleared(job: Job) -> None:
    (job.folder / "job.yaml").rename(job.folder / "people.yaml")
    assert job.program("state", "rename", "job.yaml", "people.yaml").code == 0
    restore(job)
    ended = job.program("plan", "people.yaml")
    assert back(ended.out)


def test_users_that_were_imported_anew_are_counted_with_the_way_out(job: Job) -> None:
    already = "matched users hold their values already, none of them written by this job. If an"
    assert already not in job.run("plan")
    restore(job)
    job.write("people.ldif", re.sub(r"(entryUUID: )00000000-", r"\g<1>11111111-", job.read("people.ldif")))
    said = job.run("plan")
    assert f"! 4 {already}" in said
    assert "set `adopt: true`" in said
    job.write("mapping.yaml", CLEARING.replace("secret: true}", "secret: true, adopt: true}"))
    job.configure(limits={"clear": 5})
    assert already not in job.run("apply")
    assert phones(job) == 4, "user5, who has left, is found by what it holds"


def test_with_yesterdays_state_a_leaver_is_cleared_again_and_who_was_written_since_is_counted(job: Job) -> None:
    """The state of before the clearing still owns user5; after a restore of both it is stale as it was then."""
    shutil.copy(job.folder / "before.db", job.folder / "state.db")
    assert "and back" not in job.run("plan")
    restore(job)
    job.run("apply")
    assert phones(job) == 4


def test_what_another_job_writes_there_since_is_no_restore(job: Job) -> None:
    source = {"type": "file", "path": "others.json"}
    job.write("other.yaml", changed(job.read("job.yaml"), source=source))
    job.agents([agent(5)])
    job.write("others.json", job.read("agents.json"))
    job.agents(EVERYBODY[:4])
    assert job.program("apply", "other.yaml").code == 0
    assert phones(job) == 5
    assert "and back" not in job.run("plan")

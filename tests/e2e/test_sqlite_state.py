"""A state in a file, through the program: everything that can be wrong with the file, its folder and its disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path

import pytest

from connector.state.database import FORMAT
from connector.state.sqlite import Sqlite
from tests.support.held_file import entry, held, set_gate
from tests.support.jobs import changed, file_source
from tests.support.ldif_job import Job, agent
from tests.support.program import Ended, ended, program, started

pytestmark = pytest.mark.slow

ONE_BY_ONE = [1, 1, 1, 1, 1]
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
"""Root without the right to pass over a file's mode (util-linux, which Debian always has)."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def try_(job: Job, command: str, *options: str) -> Ended:
    """Run it as somebody to whom the modes of files apply."""
    under = AS_ANYBODY if os.geteuid() == 0 else ()
    with started(command, "job.yaml", *options, folder=job.folder, under=under) as process:
        done = ended(process)
    assert "canary" not in done.said
    assert "fault of the program" not in done.said
    return done


def numbers(job: Job) -> int:
    """How many users hold what an apply writes."""
    return job.read("people.ldif").count("employeeNumber:")


def results(job: Job) -> list[str | None]:
    return [run["result"] for run in json.loads(job.run("runs", "--json"))]


# ---------------------------------------------------------------- the file and its folder


def test_a_state_that_may_only_be_read_is_planned_from_and_not_applied_with(job: Job) -> None:
    job.run("apply", "--only", "user1")
    (job.folder / "state.db").chmod(0o400)
    assert try_(job, "plan", "--fail-on-changes").code == 2
    assert try_(job, "runs").code == 0
    done = try_(job, "apply")
    assert done.code == 1
    assert "state.db" in done.err
    assert "permissions" in done.err
    assert numbers(job) == 1
    (job.folder / "state.db").chmod(0o600)
    job.run("apply")
    assert numbers(job) == 5


def test_a_state_that_may_not_be_read_is_an_error_of_every_command(job: Job) -> None:
    job.run("apply", "--only", "user1")
    (job.folder / "state.db").chmod(0)
    for command in ("plan", "apply", "runs", "release"):
        done = try_(job, command)
        assert done.code == 1, done.said
        assert "state.db" in done.err
    assert numbers(job) == 1


@pytest.mark.parametrize("there", [True, False], ids=["closed", "gone"])
def test_without_a_folder_to_keep_it_in_nothing_is_applied(job: Job, *, there: bool) -> None:
    job.configure(state="sqlite:///kept/state.db")
    if there:
        (job.folder / "kept").mkdir(mode=0o500)
    planned = try_(job, "plan", "--fail-on-changes", "--report", "report.json")
    assert planned.code == 2, planned.said
    assert "cannot be kept" in json.loads(job.read("report.json"))["about"]["state"]
    assert json.loads(try_(job, "runs", "--json").out) == []
    for arguments in (["apply"], ["undo", "some-run", "--apply"]):
        done = (
            program(*arguments[:1], "job.yaml", *arguments[1:], folder=job.folder)
            if not there
            else try_(job, *arguments)
        )
        assert done.code == 1, done.said
        assert "state.db" in done.err
        assert "permissions" in done.err
    assert numbers(job) == 0


def test_a_folder_in_which_nothing_can_be_made_any_more_stops_an_apply_before_it_writes(job: Job) -> None:
    (job.folder / "kept").mkdir()
    job.configure(state="sqlite:///kept/state.db")
    job.run("plan")
    (job.folder / "kept").chmod(0o500)
    assert try_(job, "plan").code == 0
    done = try_(job, "apply")
    (job.folder / "kept").chmod(0o700)
    assert done.code == 1
    assert "kept/state.db" in done.err
    assert numbers(job) == 0


def test_where_a_lost_key_cannot_be_made_again_a_plan_knows_passwords_for_itself_alone(job: Job) -> None:
    (job.folder / "kept").mkdir()
    job.configure(state="sqlite:///kept/state.db")
    job.run("apply", "--only", "user1")
    (job.folder / "kept" / "state.db.key").unlink()
    (job.folder / "kept").chmod(0o500)
    planned = try_(job, "plan", "--fail-on-changes", "--report", "report.json")
    done = try_(job, "apply")
    (job.folder / "kept").chmod(0o700)
    assert planned.code == 2
    about = json.loads(job.read("report.json"))["about"]
    assert "for this run only" in about["key"]
    assert "are set again" in about["another key"]
    assert done.code == 1
    assert "kept/state.db.key: the key of the state cannot be made" in done.err
    assert numbers(job) == 1


def test_a_key_that_may_not_be_read_is_an_error_of_what_needs_it(job: Job) -> None:
    job.run("apply", "--only", "user1")
    (job.folder / "state.db.key").chmod(0)
    for command in ("plan", "apply"):
        done = try_(job, command)
        assert done.code == 1
        assert "state.db.key: the key of the state cannot be read" in done.err
    assert try_(job, "runs").code == 0
    assert numbers(job) == 1


def test_a_folder_of_the_states_name_is_an_error(job: Job) -> None:
    (job.folder / "state.db").mkdir()
    for command in ("plan", "apply"):
        assert "state.db" in job.run(command, code=1)


@pytest.mark.parametrize("command", ["plan", "apply", "runs", "release", "undo"])
def test_a_newer_state_is_said_to_be_newer_by_every_command_and_stays_as_it_is(job: Job, command: str) -> None:
    job.run("apply", "--only", "user1")
    with closing(sqlite3.connect(job.folder / "state.db")) as db:
        db.execute(f"pragma user_version = {FORMAT + 1}")
    (job.folder / "state.db").chmod(0o400)
    before = (job.folder / "state.db").read_bytes()
    done = try_(job, command, *(["some-run"] if command == "undo" else []))
    assert done.code == 1
    assert "newer version of this program" in done.err
    assert (job.folder / "state.db").read_bytes() == before
    assert numbers(job) == 1


def test_a_database_of_another_program_is_left_alone(job: Job) -> None:
    with closing(sqlite3.connect(job.folder / "state.db", isolation_level=None)) as db:
        db.execute("create table theirs (name text)")
    before = (job.folder / "state.db").read_bytes()
    assert "another program's database" in job.run("apply", code=1)
    assert (job.folder / "state.db").read_bytes() == before
    assert numbers(job) == 0


def test_a_state_that_is_no_database_is_left_alone_and_says_what_to_do(job: Job) -> None:
    job.configure(state="sqlite:///mapping.yaml")
    before = job.read("mapping.yaml")
    for command in ("plan", "apply", "runs", "check"):
        said = job.run(command, code=1)
        assert (
            "mapping.yaml: this file is no SQLite database. Correct `state` in the job, or restore the backup" in said
        )
        assert "free space" not in said
    assert job.read("mapping.yaml") == before


def test_to_open_a_state_again_leaves_the_locks_of_a_process(tmp_path: Path) -> None:
    """Whoever closes any handle of a file loses all of its POSIX locks on it (SQLite, How To Corrupt, section 2.2)."""
    path = tmp_path / "state.db"
    with closing(Sqlite(path)) as first, first.writing():
        Sqlite(path).close()
        line = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('begin immediate')"
        other = subprocess.run([sys.executable, "-c", line, path], capture_output=True, text=True, check=False)
    assert "locked" in other.stderr


def test_a_damaged_state_is_to_be_restored(job: Job) -> None:
    job.run("apply")
    path = job.folder / "state.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:16384] + bytes([255]) * (len(whole) - 16384))
    for command in ("plan", "apply", "runs"):
        said = job.run(command, code=1)
        assert "malformed" in said
        assert "restore its backup" in said
        assert "free space" not in said


def test_a_state_that_was_cut_short_is_an_error_and_nothing_is_written(job: Job) -> None:
    job.run("apply", "--only", "user1")
    path = job.folder / "state.db"
    whole = path.read_bytes()
    for size in (10, 1000, 4096, PAGE, len(whole) // 2, len(whole) - PAGE, len(whole) - 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        done = try_(job, "apply")
        assert done.code == 1, done.said
        assert "state.db" in done.err
    assert numbers(job) == 1
    path.write_bytes(whole)
    job.run("apply")


def test_an_empty_file_is_a_state_that_has_not_begun(job: Job) -> None:
    job.write("state.db", "")
    job.run("apply")
    assert results(job) == ["done"]


def test_a_copy_in_place_of_the_original_converges_and_doubles_nothing(job: Job) -> None:
    """A backup that is put back knows less than the directory does: it finds everything in step."""
    job.run("apply", "--only", "user1")
    shutil.copy(job.folder / "state.db", job.folder / "copy.db")
    job.run("apply")
    after = job.read("people.ldif")
    (job.folder / "copy.db").replace(job.folder / "state.db")
    assert results(job) == ["done"]
    job.run("plan", "--fail-on-changes")
    job.run("apply")
    assert job.read("people.ldif") == after
    assert len(results(job)) == 2


def test_a_copy_that_was_taken_in_the_middle_of_a_run_settles_what_it_left_open(job: Job) -> None:
    job.configure(ramp=ONE_BY_ONE)
    job.run("plan")
    with closing(sqlite3.connect(job.folder / "state.db", isolation_level=None)) as db:
        db.execute(
            "create trigger fail before insert on journal when (select count(*) from journal) = 2 "
            "begin select raise(abort, 'no more'); end"
        )
    job.run("apply", code=4)
    with closing(sqlite3.connect(job.folder / "state.db", isolation_level=None)) as db:
        db.execute("drop trigger fail")
        db.execute("update journal set outcome = null")  # as a copy that was taken a moment earlier has it
        db.execute("delete from ownership")
    job.run("apply")
    after = job.read("people.ldif")
    assert after.count("employeeNumber:") == 5
    job.run("plan", "--fail-on-changes")
    job.agents([agent(number) for number in (3, 4, 5)])
    job.configure(ramp=ONE_BY_ONE, limits={"agents_drop": "100%"})
    assert job.plan()["summary"]["stale"] == 2, "what was settled is known to be ours"


# ---------------------------------------------------------------- files that go away under a run


@contextmanager
def reading(job: Job, *, code: int) -> Iterator[None]:
    """An apply that has opened its state, holds its lease, and waits for its source as long as this lasts."""
    set_gate(job.folder / "agents.json")
    with started("apply", "job.yaml", folder=job.folder, entry=entry("agents.json")) as process:
        with held(job.folder / "agents.json"):
            yield
        done = ended(process)
    assert done.code == code, done.said
    assert "fault of the program" not in done.said
    if code:
        assert "was removed or replaced during a run" in done.err


@pytest.mark.parametrize("how", ["removed", "replaced by a copy"])
def test_a_state_that_goes_away_under_a_run_stops_it_before_it_writes(job: Job, how: str) -> None:
    job.run("plan")
    with reading(job, code=1):
        shutil.copy(job.folder / "state.db", job.folder / "copy.db")
        (job.folder / "state.db").unlink()
        if how == "replaced by a copy":
            (job.folder / "copy.db").rename(job.folder / "state.db")
    assert numbers(job) == 0
    job.run("apply")
    assert numbers(job) == 5
    job.run("plan", "--fail-on-changes")


def test_a_lock_that_is_removed_under_a_run_lets_another_write_and_not_this_one(job: Job) -> None:
    job.run("plan")
    job.write("other.json", job.read("agents.json"))
    job.write("other.yaml", changed(job.read("job.yaml"), source=file_source("other.json")))
    with reading(job, code=1):
        assert program("apply", "other.yaml", folder=job.folder).code == 75
        (lock,) = job.folder.glob("*.lock")
        lock.unlink()
        assert program("apply", "other.yaml", folder=job.folder).code == 0
        assert numbers(job) == 5
    assert results(job) == ["failed"]
    job.run("apply")


def test_files_that_stay_are_no_hindrance(job: Job) -> None:
    with reading(job, code=0):
        os.utime(job.folder / "state.db")
        (job.folder / "state.db").chmod(0o640)
    assert numbers(job) == 5


# ---------------------------------------------------------------- the disk


PAGE = 16384
FULL = """
import os, resource, sys
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def full_at(job: Job, size: int, *arguments: str) -> Iterator[Ended]:
    """The program, to which no file may be longer than `size`: SQLite takes it for a disk that is full."""
    under = [sys.executable, "-c", FULL, str(size)]
    with started(*arguments, folder=job.folder, under=under) as process:
        yield ended(process)


def test_a_disk_that_is_full_stops_the_writing_and_loses_nothing(tmp_path: Path) -> None:
    """Full before the run can be begun, in the middle of it, before its last outcomes, and not at all."""
    (tmp_path / "made").mkdir()
    made = Job(tmp_path / "made", users=40)
    made.configure(ramp=[2] * 10)
    made.run("plan")
    size = (made.folder / "state.db").stat().st_size
    codes = []
    for most in (PAGE, size // 2, size, size + PAGE, size + 2 * PAGE, size + 15 * PAGE):
        folder = tmp_path / str(most)
        shutil.copytree(made.folder, folder)
        job = copy(made)
        job.folder = folder
        with full_at(job, most, "apply", "job.yaml") as done:
            assert "fault of the program" not in done.said, done.said
        codes.append(done.code)
        if done.code == 1:
            assert numbers(job) == 0
            assert "free space of its disk" in done.err
        elif done.code == 4:
            assert "without the journal" in done.out or "the journal does not know" in done.out
        job.run("apply")
        assert numbers(job) == 40
        assert all("unknown" not in run["outcomes"] for run in json.loads(job.run("runs", "--json")))
        job.run("plan", "--fail-on-changes")
    assert codes == [1, 1, 4, 4, 4, 0]

"""The key of a state: it is never in the state, and whoever opens a state with another one is told so."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from connector.model import Secret, UserRef
from connector.model.digests import make_fingerprinter
from connector.state.journal_rows import Sealer
from tests.support.jobs import changed, file
from tests.support.ldif_job import Job, agent
from tests.support.program import ended, started
from tests.support.slapd import PEOPLE, SYNC, Slapd, person, server_context
from tests.support.whole_job import World, agent as ldap_agent, tenant

ANOTHER = "The key differs from that of earlier runs."
SECRET = "SIPIdentityPassword"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def new_passwords(job: Job) -> None:
    job.agents([agent(number, sipPwd=f"canary-new-{number}") for number in (1, 2, 3, 4)])


def key_file(job: Job) -> Path:
    return job.folder / "state.db.key"


def last_run(job: Job) -> str:
    return str(json.loads(job.run("runs", "--json"))[0]["id"])


# ---------------------------------------------------------------- the file


def test_a_state_has_a_key_beside_it_that_is_made_once_and_for_its_owner_alone(job: Job) -> None:
    job.configure(limits={"secret": 0})
    digest = job.plan(code=3)["digest"]
    key = key_file(job).read_text()
    assert len(key.strip()) == 64
    assert key_file(job).stat().st_mode & 0o777 == 0o600
    job.run("apply", "--accept", digest)  # which has the passwords in it, by their fingerprints
    job.run("plan", "--fail-on-changes")
    assert key_file(job).read_text() == key


def test_a_job_that_names_a_key_gets_no_other(job: Job) -> None:
    job.write("key", "the key of a job\n")
    job.configure(key=file("key"))
    job.run("plan")
    job.run("apply")
    assert not key_file(job).exists()


def test_what_needs_no_key_makes_none(job: Job) -> None:
    for command in ("check", "runs", "release"):
        job.run(command)
    assert not key_file(job).exists()


def cells(path: Path) -> Iterator[str]:
    """Every text of a database, and every text of the JSON in it."""
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in database.execute(f"select * from {table}").fetchall():
                yield from (text for cell in row for text in leaves(str(cell)))


def leaves(text: str) -> Iterator[str]:
    yield text
    try:
        waiting: list[Any] = [json.loads(text)]
    except ValueError:
        return
    while waiting:
        value = waiting.pop()
        waiting.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        if isinstance(value, str):
            yield value


def test_whoever_has_the_state_alone_opens_no_seal_and_recognises_no_password(job: Job) -> None:
    """Law 6, silence: a backup of `state.db` gives nothing away, whatever in it is tried as the key."""
    job.run("apply")
    new_passwords(job)
    job.run("apply")
    found = set(cells(job.folder / "state.db"))
    user = UserRef("00000000-0000-0000-0000-000000000001", "")
    with closing(sqlite3.connect(job.folder / "state.db")) as database:
        rows = database.execute("select attributes from journal where user_id = ?", (user.id,)).fetchall()
    noted = [each for (attributes,) in rows for each in json.loads(attributes) if "secret" in each]
    seals = [each["sealed"] for each in noted if "sealed" in each]
    assert len(noted) == 2
    assert len(seals) == 1

    def gives_away(key: str) -> bool:
        of = Sealer(Secret(key))
        guessed = make_fingerprinter(Secret(key))(user, SECRET, Secret("canary-1"))
        return any(of.open_values(user, SECRET, seal) for seal in seals) or guessed in {
            each["secret"] for each in noted
        }

    assert gives_away(key_file(job).read_text().strip()), "the key itself opens it, or this test could not fail"
    assert [text for text in found if gives_away(text)] == []


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_text("a key of somebody's\n")
    path.symlink_to("elsewhere")


def open_to(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_text("a key of somebody's\n")
        path.chmod(mode)

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (open_to(0o644), "chmod 600"),
        (open_to(0o640), "chmod 600"),
        (open_to(0o602), "chmod 600"),
        (a_link, "no regular file"),
        (Path.mkdir, "no regular file"),
        (os.mkfifo, "no regular file"),
    ],
    ids=["of everybody", "of the group", "written by all", "link", "folder", "pipe"],
)
def test_a_key_that_is_open_to_others_or_no_file_is_refused(job: Job, make: Callable[[Path], None], said: str) -> None:
    make(key_file(job))
    for command in ("plan", "apply"):
        refused = job.run(command, code=78)
        assert f"{key_file(job)}: " in refused
        assert said in refused
    assert "employeeNumber" not in job.read("people.ldif")


def test_a_report_never_replaces_the_key(job: Job) -> None:
    key_file(job).with_suffix(".json").symlink_to(key_file(job).name)
    assert "one of the job's own files" in job.run("plan", "--report", "state.db.json", code=64)


@pytest.mark.parametrize("left", ["", "\n"])
def test_an_empty_file_as_a_run_that_was_killed_leaves_it_is_filled(job: Job, left: str) -> None:
    key_file(job).touch(mode=0o600)
    key_file(job).write_text(left)
    job.run("plan")
    assert len(key_file(job).read_text()) == 65


def test_two_runs_that_begin_a_state_together_know_passwords_by_one_key(job: Job) -> None:
    reports = ("one.json", "two.json")
    with (
        started("plan", "job.yaml", "--report", reports[0], folder=job.folder) as one,
        started("plan", "job.yaml", "--report", reports[1], folder=job.folder) as two,
    ):
        assert [ended(one).code, ended(two).code] == [0, 0]
    assert len({json.loads(job.read(report))["digest"] for report in reports}) == 1


# ---------------------------------------------------------------- another key


def test_a_key_that_was_lost_is_told_until_an_apply_has_told_everything_anew(job: Job) -> None:
    job.run("apply")
    key_file(job).unlink()
    for _ in range(2):  # a dry run tells, and does not settle it
        assert ANOTHER in job.run("plan")
    assert "sealed values cannot be restored" in job.plan()["about"]["another key"]
    new_passwords(job)
    job.run("apply", "--only", "user1")
    assert ANOTHER in job.run("plan"), "the others' passwords are known by the old key"
    job.run("apply")
    assert ANOTHER not in job.run("plan")


def test_a_key_that_was_found_again_is_the_same(job: Job) -> None:
    job.run("apply")
    kept = key_file(job).read_text()
    key_file(job).unlink()
    assert ANOTHER in job.run("plan")
    key_file(job).write_text(kept)
    assert ANOTHER not in job.run("plan")


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_every_report_for_people_says_so_at_its_head(job: Job, suffix: str) -> None:
    job.run("apply")
    key_file(job).unlink()
    job.run("plan", "--report", f"report{suffix}")
    assert ANOTHER in job.read(f"report{suffix}")


def test_the_key_is_in_no_digest(job: Job) -> None:
    """But for the fingerprints of passwords: whoever accepts a plan accepts it under whatever key the job has."""
    job.write("mapping.yaml", "".join(line for line in job.read("mapping.yaml").splitlines(True) if SECRET not in line))
    job.run("apply")
    job.agents([agent(1, workNo=77)])
    job.configure(limits={"agents_drop": "100%"})
    before = job.plan()
    key_file(job).unlink()
    after = job.plan()
    assert "another key" in after["about"]
    assert before["digest"] == after["digest"]
    assert before["changes"] == after["changes"] != []


def test_two_jobs_of_one_state_may_have_a_key_each(job: Job) -> None:
    job.write("key", "the key of the other job\n")
    job.write("other.yaml", changed(job.read("job.yaml"), key=file("key")))
    for _ in range(2):
        for name in ("job.yaml", "other.yaml"):
            for command in ("plan", "apply"):
                done = job.program(command, name)
                assert (done.code, ANOTHER in done.out) == (0, False)


def held_back(said: str, why: str) -> int:
    """How many users are named below the one line that says why."""
    ((_, _, named),) = [line.partition(why) for line in said.split("\n  - ") if why in line]
    return len(re.findall(r"^ +uid=", named, re.MULTILINE))


def test_an_undo_says_what_it_cannot_put_back_and_takes_the_rest_back(job: Job) -> None:
    job.run("apply")
    job.agents([agent(number, sipPwd=f"canary-new-{number}", workNo=1100 + number) for number in (1, 2, 3, 4)])
    job.run("apply")
    run, people = last_run(job), job.read("people.ldif")
    key_file(job).unlink()
    for options in ((), ("--apply",)):
        said = job.run("undo", run, *options)
        assert ANOTHER in said
        assert held_back(said, f"{SECRET}: that run had another key") == 4
    assert job.read("people.ldif") == people.replace("employeeNumber: 11", "employeeNumber: 10")


def test_passwords_that_were_cleared_under_another_key_are_not_put_back(job: Job) -> None:
    job.run("apply")
    run = last_run(job)
    job.run("undo", run, "--apply")
    back, people = last_run(job), job.read("people.ldif")
    key_file(job).unlink()
    said = job.run("undo", back, "--apply")
    assert held_back(said, "or is sealed with another key") == 4
    assert job.read("people.ldif").count("employeeNumber: 100") == 4
    assert SECRET not in job.read("people.ldif")
    assert "employeeNumber" not in people


@pytest.mark.parametrize("alone", [False, True], ids=["beside others", "alone"])
def test_an_interrupted_run_is_settled_under_another_key_too(job: Job, *, alone: bool) -> None:
    """Its passwords can no longer be recognised; what else it wrote speaks for them, or nothing does."""
    job.run("apply")
    if alone:
        new_passwords(job)
        job.run("apply")
    run = last_run(job)
    job.sql(f"update journal set outcome = null where run = '{run}'")  # as after a kill behind the last write
    job.sql(f"update runs set ended = null, result = null where id = '{run}'")
    key_file(job).unlink()
    job.run("apply")
    (settled,) = [each for each in json.loads(job.run("runs", "--json")) if each["id"] == run]
    assert settled["outcomes"] == {"failed" if alone else "written": 4}


UNSEEN = f"""
access to attrs={SECRET} by dn.exact="{SYNC}" =w by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


@pytest.mark.slapd
def test_hidden_passwords_are_planned_anew_under_another_key_and_known_by_it_then(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}") for number in range(1, 6)]
    with (
        Slapd.start(tmp_path / "slapd", people, acl=UNSEEN) as server,
        Simulator(tenant([ldap_agent(number) for number in range(1, 6)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []
        (world.folder / "state.db.key").unlink()
        anew = world.plan()
        assert "another key" in anew["about"]
        assert sorted(change["user"]["name"] for change in anew["changes"]) == [
            f"uid=agent{number:03},{PEOPLE}" for number in range(1, 6)
        ]
        assert {(each["name"], each["secret"]) for change in anew["changes"] for each in change["attributes"]} == {
            (SECRET, "set")
        }
        world.run("apply")
        after = world.plan("--fail-on-changes")
        assert (after["changes"], "another key" in after["about"]) == ([], False)

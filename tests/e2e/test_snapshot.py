"""`plan --snapshot` and `--from`: the same plan, drawn again elsewhere, without network, state or secrets."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from connector.run.snapshot.tape import NAME
from tests.support.ldif_job import Job, agent
from tests.support.program import Ended, ended, program, started
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import EACH_KIND, ScimServer, people
from tests.support.slapd import Slapd, person, server_context
from tests.support.whole_job import World, agent as tenants_agent, tenant


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "here").mkdir()
    return Job(tmp_path / "here", users=6)


def elsewhere(folder: Path, *options: str, code: int = 0, files: tuple[str, ...] = ("mapping.yaml",)) -> Ended:
    """Draw from the snapshot in a folder that has the job's own files alone; no secret is known there."""
    other = folder.parent / "there"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    for name in ("job.yaml", *files):
        shutil.copy(folder / name, other)
    shutil.copytree(folder / "snapshot", other / "snapshot")
    before = sorted(each.name for each in other.rglob("*"))
    # another seed for each, so that no order of a set may matter
    env = {"PYTHONHASHSEED": "random"}
    done = program("plan", "job.yaml", "--from", "snapshot", *options, folder=other, env=env)
    assert done.code == code, done.said
    assert sorted(each.name for each in other.rglob("*")) == before
    return done


def document(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.out)
    return found


def lines(job: Job) -> list[str]:
    return (job.folder / "snapshot" / NAME).read_text().splitlines(keepends=True)


def write(job: Job, some: list[str]) -> None:
    (job.folder / "snapshot" / NAME).write_text("".join(some))


def test_the_same_plan_is_drawn_elsewhere(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1, sipPwd="canary-new"), agent(2, workNo=1200), agent(4), agent(9, accountCode="usér3")])
    planned = job.program("plan", "job.yaml", "--snapshot", "snapshot", "--json")
    again = elsewhere(job.folder, "--json", code=3)  # fewer agents than before
    assert document(again) == document(planned)
    assert {each["user"]["name"].split(",")[0] for each in document(again)["changes"]} == {"uid=user1", "uid=user2"}
    assert {each["kind"] for each in document(again)["problems"]} == {"stale", "unmatched"}
    text = "".join(lines(job))
    assert "canary" not in text


def test_text_and_exit_code_are_those_of_the_plan(job: Job) -> None:
    job.configure(limits={"update": 2})
    options = ("--only", "account:user1", "--only", "account:user3")
    said = job.run("plan", *options, "--snapshot", "snapshot")
    assert elsewhere(job.folder).out.splitlines()[:-1] == said.splitlines()[:-1]
    elsewhere(job.folder, "--fail-on-changes", code=2)
    shutil.rmtree(job.folder / "snapshot")
    job.run("plan", "--snapshot", "snapshot", code=3)
    elsewhere(job.folder, code=3)


def test_a_snapshot_is_for_its_owner_and_takes_no_others_place(job: Job) -> None:
    (job.folder / "snapshot").mkdir(mode=0o755)
    job.run("plan", "--snapshot", "snapshot")
    assert stat.S_IMODE((job.folder / "snapshot").stat().st_mode) == 0o700
    assert stat.S_IMODE((job.folder / "snapshot" / NAME).stat().st_mode) == 0o600
    before = lines(job)
    assert "snapshot: this folder is not empty" in job.run("plan", "--snapshot", "snapshot", code=64)
    assert lines(job) == before
    assert "job.yaml: this is no folder" in job.run("plan", "--snapshot", "job.yaml", code=64)
    assert "cannot be written" in job.run("plan", "--snapshot", "no/snapshot", code=1)


@pytest.mark.parametrize("other", ["--only=user1", "--save=p.json", "--since=last", "--since=p.json", "--snapshot=s"])
def test_a_snapshot_is_drawn_as_it_was(job: Job, other: str) -> None:
    job.run("plan", "--snapshot", "snapshot")
    said = job.run("plan", "--from", "snapshot", other, code=64)
    assert f"Leave out `{other.partition('=')[0]}`" in said
    assert not list(job.folder.glob("[ps].json"))


def test_no_report_takes_the_place_of_the_snapshot(job: Job) -> None:
    job.run("plan", "--snapshot", "snapshot")
    before = lines(job)
    (job.folder / "r.json").symlink_to("snapshot/" + NAME)
    assert "own files" in job.run("plan", "--from", "snapshot", "--report", "r.json", code=64)
    assert lines(job) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("mapping.yaml", "\nwhen_absent: clear\n", "the mapping file differs from the snapshot's"),
        ("pins.csv", "user2,uid=user3\n", "the pins file differs"),
        ("exclude.csv", "user2,\n", "the exclude file differs"),
        ("job.yaml", "max_failures: 3\n", "the job file differs"),
    ],
)
def test_other_files_are_refused(job: Job, name: str, text: str, said: str) -> None:
    job.write("pins.csv", "accountCode,user\n")
    job.write("exclude.csv", "accountCode,user\n")
    job.configure(pins="pins.csv", exclude="exclude.csv")
    job.run("plan", "--snapshot", "snapshot")
    files = ("mapping.yaml", "pins.csv", "exclude.csv")
    elsewhere(job.folder, files=files)
    job.write(name, job.read(name) + text)
    ended = elsewhere(job.folder, code=78, files=files)
    assert f"snapshot: {said}" in ended.err
    assert ended.out == ""


def test_another_job_is_refused(job: Job) -> None:
    job.run("plan", "--snapshot", "snapshot")
    shutil.copy(job.folder / "job.yaml", job.folder / "other.yaml")
    ended = job.program("plan", "other.yaml", "--from", "snapshot")
    assert (ended.code, ended.out) == (78, "")
    assert "this is a snapshot of the job 'job', not of 'other'" in ended.err


@pytest.mark.slow
def test_a_changed_or_cut_snapshot_is_refused_by_its_line(job: Job) -> None:
    job.run("plan", "--snapshot", "snapshot")
    whole = lines(job)
    last = len(whole)
    for number, line in enumerate(whole, 1):
        place = f"snapshot/{NAME}:{number}: "
        changed = line.replace("1", "2", 1) if "1" in line else line.replace("e", "a", 1)
        for some, where in (
            ([*whole[: number - 1], changed, *whole[number:]], place),
            (whole[: number - 1], place),
            ([*whole[: number - 1], line[:-9]], place),
            ([*whole[: number - 1], *whole[number:]], place),
            ([*whole[:number], line, *whole[number:]], f"snapshot/{NAME}:{number + 1}: "),
        ):
            if number % 7 in {1, 2} or number == last or "Named" in whole[number - 2]:
                write(job, some)
                ended = job.program("plan", "job.yaml", "--from", "snapshot")
                assert (ended.code, ended.out) == (78, ""), (number, ended.said)
                assert where in ended.err


@pytest.mark.parametrize("text", ["", "{}\n", '{"what":"snapshot"}\n', "\x00\xff", "[1,2]\n"])
def test_what_is_no_snapshot_is_refused(job: Job, text: str) -> None:
    ended = job.program("plan", "job.yaml", "--from", "snapshot")
    assert (ended.code, "there is no snapshot.jsonl in it" in ended.err) == (78, True)
    (job.folder / "snapshot").mkdir()
    write(job, [text])
    ended = job.program("plan", "job.yaml", "--from", "snapshot")
    assert (ended.code, f"snapshot/{NAME}:1: " in ended.err) == (78, True), ended.said


def test_a_plan_that_fails_fails_again(job: Job) -> None:
    entries = job.read("people.ldif")
    job.write("people.ldif", entries.replace("dn: uid=user4", "dn uid=user4"))
    ended = job.program("plan", "job.yaml", "--snapshot", "snapshot")
    assert ended.code == 1
    again = elsewhere(job.folder, code=1)
    assert again.err.splitlines()[-2:] == ended.err.splitlines()[-2:]


def test_nothing_is_left_where_no_agent_could_be_read(job: Job) -> None:
    job.write("agents.json", "{")
    job.run("plan", "--snapshot", "snapshot", code=1)
    assert not (job.folder / "snapshot").exists()


def test_a_snapshot_that_cannot_be_written_ends_the_plan(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1000)
    line = ("plan", "job.yaml", "--snapshot", "snapshot")
    with started(*line, folder=tmp_path, under=["prlimit", f"--fsize={1 << 20}"]) as process:
        done = ended(process)
    assert (done.code, done.out) == (1, "")
    assert f"snapshot/{NAME}: it cannot be written: File too large" in done.err
    again = job.program("plan", "job.yaml", "--from", "snapshot")
    assert (again.code, "the snapshot cannot be used: " in again.err) == (78, True)


def test_nobody_is_told_of_a_plan_from_a_snapshot(job: Job) -> None:
    job.configure(metrics={"textfile": "metrics.prom"}, audit={"file": "audit.jsonl"})
    job.run("plan", "--snapshot", "snapshot")
    (job.folder / "metrics.prom").unlink()
    state = (job.folder / "state.db").read_bytes()
    job.run("plan", "--from", "snapshot")
    assert not (job.folder / "metrics.prom").exists()
    assert (job.folder / "state.db").read_bytes() == state


@pytest.mark.slapd
def test_no_server_is_asked_on_ldap(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    known = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in range(1, 31)]
    agents = [tenants_agent(number) for number in range(1, 21)]
    with (
        Slapd.start(tmp_path / "server", known) as server,
        Simulator(tenant(agents), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        world.run("apply")
        cec.document = tenant([*agents[2:], tenants_agent(77, accountCode="agent0l1"), tenants_agent(25)])
        world.job(mapping="openldap-h350")
        planned = world.run("plan", "--snapshot", "snapshot", "--json")
    assert {each["kind"] for each in document(planned)["problems"]} >= {"stale", "unmatched"}
    assert document(elsewhere(tmp_path / "job", "--json", files=())) == document(planned)
    text = (tmp_path / "job" / "snapshot" / NAME).read_text()
    assert "canary" not in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", EACH_KIND)
def test_no_server_is_asked_on_scim(tmp_path: Path, kind: str) -> None:
    with ScimServer.start(tmp_path / "server", people(12), kind=kind) as server:
        job = ScimJob(tmp_path / "job", server, agents=8)
        job.run("apply")
        job.agents = [{**each, "workNo": each["workNo"] + 1} for each in job.agents[1:]]
        job.tenant()
        planned = job.try_("plan", "--snapshot", "snapshot", "--json")
        assert planned.code == 3, planned.said  # fewer agents than before
    assert document(elsewhere(tmp_path / "job", "--json", files=(), code=3)) == document(planned)
    text = (tmp_path / "job" / "snapshot" / NAME).read_text()
    assert "canary" not in text

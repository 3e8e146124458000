"""`show`: a saved plan or a report again, as `plan` showed it; and plans as JSON on standard output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.program import WARNINGS, Ended, environment

FORMATS = (".csv", ".html", ".json", ".ldif", ".md")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def show(job: Job, *arguments: str, code: int = 0) -> Ended:
    ended = job.program("show", *arguments)
    assert ended.code == code, ended.said
    return ended


def reports(name: str) -> list[str]:
    return [f"--report={name}{suffix}" for suffix in FORMATS]


def same(job: Job, one: str, other: str) -> None:
    """They differ in the name of the job's file, which a saved plan does not know."""
    for suffix in FORMATS:
        shown = re.sub("apply job.yaml( --plan=plan.json)?", "apply JOB", job.read(one + suffix))
        assert shown == job.read(other + suffix), suffix


def test_a_saved_plan_shows_as_plan_showed_it_without_its_job(job: Job) -> None:
    said = job.run("plan", "--save", "plan.json", *reports("one"))
    for name in ("job.yaml", "mapping.yaml", "agents.json", "people.ldif", "state.db"):
        (job.folder / name).unlink()
    assert show(job, "plan.json", *reports("other")).out == said.replace("job.yaml --plan=plan.json", "JOB")
    same(job, "one", "other")
    assert job.read("one.json") == job.read("plan.json")


def test_a_report_of_an_apply_shows_what_became_of_each_change(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    job.agents([agent(1), agent(2, workNo=1200), agent(3), agent(4)])
    applied = job.run("apply", "--plan", "plan.json", *reports("one"), code=4)
    said = show(job, "one.json", *reports("other")).out
    same(job, "one", "other")
    assert said.endswith(applied[applied.index("written: 3") :])
    assert "differs from the reviewed plan in employeeNumber. Not written. Review a new plan" in said
    assert (
        "~ uid=user1,ou=people,dc=example,dc=org (User 1)  ← accountCode user1, workNo 1001, rule 1  [written]" in said
    )


def test_values_that_move_keep_their_order_in_ldif(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1, workNo=1002), agent(2, workNo=1003), agent(3, workNo=1009), agent(4)])
    job.run("plan", *reports("one"))
    show(job, "one.json", *reports("other"))
    same(job, "one", "other")
    order = [line for line in job.read("other.ldif").split("\n") if line.startswith("dn: ")]
    assert [line[8:13] for line in order] == ["user3", "user2", "user1"]


def test_a_refused_plan_or_undo_names_the_command_that_accepts_it(job: Job) -> None:
    job.run("apply")
    job.configure(limits={"update": 0, "clear": 0})
    job.agents([agent(1, workNo=1900), agent(2), agent(3), agent(4)])
    job.run("plan", "--save", "plan.json", code=3)
    digest = json.loads(job.read("plan.json"))["digest"]
    assert f"    cec-connector apply JOB --accept {digest}\n" in show(job, "plan.json").out
    (run,) = json.loads(job.run("runs", "--json"))[-1:]
    job.run("undo", "last", "--report", "undo.json", code=3)
    digest = json.loads(job.read("undo.json"))["digest"]
    shown = show(job, "undo.json").out
    assert f"    cec-connector undo JOB {run['id']} --apply --accept {digest}\n" in shown


def test_users_that_a_pilot_left_out_are_shown_as_left_out(job: Job) -> None:
    job.run("plan", "--only", "user2", "--save", "pilot.json")
    applied = job.program("apply", "job.yaml", "--plan", "pilot.json", "--report", "done.json")
    last = "Done: 1 of 4 users written, 3 left out."
    assert last in applied.out
    assert last in show(job, "done.json").out
    assert [line for line in applied.err.splitlines() if '"warning"' in line] == []


def test_all_lists_every_change(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    few, every = job.run("plan"), job.run("plan", "--all", "--save", "plan.json")
    assert show(job, "plan.json").out == few.replace("job.yaml", "JOB")
    assert show(job, "plan.json", "--all").out == every.replace("job.yaml --plan=plan.json", "JOB")


@pytest.mark.parametrize("option", ["--json", "--report=-"])
def test_the_plan_document_stands_alone_on_standard_output(job: Job, option: str) -> None:
    ended = job.program("plan", "job.yaml", option, "--report=report.json")
    assert (ended.code, ended.out) == (0, job.read("report.json"))
    assert show(job, "report.json", option).out == ended.out
    assert len(json.loads(ended.out)["changes"]) == 4


def test_json_on_standard_output_is_utf_8_in_any_locale(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("user1", "üser1"))
    job.agents([agent(1, accountCode="üser1")])
    line = [sys.executable, *WARNINGS, "-m", "connector", "plan", "job.yaml", "--json"]
    env = environment({"PYTHONIOENCODING": "latin-1"})
    done = subprocess.run(line, cwd=job.folder, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout.decode())["changes"][0]["agent"]["accountCode"] == "üser1"


def test_an_apply_shows_its_plan_on_standard_output_and_no_json(job: Job) -> None:
    assert "no report format" in job.run("apply", "--report", "-", code=64)
    assert "employeeNumber" not in job.read("people.ldif")


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("{}", 78, "not a plan document"),
        ("no JSON", 78, "not a plan document"),
        (None, 64, "plan.json: no run and no file of that name"),
    ],
)
def test_a_file_that_is_no_plan_is_named(job: Job, text: str | None, code: int, why: str) -> None:
    if text is not None:
        job.write("plan.json", text)
    assert why in show(job, "plan.json", code=code).err


def test_an_edited_plan_is_not_shown(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    job.write("plan.json", job.read("plan.json").replace('"1001"', '"1009"'))
    ended = show(job, "plan.json", "--report", "plan.html", code=3)
    assert "changed after it was saved" in ended.err
    assert not (job.folder / "plan.html").exists()


def test_no_report_is_written_over_the_plan_that_is_shown(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    before = job.read("plan.json")
    assert "Name another file" in show(job, "plan.json", "--report", "./plan.json", code=64).err
    assert job.read("plan.json") == before


def test_what_a_run_wrote_is_listed_and_shown_again_from_the_state(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1), agent(2, workNo=1200), agent(3), agent(4)])
    job.run("apply")
    job.run("apply")
    assert "name the run" in job.run("runs", "--report", "run.html", code=64)
    lines = job.run("runs").splitlines()
    listed = json.loads(job.run("runs", "--json"))
    assert [line.split()[0] for line in lines] == [each["id"] for each in listed]
    assert max(map(len, lines)) <= 120
    assert [line.split()[5:7] for line in lines] == [["0", "0"], ["1", "0"], ["4", "0"]]
    run, first = listed[1], listed[2]
    assert lines[1].split()[7:] == [run["by"][:9], run["digest"][7:15]]

    change = "    employeeNumber: 1002 → 1200\n"
    said = job.run("runs", "last", *reports("run"))
    assert said.startswith(f"{lines[1]}\n")
    assert f"accountCode user2, workNo 1200, rule 1  [written]\n{change}" in said
    assert said.endswith("Done: 1 of 1 user written.\n")
    assert "SIPIdentityPassword: (secret) set\n" in job.run("runs", first["id"][:8])
    shown = show(job, "job.yaml", run["id"][:8], *reports("other")).out
    assert shown == said
    same(job, "run", "other")
    assert change in show(job, "run.json").out
    assert "own files" in job.run("runs", "last", "--report", "agents.json", code=64)
    assert "no run and no file of that name" in show(job, run["id"], code=64).err
    assert "this job has no run 'zzz'" in show(job, "job.yaml", "zzz", code=64).err


def test_of_an_attempt_the_reason_is_shown_and_below_an_older_run_the_newer_attempts(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1)])
    job.run("apply", code=3)
    refused = json.loads(job.run("runs", "--json"))[0]
    why = "agents_drop: the source has 1 agent; the last good run read 4"
    newer = job.run("runs", "last").partition("which wrote nothing:\n")[2]
    for said in (job.run("runs", refused["id"]), job.run("show", refused["id"]), newer):
        assert said.startswith(refused["id"])
        assert why in said
    for command in (("runs", "job.yaml"), ("show", "job.yaml")):
        ended = job.program(*command, refused["id"], "--report", "run.html")
        assert ended.code == 64
        assert "wrote nothing, so it has no report. It was refused" in ended.err
        assert not (job.folder / "run.html").exists()

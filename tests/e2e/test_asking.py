"""`apply` and `undo --apply` ask at a terminal; what is written then is what somebody was asked about."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ldif_job import Job, agent
from tests.support.plain_job import PASSWORD, UIDS, Plain, Stalled
from tests.support.program import LONGEST, WARNINGS, environment, started, to_its_end
from tests.support.slapd import Slapd, person
from tests.support.terminal import Session, at_a_terminal, plain, session


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=4)


def answered(apply: Session, answer: str, count: int = 4) -> tuple[int, str]:
    """The exit code after an answer, and what came behind the question."""
    question = f"Apply {count} change{'' if count == 1 else 's'}? [y/N] "
    apply.wait_for(question)
    apply.type(answer)
    code = apply.end()
    shown = plain(apply.seen)
    assert shown.count("? [y/N]") == 1
    assert len(re.findall(r"digest\s+sha256:", shown)) == 1, "the plan is shown once"
    return code, shown.partition(question)[2]


@pytest.mark.parametrize("answer", ["y\n", "Y\n", " yes \n"])
def test_yes_writes_the_plan_that_was_shown(job: Job, answer: str) -> None:
    with session(job.folder, "apply", "job.yaml", "--report", "report.json") as apply:
        code, said = answered(apply, answer)
        digest = plain(apply.seen).partition("digest")[2].split()[0]
    assert code == 0, said
    assert "Done: 4 of 4 users written." in said
    (run,) = json.loads(job.run("runs", "--json"))
    assert (run["result"], run["digest"]) == ("done", digest)
    assert json.loads(job.read("report.json"))["digest"] == digest
    job.run("plan", "--fail-on-changes")


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04", "sure\n"])
def test_anything_but_yes_writes_nothing_and_is_a_refused_attempt(job: Job, answer: str) -> None:
    before = job.read("people.ldif")
    with session(job.folder, "apply", "job.yaml") as apply:
        code, said = answered(apply, answer)
    assert code == 3
    assert "cec-connector: not applied, since the answer was not yes\nCEC-0303: Nothing was written.\n" in said
    assert job.read("people.ldif") == before
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], attempt["why"]) == ("refused", "not applied, since the answer was not yes")
    assert attempt["id"] == plain(apply.seen).partition("plan    ")[2].partition(",")[0], "the plan that was shown"


@pytest.mark.slow
def test_five_minutes_of_silence_are_a_no(job: Job) -> None:
    before = job.read("people.ldif")
    start = "from connector.cli import approvals, main; approvals.SECONDS = {}; main.main()"
    shorter = start.replace("{}", "approvals.SECONDS / 300")
    with session(job.folder, "apply", "job.yaml", start=("-c", shorter)) as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        assert apply.end() == 3
        assert "no answer within" in plain(apply.seen)
    assert job.read("people.ldif") == before
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], attempt["why"].partition(" within")[0]) == ("refused", "no answer")


def test_a_no_is_a_no_also_where_it_cannot_be_noted(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        job.write("job.yaml", "source: [\n")
        assert answered(apply, "n\n") == (
            3,
            "n\ncec-connector: not applied, since the answer was not yes\nCEC-0303: Nothing was written.\n",
        )


@pytest.mark.slow
def test_an_interrupt_at_the_question_is_a_failed_attempt(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml") as apply:
        code, _ = answered(apply, "\x03")
    assert code == 1
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], attempt["why"]) == ("failed", "stopped by a signal")


@pytest.mark.slow
def test_what_fails_or_is_refused_before_a_question_is_an_attempt(job: Job) -> None:
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    assert at_a_terminal(job.folder, "apply", "job.yaml")[0] == 1
    (attempt,) = json.loads(job.run("runs", "--json"))
    assert (attempt["result"], "agents.json" in attempt["why"]) == ("failed", True)
    job.write("agents.json", agents)
    job.configure(limits={"update": 1})
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", width=200)
    shown = plain(seen).partition("plan    ")[2].partition(",")[0]
    attempt = json.loads(job.run("runs", "--json"))[0]
    assert (code, attempt["result"], attempt["id"]) == (3, "refused", shown)
    assert "4 the same" in job.run("plan", "--since", shown[:13], code=3)


@pytest.mark.slow
def test_what_was_typed_before_the_question_is_no_answer(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.type("y\ny\n")
        code, _ = answered(apply, "n\n")
    assert code == 3
    assert "1001" not in job.read("people.ldif")


@pytest.mark.slow
def test_with_yes_or_without_a_terminal_nobody_is_asked(job: Job) -> None:
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", "--yes")
    assert (code, "[y/N]" in seen) == (0, False), seen
    line = [sys.executable, *WARNINGS, "-m", "connector", "apply", "job.yaml"]
    ours, theirs = pty.openpty()
    for number in range(2):  # a terminal for its input alone, then for its outputs alone
        job.agents([agent(n, workNo=1100 + 10 * number + n) for n in (1, 2, 3, 4)])
        ends = [theirs, subprocess.PIPE, theirs] if number == 0 else [subprocess.DEVNULL, theirs, theirs]
        done = subprocess.run(
            line, cwd=job.folder, env=environment({}), stdin=ends[0], stdout=ends[1], stderr=ends[2],
            timeout=LONGEST, check=False,
        )  # fmt: skip
        assert done.returncode == 0
    os.close(theirs)
    assert b"[y/N]" not in to_its_end(ours)


@pytest.mark.slow
def test_nothing_is_held_while_somebody_thinks(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        assert "Done: 4 of 4" in job.run("apply")
        code, said = answered(apply, "y\n")
    assert code == 0, said
    assert "Done: 0 of 4 users written, 4 already as planned." in said


@pytest.mark.slow
def test_what_changed_since_the_question_is_told_and_not_written(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml", width=120) as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        people = job.read("people.ldif")
        job.write("people.ldif", people.replace("uid: user2\n", "uid: user2\nemployeeNumber: 9\n"))
        job.agents([agent(1), agent(2), agent(3, workNo=1300), agent(4)])
        code, said = answered(apply, "y\n")
    assert code == 4
    assert said.count("differs from the reviewed plan in employeeNumber. Not written.") == 2
    people = job.read("people.ldif")
    assert ("1001" in people, "1004" in people) == (True, True)
    assert ("1002" in people, "1300" in people, "1003" in people) == (False, False, False)


@pytest.mark.slow
def test_whoever_came_since_the_question_waits_for_the_next_plan(job: Job) -> None:
    job.agents([agent(1)])
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for("Apply 1 change? [y/N] ")
        job.agents([agent(1), agent(2)])
        code, said = answered(apply, "y\n", 1)
    assert code == 0, said
    assert "new since the plan was reviewed" in said
    assert "1002" not in job.read("people.ldif")


@pytest.mark.slow
def test_a_tenant_that_lost_its_agents_since_the_question_is_refused(job: Job) -> None:
    job.run("apply")
    job.agents([agent(n, workNo=1100 + n) for n in (1, 2, 3, 4)])
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        job.agents([])
        apply.type("y\n")
        assert apply.end() == 3
    assert "REFUSED" in apply.seen
    assert "1101" not in job.read("people.ldif")


@pytest.mark.slow
def test_a_run_that_was_taken_back_since_the_question_is_not_written_again(job: Job) -> None:
    job.run("apply")
    job.agents([agent(n, workNo=1100 + n) for n in (1, 2, 3, 4)])
    with session(job.folder, "apply", "job.yaml") as apply:
        apply.wait_for("Apply 4 changes? [y/N] ")
        job.run("undo", "last", "--apply")
        job.run("release")
        apply.type("y\n")
        assert apply.end() == 3
    assert "a run of this job was taken back after this plan was shown" in " ".join(plain(apply.seen).split())
    assert "employeeNumber" not in job.read("people.ldif")


@pytest.mark.slow
def test_a_plan_that_is_refused_empty_or_on_hold_is_no_question(job: Job) -> None:
    job.configure(limits={"update": 1})
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml", width=200)
    assert (code, "[y/N]" in seen) == (3, False), seen
    digest = plain(seen).rpartition("--accept ")[2][:71]
    with session(job.folder, "apply", "job.yaml", "--accept", digest) as apply:
        assert answered(apply, "y\n")[0] == 0
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml")
    assert (code, "[y/N]" in seen) == (0, False), seen
    assert "Done: nothing to write." in seen
    assert " 0 of " not in plain(seen), "there is no progress of nothing"
    job.run("undo", "last", "--apply")
    code, seen = at_a_terminal(job.folder, "apply", "job.yaml")
    assert (code, "[y/N]" in seen) == (3, False), seen
    assert "release" in seen


@pytest.mark.slow
def test_a_saved_plan_is_asked_about_and_a_no_spends_nothing(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    for answer, expected in (("n\n", 3), ("y\n", 0)):
        with session(job.folder, "apply", "job.yaml", "--plan", "plan.json") as apply:
            assert answered(apply, answer)[0] == expected
    id_ = json.loads(job.read("plan.json"))["id"]
    done, declined = json.loads(job.run("runs", "--json"))
    assert (declined["result"], declined["plan"], done["id"], done["result"]) == ("refused", id_, id_, "done")
    assert "employeeNumber: 1004" in job.read("people.ldif")


@pytest.mark.slow
def test_a_question_about_some_agents_says_nothing_of_others(job: Job) -> None:
    with session(job.folder, "apply", "job.yaml", "--only", "user2") as apply:
        code, said = answered(apply, "y\n", 1)
    assert code == 0, said
    assert "Done: 1 of 1 user written." in said
    people = job.read("people.ldif")
    assert ("1002" in people, "1001" in people) == (True, False)


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 3)])
def test_an_undo_asks_too(job: Job, answer: str, code: int) -> None:
    before = job.read("people.ldif")
    job.run("apply")
    after = job.read("people.ldif")
    with session(job.folder, "undo", "job.yaml", "last", "--apply") as undo:
        assert answered(undo, answer)[0] == code
    assert job.read("people.ldif") == (before if code == 0 else after)
    newest, wrote = json.loads(job.run("runs", "--json"))
    assert (newest["kind"], newest["undoes"]) == ("undo", wrote["id"])
    assert newest["result"] == ("done" if code == 0 else "refused")
    assert (job.program("apply", "job.yaml").code == 3) is (code == 0), "on hold only if something was taken back"


@pytest.mark.slow
def test_an_undo_writes_no_more_than_was_asked_about(job: Job) -> None:
    job.run("apply")
    with session(job.folder, "undo", "job.yaml", "last", "--apply", width=120) as undo:
        undo.wait_for("Apply 4 changes? [y/N] ")
        job.write("people.ldif", job.read("people.ldif").replace("employeeNumber: 1002", "employeeNumber: 9"))
        code, said = answered(undo, "y\n")
    assert code == 4, said
    assert "Done in part: 3 of 4 users written, 1 not written." in said
    assert "employeeNumber: 9\n" in job.read("people.ldif")
    code, seen = at_a_terminal(job.folder, "undo", "job.yaml", "last", "--apply", "--yes")
    assert "[y/N]" not in seen


@pytest.mark.slow
@pytest.mark.slapd
def test_hidden_passwords_are_the_same_before_and_after_the_question(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        job = Plain(tmp_path, server)
        with session(tmp_path, "apply", "job.yaml", env=PASSWORD) as apply:
            code, said = answered(apply, "y\n", 40)
        assert code == 0, said
        assert "Done: 40 of 40 users written." in said
        assert job.stored() == UIDS
        assert "canary" not in apply.seen


@pytest.mark.slow
@pytest.mark.slapd
def test_an_apply_that_was_killed_is_asked_about_again_and_done(tmp_path: Path) -> None:
    """What it wrote and could not note is settled under the lease, after the answer; nothing of it is a conflict."""
    with Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        with Stalled(server.port) as proxy:
            Plain(tmp_path, server, proxy.url)
            with started("apply", "job.yaml", folder=tmp_path, env=PASSWORD) as killed:
                assert proxy.held.wait(LONGEST)
                killed.kill()
                killed.communicate()
            proxy.let.set()
        job = Plain(tmp_path, server)
        with session(tmp_path, "apply", "job.yaml", env=PASSWORD) as apply:
            apply.wait_for("changes? [y/N] ")
            apply.type("y\n")
            assert apply.end() == 0, apply.seen
        assert "conflict" not in apply.seen
        assert job.stored() == UIDS
        code, seen = at_a_terminal(tmp_path, "apply", "job.yaml", env=PASSWORD)
        assert (code, "[y/N]" in seen) == (0, False), seen

"""Steps of a fleet's run: the plan waits in the state, exactly it is applied, and its report takes its place."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from connector.apply.approval import check_approval, find_waiting
from connector.apply.job_state import require_shared
from connector.errors import FileError, OnHoldError, RefusedError, UnapprovedError, UsageError
from connector.serve.run_process import FleetRun
from connector.settings.job import load_job
from connector.state.store import open_state
from tests.support.fleet_steps import TICKS, Steps
from tests.support.jobs import file
from tests.support.ldif_job import Job, agent
from tests.support.postgres import Postgres
from tests.support.report_folder import index_of, links_in, section_of
from tests.support.ssh_keys import Pen, pen

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]
ANNA, BORIS, STRANGER = pen(), pen("ecdsa-sha2-nistp256"), pen(number=9)


class FleetJob(Job):
    """A job of five agents, whose steps are asked of `steps`."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        super().__init__(folder)
        self.steps = Steps(folder, server)
        self.path = folder / "job.yaml"
        self.write("key", "the key of a job\n")
        self.configure(state=self.steps.url, key=file("key"))

    def numbers(self) -> int:
        """How many users hold what an apply writes."""
        return self.read("people.ldif").count("employeeNumber:")

    def waits(self) -> bytes:
        """The document that waits."""
        found = find_waiting(self.path)
        assert found is not None
        return found.octets


@pytest.fixture
def job(tmp_path: Path, postgresql: Postgres) -> FleetJob:
    return FleetJob(tmp_path, postgresql)


def test_a_plan_waits_in_the_state_and_its_report_takes_its_place(job: FleetJob) -> None:
    steps = job.steps
    drawn = steps.plan()
    assert drawn.summary is not None
    assert (drawn.summary.plan.changes, drawn.summary.plan.refusals) == (5, [])
    assert (drawn.approval, drawn.spent) == (False, False)
    assert job.numbers() == 0
    ((id_, (kind, document)),) = steps.documents().items()
    assert (id_, kind, document["digest"]) == (drawn.plan, "plan", drawn.summary.plan.digest)
    found = find_waiting(job.path)
    assert found is not None
    assert (found.plan.id, found.plan.digest, bool(found.plan.refusals), found.needed) == (
        drawn.plan,
        drawn.summary.plan.digest,
        False,
        0,
    )
    assert steps.ticks() == [(TICKS[0], 0, None)]

    applied = steps.apply(drawn.plan)
    assert (applied.outcomes, applied.result.spent, job.numbers()) == ({"written": 5}, True, 5)
    assert applied.result.summary is not None
    assert (applied.result.summary.run, applied.result.summary.kind) == (drawn.plan, "apply")
    ((id_, (kind, document)),) = steps.documents().items()
    assert (id_, kind, len(document["outcomes"])) == (drawn.plan, "report", 5)
    assert find_waiting(job.path) is None
    assert steps.ticks() == [(TICKS[0], 1, TICKS[0])]

    assert steps.plan().taken, "a tick is not run twice"
    again = steps.plan(TICKS[1])
    assert (again.plan, again.taken) == ("", False)
    assert steps.ticks() == [(TICKS[1], 1, TICKS[1])]
    late = steps.plan(tick=TICKS[0])
    assert (late.taken, late.good) == (True, True), "a later run that ended well has done what this one was to do"


def test_no_password_is_in_any_document_or_answer(job: FleetJob) -> None:
    for plan in (job.steps.plan().plan, ""):
        text = repr(job.steps.documents())
        assert "SIPIdentityPassword" in text
        assert "canary" not in text
        if plan:
            job.steps.apply(plan)


def test_an_apply_whose_end_nobody_heard_answers_the_same_again(job: FleetJob) -> None:
    plan = job.steps.plan().plan
    job.write("people.ldif", job.read("people.ldif").replace("cn: User 1", "cn: User 1\nemployeeNumber: 9"))
    first = job.steps.apply(plan, code=4)
    assert first.outcomes == {"written": 4, "conflict": 1}
    assert job.steps.ticks() == [(TICKS[0], 1, None)]
    before = job.read("people.ldif"), job.steps.documents()
    again = job.steps.apply(plan, code=4)
    assert first.result.summary is not None
    assert again.result.summary is not None
    for name in ("run", "kind", "exit_code", "outcomes"):
        assert getattr(again.result.summary, name) == getattr(first.result.summary, name), name
    for name in ("digest", "changes", "counts"):
        assert getattr(again.result.summary.plan, name) == getattr(first.result.summary.plan, name), name
    assert abs(again.result.summary.started - first.result.summary.started) < first.result.summary.seconds
    assert again.result.spent
    assert (job.read("people.ldif"), job.steps.documents()) == before
    job.steps.query("delete from documents where kind in ('plan', 'report')")
    assert job.steps.apply(plan, code=4).outcomes == first.outcomes, "its report was forgotten"


@pytest.mark.parametrize("kept", [True, False])
def test_killed_after_its_last_write_it_still_ends_its_tick(job: FleetJob, *, kept: bool) -> None:
    plan = job.steps.plan().plan
    octets = job.waits()
    first = job.steps.apply(plan)
    job.steps.query("update schedule set ended = 0, good = null")
    if not kept:
        with closing(open_state(job.steps.url)) as state:
            (document,) = state.documents.read_all("job")
            state.documents.keep_document("plan", state.documents.read_plan(document), octets)
    assert find_waiting(job.path) is None
    again = job.steps.apply(plan)
    assert (again.outcomes, again.result.spent) == (first.outcomes, True)
    assert job.steps.ticks() == [(TICKS[0], 1, TICKS[0])]
    job.agents([agent(1, workNo=7), *map(agent, range(2, 6))])
    assert job.steps.waits() in ([], [plan])
    assert [job.steps.plan(TICKS[1]).plan] == job.steps.waits()


def test_a_refused_plan_is_applied_once_somebody_accepts_it(job: FleetJob) -> None:
    job.configure(limits={"update": 1})
    drawn = job.steps.plan(code=3)
    assert drawn.summary is not None
    assert ([each.limit for each in drawn.summary.plan.refusals], drawn.approval) == (["update", "secret"], False)
    found = find_waiting(job.path)
    assert found is not None
    assert (bool(found.plan.refusals), found.needed) == (True, 0)
    assert job.steps.ticks() == [(TICKS[0], 0, None)]
    refused = job.steps.apply(drawn.plan, code=3)
    assert (refused.result.spent, job.numbers(), job.steps.waits()) == (False, 0, [drawn.plan])
    with pytest.raises(UsageError, match=f"another plan of this job waits: {found.plan.digest}"):
        check_approval(job.path, "sha256:" + 64 * "0", ())
    check_approval(job.path, found.plan.digest, ())
    with pytest.raises(UsageError, match="no `approvers`"):
        check_approval(job.path, found.plan.digest, [("anna.sig", ANNA.sign(found.octets))])
    assert job.steps.apply(drawn.plan, accept=True).outcomes == {"written": 5}


def test_whoever_accepts_a_refused_plan_accepts_its_limits_as_they_were(job: FleetJob) -> None:
    job.configure(limits={"update": 3, "secret": "100%"})
    plan = job.steps.plan(code=3).plan
    job.configure(limits={"update": 1, "secret": "100%"})
    refused = job.steps.apply(plan, accept=True, code=3).result.summary
    assert refused is not None
    assert [(each.limit, each.planned, each.allowed) for each in refused.plan.refusals] == [("update", 5, 1)]
    assert (job.numbers(), job.steps.waits()) == (0, [plan])
    job.configure(limits={"update": 3, "secret": "100%"})
    assert job.steps.apply(plan, accept=True).outcomes == {"written": 5}


def test_a_plan_that_waited_through_an_undo_is_spent_whoever_has_approved_it(job: FleetJob) -> None:
    job.configure(limits={"update": 3, "secret": "100%"})
    plan = job.steps.plan(code=3).plan
    digest = job.plan(code=3)["digest"]
    job.run("apply", "--accept", digest)
    job.run("undo", "last", "--apply")
    job.run("release")
    with pytest.raises(RefusedError, match=r"this plan is spent: undo \S+ took back run \S+ since it was made"):
        check_approval(job.path, digest, ())
    assert "this plan is spent: undo " in job.steps.apply(plan, accept=True, code=3).fault
    assert (job.numbers(), job.steps.waits()) == (0, [plan])
    drawn = job.steps.plan(TICKS[1], code=3)
    assert [drawn.plan] == job.steps.waits() != [plan]
    job.steps.apply(drawn.plan, TICKS[1], accept=True)
    assert job.numbers() == 5


def test_people_sign_the_document_that_waits(job: FleetJob) -> None:
    signers = f'anna {ANNA.public}\nboris valid-before="20200101Z" {BORIS.public}\n'
    job.write("signers", signers)
    job.configure(approvers={"allowed": "signers", "needed": 1})
    drawn = job.steps.plan()
    assert drawn.approval
    found = find_waiting(job.path)
    assert found is not None
    assert (bool(found.plan.refusals), found.needed) == (False, 1)

    def signed(by: Pen, octets: bytes = found.octets) -> list[tuple[str, bytes]]:
        return [("it.sig", by.sign(octets))]

    for signatures, why in (
        ([], "needs 1 signature"),
        (signed(STRANGER), "it.sig: the signature is by a key that is not among the allowed signers"),
        (signed(BORIS), "which has expired: it was valid until 2020-01-01"),
        (signed(ANNA, found.octets + b"\n"), "it.sig: the signature does not fit this file"),
        (signed(replace(ANNA, namespace="git")), "is for the namespace 'git'"),
    ):
        with pytest.raises(UnapprovedError, match=why):
            check_approval(job.path, found.plan.digest, signatures)
        assert why in job.steps.apply(drawn.plan, signatures=signatures, code=3).fault
        assert (job.numbers(), job.steps.waits()) == (0, [drawn.plan])
    assert "needs 1 signature" in job.steps.apply(drawn.plan, accept=True, code=3).fault

    check_approval(job.path, found.plan.digest, signed(ANNA))
    done = job.steps.apply(drawn.plan, signatures=signed(ANNA), accept=True)
    assert done.outcomes == {"written": 5}
    (kind, report) = job.steps.documents()[drawn.plan]
    assert (kind, [each["who"] for each in report["approvals"]]) == ("report", ["anna"])


def test_signatures_lift_the_refusals_of_the_plan_that_they_sign(job: FleetJob) -> None:
    job.write("signers", f"anna {ANNA.public}\n")
    job.configure(approvers={"allowed": "signers", "needed": 1}, limits={"update": 1})
    drawn = job.steps.plan(code=3)
    job.steps.apply(drawn.plan, signatures=[("it.sig", ANNA.sign(job.waits()))])
    assert job.numbers() == 5


def test_a_superseded_plan_cannot_be_applied(job: FleetJob) -> None:
    first = job.steps.plan().plan
    assert job.steps.plan(TICKS[1]).plan == first, "the same plan may be under review"
    job.agents([agent(1), agent(2)])
    second = job.steps.plan(TICKS[2])
    assert job.steps.waits() == [second.plan] != [first]
    assert "a newer one superseded it" in job.steps.apply(first, TICKS[1], code=3).fault
    assert job.numbers() == 0
    job.steps.apply(second.plan, TICKS[2])
    assert job.numbers() == 2
    job.agents([agent(1, workNo=7), agent(2)])
    third = job.steps.plan(TICKS[3]).plan
    job.agents([agent(1), agent(2)])
    assert job.steps.plan(TICKS[4]).plan == ""
    assert find_waiting(job.path) is None
    job.steps.apply(third, TICKS[3], code=3)
    assert job.steps.ticks() == [(TICKS[4], 1, TICKS[4])], "a late end is not of the newer tick"


def test_a_dry_run_s_plan_is_kept_and_its_tick_stays_open_for_another_attempt(job: FleetJob) -> None:
    job.steps.kind = "plan"
    drawn = job.steps.plan()
    assert (job.steps.waits(), job.steps.ticks()) == ([drawn.plan], [(TICKS[0], 0, None)])
    summary = job.steps.run(FleetRun("apply", drawn.plan, manual=True)).result.summary
    assert summary is not None
    assert (summary.kind, job.numbers(), job.steps.ticks()) == ("apply", 5, [(TICKS[0], 0, None)])
    job.agents([agent(number, workNo=number) for number in range(1, 6)])
    job.configure(limits={"update": 1})
    job.steps.plan(TICKS[1], code=3)
    assert job.steps.ticks() == [(TICKS[1], 0, None)]


def test_a_run_by_hand_is_no_tick_s(job: FleetJob) -> None:
    plan = job.steps.run(FleetRun("plan", manual=True)).result.plan
    assert job.steps.run(FleetRun("apply", plan, manual=True)).outcomes == {"written": 5}
    assert job.steps.ticks() == []


def test_a_job_on_hold_is_not_planned_for_people(job: FleetJob) -> None:
    plan = job.steps.plan().plan
    digest = find_waiting(job.path)
    assert digest is not None
    with closing(open_state(job.steps.url)) as state:
        state.hold_job("job", "somebody said so")
    with pytest.raises(OnHoldError, match="somebody said so"):
        check_approval(job.path, digest.plan.digest, ())
    assert "on hold since" in job.steps.apply(plan, code=3).fault
    found = job.steps.plan(TICKS[1], code=3)
    assert (found.plan, job.steps.ticks()) == ("", [(TICKS[1], 1, None)])


def test_a_job_whose_agents_come_from_elsewhere_is_not_planned_for_people(job: FleetJob) -> None:
    job.steps.apply(job.steps.plan().plan)
    job.write("others.json", job.read("agents.json"))
    job.configure(source={"path": "others.json"})
    found = job.steps.plan(TICKS[1], code=78)
    assert (found.plan, find_waiting(job.path)) == ("", None)


def test_a_failure_that_another_attempt_may_mend_leaves_the_tick_due(job: FleetJob) -> None:
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    assert job.steps.plan(code=1).plan == ""
    assert job.steps.ticks() == [(TICKS[0], 0, None)]
    job.write("agents.json", agents)
    plan = job.steps.plan().plan
    job.write("agents.json", "{")
    assert not job.steps.apply(plan, code=1).result.spent
    job.write("agents.json", agents)
    job.steps.apply(plan)
    assert (job.numbers(), job.steps.ticks()) == (5, [(TICKS[0], 1, TICKS[0])])


def test_a_refused_plan_without_changes_waits_since_accepting_it_lowers_what_is_expected(job: FleetJob) -> None:
    job.steps.apply(job.steps.plan().plan)
    job.agents([agent(1), agent(2)])
    drawn = job.steps.plan(TICKS[1], code=3)
    assert drawn.summary is not None
    assert ([each.limit for each in drawn.summary.plan.refusals], drawn.summary.plan.changes) == (["agents_drop"], 0)
    assert job.steps.waits() == [drawn.plan]
    job.steps.apply(drawn.plan, TICKS[1], accept=True)
    assert job.steps.plan(TICKS[2]).plan == ""


def test_a_plan_that_was_withdrawn_is_not_approved(job: FleetJob) -> None:
    found = job.steps.plan().summary
    assert found is not None
    job.steps.query("delete from documents where kind = 'saved'")
    with pytest.raises(RefusedError, match="foreign"):
        check_approval(job.path, found.plan.digest, ())
    job.steps.query("delete from documents where kind in ('plan', 'report')")
    with pytest.raises(UsageError, match="no plan of this job waits"):
        check_approval(job.path, found.plan.digest, ())


def test_a_state_in_a_file_is_refused_by_its_line(job: FleetJob) -> None:
    job.configure(state="sqlite:///state.db")
    with pytest.raises(FileError, match="a fleet needs a state that all its workers share") as raised:
        require_shared(load_job(job.path))
    line = next(number for number, text in enumerate(job.read("job.yaml").splitlines(), 1) if text.startswith("state"))
    assert raised.value.where.endswith(f"job.yaml:{line}")
    found = job.steps.run(FleetRun("plan"))
    assert found.code == 78
    assert found.result.summary is not None
    assert "a fleet needs a state" in found.fault
    assert not (job.folder / "state.db").exists()


def test_the_folder_of_reports_is_made_from_the_states(job: FleetJob) -> None:
    reports = job.folder / "out"
    job.write("fleet.yaml", "address: 127.0.0.1:1\n")

    def write(code: int = 0) -> str:
        ended = job.program("fleet", "reports", ".", "--to", "out", "--keep", "2")
        assert ended.code == code, ended.said
        return ended.out

    agents = [agent(number) for number in range(1, 6)]
    job.agents([*agents, agent(6, accountCode="nobody")])
    plan = job.steps.plan()
    assert plan.summary is not None
    digest = plan.summary.plan.digest
    assert write() == "Wrote 1 report to out.\n"
    note = section_of(reports, "job")
    assert f"cec-connector fleet approve job.yaml {digest}" in note
    assert digest in (reports / links_in(note)[0]).read_text()

    job.steps.apply(plan.plan)
    write()
    assert write() == "Wrote 0 reports to out.\n"
    assert "waits for a review" not in index_of(reports)
    section = section_of(reports, "job")
    assert "5 written" in section
    assert "1 problem: 1 unmatched" in section
    assert "user1" in (reports / "job" / f"{plan.plan}.html").read_text()

    job.steps.query("delete from documents where kind = 'report'")
    for path in (reports / "job").iterdir():
        path.unlink()
    job.write("agents.json", "{")
    job.steps.plan(TICKS[1], code=1)
    job.write("other.yaml", "source: {}\ndirectory: {}\n")
    said = write(code=1)
    assert "Not written: other: other.yaml" in said
    assert "Wrote 2 reports to out." in said
    section = section_of(reports, "job")
    assert "not JSON" in section.partition("</tr><tr>")[0]
    assert "5 written" in section
    assert "unmatched" not in section, "the journal has no problems"
    for path in reports.rglob("*"):
        assert oct(path.stat().st_mode)[-3:] == ("750" if path.is_dir() else "640")
        assert path.is_dir() or b"canary" not in path.read_bytes()

"""The folder of reports that `serve` keeps: pages, index, modes, what it takes out, and what it leaves alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connector.observers.run_summary import RunSummary
from connector.serve import report_folder, report_pages
from connector.serve.report_folder import ReportFolder, keep_report
from connector.serve.report_pages import JobRuns, ReportedRun
from tests.support.jobs import changed
from tests.support.ldif_job import JOB, Job, agent
from tests.support.program import program
from tests.support.report_folder import index_of, links_in, section_of
from tests.support.serving import serving

pytestmark = pytest.mark.slow

REPORTS = {"folder": "reports", "keep": 2}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.write("hr.yaml", changed(JOB, serve={"every": "1s", "mode": "apply", "reports": REPORTS}))
    made.write("it.yaml", changed(JOB, serve={"every": "1s", "reports": REPORTS}))
    return made


def runs_of(folder: Path) -> dict[str, set[str]]:
    """The runs of a job in the folder, each with the suffixes of its files."""
    found: dict[str, set[str]] = {}
    for path in folder.iterdir():
        run, _, suffix = path.name.partition(".")
        found.setdefault(run, set()).add(suffix)
    return found


def test_each_run_leaves_its_page_and_the_last_ones_of_each_job_stay(job: Job) -> None:
    reports = job.folder / "reports"
    with serving(job.folder, "hr.yaml", "it.yaml") as served:
        served.next("run ended", job="hr")
        foreign = reports / "hr" / "00000000-0000-0000-0000-000000000000.html"
        foreign.write_text("not ours")
        for _ in range(4):
            served.next("run ended", job="it")
        job.agents([agent(1, workNo=1071), agent(2), agent(3), agent(4, accountCode="nobody")])
        served.next("outcome", result="written", job="hr")
        served.next("run ended", job="hr")
        job.write("agents.json", "{")
        served.next("run ended", job="hr", ending="failed")
        served.next("run ended", job="it", ending="failed")
        assert served.stop() == 0
    assert foreign.read_text() == "not ours"
    foreign.unlink()
    for name in ("hr", "it"):
        assert sorted(map(len, runs_of(reports / name).values()))[-2:] == [3, 3]
        failed = [run for run, files in runs_of(reports / name).items() if files == {"html", "run.json"}]
        assert len(runs_of(reports / name)) - len(failed) == 2, "of those that did not fail, the last two stay"
        assert "not JSON" in (reports / name / f"{failed[0]}.html").read_text()
    modes = {path.name: oct(path.stat().st_mode)[-3:] for path in (reports, *reports.rglob("*"))}
    assert {mode for name, mode in modes.items() if "." in name} == {"640"}
    assert {mode for name, mode in modes.items() if "." not in name} == {"750"}
    hr = section_of(reports, "hr")
    assert "not JSON" in hr.partition("</tr><tr>")[0], "the newest run is the first"
    assert "1 written" in hr
    assert "1 problem: 1 unmatched" in hr
    assert links_in(index_of(reports))
    for link in links_in(index_of(reports)):
        assert (reports / link).is_file()
        report = (reports / link).with_suffix(".json")
        if report.exists():
            assert program("show", str(report), folder=job.folder).code == 0
    assert not [path for path in reports.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_the_index_names_the_plan_that_waits_until_somebody_has_applied_it(job: Job) -> None:
    reports = job.folder / "reports"
    job.configure(serve={"every": "1s", "reports": REPORTS}, limits={"update": 2})
    with serving(job.folder, "job.yaml") as served:
        digest = served.next("planned")["digest"]
        for _ in range(4):  # the page of the first one is gone by now
            served.next("run ended", ending="refused")
        agents = job.read("agents.json")
        job.write("agents.json", "{")
        served.next("run ended", ending="failed")
        note = re.search(r'<p class="note">(.*?)</p>', section_of(reports, "job"))
        assert note is not None, "it waits also after a run that failed"
        page = (reports / links_in(note[1])[0]).read_text()
        assert digest in note[1]
        assert digest in page
        command = re.findall("<code>(.*?)</code>", note[1])[-1]
        assert f"--plan={job.folder / 'job.plan.json'} --accept {digest}" in page
        assert command.startswith("cec-connector apply")
        job.write("agents.json", agents)
        assert program(*shlex.split(command)[1:], folder=job.folder).code == 0
        served.next("run ended", ending="done")
        served.next("run ended", ending="done")
        assert "waits for a review" not in index_of(reports)
        assert served.stop() == 0


def test_no_fault_of_the_folder_ends_a_run_and_no_page_of_others_is_replaced(job: Job) -> None:
    job.configure(serve={"every": "1s", "mode": "apply", "reports": {"folder": "none/reports"}})
    job.write("other.yaml", changed(JOB, serve={"every": "1s", "mode": "apply", "reports": {"folder": "site"}}))
    (job.folder / "site").mkdir(mode=0o755)
    job.write("site/index.html", "<!DOCTYPE html>the company's page")
    with serving(job.folder, "job.yaml", "other.yaml") as served:
        for name, place in (("job", "none/reports"), ("other", "site/index.html")):
            warning = served.next("report not kept", job=name)
            assert warning["level"] == "warning"
            assert str(job.folder / place) in warning["reason"]
            served.next("run ended", job=name, ending="done")
        assert served.stop() == 0
    assert job.read("site/index.html") == "<!DOCTYPE html>the company's page"
    assert "employeeNumber: 1003" in job.read("people.ldif")


@pytest.mark.parametrize("name", ["..", "index.html", "ü b & <i>%2e", "-"])
def test_no_name_of_a_job_leaves_the_folder(job: Job, name: str) -> None:
    (job.folder / "reports").mkdir()
    job.write(f"{name}.yaml", changed(JOB, serve={"every": "1h", "reports": {"folder": "reports/here"}}))
    with serving(job.folder, f"./{name}.yaml") as served:
        served.next("run ended", ending="done")
        assert served.names("report not kept") == []
        assert served.stop() == 0
    assert [path.name for path in (job.folder / "reports").iterdir()] == ["here"]
    here = job.folder / "reports" / "here"
    assert len(list(here.iterdir())) == 2, "a folder for the job, and the index"
    assert len(list(here.glob("*/*.html"))) == 1
    assert "<i>" not in index_of(here)


def test_a_run_that_comes_while_the_index_is_made_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of another process, which has written its index in between."""
    folder = ReportFolder(tmp_path / "reports", 3)

    def keep(job: str) -> None:
        fault = RunSummary(job=job, run="a", kind="plan", started=0, seconds=0, exit_code=1, fault="it failed")
        keep_report(folder, ReportedRun(fault))

    def render(jobs: Sequence[JobRuns]) -> Iterator[str]:
        if len(jobs) < 3:
            keep(f"job{len(jobs)}")
        return report_pages.render_index(jobs)

    monkeypatch.setattr(report_folder, "render_index", render)
    keep("job0")
    assert links_in(index_of(folder.path)) == [f"job{number}/a.html" for number in (0, 1, 2, 0, 1, 2)]

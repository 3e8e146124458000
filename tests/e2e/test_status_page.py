"""The page at `/`, the metric of failing jobs, the one event of a failure, and what `serve` says at a terminal."""

from __future__ import annotations

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.browser import browsing
from tests.support.jobs import changed
from tests.support.ldif_job import JOB, Job
from tests.support.serving import PATIENCE, Served, serving, until
from tests.support.terminal import plain, session

pytestmark = pytest.mark.slow

PERSONAL = ("user1", "1001", "7001", "canary", "example.org", "dc=", "uid=")
FAILING = "failing_since_timestamp_seconds"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that applies, and one, `nightly`, whose plans wait; each runs once, and then not for an hour."""
    made = Job(tmp_path, users=3)
    for name, mode in (("acme", "apply"), ("nightly", "dry-run")):
        state = f"sqlite:///{name}.db"
        made.write(f"{name}.yaml", changed(JOB, serve={"every": "1h", "mode": mode}, state=state))
    return made


def fact(page: str, job: str, name: str) -> str | None:
    """What the page says of a job."""
    section = page.partition(f"<h2>{job}</h2>")[2].partition("</section>")[0]
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", section)
    return found and found[1]


def page_of(served: Served) -> str:
    status, page = served.get("/")
    assert status == 200
    without_ids = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]{64}", "", page)
    assert not [word for word in PERSONAL if word in without_ids]
    return page


def both_ended(served: Served) -> None:
    for _ in range(2):
        served.next("run ended")


def test_the_page_tells_last_runs_counts_next_runs_and_the_plan_that_waits(job: Job) -> None:
    with serving(job.folder, "acme.yaml", "nightly.yaml") as served:
        both_ended(served)
        until(lambda: fact(page_of(served), "nightly", "Next run") not in ("under way", None))
        page = page_of(served)
        assert "2 jobs, none must be looked at" in page
        assert fact(page, "acme", "Written") == "3 of 3 users written"
        assert fact(page, "nightly", "Written") == "3 users to change"
        assert fact(page, "nightly", "Agents") == "3 matched"
        assert re.search(r", done \(exit code 0\) in 1 s$", fact(page, "acme", "Last run") or "")
        in_an_hour = f"{(datetime.now(UTC) + timedelta(hours=1)).astimezone():%Y-%m-%d %H:}"
        assert (fact(page, "acme", "Next run") or "").startswith(in_an_hour)
        plan = job.folder / "nightly.plan.json"
        digest = json.loads(plan.read_text())["digest"]
        assert fact(page, "nightly", "Plan that waits") == f"{digest} in {plan}"
        assert fact(page, "acme", "Plan that waits") is None
        assert served.metric(FAILING, cec_job="acme") == 0
        assert served.stop() == 0


def test_nothing_on_the_page_can_be_run_sent_or_kept(job: Job) -> None:
    with serving(job.folder, "acme.yaml") as served:
        page = page_of(served)
        assert not re.search(r"<(script|form|input|button|img|link|iframe)|\son\w+=|https?:", page)
        for method in ("GET", "HEAD"):
            request = urllib.request.Request(f"{served.url}/", method=method)  # of the server just begun
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                headers, body = answer.headers, answer.read()
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
            assert headers["Referrer-Policy"] == "no-referrer"
            assert bool(body) == (method == "GET")
        assert served.stop() == 0


def test_the_only_link_leads_to_the_reports(job: Job) -> None:
    url = "https://reports.example.com/cec/"
    reports = {"folder": "reports", "url": url}
    job.write("acme.yaml", changed(JOB, serve={"every": "1h", "reports": reports}))
    with serving(job.folder, "acme.yaml", "nightly.yaml") as served:
        links = re.findall("<a [^>]*>", page_of(served))
        assert links == ['<a href="https://reports.example.com/cec/">']
        assert served.stop() == 0


def test_a_job_fails_since_its_first_failed_run_also_past_a_restart_until_a_run_mends_it(job: Job) -> None:
    job.write("acme.yaml", changed(JOB, serve={"every": "1s", "mode": "apply"}))
    with serving(job.folder, "acme.yaml") as served:
        served.next("run ended", ending="done")
        agents = job.read("agents.json")
        job.write("agents.json", "{")
        first = served.next("run ended", ending="failed")
        assert first["reason"] == f"{job.folder}/agents.json: not JSON: cut off after byte 1"
        assert first["code"] == "CEC-0127"
        since = served.metric(FAILING)
        served.next("run ended", ending="failed")
        assert served.metric(FAILING) == since
        assert served.get("/readyz")[0] == 200, "one failed run is no reason to take the process out of a Service"
        page = page_of(served)
        assert "1 of 1 job must be looked at" in page
        assert fact(page, "acme", "Failing since") == f"{datetime.fromtimestamp(since or 0).astimezone():%F %T %Z}"
        assert "not JSON" in (fact(page, "acme", "Reason") or "")
        job.write("agents.json", agents)
        mended = served.next("run ended", ending="done")
        assert mended["recovered_after"] > 1
        assert served.metric(FAILING) == 0
        assert served.stop() == 0
    failures = [each for each in served.events if each["level"] in ("warning", "error")]
    assert {each["event"] for each in failures} == {"run ended"}, "a failure is told once"
    assert not [each for each in served.events if each["event"] == "run ended" and None in each.values()]


def test_a_restart_forgets_neither_a_failure_nor_a_success(job: Job) -> None:
    with serving(job.folder, "acme.yaml") as served:
        served.next("run ended", ending="done")
        success = served.metric("last_success_timestamp_seconds")
        assert served.stop() == 0
    refused = changed(JOB, serve={"every": "1h"}, state="sqlite:///beta.db", limits={"update": 0})
    job.write("people.ldif", job.read("people.ldif").replace("employeeNumber: 1001\n", ""))
    job.write("beta.yaml", refused)
    for _ in range(2):
        with serving(job.folder, "acme.yaml", "beta.yaml") as served:
            served.next("schedule read")
            until(lambda: served.metric(FAILING, cec_job="beta"))
            assert served.metric(FAILING, cec_job="acme") == 0
            assert ", ended well; before a restart." in (fact(page_of(served), "acme", "Last tick") or "")
            assert served.metric("last_success_timestamp_seconds", cec_job="acme") == pytest.approx(success, abs=60)
            assert served.stop() == 0
    assert served.names("run started") == [], "what failed is told by the state"


def test_at_a_terminal_each_run_is_one_line(job: Job) -> None:
    for name in ("acme", "beta"):
        job.write(f"{name}.yaml", changed(JOB, serve={"every": "2s", "mode": "apply"}, state=f"sqlite:///{name}.db"))
    agents = job.read("agents.json")
    with session(job.folder, "serve", "acme.yaml", "--listen", "127.0.0.1:0", width=200) as serve:
        serve.wait_for("acme: no changes")
        job.write("agents.json", "{")
        serve.wait_for("acme failed")
        job.write("agents.json", agents)
        serve.wait_for("recovered")
        serve.type("\x03")
        assert serve.end() == 0
        first, *lines = plain(serve.seen).replace("^C", "").splitlines()
    assert re.fullmatch(r"Serving 1 job, next: acme now\. Status: http://127\.0\.0\.1:\d+/", first)
    moment = r"next (now|at \d\d:\d\d(:\d\d)?)"
    forms = [
        rf"acme: (3 of 3 users written|no changes) in \d s; {moment}",
        rf"acme failed: {job.folder}/agents\.json: not JSON: cut off after byte 1 \(CEC-0127\); {moment}",
        rf"acme: recovered after \d+ s; no changes in \d s; {moment}",
        r"Stopping\. Runs to end first: (acme|none)",
        r"acme: stopped",
    ]
    assert lines[0].startswith("acme: 3 of 3 users written")
    for line in lines:
        assert any(re.fullmatch(form, line) for form in forms), line


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing_and_the_page_fits(job: Job, dark: bool, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # only where it is here

    long = "a-job-of-a-tenant-whose-name-is-so-long-that-no-telephone-shows-it-in-one-line"
    job.write(f"{long}.yaml", changed(JOB, serve={"every": "1h"}, source={"type": "file", "path": "broken.json"}))
    job.write("broken.json", "{")
    with serving(job.folder, "nightly.yaml", f"{long}.yaml") as served, browsing(dark) as context:
        both_ended(served)
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{served.url}/")
        page.get_by_text("1 of 2 jobs must be looked at").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        style = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert style == ("rgb(21, 26, 33)" if dark else "rgb(255, 255, 255)"), "the policy lets its own style in"
        violations = Axe().run(page).response["violations"]
        assert [each["id"] for each in violations] == []
        assert served.stop() == 0

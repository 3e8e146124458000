"""Between two ticks: a change of the tenant or the directory starts a run, and so does a call over HTTP."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import changed, configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldif_job import JOB, Job, agent
from tests.support.serving import Served, serving, until
from tests.support.slapd import SYNC_PASSWORD, Slapd, person

pytestmark = pytest.mark.slow
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    schedule(made, watch="5s")
    return made


def schedule(job: Job, **serve: object) -> None:
    """With a tick once a year, so that no run is one of a tick."""
    job.write("job.yaml", changed(JOB, serve={"cron": "0 0 1 1 *", "mode": "apply", **serve}))


def called(served: Served, job: str, token: str | None = "t0ken") -> tuple[int, dict[str, str], str]:
    """Status, headers and text of a call of the hook."""
    link = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    link.request("POST", f"/run/{job}", body=b"{}", headers=headers)
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def woken(served: Served, cause: str) -> None:
    """Wait for a run that this has woken, to its end."""
    served.next("run started", woken_by=cause)
    assert served.next("run ended")["ending"] == "done"


def test_a_change_of_tenant_or_directory_starts_a_run(job: Job) -> None:
    with serving(job.folder, "job.yaml") as served:
        woken(served, "start")
        assert "employeeNumber: 1003" in job.read("people.ldif")
        woken(served, "directory")  # its own writes, once
        began = datetime.now(UTC)
        job.agents([agent(1), agent(2), agent(3, workNo=1033)])
        woken(served, "tenant")
        assert "employeeNumber: 1033" in job.read("people.ldif")
        woken(served, "directory")
        job.write("people.ldif", job.read("people.ldif").replace("employeeNumber: 1033", "employeeNumber: 9"))
        woken(served, "directory")
        assert "employeeNumber: 1033" in job.read("people.ldif")
        took = served.metric("last_change_seconds", cec_job="job")
        assert took is not None
        assert 0 < took <= (datetime.now(UTC) - began).total_seconds() + 5
        assert served.metric("wake_ups_total", cause="tenant") == 1
        assert served.metric("wake_ups_total", cause="hook") == 0
        assert served.stop() == 0


def test_a_look_that_fails_is_told_once_and_starts_nothing(job: Job) -> None:
    with serving(job.folder, "job.yaml") as served:
        woken(served, "start")
        woken(served, "directory")
        job.write("agents.json", "[")
        assert "agents.json" in served.next("watch failed")["reason"]
        job.write("people.ldif", job.read("people.ldif") + "\n")
        # what can be looked at still wakes; its run fails as one of the schedule would
        served.next("run started", woken_by="directory")
        assert served.next("run ended")["ending"] == "failed"
        assert served.metric("watch_failing", cec_job="job") == 1
        job.agents([agent(1), agent(2), agent(3, workNo=1033)])
        assert served.next("run ended", ending="done")
        served.ever("watch works again")
        assert "employeeNumber: 1033" in job.read("people.ldif")
        assert served.stop() == 0
    assert served.names("watch failed", "watch works again") == ["watch failed", "watch works again"]


def test_the_hook_starts_a_run_for_whoever_has_its_token(job: Job) -> None:
    job.write("token", "t0ken\n")
    (job.folder / "token").chmod(0o600)
    schedule(job, hook={"token": {"file": "token"}, "at_most": "2/h"})
    job.configure(audit={"file": "audit.jsonl"})
    with serving(job.folder, "job.yaml") as served:
        assert called(served, "else")[0] == 404
        assert called(served, "job", None)[0] == 401
        status, headers, _ = called(served, "job", "wrong")
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        status, _, text = called(served, "job")
        assert status == 202
        woken(served, "hook")
        run = json.loads(text)["run"]
        assert served.events[-1]["run"] == run
        (applied,) = json.loads(job.run("runs", "--json"))
        assert (applied["id"], applied["by"]) == (run, "hook")
        records = [json.loads(line) for line in job.read("audit.jsonl").splitlines()]
        named = [each["event"] for each in records if each.get("woken_by") == "hook" and each["run"] == run]
        assert named == ["begin", "end"]
        assert called(served, "job")[0] == 202
        assert called(served, "job")[0] in {409, 429}
        woken(served, "hook")
        status, headers, _ = called(served, "job")
        assert (status, int(headers["retry-after"]) > 3000) == (429, True)
        assert served.stop() == 0
    assert served.text.count("wrong token") == 1
    assert "t0ken" not in served.text


def test_without_a_hook_nobody_starts_a_run(job: Job) -> None:
    schedule(job)
    with serving(job.folder, "job.yaml") as served:
        assert called(served, "job")[0] == 404
        assert served.stop() == 0
    assert not served.names("run started")


# ---------------------------------------------------------------- on servers


@pytest.mark.parametrize(
    "kind", [pytest.param(Slapd, marks=pytest.mark.slapd), pytest.param(Ds389, marks=pytest.mark.ds389)]
)
def test_a_new_colleague_has_a_phone_also_after_the_server_was_away(tmp_path: Path, kind: type[Slapd | Ds389]) -> None:
    """Half of the changes are made in the directory, half in the tenant; both wait for the server's return."""
    with kind.start(tmp_path / "server", [person("first")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "first", "second", "third", mapping=MAPPING)
        configure(job.folder / "job.yaml", serve={"cron": "0 0 1 1 *", "mode": "apply", "watch": "5s"})
        with serving(job.folder, "job.yaml", env={"LDAP_PASSWORD": SYNC_PASSWORD}) as served:
            until(lambda: held(server, "first", "employeeNumber") == ["1000"])
            server.add(person("second"))
            until(lambda: held(server, "second", "employeeNumber") == ["1001"])
            server.stop()
            served.next("watch failed")
            server.restart()
            server.add(person("third"))
            until(lambda: held(server, "third", "employeeNumber") == ["1002"])
            document = (job.folder / "agents.json").read_text()
            (job.folder / "agents.json").write_text(document.replace("1001", "2001"))
            until(lambda: held(server, "second", "employeeNumber") == ["2001"])
            assert served.stop() == 0
        assert served.names("watch failed") == ["watch failed"]
        runs = json.loads(job.run_plainly("runs", "--json"))
        assert sum(run["outcomes"].get("written", 0) for run in runs) == 4, "a scheduled plan would write no less"


@pytest.mark.slapd
def test_a_refused_account_ends_looks_until_its_secret_changes(tmp_path: Path) -> None:
    """One attempt is made with the wrong password, however many jobs look."""
    with Slapd.start(tmp_path / "server", [person("first")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "first", mapping=MAPPING)
        (job.folder / "password").write_text("wrong")
        serve = {"cron": "0 0 1 1 *", "mode": "apply", "watch": "5s"}
        configure(job.folder / "job.yaml", serve=serve)
        text = (job.folder / "job.yaml").read_text().replace("env: LDAP_PASSWORD", "file: password")
        (job.folder / "job.yaml").write_text(text)
        (job.folder / "other.yaml").write_text(text.replace("state.db", "other.db"))
        with serving(job.folder, "job.yaml", "other.yaml") as served:
            assert "the server refused the account" in served.next("runs wait for the account")["reason"]
            until(lambda: served.get("/readyz")[1].count("refused its account") == 2)
            assert not served.names("run started")
            (job.folder / "password").write_text(SYNC_PASSWORD)
            until(lambda: held(server, "first", "employeeNumber") == ["1000"])
            assert served.stop() == 0
        assert served.names("runs wait for the account") == ["runs wait for the account"]

"""What a single run leaves for Prometheus: a file for node-exporter, or a group in a real Pushgateway."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connector.demo.simulator import Simulator
from connector.observers.export import LIMITS
from tests.support.http_server import HttpServer, said
from tests.support.jobs import cec_source, file, ldap_directory
from tests.support.ldif_job import Job, agent
from tests.support.monitoring import fetch, nobody_in, promtool, pushgateway
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd, person

pytestmark = pytest.mark.slow

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Values by name and labels, but for the job's, which is the same everywhere."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "cec_job" in sample.labels:
                assert sample.labels["cec_job"] == "job"
                labels = [value for name, value in sample.labels.items() if name not in ("cec_job", "job", "instance")]
                found[sample.name.removeprefix("cec_connector_"), *labels] = sample.value
    return found


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.agents([agent(1), agent(2), agent(9), agent(4, accountCode=None)])
    made.configure(metrics={"textfile": "cec.prom"})
    return made


def test_runs_add_up_in_a_file_that_node_exporter_can_read(job: Job) -> None:
    job.run("plan")
    first = samples(job.read("cec.prom"))
    assert first["runs_total", "done", "plan"] == 1
    assert {labels[1]: value for labels, value in first.items() if labels[0] == "agents"} == {
        "matched": 2, "unmatched": 1, "ambiguous": 0, "contested": 0, "unassigned": 1, "invalid": 0,
    }  # fmt: skip
    assert (first["users", "update"], first["users", "secret"], first["users", "unchanged"]) == (2, 2, 0)
    assert first["problems", "unmatched"] == 1
    assert first["stage_seconds_total", "read source"] > 0

    job.run("apply")
    job.run("plan", "--fail-on-changes")
    text = job.read("cec.prom")
    second = samples(text)
    assert (second["runs_total", "done", "plan"], second["runs_total", "done", "apply"]) == (2, 1)
    assert second["outcomes_total", "written"] == 2
    assert (second["users", "update"], second["users", "unchanged"]) == (0, 2)
    assert stat.S_IMODE((job.folder / "cec.prom").stat().st_mode) == 0o644
    nobody_in(text)


@pytest.mark.monitoring
def test_the_file_is_well_formed_and_well_named(job: Job) -> None:
    job.run("apply")
    assert promtool("check", "metrics", text=job.read("cec.prom")) == ""


def test_a_run_that_fails_says_so_and_leaves_the_last_success_as_it_was(job: Job) -> None:
    job.run("plan")
    good = samples(job.read("cec.prom"))
    agents = job.read("agents.json")
    job.write("agents.json", "{")
    job.run("plan", code=1)
    bad = samples(job.read("cec.prom"))
    assert bad["runs_total", "failed", "plan"] == 1
    assert bad["last_success_timestamp_seconds",] == good["last_success_timestamp_seconds",]
    assert bad["last_run_timestamp_seconds",] > good["last_run_timestamp_seconds",]
    assert bad["agents", "matched"] == 2, "what is not known any better stays"
    job.write("agents.json", agents)
    job.write("mapping.yaml", "{")  # also what is found wrong before anything is read
    job.run("plan", code=78)
    assert samples(job.read("cec.prom"))["runs_total", "failed", "plan"] == 2


def test_refusals_and_conflicts_are_counted(job: Job) -> None:
    job.configure(limits={"update": 1})
    job.run("apply", code=3)
    job.run("plan", "--save", "plan.json", code=3)
    digest = json.loads(job.read("plan.json"))["digest"]
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", "uid: user1\nemployeeNumber: 5\n"))
    job.run("apply", "--plan", "plan.json", "--accept", digest, code=4)
    found = samples(job.read("cec.prom"))
    assert (found["refusals_total", "update"], found["refusals_total", "secret"]) == (2, 2)
    assert (found["runs_total", "refused", "apply"], found["runs_total", "refused", "plan"]) == (1, 1)
    assert found["runs_total", "in part", "apply"] == 1
    assert (found["outcomes_total", "conflict"], found["outcomes_total", "written"]) == (1, 1)


def test_a_file_that_is_damaged_begins_anew_and_one_that_cannot_be_written_costs_no_run(job: Job) -> None:
    job.write("cec.prom", "# TYPE cec_connector_runs counter\ncec_connector_runs_total{cec_job=\n")
    assert "metrics start at zero" in job.program("plan", "job.yaml").err
    assert samples(job.read("cec.prom"))["runs_total", "done", "plan"] == 1
    job.configure(metrics={"textfile": "gone/cec.prom"})
    ended = job.program("plan", "job.yaml")
    assert ended.code == 0
    assert "metrics not handed over" in ended.err


@pytest.mark.slapd
def test_requests_and_errors_are_counted_on_both_sides(job: Job) -> None:
    classes = ["cecAgent", "SIPIdentity"]
    job.write("key", "demo-key")
    job.write("secret", "demo-secret")
    job.write("password", SYNC_PASSWORD)
    with (
        Simulator(json.loads(job.read("agents.json"))) as tenant,
        Slapd.start(job.folder / "slapd", [person(f"user{n}", classes=classes) for n in (1, 2, 3)]) as server,
    ):
        job.configure(
            source=cec_source(tenant.url, app_key=file("key"), app_secret=file("secret")),
            directory=ldap_directory(server.ldaps_url, ca=server.ca, bind_dn=SYNC, password=file("password")),
        )
        job.run("apply")
        good = samples(job.read("cec.prom"))
        assert good["requests_total", "source"] == 2  # a token, and the query
        assert good["requests_total", "directory"] >= 5  # bind, root DSE, schema, searches, modifies
        assert good["request_errors_total", "source"] == good["request_errors_total", "directory"] == 0
        job.write("password", "wrong")
        job.run("plan", code=1)
        assert samples(job.read("cec.prom"))["request_errors_total", "directory"] == 1
        job.write("password", SYNC_PASSWORD)
        job.write("secret", "wrong")
        job.run("plan", code=1)
        assert samples(job.read("cec.prom"))["request_errors_total", "source"] == 1


def test_requests_to_a_scim_server_are_counted_as_it_counts_them(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "scim") as server:
        server.put(people(3))
        server.forget()
        job = ScimJob(tmp_path / "job", server, agents=2)
        job.configure(metrics={"textfile": "cec.prom"})
        job.run("apply")
        seen = server.log()
        found = samples((job.folder / "cec.prom").read_text())
        assert found["requests_total", "directory"] == len(seen) > 3
        assert found["request_errors_total", "directory"] == len([each for each in seen if each.status >= 400])
        job.configure(directory={"token": {"env": None} | file("wrong")})
        (job.folder / "wrong").write_text("canary-wrong")
        job.run("plan", code=1)
        refused = samples((job.folder / "cec.prom").read_text())
        assert refused["request_errors_total", "directory"] == found["request_errors_total", "directory"] + 1


@pytest.mark.monitoring
def test_runs_add_up_in_a_pushgateway(job: Job) -> None:
    with pushgateway(job.folder) as url:
        job.configure(metrics={"textfile": None, "pushgateway": url})
        job.run("apply")
        job.run("plan")
        job.write("agents.json", "{")
        job.run("plan", code=1)
        text = fetch(f"{url}/metrics")
    ours = "\n".join(line for line in text.splitlines() if "cec_" in line) + "\n"
    found = samples(ours)
    assert (found["runs_total", "done", "apply"], found["runs_total", "done", "plan"]) == (1, 1)
    assert found["runs_total", "failed", "plan"] == 1
    assert found["outcomes_total", "written"] == 2
    assert found["agents", "matched"] == 2


def test_a_gateway_that_says_too_much_is_told_of_by_no_setting(job: Job) -> None:
    """No job has a bound for it."""
    with HttpServer([said(200, b"#" * (LIMITS.max_bytes + 1))]) as gateway:
        job.configure(metrics={"textfile": None, "pushgateway": gateway.url})
        lines = job.program("plan", "job.yaml").err.splitlines()
    (event,) = [json.loads(line) for line in lines if "handed over" in line]
    assert event["reason"] == f"{gateway.url}/metrics: the answer is longer than {LIMITS.max_bytes} octets"


def test_a_gateway_that_is_away_costs_no_run(job: Job) -> None:
    job.configure(metrics={"textfile": None, "pushgateway": "http://127.0.0.1:9"})
    ended = job.program("plan", "job.yaml")
    assert ended.code == 0
    assert "metrics not handed over" in ended.err


def test_a_textfile_has_to_be_one_that_is_collected(job: Job) -> None:
    job.configure(metrics={"textfile": "cec.txt"})
    assert "job.yaml:5: metrics.textfile: must end in .prom" in job.run("plan", code=78)

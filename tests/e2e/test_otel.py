"""A run as a trace: what reaches a collector, and what becomes of a run whose collector does not answer."""

from __future__ import annotations

import gzip
import queue
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.ldif_job import Job
from tests.support.program import program
from tests.support.serving import serving

pytestmark = pytest.mark.slow


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, at /v1/traces; `coming` are the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.coming: queue.Queue[bytes] = queue.Queue()
        self.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server_port}"}

    def spans(self) -> tuple[dict[str, Any], list[Any]]:
        """The resource and the spans of the next request."""
        body = self.coming.get(timeout=20)
        assert b"canary" not in body
        assert b"user1" not in body
        (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
        return told(resource.resource), [span for scope in resource.scope_spans for span in scope.spans]


class _Request(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.coming.put(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


def told(what: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in what.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.configure(traces="otlp")
    return made


def test_a_run_is_a_span_and_each_stage_one_in_it(job: Job, collector: Collector) -> None:
    before = time.time_ns()
    ended = program("apply", "job.yaml", "--report", "a.json", folder=job.folder, env=collector.env)
    assert ended.code == 0, ended.said
    resource, spans = collector.spans()
    assert resource["service.name"] == "cec-connector"
    (run,) = [span for span in spans if not span.parent_span_id]
    about = told(run)
    assert run.name == about["cec.kind"] == "apply"
    assert (about["cec.job"], about["cec.ending"], about["cec.exit_code"]) == ("job", "done", 0)
    assert (about["cec.counts.matched"], about["cec.outcomes.written"], about["cec.changes"]) == (3, 3, 3)
    assert about["cec.run"] in job.read("a.json")
    assert about["cec.digest"] in job.read("a.json")
    stages = [span for span in spans if span.parent_span_id]
    assert {span.parent_span_id for span in stages} == {run.span_id}
    assert {span.trace_id for span in stages} == {run.trace_id}
    assert [span.name for span in stages][:3] == ["begin", "read source", "describe directory"]
    assert "write" in {span.name for span in stages}
    times = [time_ for span in stages for time_ in (span.start_time_unix_nano, span.end_time_unix_nano)]
    assert times == sorted(times)
    assert before <= run.start_time_unix_nano <= times[0]
    assert times[-1] <= run.end_time_unix_nano + 1000


def test_a_run_that_fails_is_an_error_without_words_and_the_name_of_the_service_is_the_variables(
    job: Job, collector: Collector
) -> None:
    job.write("agents.json", "{")
    ended = program("plan", "job.yaml", folder=job.folder, env=collector.env | {"OTEL_SERVICE_NAME": "hr"})
    assert ended.code == 1
    resource, spans = collector.spans()
    assert resource["service.name"] == "hr"
    (run,) = [span for span in spans if not span.parent_span_id]
    assert (run.status.code, run.status.message) == (2, "failed")


def test_runs_of_serve_are_traced_too(job: Job, collector: Collector) -> None:
    job.configure(serve={"every": "1h"})
    with serving(job.folder, "job.yaml", env=collector.env) as served:
        run = served.next("run ended")["run"]
        assert run in {told(span).get("cec.run") for span in collector.spans()[1]}
        assert served.stop() == 0


def test_a_collector_that_is_away_or_never_answers_costs_a_run_no_more_than_seconds(job: Job) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}  # seconds, longer than a program may take here
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": address} | patient
        ended = program("plan", "job.yaml", folder=job.folder, env=env)
    assert ended.code == 0, ended.said
    assert "no answer within 3 seconds" in ended.err
    ended = program("plan", "job.yaml", folder=job.folder, env={"OTEL_EXPORTER_OTLP_ENDPOINT": address})
    assert (ended.code, "trace not handed over" in ended.err) == (0, True), ended.said
    assert "Traceback" not in ended.said


def test_without_the_extra_it_is_said_what_to_install(job: Job) -> None:
    (job.folder / "missing" / "opentelemetry").mkdir(parents=True)
    job.write("missing/opentelemetry/__init__.py", "raise ModuleNotFoundError('no', name='opentelemetry')\n")
    ended = program("plan", "job.yaml", folder=job.folder, env={"PYTHONPATH": str(job.folder / "missing")})
    assert ended.code == 78
    assert "job.yaml:5: traces need OpenTelemetry" in ended.err
    assert "cec-connector[otel]" in ended.err
    assert program("--help", folder=job.folder, env={"PYTHONPATH": str(job.folder / "missing")}).code == 0

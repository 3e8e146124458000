"""A run as an OpenTelemetry trace: a span for the run, and one in it for each stage; nothing in it is about a person.

It goes by OTLP over HTTP to wherever the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT
and others) say. It is not worth a run: a collector that does not answer is waited for once
the run is over, and for a few seconds only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from connector import __version__
from connector.observers.run_summary import RunSummary
from connector.runtime.log import log

SECONDS: Final = 3.0
"""So long the end of the process waits for a collector."""
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
logging.getLogger("opentelemetry").propagate = False  # what fails is said by us, once


def send_trace(summary: RunSummary) -> None:
    """Hand the trace of a run over. Never raises, and never waits for longer than `SECONDS`."""
    fault = f"no answer within {SECONDS:.0f} seconds"

    def send() -> None:
        nonlocal fault
        try:
            spans = _make_spans(summary)
            arrived = (
                not spans
                or OTLPSpanExporter().export(spans) is SpanExportResult.SUCCESS
            )
            fault = "" if arrived else "the collector does not take it"
        except Exception as error:  # noqa: BLE001  # a thread has no caller; `fault` is told
            fault = type(error).__name__

    # it dies with the process, for an exporter tries again for as long as it likes
    sender = threading.Thread(target=send, name="traces", daemon=True)
    sender.start()
    sender.join(SECONDS)
    if fault:
        log.warning("trace not handed over", reason=fault)


def _make_spans(summary: RunSummary) -> Sequence[ReadableSpan]:
    """The spans of a run, with the times that they had; none where OTEL_SDK_DISABLED says so."""
    kept = InMemorySpanExporter()
    ours = Resource({"service.name": "cec-connector", "service.version": __version__})
    provider = TracerProvider(
        resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("connector", __version__)
    run = tracer.start_span(
        summary.kind,
        start_time=_to_nanoseconds(summary.started),
        attributes=_list_attributes(summary),
    )
    within = set_span_in_context(run)
    for name, begin, end in summary.course:
        stage = tracer.start_span(
            name, within, start_time=_to_nanoseconds(summary.started + begin)
        )
        stage.end(_to_nanoseconds(summary.started + end))
    if not summary.is_good:
        run.set_status(Status(StatusCode.ERROR, summary.ending))
    run.end(_to_nanoseconds(summary.started + summary.seconds))
    return kept.get_finished_spans()


def _list_attributes(summary: RunSummary) -> dict[str, str | int]:
    """What is said of a run: names of ours and numbers; a fault's words could name a user."""
    plan = summary.plan
    attributes: dict[str, str | int] = {
        "cec.job": summary.job,
        "cec.run": summary.run,
        "cec.kind": summary.kind,
        "cec.digest": plan.digest,
        "cec.ending": summary.ending,
        "cec.exit_code": summary.exit_code,
        "cec.changes": plan.changes,
    }
    for group, numbers in (
        ("counts", plan.counts),
        ("problems", plan.problems),
        ("outcomes", summary.outcomes),
    ):
        for name, number in numbers.items():
            attributes[f"cec.{group}.{name}"] = number
    return attributes


def _to_nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)

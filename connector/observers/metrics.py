"""Runs as Prometheus metrics; the label `cec_job` is the job, and no label or value says anything about a person.

The label is not called `job`, because that is the name of Prometheus's own label for what
it scrapes: it would come out as `exported_job` in one setup and as `job` in another.

One process may keep them (`serve`), or every run may add to what the one before it left in
a file or a gateway: then they are read back first, so that counters count on and what this
run has not found out stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from connector import __version__
from connector.model import Result
from connector.model.limits import LIMITS
from connector.net.counters import SIDES
from connector.observers.run_summary import (
    ENDINGS,
    FAILED,
    Kind,
    PlanFigures,
    RunSummary,
)
from connector.reports.wording import AGENT_COUNTS, USER_COUNTS

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, of no use here

_PREFIX: Final = "cec_connector_"
_METRICS: Final[dict[str, tuple[type[Counter | Gauge], str, tuple[str, ...]]]] = {
    "runs": (Counter, "Runs by kind and result.", ("kind", "ending")),
    "outcomes": (Counter, "Users of changes, by outcome.", ("outcome",)),
    "refusals": (Counter, "Refused plans, by limit.", ("limit",)),
    "requests": (Counter, "Requests to the source and to the directory.", ("side",)),
    "request_errors": (Counter, "Requests that failed or got an error.", ("side",)),
    "stage_seconds": (Counter, "Seconds in each stage of the runs.", ("stage",)),
    "last_run_timestamp_seconds": (Gauge, "When the last run began.", ()),
    "last_run_duration_seconds": (Gauge, "How long the last run took.", ()),
    "last_success_timestamp_seconds": (Gauge, "When the last good run began.", ()),
    "agents": (Gauge, "Agents of the last plan, by match result.", ("match",)),
    "users": (
        Gauge,
        "Users of the last plan: unchanged, stale, and by change.",
        ("state",),
    ),
    "stale_users_with_credentials": (
        Gauge,
        "Stale users of the last plan that keep credentials of the job.",
        (),
    ),
    "failing_since_timestamp_seconds": (
        Gauge,
        "When the first run failed that no later one has mended; 0: there is none.",
        (),
    ),
    "next_run_timestamp_seconds": (Gauge, "When the next run is due.", ()),
    "ready": (Gauge, "Whether the last good run is recent enough.", ()),
    "files_accepted": (Gauge, "Whether the job's files were valid when last read.", ()),
    "wake_ups": (Counter, "Runs started between ticks, by cause.", ("cause",)),
    "watch_failing": (Gauge, "Whether the last look for changes failed.", ()),
    "last_change_seconds": (
        Gauge,
        "Most seconds from the last change to the end of the run that it started.",
        (),
    ),
    "problems": (Gauge, "Problems of the last plan, by kind.", ("kind",)),
}
_FLEET_METRICS: Final = {
    "stopped": "Whether the brake stops applies.",
    "waiting": "Steps that wait to begin.",
    "under_way": "Steps under way.",
}
_EXPECTED_LABELS: Final = {
    "outcomes": [result.value for result in Result],
    "refusals": LIMITS,
    "requests": SIDES,
    "request_errors": SIDES,
}
"""Labels of each job's counters beside those of `runs`."""


class RunMetrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {
            name: kind(
                _PREFIX + name, text, ("cec_job", *labels), registry=self.registry
            )
            for name, (kind, text, labels) in _METRICS.items()
        }
        info = Gauge(
            _PREFIX + "build_info",
            "The version of this program.",
            ("version",),
            registry=self.registry,
        )
        info.labels(__version__).set(1)

    def expect_job(self, job: str, kind: Kind) -> None:
        """Let a job's counters begin at 0, for of what begins with 1 nobody sees that it has grown."""
        self._metrics["failing_since_timestamp_seconds"].labels(job)
        for ending in {*ENDINGS.values(), FAILED}:
            self._metrics["runs"].labels(job, kind, ending)
        for name, labels in _EXPECTED_LABELS.items():
            for label in labels:
                self._metrics[name].labels(job, label)

    def expect_wake_ups(self, job: str, causes: Iterable[str]) -> None:
        """Let a job's wake-ups begin at 0."""
        for cause in causes:
            self._metrics["wake_ups"].labels(job, cause)

    def count_wake_up(self, job: str, cause: str) -> None:
        """Count a run that is started between two ticks."""
        self._add_to_counter("wake_ups", job, 1, cause)

    def add_run(self, summary: RunSummary) -> None:
        """Count a run."""
        job, plan = summary.job, summary.plan
        self.expect_job(job, summary.kind)
        self._add_to_counter("runs", job, 1, summary.kind, summary.ending)
        for outcome, number in summary.outcomes.items():
            self._add_to_counter("outcomes", job, number, outcome)
        if summary.ending == "refused":
            for refusal in plan.refusals:
                self._add_to_counter("refusals", job, 1, refusal.limit)
        for side in summary.requests.keys() & set(SIDES):
            counts = summary.requests[side]
            self._add_to_counter("requests", job, counts.requests, side)
            self._add_to_counter("request_errors", job, counts.errors, side)
        for stage, begin, end in summary.course:
            self._add_to_counter("stage_seconds", job, end - begin, stage)
        self.set_gauge("last_run_timestamp_seconds", job, summary.started)
        self.set_gauge("last_run_duration_seconds", job, summary.seconds)
        if summary.is_good:
            self.set_gauge("last_success_timestamp_seconds", job, summary.started)
        if summary.needs_mending and not self.read_failing_since(job):
            self.set_failing_since(job, summary.started)
        elif summary.is_good and summary.kind != "undo":
            self.set_failing_since(job, 0)
        if plan.counts and summary.kind != "undo":
            self._set_plan(job, plan)

    def _set_plan(self, job: str, plan: PlanFigures) -> None:
        for match in AGENT_COUNTS:
            if match in plan.counts:  # only a job with siblings counts agents elsewhere
                self.set_gauge("agents", job, plan.counts[match], match)
        for state in USER_COUNTS:
            self.set_gauge("users", job, plan.counts[state], state)
        keeping = plan.keeping_credentials
        self.set_gauge("stale_users_with_credentials", job, keeping)
        self._metrics["problems"].remove_by_labels({"cec_job": job})
        for kind, number in plan.problems.items():
            self.set_gauge("problems", job, number, kind)

    def _add_to_counter(self, name: str, job: str, amount: float, *labels: str) -> None:
        self._metrics[name].labels(job, *labels).inc(amount)

    def set_gauge(self, name: str, job: str, value: float, *labels: str) -> None:
        """Set a metric that is no counter."""
        gauge = self._metrics[name].labels(job, *labels)
        assert isinstance(gauge, Gauge)
        gauge.set(value)

    def set_failing_since(self, job: str, since: float) -> None:
        """Set when the first run failed that none has mended; 0: there is none."""
        self.set_gauge("failing_since_timestamp_seconds", job, since)

    def read_failing_since(self, job: str) -> float:
        """When the first run failed that none has mended, in seconds since 1970; 0: there is none."""
        # of this job alone: to ask the registry takes as long as there are jobs
        gauge = self._metrics["failing_since_timestamp_seconds"].labels(job)
        (metric,) = gauge.collect()
        return metric.samples[0].value

    def restore_values(self, text: str, only: str | None = None) -> None:
        """Go on from what was rendered before, of one job alone or of all. Raises ValueError if it is no such text."""
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix(_PREFIX)
            if name not in self._metrics:
                continue
            names = ("cec_job", *_METRICS[name][2])
            for sample in family.samples:
                labels = [sample.labels.get(each) for each in names]
                if None not in labels and only in (None, labels[0]):
                    self._metrics[name].labels(*labels).inc(sample.value)

    def render_text(self) -> str:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry).decode()


class FleetMetrics:
    """How the jobs of a fleet stand; every worker has the same numbers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge(
            f"{_PREFIX}fleet_jobs",
            "Jobs of the fleet, by state.",
            ("state",),
            registry=registry,
        )
        self._gauges = {
            name: Gauge(f"{_PREFIX}fleet_{name}", text, registry=registry)
            for name, text in _FLEET_METRICS.items()
        }

    def set_all(self, jobs: Mapping[str, int], **values: int) -> None:
        """Set the number of jobs by state, and the others by name."""
        for state, count in jobs.items():
            self._jobs.labels(state).set(count)
        for name, value in values.items():
            self._gauges[name].set(value)

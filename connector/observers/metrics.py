"""Runs as Prometheus metrics; the label `cec_job` is the job, and no label or value says anything about a person.

The label is not called `job`, because that is the name of Prometheus's own label for what
it scrapes: it would come out as `exported_job` in one setup and as `job` in another.

One process may keep them (`serve`), or every run may add to what the one before it left in
a file or a gateway: then they are read back first, so that counters count on and what this
run has not found out stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from connector.observers.run_summary import ENDINGS, Kind, RunSummary
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
    "next_run_timestamp_seconds": (Gauge, "When the next run is due.", ()),
    "ready": (Gauge, "Whether the last good run is recent enough.", ()),
    "files_accepted": (Gauge, "Whether the job's files were valid when last read.", ()),
    "problems": (Gauge, "Problems of the last plan, by kind.", ("kind",)),
}


class Metrics:
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

    def expect(self, job: str, kind: Kind) -> None:
        """Let a job's counters begin at 0, for of what begins with 1 nobody sees that it has grown."""
        for ending in sorted(set(ENDINGS.values())):
            self._metrics["runs"].labels(job, kind, ending)
        for outcome in Result:
            self._metrics["outcomes"].labels(job, outcome.value)
        for limit in LIMITS:
            self._metrics["refusals"].labels(job, limit)
        for side in SIDES:
            self._metrics["requests"].labels(job, side)
            self._metrics["request_errors"].labels(job, side)

    def take(self, summary: RunSummary) -> None:
        self.expect(summary.job, summary.kind)
        self._add("runs", summary, 1, summary.kind, summary.ending)
        for outcome, number in summary.outcomes.items():
            self._add("outcomes", summary, number, outcome)
        for refusal in summary.refusals if summary.ending == "refused" else ():
            self._add("refusals", summary, 1, refusal.limit)
        for side, counts in summary.requests.items():
            if side in SIDES:
                self._add("requests", summary, counts.requests, side)
                self._add("request_errors", summary, counts.errors, side)
        for stage, begin, end in summary.course:
            self._add("stage_seconds", summary, end - begin, stage)
        self.tell("last_run_timestamp_seconds", summary.job, summary.started)
        self.tell("last_run_duration_seconds", summary.job, summary.seconds)
        if summary.good:
            self.tell("last_success_timestamp_seconds", summary.job, summary.started)
        if summary.counts and summary.kind != "undo":
            self._plan(summary)

    def _plan(self, summary: RunSummary) -> None:
        for match in AGENT_COUNTS:
            self.tell("agents", summary.job, summary.counts[match], match)
        for state in USER_COUNTS:
            self.tell("users", summary.job, summary.counts[state], state)
        self.tell(
            "stale_users_with_credentials", summary.job, summary.keeping_credentials
        )
        self._metrics["problems"].remove_by_labels({"cec_job": summary.job})
        for kind, number in summary.problems.items():
            self.tell("problems", summary.job, number, kind)

    def _add(self, name: str, summary: RunSummary, amount: float, *labels: str) -> None:
        self._metrics[name].labels(summary.job, *labels).inc(amount)

    def tell(self, name: str, job: str, value: float, *labels: str) -> None:
        gauge = self._metrics[name].labels(job, *labels)
        assert isinstance(gauge, Gauge)
        gauge.set(value)

    def restore(self, text: str, only: str | None = None) -> None:
        """Go on from what was rendered before, of one job alone or of all. Raises ValueError if it is no such text."""
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix(_PREFIX)
            for sample in family.samples if name in self._metrics else ():
                labels = ("cec_job", *_METRICS[name][2])
                if sample.labels.keys() >= set(labels) and only in (
                    None,
                    sample.labels["cec_job"],
                ):
                    self._metrics[name].labels(
                        *(sample.labels[label] for label in labels)
                    ).inc(sample.value)

    def render(self) -> str:
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
        self._stopped = Gauge(
            f"{_PREFIX}fleet_stopped",
            "Whether the brake stops applies.",
            registry=registry,
        )
        self._waiting = Gauge(
            f"{_PREFIX}fleet_waiting", "Steps that wait to begin.", registry=registry
        )
        self._under_way = Gauge(
            f"{_PREFIX}fleet_under_way", "Steps under way.", registry=registry
        )

    def tell(
        self, jobs: Mapping[str, int], *, stopped: bool, waiting: int, under_way: int
    ) -> None:
        """Set them all."""
        for state, count in jobs.items():
            self._jobs.labels(state).set(count)
        self._stopped.set(stopped)
        self._waiting.set(waiting)
        self._under_way.set(under_way)

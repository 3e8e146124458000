"""Metrics of a run that ends with its process: into a file for node-exporter, or to a Pushgateway.

Neither is worth a run: what cannot be handed over is logged.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from connector.errors import ConnectorError, IncompleteRead, OutputError
from connector.net import tls
from connector.net.http import Channel, Limits
from connector.observers.metrics import Metrics
from connector.observers.run_summary import RunSummary
from connector.planfile import write_out
from connector.runtime.log import log
from connector.settings.operations import Metrics as Settings
from connector.settings.textfile import NOT_REGULAR

LIMITS: Final = Limits(timeout=10.0, max_bytes=16 << 20, place="metrics", in_all=100.0)


def export(settings: Settings, summary: RunSummary) -> None:
    """Add the run to what is there. Never raises."""
    try:
        if settings.textfile is not None:
            path = settings.textfile
            if path.exists() and not path.is_file():  # a pipe is waited for without end
                raise OutputError(NOT_REGULAR, where=str(path))
            before = (
                path.read_text(encoding="utf-8", errors="replace")
                if path.is_file()
                else ""
            )
            # node-exporter is another account
            write_out(path, [_metrics(before, summary).render()], mode=0o644)
        if settings.pushgateway is not None:
            _to_gateway(settings, summary)
    except (ConnectorError, OSError) as fault:
        log.warning("metrics not handed over", reason=str(fault))


def _to_gateway(settings: Settings, summary: RunSummary) -> None:
    headers = {
        "Accept": "text/plain",
        "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    }
    url = str(settings.pushgateway)
    group = f"{url}/metrics/job/cec-connector/cec_job/{quote(summary.job, safe='')}"
    with Channel(tls.context(settings.ca_file), headers, LIMITS) as gateway:
        answer = gateway.exchange("GET", f"{url}/metrics", {})
        before = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        metrics = _metrics(before, summary, only=summary.job)
        answer = gateway.exchange("PUT", group, {}, content=metrics.render().encode())
        if answer.status not in (200, 202):
            raise IncompleteRead(
                f"the gateway answered with {answer.status}", where=group
            )


def _metrics(before: str, summary: RunSummary, only: str | None = None) -> Metrics:
    """What was there, of one job alone or of all, and this run."""
    metrics = Metrics()
    try:
        metrics.restore(before, only)
    except ValueError as fault:
        log.warning(
            "metrics start at zero", reason=f"the old file cannot be read: {fault}"
        )
        metrics = Metrics()
    metrics.take(summary)
    return metrics

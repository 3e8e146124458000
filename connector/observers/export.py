"""Metrics of a run that ends with its process: into a file for node-exporter, or to a Pushgateway.

Neither is worth a run: what cannot be handed over is logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from connector.errors import ConnectorError, IncompleteRead, OutputError
from connector.net import tls
from connector.net.http import ExchangeLimits, HttpChannel
from connector.observers.metrics import RunMetrics
from connector.observers.run_summary import RunSummary
from connector.planfile import write_out
from connector.runtime.log import log
from connector.settings.operations import Metrics as Settings
from connector.settings.textfile import NOT_REGULAR

LIMITS: Final = ExchangeLimits(
    timeout=10.0, max_bytes=16 << 20, place="metrics", in_all=100.0
)


def export_run(settings: Settings, summary: RunSummary) -> None:
    """Add the run to what is there. Never raises."""
    try:
        if settings.textfile is not None:
            _write_textfile(settings.textfile, summary)
        if settings.pushgateway is not None:
            _push_metrics(settings, summary)
    except (ConnectorError, OSError) as fault:
        log.warning("metrics not handed over", reason=str(fault))


def _write_textfile(path: Path, summary: RunSummary) -> None:
    before = ""
    if path.exists():
        if not path.is_file():  # a pipe is waited for without end
            raise OutputError(NOT_REGULAR, where=str(path))
        before = path.read_text(encoding="utf-8", errors="replace")
    # node-exporter is another account
    write_out(path, [_add_run(before, summary)], mode=0o644)


def _push_metrics(settings: Settings, summary: RunSummary) -> None:
    kind = "text/plain"
    headers = {
        "Accept": kind,
        "Content-Type": f"{kind}; version=0.0.4; charset=utf-8",
    }
    job, url = summary.job, f"{settings.pushgateway}/metrics"
    group = f"{url}/job/cec-connector/cec_job/{quote(job, safe='')}"
    with HttpChannel(
        tls.open_tls_context(settings.ca_file), headers, LIMITS
    ) as gateway:
        answer = gateway.exchange_once("GET", url, {})
        before = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        text = _add_run(before, summary, only=job)
        status = gateway.exchange_once("PUT", group, {}, content=text.encode()).status
    if status not in (200, 202):
        raise IncompleteRead(f"the gateway answered with {status}", where=group)


def _add_run(before: str, summary: RunSummary, only: str | None = None) -> str:
    """What was there, of one job alone or of all, and this run."""
    metrics = RunMetrics()
    try:
        metrics.restore_values(before, only)
    except ValueError as fault:
        why = f"the old file cannot be read: {fault}"
        log.warning("metrics start at zero", reason=why)
        metrics = RunMetrics()
    metrics.add_run(summary)
    return metrics.render_text()

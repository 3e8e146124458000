"""Why a scheduled run did not end well, in a sentence for whoever watches the process: nothing about a person."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connector.observers.run_summary import RunSummary
from connector.reports.visible import visible


def cause(summary: RunSummary, waiting: Path | None) -> str:
    """How the last run ended, and why. `waiting`: the file of its plan, which waits for a review."""
    began = datetime.fromtimestamp(summary.started, UTC).isoformat(timespec="seconds")
    said = f"The last run, of {began}, ended as: {summary.ending} (exit code {summary.exit_code})"
    outcomes = [
        f"{number:,} {what}"
        for what, number in sorted(summary.outcomes.items())
        if number
    ]
    reasons = [
        *([summary.cause] if summary.cause else []),
        *(
            [f"beyond the limits: {', '.join(each.limit for each in summary.refusals)}"]
            if summary.refusals
            else []
        ),
        *([f"users: {', '.join(outcomes)}"] if outcomes else []),
        *([f"a plan waits in {waiting}"] if waiting else []),
    ]
    return visible("; ".join([said, *reasons]))

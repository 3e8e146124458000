"""`runs`: what was applied when."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument


@click.command
@job_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job: Path, *, as_json: bool) -> int:
    """List the applies of JOB, newest first."""
    from msgspec import json, to_builtins

    from connector.reports.visible import visible
    from connector.run.job_state import history

    runs = history(job)
    if as_json:
        click.echo(json.format(json.encode([to_builtins(run) for run in runs]), indent=1).decode())
    elif not runs:
        click.echo("No apply has run yet.")
    for run in () if as_json else runs:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in run.outcomes.items()) or "nothing to write"
        what = f"undo of {run.undoes}" if run.undoes else run.kind
        served = f" on {visible(run.server)}" if run.server else ""
        click.echo(f"{run.id}  {run.started}  {what}{served}, {run.result or 'interrupted'}: {counts}")
    return 0

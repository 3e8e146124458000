"""`release`: the end of a hold."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument


@click.command
@job_argument
def command(job: Path) -> int:
    """Allow applies of JOB again, after an undo or a changed source."""
    from connector.run.job_state import release

    said = "Released." if release(job) else "The job was not on hold."
    click.echo(f"{said} The next apply may write, also from a changed source.")
    return 0

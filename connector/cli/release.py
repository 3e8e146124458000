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

    click.echo("Released. The next apply may write." if release(job) else "The job was not on hold.")
    return 0

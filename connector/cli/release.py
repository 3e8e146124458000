"""`release`: the end of a hold."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument


@click.command
@job_argument
def command(job: Path) -> int:
    """Let JOB apply again: after an undo, or when its source has moved."""
    from connector.run.composition import release

    click.echo("Released: the next apply writes again." if release(job) else "The job was not on hold.")
    return 0

"""`state`: what a job leaves behind, and its name in it."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument
from connector.reports.visible import visible


@click.group
def command() -> None:
    """Look after what runs remember."""


@command.command
@job_argument
@click.argument("new")
def rename(job: Path, new: str) -> int:
    """Give what is known of JOB to the name NEW: its runs, what it wrote, holds and ticks.

    JOB is the job's file under its old name. Rename the file before or after; NEW is its new name or path.
    """
    from connector.run.composition import rename as renamed

    old, name, users = renamed(job, new)
    click.echo(f"Renamed {visible(old)} to {visible(name)}: it wrote to {users} users.")
    return 0

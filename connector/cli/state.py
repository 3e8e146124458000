"""`state`: what a job leaves behind, and its name in it."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument
from connector.reports.visible import visible


@click.group
def command() -> None:
    """Manage the state of a job."""


@command.command
@job_argument
@click.argument("new")
def rename(job: Path, new: str) -> int:
    """Rename JOB to NEW in the state: its runs, ownership, holds and schedule.

    JOB is the job file under its old name; NEW is its new name or path. Rename the file before or after.
    """
    from connector.run.job_state import rename as renamed

    old, name, users = renamed(job, new)
    click.echo(f"Renamed {visible(old)} to {visible(name)}. It owns values of {users} users.")
    return 0

"""`fleet`: jobs on Temporal. Its commands are imported when they are called for, like all others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from connector.cli.main import Commands

COMMANDS: Final = {
    "schedule": "Make Temporal's schedules match a folder of job files.",
    "worker": "Run the jobs in a folder as Temporal says.",
    "status": "Show how the jobs in a folder stand.",
    "run": "Run a job now, and wait for it.",
    "plan": "Show the plan of a job that waits for approval.",
    "approve": "Let the plan of a job be applied.",
    "reject": "End the run of a job whose plan waits.",
    "resume": "Let applies begin again after too many jobs turned bad.",
}
folder_argument = click.argument("folder", type=click.Path(path_type=Path))
fleet_option = click.option(
    "--fleet",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fleet file. Default: fleet.yaml beside the jobs.",
)


@click.group(cls=Commands, listed=COMMANDS, prefix="connector.cli.fleet_")
def command() -> None:
    """Run many jobs on Temporal, a durable engine."""

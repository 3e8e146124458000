"""`fleet resume`: applies begin again after the brake."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.fleet import fleet_option, folder_argument
from connector.cli.running import say_text


@click.command
@folder_argument
@fleet_option
def command(folder: Path, named: Path | None) -> int:
    """Let the applies of the jobs in FOLDER begin again after the brake stopped them."""
    from connector.fleet.jobs import open_limits
    from connector.settings.fleet import find

    had_stopped = open_limits(find(folder, named), folder).resume_applies()
    say_text("Applies begin again." if had_stopped else "Applies had not stopped.")
    return 0

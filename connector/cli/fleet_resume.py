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
    from connector.fleet.asking import resume
    from connector.fleet.client import ask
    from connector.settings.fleet import find

    say_text(
        "Applies begin again."
        if ask(find(folder, named), resume)
        else "Applies had not stopped."
    )
    return 0

"""`fleet worker`: takes work from the engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.fleet import fleet_option, folder_argument
from connector.cli.serve import listen_option
from connector.errors import UsageError

if TYPE_CHECKING:
    from connector.serve.web import Address
    from connector.settings.fleet import LoadedFleet


@click.command
@folder_argument
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Steps at a time.",
)
@click.option(
    "--finish",
    type=click.IntRange(0, 86400),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Time for runs under way after SIGTERM, before another worker takes them over.",
)
@listen_option
@fleet_option
@click.pass_obj
def command(
    log_level: str | None,
    folder: Path,
    *,
    at_once: int,
    finish: int,
    listen: Address,
    named: Path | None,
) -> int:
    """Run the jobs in FOLDER as the fleet says, until SIGTERM. Any number of workers share the work."""
    from connector.cli.logs import configure_service
    from connector.settings.fleet import find

    options = configure_service(log_level)
    asyncio.run(
        _work(
            find(folder, named), folder, options, listen, at_once=at_once, finish=finish
        )
    )
    return 0


async def _work(
    fleet: LoadedFleet,
    folder: Path,
    options: list[str],
    listen: Address,
    *,
    at_once: int,
    finish: float,
) -> None:
    from connector.fleet.client import connect
    from connector.fleet.jobs import read_names
    from connector.fleet.worker import FleetWorker
    from connector.runtime.log import log
    from connector.serve.web import Web

    if not read_names(
        folder, fleet.path
    ):  # it would take other workers' jobs, and fail them
        raise UsageError("holds no job files", where=str(folder))
    worker = FleetWorker(
        await connect(fleet), fleet, folder, options, at_once=at_once, finish=finish
    )
    with Web(listen, worker) as web:
        log.info("working", address=str(web.address), folder=str(folder))
        await worker.run()

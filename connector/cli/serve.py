"""`serve`: jobs on their own schedules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from connector.serve.web import Address


def _address(ctx: click.Context, param: click.Parameter, value: str) -> Address:
    from connector.serve.web import Address

    try:
        return Address.parse(value)
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None


listen_option = click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9467",
    show_default=True,
    callback=_address,
    help="Address of /healthz, /readyz and /metrics.",
)


@click.command
@click.argument(
    "jobs", metavar="JOB...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@listen_option
@click.pass_obj
def command(log_level: str | None, jobs: tuple[Path, ...], listen: Address) -> int:
    """Run each JOB on its `serve` schedule until SIGTERM; SIGHUP reads the files again.

    Plans of dry-run jobs and plans beyond a limit are saved, and wait for `apply --plan`.
    """
    from connector.cli.logs import configure_service
    from connector.runtime.log import log
    from connector.serve.notification_queue import NotificationQueue
    from connector.serve.service import Service
    from connector.serve.web import Web

    options = configure_service(log_level)
    with (
        NotificationQueue() as queue,
        Service(jobs, options, queue.told) as service,
        Web(listen, service) as web,
    ):
        log.info("serving", address=str(web.address), jobs=[path.stem for path in jobs])
        service.run()
    return 0

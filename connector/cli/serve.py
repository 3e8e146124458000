"""`serve`: jobs on their own schedules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import click

from connector.cli.observers import configure_service
from connector.cli.options import FILE, text_option
from connector.runtime.log import log
from connector.serve.notification_queue import NotificationQueue
from connector.serve.service import Service
from connector.serve.web import WebServer


class ListenAddress(NamedTuple):
    """Where the status page, /healthz, /readyz and /metrics are answered."""

    host: str
    """A name or an address, IPv6 without brackets."""
    port: int
    """TCP port; 0 is any that is free."""


def parse_address(
    ctx: click.Context, param: click.Parameter, text: str
) -> ListenAddress:
    """The address of `127.0.0.1:9467`, `[::1]:9467`, `localhost:9467`."""
    found = re.fullmatch(
        r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})", text, re.ASCII
    )
    if found is None or int(found[3]) > 65535:
        raise click.BadParameter(
            "must be HOST:PORT, such as 127.0.0.1:9467 or [::1]:9467"
        )
    return ListenAddress(found[1] or found[2], int(found[3]))


listen_option = text_option(
    "--listen",
    "HOST:PORT",
    "Address of the status page at /, and of /healthz, /readyz and /metrics.",
    default="127.0.0.1:9467",
    show_default=True,
    callback=parse_address,
)


@click.command("serve")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, type=FILE)
@listen_option
def serve_command(jobs: tuple[Path, ...], listen: ListenAddress) -> None:
    """Run each JOB on its `serve` schedule until SIGTERM; SIGHUP reads the files again.

    Plans of dry-run jobs and plans beyond a limit are saved, and wait for `apply --plan`.
    """
    options = configure_service()
    queue = NotificationQueue()
    service = Service(jobs, options, queue.notify_of_run)
    service.take_signals()
    with queue, WebServer(*listen, service, service.request_run) as web:
        log.info("serving", address=web.address, jobs=[path.stem for path in jobs])
        service.run_loop()

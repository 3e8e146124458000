"""`audit`: whether the audit of a job has all that the journal knows."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument
from connector.reports.visible import visible


@click.group
def command() -> None:
    """Manage the audit of a job."""


@command.command("catch-up")
@job_argument
@click.pass_obj
def catch_up(log_level: str | None, job: Path) -> int:
    """Send the audit of JOB every write that it may lack, marked as late.

    Each apply and undo does so first. Use this command after a crash or a full disk, without a run.
    """
    from connector.cli.logs import configure
    from connector.cli.observers import auditor
    from connector.run.job_state import accounts
    from connector.runtime.stopping import Stop

    configure(log_level)
    with accounts(job) as (loaded, telling, fingerprint):
        if telling is None or loaded.job.audit is None:
            click.echo("This job has no state yet, so no write is to be sent.")
            return 0
        audit = auditor(loaded, loaded.job.audit, "", Stop())
        try:
            audit.opens("", fingerprint, telling)
        finally:
            audit.close()
        for where, writes in audit.late.items():
            click.echo(f"{visible(where)}: {writes} writes sent late." if writes else f"{visible(where)}: complete.")
    return 0

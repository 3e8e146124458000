"""`apply`: plan, and do exactly that."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import Shower, accept_option, exit_code, job_argument, only_option, report_option
from connector.cli.watchers import watchers
from connector.sync import wet_run
from connector.wiring import wet


@click.command
@job_argument
@only_option
@report_option
@accept_option
@click.pass_obj
def command(
    log_level: str | None, job: Path, only: tuple[str, ...], reports: tuple[Path, ...], accept: str | None
) -> int:
    """Draw the plan of JOB, and write it to the directory unless a limit refuses it."""
    show = Shower(job, reports, only=only, accept=accept)
    with wet(job, lambda name: watchers(name, log_level)) as parts:
        show.keep_off(parts.files)
        run = wet_run(parts, show, only, accept)
        code = exit_code(run)
        parts.watch.finished(run.plan, code)
    return code

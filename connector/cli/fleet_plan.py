"""`fleet plan`: the plan that waits."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from connector.cli.approvals import sign_command
from connector.cli.running import is_narrow, job_argument, report_option, say, say_text
from connector.errors import UsageError


@click.command
@job_argument
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save the plan, for people to sign.",
)
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="List all changes and problems, not kinds and first ones.",
)
@report_option
def command(
    job: Path, save: Path | None, reports: tuple[Path, ...], *, whole: bool
) -> int:
    """Show the plan of JOB that waits for approval. It comes from the state; the engine is not asked."""
    from connector.planfile import write_out
    from connector.reports import renderer, text
    from connector.reports.document_reader import parse
    from connector.run.waiting import waiting

    found = waiting(job)
    if found is None:
        raise UsageError(
            "no plan of this job waits. See `fleet status`", where=str(job)
        )
    approve = ["cec-connector", "fleet", "approve", str(job), found.digest]
    approve += [f"--approval={save or 'PLAN.json'}.sig"] if found.needed else []
    command = shlex.join(approve)
    plan = parse(found.octets)
    for path in reports:
        write_out(path, renderer(path.suffix, command)(plan, None))
    if save is None:
        say(text.render(plan, command=command, narrow=is_narrow(), whole=whole))
    else:
        write_out(save, [found.octets.decode()])
        say_text(
            "Saved."
            + (f" To sign it, run:\n    {sign_command(save)}" if found.needed else "")
        )
    say_text(f"To approve it, run:\n    {command}")
    return 0

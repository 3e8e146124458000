"""`fleet plan`: the plan that waits."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from connector.cli.approvals import sign_command
from connector.cli.running import job_argument, say, say_text
from connector.cli.terminal import columns
from connector.errors import UsageError


@click.command
@job_argument
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Save the plan, for people to sign.")
def command(job: Path, save: Path | None) -> int:
    """Show the plan of JOB that waits for approval. It comes from the state; the engine is not asked."""
    from connector.planfile import write_out
    from connector.reports import text
    from connector.reports.document_reader import parse
    from connector.run.waiting import waiting

    found = waiting(job)
    if found is None:
        raise UsageError("no plan of this job waits. See `fleet status`", where=str(job))
    approve = ["cec-connector", "fleet", "approve", str(job), found.digest]
    if save is not None:
        write_out(save, [found.octets.decode()])
        if found.needed:
            say_text(f"Saved. To sign it, run:\n    {sign_command(save)}")
            approve.append(f"--approval={save}.sig")
    else:
        narrow = (columns(sys.stdout) or text.NARROW) < text.NARROW
        say(text.render(parse(found.octets), command=shlex.join(approve), narrow=narrow))
    say_text(f"To approve it, run:\n    {shlex.join(approve)}")
    return 0

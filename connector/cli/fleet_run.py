"""`fleet run`: a run by hand, by the fleet's workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.advice import Exit
from connector.cli.fleet import fleet_option
from connector.cli.running import job_argument, say_text

if TYPE_CHECKING:
    from temporalio.client import Client

    from connector.fleet.values import StepResult


@click.command
@job_argument
@click.option(
    "--no-wait", is_flag=True, help="End at once, with 0, and do not wait for the run."
)
@fleet_option
def command(job: Path, *, no_wait: bool, named: Path | None) -> int:
    """Run JOB now, by the fleet, and wait for it.

    The exit code is that of the run: 2 or 3 while its plan waits for approval.
    """
    from connector.fleet.client import ask, begin_run, wait_for_run
    from connector.fleet.schedules import require_ours
    from connector.run.waiting import require_shared, waiting
    from connector.settings.fleet import find
    from connector.settings.job import load

    loaded = load(job)
    require_shared(loaded)
    fleet = find(job.parent, named)
    queue = fleet.settings.task_queue

    async def run(client: Client) -> tuple[StepResult | None, str]:
        await require_ours(client, loaded, queue)
        await begin_run(client, queue, loaded.name)
        return (None, "") if no_wait else await wait_for_run(client, loaded.name)

    result, waits = ask(fleet, run)
    if no_wait:
        say_text("The run has begun. See `fleet status`.")
        return 0
    if result is None:
        found = waiting(job)
        refused = found is not None and found.digest == waits and found.refused
        say_text(
            f"Its plan waits for approval. To see it, and to approve it, run:\n    cec-connector fleet plan {job}\n"
            f"    cec-connector fleet approve {job} {waits}"
        )
        return Exit.REFUSED if refused else Exit.PENDING
    outcomes = ", ".join(
        f"{number:,} {what}" for what, number in sorted(result.outcomes.items())
    )
    what = f"Run {result.run}" if result.run else "The run"
    if result.code:
        about = f": {outcomes}" if outcomes else ""
        say_text(
            f"{what} ended with exit code {result.code}{about}. For the reason, see the log of its worker."
        )
    else:
        say_text(f"{what} ended: {outcomes or 'no changes'}.")
    return result.code

"""`fleet schedule`: the schedules in Temporal, made to match a folder of job files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.advice import Exit
from connector.cli.fleet import fleet_option, folder_argument
from connector.cli.running import say, yes_option
from connector.reports.visible import visible
from connector.reports.wording import count

if TYPE_CHECKING:
    from connector.fleet.schedules import ChangeOutcome, SchedulePlan


@click.command
@folder_argument
@fleet_option
@click.option(
    "--apply",
    "applies",
    is_flag=True,
    help="Make the changes. Without it they are only shown.",
)
@yes_option
def command(folder: Path, named: Path | None, *, applies: bool, yes: bool) -> int:
    """Make Temporal's schedules match the job files in FOLDER: create, update, pause, delete.

    Without --apply it only shows the changes, and ends with 2 if there are any. With it, a
    terminal is asked first.
    """
    from connector.cli.approvals import asks, confirm
    from connector.fleet.client import ask
    from connector.fleet.jobs import read_jobs
    from connector.fleet.schedules import make_changes, plan_schedules
    from connector.settings import fleet as fleets

    fleet = fleets.find(folder, named)
    jobs = read_jobs(folder, fleet.path)
    planned = ask(
        fleet, lambda client: plan_schedules(client, jobs, fleet.settings.task_queue)
    )
    say(f"{line}\n" for line in _shown(planned))
    if not planned.changes:
        return Exit.DONE
    if not applies:
        words = [
            "fleet",
            "schedule",
            str(folder),
            *(["--fleet", str(named)] if named else []),
            "--apply",
        ]
        again = shlex.join(["cec-connector", *words])
        say(
            [
                f"\nNothing was changed. To make the changes, run:\n    {visible(again)}\n"
            ]
        )
        return Exit.PENDING
    if asks(yes=yes):
        confirm(f"Make {count(len(planned.changes), 'change')}?")
    made = ask(fleet, lambda client: make_changes(client, planned.changes))
    say(f"{line}\n" for line in _ended(made))
    missed = sum(bool(each.why) for each in made)
    return (
        Exit.DONE
        if not missed
        else Exit.FAILED
        if missed == len(made)
        else Exit.IN_PART
    )


def _shown(planned: SchedulePlan) -> Iterator[str]:
    for change in planned.changes:
        yield f"{change.verb:<8}{visible(change.job)}: {visible(change.why)}"
    for job, note in planned.held:
        said = f" ({visible(note)})" if note else ""
        yield f"{'paused':<8}{visible(job)}: by hand{said}. It stays paused until somebody resumes it in Temporal"
    same = f"{count(planned.same, 'schedule')} in step"
    yield f"{count(len(planned.changes), 'change')}, {same}."


def _ended(made: list[ChangeOutcome]) -> Iterator[str]:
    for each in made:
        if each.why:
            yield f"Not made: {each.change.verb} {visible(each.change.job)}: {each.why}."
    yield f"Made {count(sum(not each.why for each in made), 'change')} of {len(made):,}."

"""`coverage`: in which jobs of a tenant agents are found. No server is asked."""

from __future__ import annotations

from pathlib import Path

import click

from connector.apply.context import is_old_plan
from connector.apply.job_state import open_job_state
from connector.cli.advice import Exit
from connector.cli.options import FILE, json_option, whole_option
from connector.cli.output import command_line, print_pieces, say_document
from connector.errors import UsageError
from connector.model import SiblingPlan
from connector.reports.coverage import count_coverage, render_text
from connector.runtime.clock import read_clock


@click.command("coverage")
@click.argument("jobs", nargs=-1, required=True, type=FILE, metavar="JOB...")
@whole_option
@json_option
def coverage_command(jobs: tuple[Path, ...], *, whole: bool, as_json: bool) -> int:
    """Show in which of a tenant's JOBs agents are found, by the last full plan of each.

    Exit 2 if several jobs find an agent, 1 if a job has no full plan.
    """
    plans: dict[str, SiblingPlan | None] = {}
    for path in jobs:
        with open_job_state(path) as (job, state):
            if job.name in plans:
                raise UsageError("two jobs have this name. Rename one", where=job.name)
            plans[job.name] = state.agent_plans.find_plan(job.name)
    now = read_clock()
    old = [job for job, plan in plans.items() if plan and is_old_plan(plan, now)]
    coverage = count_coverage(plans, old)
    if as_json:
        say_document(coverage)
    else:
        print_pieces(render_text(coverage, whole=whole))
    for path in jobs:
        if path.stem in coverage.unplanned:
            run = command_line("plan", path)
            click.echo(f"{path}: no full plan is known. Run: {run}", err=True)
    if coverage.twice:
        return Exit.PENDING
    return Exit.FAILED if coverage.unplanned else Exit.DONE

"""`plan`: the dry run."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.observers import observers
from connector.cli.running import Shower, exit_code, job_argument, json_option, only_option, report_option
from connector.errors import UsageError
from connector.planfile import load
from connector.reconcile.comparison import drawn
from connector.run.composition import plan_context
from connector.sync import dry_run


@click.command
@job_argument
@only_option
@report_option
@click.option("--save", type=click.Path(path_type=Path), metavar="PLAN.json", help="Save the plan for a reviewer.")
@click.option("--all", "whole", is_flag=True, help="List all changes, not their kinds alone.")
@click.option("--since", metavar="last|FILE", help="Mark changes and problems that are new since that plan.")
@json_option
@click.option("--fail-on-changes", is_flag=True, help="Exit 2 if there are changes.")
@click.pass_obj
def command(
    log_level: str | None,
    job: Path,
    only: tuple[str, ...],
    reports: tuple[Path, ...],
    save: Path | None,
    *,
    since: str | None,
    whole: bool,
    as_json: bool,
    fail_on_changes: bool,
) -> int:
    """Show the changes that an apply of JOB would write; write nothing to the directory."""
    if since is not None and only:
        raise UsageError("`--since` compares whole plans. Leave out `--only`")
    before = drawn(load(Path(since))) if since not in (None, "last") else None
    options = [f"--only={name}" for name in only] + ([f"--plan={save}"] if save else [])
    show = Shower(["apply", str(job), *options], reports, save=save, whole=whole, as_json=as_json)
    everybody = whole or as_json or bool(reports or save)
    with plan_context(job, lambda begun: observers(begun, log_level, "plan"), everybody=everybody) as context:
        show.keep_off(context.files)
        last = context.state.drawn.last(context.job) if since == "last" else before
        run = dry_run(context, show, only, save=save is not None, before=last)
        code = exit_code(run, fail_on_changes=fail_on_changes)
        context.observer.finished(run.plan, code)
    return code

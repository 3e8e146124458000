"""`plan`: the dry run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from connector.cli.observers import observers
from connector.cli.running import (
    Shower,
    exit_code,
    job_argument,
    json_option,
    only_option,
    report_option,
)
from connector.errors import UsageError
from connector.model import Drawn
from connector.run.composition import plan_context
from connector.run.context import PlanContext
from connector.run.dry_runs import dry_run
from connector.run.job_state import run_named
from connector.state.drawn import KEPT
from connector.state.history import LAST


@click.command
@job_argument
@only_option
@report_option
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="PLAN.json",
    help="Save the plan for a reviewer.",
)
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="List all changes and problems, not kinds and first ones.",
)
@click.option(
    "--since",
    metavar="last|RUN|FILE",
    help="Mark changes and problems that are new since that plan.",
)
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
    earlier = _earlier(job, since)
    options = [f"--only={name}" for name in only] + ([f"--plan={save}"] if save else [])
    show = Shower(
        ["apply", str(job), *options], reports, save=save, whole=whole, as_json=as_json
    )
    everybody = whole or as_json or bool(reports or save)
    observer = partial(observers, level=log_level, kind="plan")
    with plan_context(job, observer, everybody=everybody) as context:
        show.keep_off(context.files)
        found = earlier(context)
        before = None if found is None else lambda: found
        run = dry_run(context, show, only, save=save is not None, before=before)
        code = exit_code(run, fail_on_changes=fail_on_changes)
        context.observer.finished(run.plan, code)
    return code


def _earlier(job: Path, since: str | None) -> Callable[[PlanContext], Drawn | None]:
    """Where the plan is found that `--since` names: `last`, a file that is there or has a dot or slash, else a run.

    Raises UsageError where no run has this name, FileError where the file is no plan.
    """
    if since is None:
        return lambda _: None
    if since == LAST:
        return lambda context: context.state.drawn.last(context.job)
    if Path(since).is_file() or {".", "/"} & set(since):
        from connector.planfile import load
        from connector.reconcile.comparison import drawn

        before = drawn(load(Path(since)))
        return lambda _: before
    run = run_named(job, since)
    return lambda context: _of_run(context, run)


def _of_run(context: PlanContext, run: str) -> Drawn:
    found = context.state.drawn.of_run(
        context.job, context.state.history.named(context.job, run)
    )
    if found is None:
        why = (
            f"no plan of this run is kept. Only the newest {KEPT} plans of applies are, if they had changes and no "
            "`--only`. Name the JSON report of the run instead"
        )
        raise UsageError(why, where=f"--since {run}")
    return found

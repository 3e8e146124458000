"""`plan`: the dry run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from connector.apply.composition import plan_context
from connector.apply.context import PlanContext
from connector.apply.dry_runs import dry_run
from connector.apply.job_state import run_named
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
from connector.planfile import load
from connector.planning.comparison import drawn
from connector.state.documents import KEPT
from connector.state.history import LAST


class PlanOptions(Struct, frozen=True):
    """What `plan` is told."""

    job: Path
    only: tuple[str, ...]
    reports: tuple[Path, ...]
    save: Path | None
    whole: bool
    """All changes and problems are listed."""
    since: str | None
    as_json: bool
    fail_on_changes: bool


@click.command("plan")
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
def plan_command(log_level: str | None, /, **given: Any) -> int:
    """Show the changes that an apply of JOB would write; write nothing to the directory."""
    options = PlanOptions(**given)
    job, save = options.job, options.save
    if options.since is not None and options.only:
        raise UsageError("`--since` compares whole plans. Leave out `--only`")
    find_earlier = _find_earlier(job, options.since)
    words = [f"--only={name}" for name in options.only]
    words += [f"--plan={save}"] if save else []
    show = Shower(
        ["apply", str(job), *words],
        options.reports,
        save=save,
        whole=options.whole,
        as_json=options.as_json,
    )
    everybody = bool(options.whole or options.as_json or options.reports or save)
    observed = partial(observers, level=log_level, kind="plan")
    with plan_context(job, observed, everybody=everybody) as context:
        show.keep_off(context.files)
        earlier = find_earlier(context)
        before = None if earlier is None else lambda: earlier
        is_saved = save is not None
        run = dry_run(context, show, options.only, save=is_saved, before=before)
        code = exit_code(run, fail_on_changes=options.fail_on_changes)
        context.observer.finished(run.plan, code)
    return code


def _find_earlier(
    job: Path, since: str | None
) -> Callable[[PlanContext], Drawn | None]:
    """Where the plan is found that `--since` names: `last`, a file that is there or has a dot or slash, else a run.

    Raises UsageError where no run has this name, FileError where the file is no plan.
    """
    if since is None:
        return lambda _: None
    if since == LAST:
        return lambda context: context.state.drawn.last(context.job)
    if Path(since).is_file() or {".", "/"} & set(since):
        before = drawn(load(Path(since)))
        return lambda _: before
    run = run_named(job, since)
    return lambda context: _find_of_run(context, run)


def _find_of_run(context: PlanContext, run: str) -> Drawn:
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

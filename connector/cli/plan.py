"""`plan`: the dry run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from connector.apply.composition import plan_context, trial_context
from connector.apply.context import PlanContext
from connector.apply.dry_runs import dry_run, shown as show_plan
from connector.apply.job_state import run_named
from connector.apply.planning import make_plan
from connector.cli.observers import observers
from connector.cli.options import (
    flag_option,
    job_argument,
    json_report_option,
    only_option,
    path_option,
    report_option,
    whole_option,
)
from connector.cli.output import say_line
from connector.cli.running import Shower, exit_code, split_reports
from connector.errors import UsageError
from connector.model import Drawn
from connector.planfile import load
from connector.planning.comparison import drawn
from connector.settings import mapping_file
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
    mapping: str | None
    """A mapping in place of the job's: a file, or a ready one by name."""
    as_json: bool
    fail_on_changes: bool


@click.command("plan")
@job_argument
@only_option
@report_option
@path_option("--save", "PLAN.json", "Save the plan for a reviewer.")
@whole_option
@click.option(
    "--since",
    metavar="last|RUN|FILE",
    help="Mark changes and problems that are new since that plan.",
)
@click.option(
    "--mapping",
    metavar="FILE",
    help="Plan with this mapping in place of the job's. Such a plan cannot be applied.",
)
@json_report_option
@flag_option("--fail-on-changes", "Exit 2 if there are changes.")
def plan_command(**given: Any) -> int:
    """Show the changes that an apply of JOB would write; write nothing to the directory."""
    options = PlanOptions(**given)
    if options.since is not None and options.only:
        raise UsageError("`--since` compares whole plans. Leave out `--only`")
    if options.mapping is not None:
        return _plan_with_mapping(options, options.mapping)
    find_earlier = _find_earlier(options.job, options.since)
    show = _make_shower(options)
    is_saved = options.save is not None
    everybody = bool(options.whole or show.prints_json or options.reports or is_saved)
    observed = partial(observers, kind="plan")
    with plan_context(options.job, observed, everybody=everybody) as context:
        show.keep_off(context.files)
        earlier = find_earlier(context)
        before = None if earlier is None else lambda: earlier
        run = dry_run(context, show, options.only, save=is_saved, before=before)
        code = exit_code(run, fail_on_changes=options.fail_on_changes)
        context.observer.finished(run.plan, code)
    return code


def _make_shower(options: PlanOptions) -> Shower:
    words = [f"--only={name}" for name in options.only]
    words += [f"--plan={options.save}"] if options.save else []
    reports, prints_json = split_reports(options.reports, as_json=options.as_json)
    return Shower(
        ["apply", str(options.job), *words],
        reports,
        save=options.save,
        whole=options.whole,
        prints_json=prints_json,
    )


def _plan_with_mapping(options: PlanOptions, named: str) -> int:
    """Show the plan with another mapping. Nothing of it is kept, so no apply takes it."""
    if options.save or options.since:
        why = "shows a plan that is not kept. Leave out `--save` and `--since`"
        raise UsageError(why, where="--mapping")
    mapping = mapping_file.load(named, Path("--mapping"))
    show = _make_shower(options)
    with (
        tempfile.TemporaryDirectory(prefix="cec-connector-") as spare,
        trial_context(options.job, observers, mapping, Path(spare)) as context,
    ):
        show.keep_off(context.files)
        run = show_plan(context, make_plan(context, options.only).plan, show)
        code = exit_code(run, fail_on_changes=options.fail_on_changes)
        context.observer.finished(run.plan, code)
    if not show.prints_json:
        say_line(
            f"This plan has the mapping {mapping.where}, and cannot be applied. "
            "To apply such a plan, name that mapping in the job, then plan again."
        )
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

"""`plan`, the dry run, and `explain`: why a plan is as it is, for one agent or user. Nothing is written."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from connector.apply.composition import RunOpening, open_run
from connector.apply.context import PlanContext
from connector.apply.job_state import open_job_state
from connector.apply.planning import FinishedRun, dry_run, make_plan, show_plan
from connector.cli.advice import Exit
from connector.cli.observers import make_observers
from connector.cli.options import (
    flag_option,
    job_argument,
    json_report_option,
    only_option,
    path_option,
    report_option,
    text_option,
    whole_option,
)
from connector.cli.output import print_pieces, say_line
from connector.cli.running import PlanPrinter, RunOptions, exit_code
from connector.errors import UsageError
from connector.explain.explainer import explain_name
from connector.model import EarlierPlan
from connector.planfile import load_plan
from connector.planning.review import digest_plan
from connector.reports import explanation
from connector.settings import mapping_file
from connector.state.documents import KEPT
from connector.state.history import LAST


@click.command("plan")
@job_argument
@only_option
@report_option
@path_option("--save", "PLAN.json", "Save the plan for a reviewer.")
@whole_option
@text_option(
    "--since",
    "last|RUN|FILE",
    "Mark changes and problems that are new since that plan.",
)
@text_option(
    "--mapping",
    "FILE",
    "Plan with this mapping in place of the job's. Such a plan cannot be applied.",
)
@json_report_option
@flag_option("--fail-on-changes", "Exit 2 if there are changes.")
def plan_command(
    *,
    since: str | None,
    mapping: str | None,
    fail_on_changes: bool,
    **given: Any,
) -> int:
    """Show the changes that an apply of JOB would write; write nothing to the directory."""
    options = RunOptions(**given)
    job, is_saved = options.job, options.save is not None
    if since is not None and options.only:
        raise UsageError("`--since` compares whole plans. Leave out `--only`")
    if mapping is not None and (is_saved or since is not None):
        raise UsageError(
            "shows a plan that is not kept. Leave out `--save` and `--since`",
            where="--mapping",
        )
    show = options.make_shower("apply" if mapping is None else None)
    if mapping is not None:
        run = _show_with_mapping(options, show, mapping)
        return exit_code(run, fail_on_changes=fail_on_changes)
    earlier = None if since is None else _find_earlier(job, since)
    before = None if earlier is None else lambda: earlier
    told = (options.whole, options.as_json, options.reports, is_saved)
    observed = partial(make_observers, kind="plan")
    opening = RunOpening(everybody=any(told))
    with open_run(PlanContext, job, observed, opening) as context:
        show.keep_off(context.place.files)
        run = dry_run(context, show, options.only, save=is_saved, before=before)
        code = exit_code(run, fail_on_changes=fail_on_changes)
        context.observer.end_run(run.plan, code)
    return code


def _show_with_mapping(
    options: RunOptions, show: PlanPrinter, named: str
) -> FinishedRun:
    """Show the plan with another mapping. Nothing of it is kept, so no apply takes it."""
    mapping = mapping_file.load_mapping(named, Path("--mapping"))
    opening = RunOpening(everybody=True, mapping=mapping)
    with open_run(PlanContext, options.job, make_observers, opening) as context:
        show.keep_off(context.place.files)
        run = show_plan(context, make_plan(context, options.only).plan, show)
        context.observer.end_run(run.plan, exit_code(run))
    if not show.prints_json:
        say_line(
            f"This plan has the mapping {mapping.where}, and cannot be applied. "
            "To apply such a plan, name that mapping in the job, then plan again."
        )
    return run


def _find_earlier(job: Path, since: str) -> EarlierPlan:
    """The plan that `--since` names: `last`, a file that is there or has a dot or slash, else a run.

    Raises UsageError where no run has this name, FileError where the file is no plan.
    """
    if Path(since).is_file() or {".", "/"} & set(since):
        return digest_plan(load_plan(Path(since)))
    with open_job_state(job) as (loaded, state):
        if since == LAST:
            return state.drawn.find_last(loaded.name)
        run = state.history.find_run(loaded.name, since)
        found = state.drawn.find_of_run(loaded.name, run)
    if found is None:
        raise UsageError(
            f"no plan of this run is kept. Only the newest {KEPT} plans of applies are, if they had changes and no "
            "`--only`. Name the JSON report of the run instead",
            where=f"--since {run}",
        )
    return found


@click.command("explain")
@job_argument
@click.argument("agent", metavar="AGENT|USER")
@flag_option("--json", "Print JSON (cec-connector/explain/1).", "as_json")
def explain_command(job: Path, agent: str, *, as_json: bool) -> None:
    """Show how JOB matches and plans an agent or a user: rules, templates, values, the change.

    AGENT is account:CODE or seat:WORKNO, USER is user:NAME (a DN, uid, mail, id or
    userName). The bare name also does.

    Nothing is written. Limits apply to whole plans: run `plan` to see refusals.
    """
    with open_run(PlanContext, job, make_observers) as context:
        explained = explain_name(context, agent)
        context.observer.begin_stage("show")
        if as_json:
            document = explanation.as_document(context.job, explained)
            print_pieces([document], fitted=False)
        else:
            print_pieces(explanation.render_text(explained))
        context.observer.end_run(None, Exit.DONE)

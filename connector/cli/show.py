"""`show`, `diff` and `runs`: plans, reports and runs, looked at again. No server is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from msgspec import json, to_builtins

from connector.apply.job_state import history, hold_on
from connector.cli.running import (
    STANDARD,
    is_narrow,
    job_argument,
    json_option,
    on_hold,
    report_option,
    say,
    say_json,
    say_text,
)
from connector.cli.terminal import fit
from connector.errors import UsageError
from connector.model import Plan
from connector.planfile import load, load_report, write_out
from connector.planning.comparison import compare
from connector.reports import comparison, document, renderer, text
from connector.reports.visible import visible, visible_lines


@click.command("show")
@click.argument("plan", type=click.Path(path_type=Path))
@report_option
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="List all changes and problems, not kinds and first ones.",
)
@json_option
def show_command(
    plan: Path, reports: tuple[Path, ...], *, whole: bool, as_json: bool
) -> int:
    """Show a saved plan or a report in JSON, with the outcomes that it has; ask no server and no state.

    PLAN is a file of plan --save or of --report FILE.json.
    """
    shown, outcomes = load_report(plan)
    again = _apply_command(shown)
    files = [
        (path, renderer(path.suffix, again)) for path in reports if path != STANDARD
    ]
    for path, _ in files:
        if path.exists() and path.samefile(plan):
            raise UsageError(
                "this is the file that is shown. Name another file", where=str(path)
            )
    if as_json or STANDARD in reports:
        say_json(document.render(shown, outcomes))
    else:
        say(
            text.render(shown, outcomes, whole=whole, command=again, narrow=is_narrow())
        )
    for path, render in files:
        write_out(path, render(shown, outcomes))
    return 0


def _apply_command(plan: Plan) -> str:
    """What applies this plan: the file of its job is not known here."""
    undone = dict(plan.about).get("takes back", "").removeprefix("run ")
    return (
        f"cec-connector undo JOB {undone} --apply"
        if undone
        else "cec-connector apply JOB"
    )


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff_command(old: Path, new: Path, *, as_json: bool) -> int:
    """Compare two saved plans or reports in JSON: changes and problems that are new, gone, changed or the same.

    Differences do not change the exit code.
    """
    before, after = load(old), load(new)
    found = compare(before, after)
    if as_json:
        say_json(comparison.document(before, after, found))
    else:
        say(comparison.render(before, after, found))
    return 0


@click.command("runs")
@job_argument
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs_command(job: Path, run: str | None, *, as_json: bool) -> int:
    """List the applies and undos of JOB, newest first; with RUN (an id, the beginning of one, or `last`) that one.

    The last one is the newest apply that wrote. Attempts that failed or were refused are
    listed with the reason.
    """
    runs = history(job, run)
    if as_json:
        click.echo(
            json.format(
                json.encode([to_builtins(each) for each in runs]), indent=1
            ).decode()
        )
    elif not runs:
        say_text("No apply has run yet.")
    newest = next((each for each in runs if not each.why), None)
    for each in () if as_json else runs:
        counts = (
            ", ".join(
                f"{number} {outcome}" for outcome, number in each.outcomes.items()
            )
            or "nothing to write"
        )
        counts = visible("; ".join(each.why.splitlines())) if each.why else counts
        what = f"undo of {each.undoes}" if each.undoes else each.kind
        what += f" of plan {each.plan}" if each.plan else ""
        served = f" on {visible(each.server)}" if each.server else ""
        counts += (
            f"; approved by {', '.join(visible(str(who)) for who in each.approvals)}"
            if each.approvals
            else ""
        )
        result = each.result or (
            "interrupted, or under way" if each is newest else "interrupted"
        )
        say_text(f"{each.id}  {each.started}  {what}{served}, {result}: {counts}")
    held = visible_lines(on_hold(job, hold_on(job)))
    click.echo(fit(held, sys.stderr), nl=False, err=True) if as_json else say([held])
    return 0

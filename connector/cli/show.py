"""`show`, `diff` and `runs`: plans, reports and runs, looked at again. No server is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from connector.apply.job_state import list_runs
from connector.cli.options import (
    FILE,
    job_argument,
    json_option,
    json_report_option,
    report_option,
    whole_option,
)
from connector.cli.output import (
    is_narrow,
    print_pieces,
    say_document,
    say_json,
    say_lines,
)
from connector.cli.running import describe_hold, split_reports
from connector.cli.terminal import wrap_text
from connector.errors import UsageError
from connector.planfile import load_plan, load_report, write_out
from connector.planning.review import compare_plans
from connector.reports import comparison, document, find_renderer, text
from connector.reports.visible import visible_lines
from connector.state.history import RunRecord


@click.command("show")
@click.argument("plan", type=FILE)
@report_option
@whole_option
@json_report_option
def show_command(
    plan: Path, reports: tuple[Path, ...], *, whole: bool, as_json: bool
) -> None:
    """Show a saved plan or a report in JSON, with the outcomes that it has; ask no server and no state.

    PLAN is a file of plan --save or of --report FILE.json.
    """
    shown, outcomes = load_report(plan)
    # what applies this plan: the file of its job is not known here
    undone = dict(shown.about).get("takes back", "").removeprefix("run ")
    again = "cec-connector apply JOB"
    if undone:
        again = f"cec-connector undo JOB {undone} --apply"
    files, prints_json = split_reports(reports, as_json=as_json)
    renderers = {path: find_renderer(path.suffix, again) for path in files}
    for path in files:
        if path.exists() and path.samefile(plan):
            raise UsageError(
                "this is the file that is shown. Name another file", where=str(path)
            )
    if prints_json:
        say_json(document.render(shown, outcomes))
    else:
        print_pieces(
            text.render(shown, outcomes, whole=whole, command=again, narrow=is_narrow())
        )
    for path, render in renderers.items():
        write_out(path, render(shown, outcomes))


@click.command("diff")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@json_option
def diff_command(old: Path, new: Path, *, as_json: bool) -> None:
    """Compare two saved plans or reports in JSON: changes and problems that are new, gone, changed or the same.

    Differences do not change the exit code.
    """
    before, after = load_plan(old), load_plan(new)
    found = compare_plans(before, after)
    if as_json:
        say_json(comparison.render_document(before, after, found))
    else:
        print_pieces(comparison.render_text(before, after, found))


@click.command("runs")
@job_argument
@click.argument("run", required=False)
@json_option
def runs_command(job: Path, run: str | None, *, as_json: bool) -> None:
    """List the applies and undos of JOB, newest first; with RUN (an id, the beginning of one, or `last`) that one.

    The last one is the newest apply that wrote. Attempts that failed or were refused are
    listed with the reason.
    """
    runs, hold = list_runs(job, run)
    held = visible_lines(describe_hold(job, hold))
    if as_json:
        say_document(runs)
        click.echo(wrap_text(held, sys.stderr), nl=False, err=True)
    else:
        say_lines(_describe_runs(runs))
        print_pieces([held])


def _describe_runs(runs: Sequence[RunRecord]) -> Iterator[str]:
    if not runs:
        yield "No apply has run yet."
    newest = next((each for each in runs if not each.why), None)
    for each in runs:
        what = f"undo of {each.undoes}" if each.undoes else each.kind
        if each.plan:
            what += f" of plan {each.plan}"
        if each.server:
            what += f" on {each.server}"
        unfinished = "interrupted, or under way" if each is newest else "interrupted"
        result = each.result or unfinished
        counts = [f"{number} {outcome}" for outcome, number in each.outcomes.items()]
        said = ", ".join(counts) or "nothing to write"
        if each.why:
            said = "; ".join(each.why.splitlines())
        if each.approvals:
            said += f"; approved by {', '.join(map(str, each.approvals))}"
        yield f"{each.id}  {each.started}  {what}, {result}: {said}"

"""`show` and `diff`: plans, reports and runs, looked at again. No server is asked."""

from __future__ import annotations

from pathlib import Path

import click

from connector.apply.past_runs import read_past_run
from connector.cli.options import (
    FILE,
    json_option,
    json_report_option,
    report_option,
    whole_option,
)
from connector.cli.output import (
    print_pieces,
    report_columns,
    say_json,
)
from connector.cli.running import refuse_own_files, split_reports
from connector.cli.runs import show_run
from connector.errors import UsageError
from connector.model import Outcome, Plan
from connector.planfile import load_plan, load_report, write_out
from connector.planning.review import compare_plans
from connector.reports import comparison, document, find_renderer, text


@click.command("show")
@click.argument("plan", type=FILE, metavar="FILE|JOB")
@click.argument("run", required=False)
@report_option
@whole_option
@json_report_option
def show_command(
    plan: Path,
    run: str | None,
    reports: tuple[Path, ...],
    *,
    whole: bool,
    as_json: bool,
) -> None:
    """Show a saved plan or a report in JSON, with the outcomes that it has, or a RUN of JOB; ask no server.

    FILE is a file of plan --save or of --report FILE.json. RUN is an id that `runs` lists,
    the beginning of one, or `last`.
    """
    if run is not None and not (reports or as_json):
        show_run(plan, run)
        return
    shown, outcomes = _read_shown(plan, run)
    # what applies this plan: the file of its job is not known here
    undone = dict(shown.about).get("takes back", "").removeprefix("run ")
    again = "cec-connector apply JOB"
    if undone:
        again = f"cec-connector undo JOB {undone} --apply"
    files, prints_json = split_reports(reports, as_json=as_json)
    renderers = {path: find_renderer(path.suffix, again) for path in files}
    if run is not None:
        refuse_own_files(plan, files)
    for path in files:
        if path.exists() and path.samefile(plan):
            raise UsageError(
                "this is the file that is shown. Name another file", where=str(path)
            )
    if prints_json:
        say_json(document.render(shown, outcomes))
    elif run is not None:
        show_run(plan, run)
    else:
        print_pieces(
            text.render(
                shown, outcomes, whole=whole, command=again, columns=report_columns()
            )
        )
    for path, render in renderers.items():
        write_out(path, render(shown, outcomes))


def _read_shown(file: Path, run: str | None) -> tuple[Plan, tuple[Outcome, ...] | None]:
    if run is not None:
        return read_past_run(file, run)
    if not file.exists():
        why = "no run and no file of that name. To show a run, run: cec-connector show JOB RUN"
        raise UsageError(why, where=str(file))
    return load_report(file)


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

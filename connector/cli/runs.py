"""`runs`: what a job has written, when, and by whom. No server is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from connector.apply.job_state import list_runs
from connector.apply.past_runs import list_facts, read_past_run
from connector.cli.options import job_argument, json_option, report_option
from connector.cli.output import (
    print_pieces,
    say_document,
    say_line,
    say_lines,
    say_text,
)
from connector.cli.running import describe_hold, refuse_own_files
from connector.cli.terminal import count_columns, wrap_text
from connector.errors import UsageError
from connector.planfile import write_out
from connector.reports import find_renderer
from connector.reports.text import FEW, list_changes, render_ending
from connector.reports.visible import make_visible, visible_lines
from connector.state.history import RunRecord

WIDEST: Final = 120
"""Columns of a line of the table."""
_HEAD: Final = (
    f"{'run':<36}  {'begun':<23}     took  written  not written  by         plan"
)
_ROW: Final = "{:<36}  {:%Y-%m-%d %H:%M:%S %Z}  {:>7}  {:>7,}  {:>11,}  {:<9}  {}"
_ATTEMPT: Final = "{:<36}  {:%Y-%m-%d %H:%M:%S %Z}  {} {} by {}: {}"
_NEWER: Final = 3
"""So many newer attempts are named below a run."""
_NOT_WRITTEN: Final = frozenset({"conflict", "failed", "skipped"})


@click.command("runs")
@job_argument
@click.argument("run", required=False)
@report_option
@json_option
def runs_command(
    job: Path, run: str | None, reports: tuple[Path, ...], *, as_json: bool
) -> None:
    """List the runs of JOB, newest first; with RUN (an id, the beginning of one, or `last`), list what that run wrote.

    The last one is the newest apply that wrote. Attempts that failed or were refused are
    listed with the reason. --report needs RUN.
    """
    if reports and run is None:
        raise UsageError("name the run: cec-connector runs JOB RUN", where="--report")
    refuse_own_files(job, reports)
    renderers = {path: find_renderer(path.suffix) for path in reports}
    runs, hold = list_runs(job, run)
    held = visible_lines(describe_hold(job, hold))
    if as_json:
        say_document(runs)
        click.echo(wrap_text(held, sys.stderr), nl=False, err=True)
    elif run is None:
        say_lines(_list_rows(runs))
        print_pieces([held])
    else:
        show_run(job, run)
        print_pieces([held])
    for path, render in renderers.items():
        write_out(path, render(*read_past_run(job, run or "")))


def show_run(job: Path, run: str) -> None:
    """Print what a run of JOB wrote; of an attempt, why it did not. Below it, newer attempts."""
    (record,), _ = list_runs(job, run)
    say_line(_describe_row(record))
    say_lines(f"  {place:<12}{what}" for place, what in list_facts(record))
    if record.was_begun:
        plan, outcomes = read_past_run(job, run)
        if plan.changes:
            is_packed = len(plan.changes) > FEW
            say_lines(list_changes(plan, outcomes, packed=is_packed))
            print_pieces(render_ending(plan, outcomes))
    runs, _ = list_runs(job)
    ids = [each.id for each in runs]
    place = ids.index(record.id) if record.id in ids else 0
    newer = [
        each for each in runs[:place] if not each.was_begun and each.kind != "release"
    ]
    if newer:
        say_text("Newer attempts, which wrote nothing:")
        say_lines(map(_describe_row, newer[:_NEWER]))


def _list_rows(runs: Sequence[RunRecord]) -> Iterator[str]:
    if not runs:
        yield "No apply has run yet."
    elif count_columns(sys.stdout):
        yield _HEAD
    for each in runs:
        line = make_visible(_describe_row(each))
        yield line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _describe_row(run: RunRecord) -> str:
    """A run in one line; times are in the zone of this machine."""
    begun = datetime.fromisoformat(run.started).astimezone()
    people = filter(None, [run.by, *(each.who for each in run.approvals)])
    by = "+".join(people) or "-"
    if not run.was_begun:
        why = "; ".join(run.why.splitlines())
        return _ATTEMPT.format(run.id, begun, run.kind, run.result, by, why)
    took = "-"
    if run.ended is not None:
        took = str(datetime.fromisoformat(run.ended) - begun).partition(".")[0]
    counts = run.outcomes
    others = sum(counts[name] for name in _NOT_WRITTEN & counts.keys())
    plan = run.digest.removeprefix("sha256:")[:8]
    if run.undoes:
        plan = f"undo {run.undoes[:8]}"
    if "unknown" in counts:
        plan = f"{counts['unknown']:,} not known"
    if run.is_under_way:
        plan = "under way"
    elif run.result not in ("done", "part"):
        plan = run.result or "interrupted"
    return _ROW.format(
        run.id, begun, took, counts.get("written", 0), others, by[:9], plan
    )

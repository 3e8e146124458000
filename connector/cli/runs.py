"""`runs`: what a job has written, when, and by whom. No server is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from connector.apply.job_state import list_files, list_runs
from connector.apply.past_runs import PastRun, read_past_run
from connector.cli.options import job_argument, json_option, report_option
from connector.cli.output import print_pieces, say_document, say_lines
from connector.cli.running import describe_hold
from connector.cli.terminal import count_columns, wrap_text
from connector.errors import UsageError
from connector.model import Outcome
from connector.planfile import write_out
from connector.reports import find_renderer
from connector.reports.text import TextMarker, change_title
from connector.reports.visible import make_visible, visible_lines
from connector.reports.wording import by_user, show_sides
from connector.settings.job import load_job
from connector.state.history import RunRecord

WIDEST: Final = 120
"""Columns of a line of the table."""
_ROW: Final = "{:<36}  {:<23}  {:>7}  {:>7}  {:>11}  {:<10}  {}"
_HEAD: Final = _ROW.format(
    "run", "begun", "took", "written", "not written", "by", "plan"
)
_NOT_WRITTEN: Final = ("conflict", "failed", "skipped")
_SHORT: Final = 8
"""Letters of an id or a digest that tell it from others."""
_MINUTE, _HOUR = 60, 3600
_RESULTS: Final = {"part": "done in part", None: "interrupted"}


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
    renderers = {path: find_renderer(path.suffix) for path in reports}
    refuse_own_files(job, reports)
    runs, hold = list_runs(job, run)
    past = read_past_run(job, run) if run is not None else None
    held = visible_lines(describe_hold(job, hold))
    if as_json:
        say_document(runs)
        click.echo(wrap_text(held, sys.stderr), nl=False, err=True)
    else:
        say_lines(_describe_run(past) if past else _describe_runs(runs))
        print_pieces([held])
    for path, render in renderers.items():
        assert past is not None
        write_out(path, render(past.plan, past.outcomes))


def refuse_own_files(job: Path, reports: Sequence[Path]) -> None:
    """Refuse to write a report over one of the job's own files. Raises FileError, UsageError."""
    if not reports:
        return
    own = {each.resolve() for each in list_files(load_job(job))}
    for path in reports:
        if path.resolve() in own:
            why = "this is one of the job's own files. Name another file"
            raise UsageError(why, where=str(path))


# ---------------------------------------------------------------- the table


def _describe_runs(runs: Sequence[RunRecord]) -> Iterator[str]:
    if not runs:
        yield "No apply has run yet."
    elif count_columns(sys.stdout):
        yield _HEAD
    for each in runs:
        line = make_visible(_describe_row(each))
        yield line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _describe_row(run: RunRecord) -> str:
    begun = _show_time(run.started)
    if not run.was_begun:
        by = f" by {run.by}" if run.by else ""
        what = "release" if run.kind == "release" else f"{run.kind} {run.result}"
        return f"{run.id:<36}  {begun:<23}  {what}{by}: {run.why}"
    written = run.outcomes.get("written", 0)
    others = sum(run.outcomes.get(outcome, 0) for outcome in _NOT_WRITTEN)
    who = "+".join([run.by or "-", *(each.who for each in run.approvals)])
    by = who if len(who) <= 10 else f"{who[:9]}…"
    plan = run.digest.removeprefix("sha256:")[:_SHORT]
    if run.result not in ("done", "part"):
        plan = _name_result(run)
    elif run.undoes:
        plan = f"undo {run.undoes[:_SHORT]}"
    took = _count_time(run)
    return _ROW.format(run.id, begun, took, f"{written:,}", f"{others:,}", by, plan)


def _name_result(run: RunRecord) -> str:
    if run.is_under_way:
        return "under way"
    if run.kind == "release":
        return "release"
    return _RESULTS.get(run.result, run.result or "")


def _show_time(time: str) -> str:
    """A time to the second in the zone of this machine, which is named."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _count_time(run: RunRecord) -> str:
    """How long a run took; nothing of one that has not ended."""
    if run.ended is None:
        return "-"
    begun, ended = map(datetime.fromisoformat, (run.started, run.ended))
    seconds = (ended - begun).total_seconds()
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f}:{seconds % _MINUTE:02.0f} m"
    return f"{seconds // _HOUR:.0f}:{seconds % _HOUR // _MINUTE:02.0f} h"


# ---------------------------------------------------------------- one run


def _describe_run(past: PastRun) -> Iterator[str]:
    run = past.record
    counts = [
        f"{number:,} {_name_outcome(name)}" for name, number in run.outcomes.items()
    ]
    took = "" if run.ended is None else f", took {_count_time(run)}"
    lines = {
        "begun": _show_time(run.started) + took,
        "by": run.by or "not known",
        "approved by": ", ".join(map(str, run.approvals)),
        "plan": run.plan or run.digest,
        "takes back": run.undoes and f"run {run.undoes}",
        "server": run.server,
        "outcomes": ", ".join(counts),
        "why": "; ".join(run.why.splitlines()),
    }
    yield f"{run.id}  {run.kind} of {run.job}: {_name_result(run)}"
    for name, text in lines.items():
        if text:
            yield f"  {name:<12}{text}"
    if run.was_begun and not past.plan.changes:
        yield "  nothing to write"
    outcomes = by_user(past.outcomes)
    marker = TextMarker(past.plan.notes.people)
    for change in past.plan.changes:
        outcome = outcomes.get(change.user.id)
        yield change_title(change, marker) + _describe_outcome(outcome)
        for each in change.attributes:
            yield f"    {each.name}: {show_sides(each)}"


def _name_outcome(name: str) -> str:
    return "not known" if name == "unknown" else name


def _describe_outcome(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    result = "not known" if outcome.unknown else outcome.result
    why = f": {outcome.why}" if outcome.why and not outcome.unknown else ""
    return f"  [{result}{why}]"

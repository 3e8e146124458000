"""`show`: a saved plan or a report, looked at again."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import (
    STANDARD,
    is_narrow,
    json_option,
    report_option,
    say,
    say_json,
)
from connector.errors import UsageError
from connector.model import Plan


@click.command
@click.argument("plan", type=click.Path(path_type=Path))
@report_option
@click.option(
    "--all",
    "whole",
    is_flag=True,
    help="List all changes and problems, not kinds and first ones.",
)
@json_option
def command(
    plan: Path, reports: tuple[Path, ...], *, whole: bool, as_json: bool
) -> int:
    """Show a saved plan or a report in JSON, with the outcomes that it has; ask no server and no state.

    PLAN is a file of plan --save or of --report FILE.json.
    """
    from connector.planfile import load_report, write_out
    from connector.reports import document, renderer, text

    shown, outcomes = load_report(plan)
    again = _command(shown)
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


def _command(plan: Plan) -> str:
    """What applies this plan: the file of its job is not known here."""
    undone = dict(plan.about).get("takes back", "").removeprefix("run ")
    return (
        f"cec-connector undo JOB {undone} --apply"
        if undone
        else "cec-connector apply JOB"
    )

"""`runs`: what was applied when."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from connector.cli.running import job_argument, on_hold, say, say_text
from connector.cli.terminal import fit


@click.command
@job_argument
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job: Path, run: str | None, *, as_json: bool) -> int:
    """List the applies and undos of JOB, newest first; with RUN (an id, the beginning of one, or `last`) that one.

    The last one is the newest apply that wrote. Attempts that failed or were refused are
    listed with the reason.
    """
    from msgspec import json, to_builtins

    from connector.reports.visible import visible, visible_lines
    from connector.run.job_state import history, hold_on

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

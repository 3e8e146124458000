"""`explain`: why a plan is as it is, for one agent or user. Nothing is written."""

from __future__ import annotations

from pathlib import Path

import click

from connector.apply.composition import open_run
from connector.apply.context import PlanContext
from connector.cli.advice import Exit
from connector.cli.observers import make_observers
from connector.cli.options import flag_option, job_argument
from connector.cli.output import print_pieces
from connector.explain.explainer import explain_name
from connector.reports import explanation


@click.command("explain")
@job_argument
@click.argument("agent", metavar="AGENT|USER")
@flag_option("--json", "Print JSON (cec-connector/explain/1).", "as_json")
def explain_command(job: Path, agent: str, *, as_json: bool) -> None:
    """Show how JOB matches and plans an agent or a user: rules, templates, values, the change.

    AGENT is account:CODE or seat:WORKNO, USER is user:NAME (a DN, an id, a userName). The
    bare name also does.

    Nothing is written. Limits apply to whole plans: run `plan` to see refusals.
    """
    with open_run(PlanContext, job, make_observers) as context:
        explained = explain_name(context, agent)
        context.observer.begin_stage("show")
        if as_json:
            print_pieces(
                [explanation.as_document(context.job, explained)], fitted=False
            )
        else:
            print_pieces(explanation.render_text(explained))
        context.observer.end_run(None, Exit.DONE)

"""`explain`: why a plan is as it is, for one agent or user. Nothing is written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from connector.apply.composition import plan_context
from connector.cli.advice import Exit
from connector.cli.observers import observers
from connector.cli.running import job_argument, say
from connector.explain.explainer import explain
from connector.reports import explanation


@click.command("explain")
@job_argument
@click.argument("agent", metavar="AGENT|USER")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (cec-connector/explain/1)."
)
@click.pass_obj
def explain_command(
    log_level: str | None, job: Path, agent: str, *, as_json: bool
) -> int:
    """Show how JOB matches and plans an agent or a user: rules, templates, values, the change.

    AGENT is account:CODE or seat:WORKNO, USER is user:NAME (a DN, an id, a userName). The
    bare name also does.

    Nothing is written. Limits apply to whole plans: run `plan` to see refusals.
    """
    with plan_context(job, partial(observers, level=log_level)) as context:
        explained = explain(context, agent)
        context.observer.stage("show")
        if as_json:
            say([explanation.as_document(context.job, explained)], fitted=False)
        else:
            say(explanation.render(explained))
        context.observer.finished(None, Exit.DONE)
    return Exit.DONE

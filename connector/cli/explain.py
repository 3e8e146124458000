"""`explain`: why one agent or user is planned for as it is."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.advice import Exit
from connector.cli.observers import observers
from connector.cli.running import job_argument, say


@click.command
@job_argument
@click.argument("agent", metavar="AGENT|USER")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (cec-connector/explain/1)."
)
@click.pass_obj
def command(log_level: str | None, job: Path, agent: str, *, as_json: bool) -> int:
    """Show how JOB matches and plans an agent or a user: rules, templates, values, the change.

    AGENT is account:CODE or seat:WORKNO, USER is user:NAME (a DN, an id, a userName). The
    bare name also does.

    Nothing is written. Limits apply to whole plans: run `plan` to see refusals.
    """
    from connector.explain.explainer import explain
    from connector.reports import explanation
    from connector.run.composition import plan_context

    with plan_context(job, lambda begun: observers(begun, log_level)) as context:
        explained = explain(context, agent)
        context.observer.stage("show")
        if as_json:
            say([explanation.as_document(context.job, explained)], fitted=False)
        else:
            say(explanation.render(explained))
        context.observer.finished(None, Exit.DONE)
    return Exit.DONE

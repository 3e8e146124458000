"""`explain` and `what-if`: why a plan is as it is. Nothing is written."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from connector.apply.adapters import source_of
from connector.apply.composition import accept, plan_context, what_if_context
from connector.apply.planning import make_plan
from connector.cli.advice import Exit
from connector.cli.observers import observers
from connector.cli.running import job_argument, say, say_json
from connector.explain.explainer import explain
from connector.planning.comparison import compare
from connector.reports import comparison, explanation
from connector.settings import mapping_file
from connector.sources.port import OnceSource


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


@click.command("what-if")
@job_argument
@click.option(
    "--mapping",
    "named",
    required=True,
    metavar="NEW.yaml",
    help="The other mapping: a file, or a ready mapping by name.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (cec-connector/diff/1)."
)
@click.pass_obj
def what_if_command(
    log_level: str | None, job: Path, named: str, *, as_json: bool
) -> int:
    """Plan JOB with its own mapping, then with another, and compare both plans as `diff` does.

    The agents are read once, the directory for each plan. Nothing is written, not even to
    the state.
    """
    accepted = accept(job)
    new = mapping_file.load(named, Path("--mapping"))
    source = OnceSource(
        source_of(accepted.job, new if new.passwords else accepted.mapping)
    )
    observer = partial(observers, level=log_level)
    with tempfile.TemporaryDirectory(prefix="cec-connector-") as spare:
        with what_if_context(
            job, observer, accepted.mapping, source, Path(spare)
        ) as context:
            before = make_plan(context).plan
            context.observer.finished(before, Exit.DONE)
        same_key = context.fingerprint  # without a key each context has one of its own
        with what_if_context(job, observer, new, source, Path(spare)) as context:
            after = make_plan(replace(context, fingerprint=same_key)).plan
            context.observer.finished(after, Exit.DONE)
    found = compare(before, after)
    if as_json:
        say_json(comparison.document(before, after, found))
    else:
        mappings = f"old  {accepted.mapping.where}\nnew  {new.where}\n"
        say(
            [
                f"Plans with two mappings. Nothing was written.\n{mappings}\n",
                *comparison.render(before, after, found),
            ]
        )
    return Exit.DONE

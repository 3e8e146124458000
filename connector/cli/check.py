"""`check`: everything that can be found out about a job without planning or writing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.observers import OPEN, observers
from connector.cli.running import job_argument
from connector.cli.signals import stopped_by_signals
from connector.errors import TruncatedError, UsageError
from connector.net.secret_stores import open_to_others
from connector.reports.visible import visible

if TYPE_CHECKING:
    from connector.model import Description, Tenant
    from connector.reconcile.checks.schema_checks import Survey
    from connector.reconcile.mapping import Mapping
    from connector.run.context import PlanContext


@click.command
@job_argument
@click.option(
    "--probe", is_flag=True, help="Test what a SCIM server can do, with a user that is created and removed again."
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Save the findings of --probe as a dialect file."
)
@click.pass_obj
def command(log_level: str | None, job: Path, *, probe: bool, save: Path | None) -> int:
    """Check JOB, its files, source and directory; write nothing."""
    from connector.reconcile.checks.schema_checks import Survey
    from connector.reconcile.diff.differences import Differ
    from connector.run.composition import plan_context
    from connector.run.job_state import try_state
    from connector.settings.job import load

    if save is not None and not probe:
        raise UsageError("needs --probe, whose findings it saves", where="--save")
    with plan_context(job, lambda begun: observers(begun, log_level), remember=False) as context:
        click.echo(f"job        {visible(context.job)}: the job and mapping files are valid")
        for path in open_to_others(load(job).job):
            click.echo(f"  note: {visible(str(path))}: {OPEN}; run `chmod o-r,g-r` on it")
        tenant = context.source.read()
        unassigned = sum(agent.account_code is None for agent in tenant.agents)
        invalid = f", {len(tenant.invalid)} invalid records" if tenant.invalid else ""
        click.echo(f"source     {tenant.size} agents, {unassigned} of them without an account{invalid}")
        description = context.reader.describe()
        differ = Differ(tenant, context.mapping, description)
        for place, what in context.about(description):
            if place != "state":  # a check opens no state
                click.echo(f"  {place}: {visible(what)}")
        survey = Survey(differ.attributes, differ.schema_checks)
        try:
            for user in context.reader.scan():
                survey.add(user)
        except TruncatedError:  # of a server that cannot be read whole, a probe may say why
            if probe:
                _probe(job, save, context.files)
            raise
        identity = visible(description.identity)
        click.echo(f"directory  {survey.users} users within base and filter ({identity})")
        for why in (*(problem.why for problem in differ.problems), *differ.cautions):
            click.echo(f"  note: {visible(why)}")
        _tell(context.reader.describe(), survey)  # once more: reading may have told more
        _tell_remembered(job, context.mapping, description)
        _tell_listed(context, tenant, description)
        try_state(job)
        if not probe:
            click.echo("Nothing was written. To check each change against the schema, run `cec-connector plan`.")
            return 0
        _probe(job, save, context.files)
    return 0


def _tell_remembered(job: Path, mapping: Mapping, description: Description) -> None:
    """What the state knows of other jobs, and that the job is on hold."""
    from connector.run.job_state import hold_on, other_jobs

    others = other_jobs(job, mapping, description)
    for place, what in others.told if others else ():
        click.echo(f"{visible(place)}: {visible(what)}")
    if held := hold_on(job):
        since, why = held
        release = shlex.join(["cec-connector", "release", str(job)])
        click.echo(f"on hold    since {since}: {visible(why)}; applies are refused. To allow them, run: {release}")


def _tell_listed(context: PlanContext, tenant: Tenant, description: Description) -> None:
    """Say which lines of the pins and of the exclude list name nobody."""
    from connector.reconcile.matching.people import nowhere, strangers
    from connector.reconcile.matching.user_names import Naming

    naming = Naming(description)
    listed = context.exclude.keys(naming)
    spared = list(context.reader.find(listed)) if listed else []
    pinned = sorted({key for pin in context.pins for key in naming.keys(pin.user)})
    found = list(context.reader.find(pinned)) if pinned else []
    problems = chain(
        strangers(context.pins, context.exclude, tenant, spared, naming), nowhere(context.pins, found, naming)
    )
    for problem in problems:
        who = ", ".join([*([str(problem.agent)] if problem.agent else []), *problem.users])
        click.echo(f"  {problem.kind}: {visible(problem.why)}: {visible(who)}")


def _tell(description: Description, survey: Survey) -> None:
    """Say what the directory's attributes may hold, who could not take a value of them, and what is assumed."""
    from connector.reports.wording import attribute

    barred = survey.barred()
    for name, info in description.attributes.items():
        click.echo(f"  {visible(info.name)}: {attribute(info)}")
        for why, count in barred.get(name, {}).items():
            click.echo(f"    {count} of the users cannot take it: {visible(why)}")
    for caution in description.cautions:
        click.echo(f"  note: {visible(caution)}")


def _probe(job: Path, save: Path | None, files: Collection[Path]) -> None:
    """Try the server out, say what comes of it, and save it. Raises UsageError for a file that is the job's own."""
    from connector.directories.scim import dialect
    from connector.run.composition import probe

    with stopped_by_signals() as stop, probe(job) as trial:
        if save is not None and Path(os.path.realpath(save)) in set(files) - trial.replaceable:
            raise UsageError("this is one of the job's own files. Name another file", where=str(save))
        trial.run(lambda what, seen: click.echo(f"probe      {visible(what)}: {visible(seen)}"), stop)
        if stop.why:
            click.echo(f"probe      {stop.why}; the probe is incomplete, so nothing is saved")
            raise KeyboardInterrupt
        if save is not None:
            dialect.save(save, trial.dialect)
            click.echo(f"Saved. In the job, add under `directory`: `dialect: {visible(str(save))}`.")

"""`check`: everything that can be found out about a job without planning or writing."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import job_argument
from connector.cli.watchers import watchers
from connector.reports.values import visible


@click.command
@job_argument
@click.pass_obj
def command(log_level: str | None, job: Path) -> int:
    """Read JOB and what it names, its source and its directory, and say what is there."""
    from connector.reconcile.differences import Differ
    from connector.reconcile.survey import Survey
    from connector.reports.attributes import attribute
    from connector.wiring import dry

    with dry(job, lambda begun: watchers(begun, log_level), remember=False) as parts:
        click.echo(f"job        {visible(parts.job)}: the job and mapping files are in order")
        tenant = parts.source.read()
        unassigned = sum(agent.account_code is None for agent in tenant.agents)
        invalid = f", {len(tenant.invalid)} records that cannot be read" if tenant.invalid else ""
        click.echo(f"source     {tenant.size} agents, {unassigned} of them without an account{invalid}")
        description = parts.reader.describe()
        differ = Differ(tenant, parts.mapping, description)
        for place, what in parts.about(description):
            click.echo(f"  {place}: {visible(what)}")
        survey = Survey(differ.attributes, differ.rehearsal)
        for user in parts.reader.scan():
            survey.add(user)
        identity = visible(description.identity)
        click.echo(f"directory  {survey.users} users within base and filter, read whole ({identity})")
        for problem in differ.problems:
            click.echo(f"  note: {visible(problem.why)}")
        barred = survey.barred()
        for name, info in description.attributes.items():
            click.echo(f"  {visible(info.name)}: {attribute(info)}")
            for why, count in barred.get(name, {}).items():
                click.echo(f"    {count} of the users could not take it: {visible(why)}")
        for caution in description.cautions:
            click.echo(f"  note: {visible(caution)}")
        click.echo("Nothing was written for this. A dry run (`plan`) rehearses each user's change, value by value.")
    return 0

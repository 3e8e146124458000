"""`apply`: plan, and do exactly that."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from connector.cli.asking import ask, asks
from connector.cli.observers import observers
from connector.cli.running import (
    Shower,
    accept_option,
    exit_code,
    job_argument,
    only_option,
    report_option,
    say,
    say_untold,
    yes_option,
)
from connector.cli.signals import stopped_by_signals
from connector.errors import OnHoldError
from connector.model import Plan
from connector.planfile import load
from connector.run.composition import apply_context, plan_context
from connector.sync import apply_run, dry_run


@click.command
@job_argument
@only_option
@report_option
@accept_option
@click.option(
    "--plan",
    "saved",
    type=click.Path(path_type=Path),
    metavar="PLAN.json",
    help="Write no more than this reviewed plan of `plan --save`.",
)
@yes_option
@click.pass_obj
def command(
    log_level: str | None,
    job: Path,
    only: tuple[str, ...],
    reports: tuple[Path, ...],
    accept: str | None,
    *,
    saved: Path | None,
    yes: bool,
) -> int:
    """Plan JOB and write the plan to the directory, unless a limit refuses it.

    At a terminal it shows the plan and asks first. What has changed by the time of the answer is not written.
    """
    options = [f"--only={name}" for name in only] + ([f"--plan={saved}"] if saved else [])
    show = Shower(["apply", str(job), *options], reports, accept=accept)
    reviewed = load(saved) if saved else None
    asked = asks(yes=yes)
    if asked:
        reviewed = _asked_about(log_level, job, only, show, saved=reviewed, accept=accept, everybody=bool(reports))
    run_id = reviewed.id if reviewed else None
    with (
        stopped_by_signals() as stop,
        apply_context(
            job,
            lambda begun: observers(begun, log_level, "apply", run=run_id, stop=stop),
            run_id if saved else None,
            everybody=bool(reports),
        ) as context,
    ):
        show.stop, show.writes = stop, True
        show.keep_off(context.files | ({saved.resolve()} if saved else set()))
        try:
            run = apply_run(context, show, only, accept=accept, reviewed=reviewed, asked=asked and not saved, stop=stop)
        except OnHoldError as fault:
            fault.add_note(shlex.join(["cec-connector", "release", str(job)]))
            raise
        code = exit_code(run)
        say_untold(run, job)
        if saved and run.aside and run.outcomes is not None and run.tried:
            again = shlex.join(["cec-connector", "plan", str(job), "--save", str(saved)])
            say([f"\nThe reviewed plan is spent. To plan the users that were left out, run:\n    {again}\n"])
        context.observer.finished(run.plan, code)
    return code


def _asked_about(
    log_level: str | None,
    job: Path,
    only: tuple[str, ...],
    show: Shower,
    *,
    saved: Plan | None,
    accept: str | None,
    everybody: bool,
) -> Plan:
    """The plan that somebody was shown, and said yes to. Nothing is held meanwhile. Raises DeclinedError."""
    with plan_context(job, lambda begun: observers(begun, log_level), everybody=everybody) as context:
        show.keep_off(context.files)
        if saved is None:
            plan = dry_run(context, show, only).plan
        elif context.state.held(context.job) is None:
            plan = saved
            show(plan, None)
        else:
            return saved  # its apply will be refused
        context.observer.finished(plan, None)
    ask(plan, accept)
    return plan

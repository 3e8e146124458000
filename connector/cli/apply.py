"""`apply`: plan, and do exactly that."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from connector.cli.approvals import approval_option, said_how, signed_plan
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
from connector.run.approval import Signed, approved, lifted
from connector.run.composition import apply_context, plan_context
from connector.run.job_state import attempted
from connector.state.attempts import Attempt
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
@approval_option
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
    signatures: tuple[Path, ...],
    yes: bool,
) -> int:
    """Plan JOB and write the plan to the directory, unless a limit refuses it.

    At a terminal it shows the plan and asks first. What has changed by the time of the
    answer is not written.
    """
    options = [f"--only={name}" for name in only] + (
        [f"--plan={saved}"] if saved else []
    )
    show = Shower(["apply", str(job), *options], reports, accept=accept)
    show.goes_on = True
    reviewed, signed = signed_plan(saved, signatures)
    if reviewed and signatures:
        show.signed = reviewed.digest
    asked = asks(yes=yes)
    save = () if saved else ("plan", str(job), "--save", "PLAN.json")
    with said_how(saved or "PLAN.json", save), stopped_by_signals() as stop:
        show.stop = stop
        if asked:
            reviewed = _asked_about(
                log_level,
                job,
                only,
                show,
                saved=reviewed,
                signed=signed,
                accept=accept,
                everybody=bool(reports),
            )
        run_id = reviewed.id if reviewed else None
        with apply_context(
            job,
            lambda begun: observers(begun, log_level, "apply", run=run_id, stop=stop),
            run_id if saved else None,
            everybody=bool(reports),
        ) as context:
            show.writes = True
            show.keep_off(
                context.files
                | {each.resolve() for each in (saved, *signatures) if each}
            )
            told = asked and not saved
            try:
                run = apply_run(
                    context,
                    show,
                    only,
                    accept=accept,
                    reviewed=reviewed,
                    asked=told,
                    signed=signed,
                    stop=stop,
                )
            except OnHoldError as fault:
                fault.add_note(shlex.join(["cec-connector", "release", str(job)]))
                raise
            code = exit_code(run)
            say_untold(run, job)
            if saved and run.aside and run.outcomes is not None and run.tried:
                names = [*(reviewed.only if reviewed else ()), *only]
                say([_next_plan(job, saved, names, done=not run.ending.in_part)])
            context.observer.finished(run.plan, code)
    return code


def _next_plan(job: Path, saved: Path, only: Sequence[str], *, done: bool) -> str:
    """Which plan comes after a reviewed one that left users out: the same for a pilot that failed, else everybody's."""
    words, another = (
        ["cec-connector", "plan", str(job)],
        saved.with_name(f"{saved.stem}-next{saved.suffix}"),
    )
    if only and not done:
        said = "The reviewed plan is spent. To plan the same agents again"
        words += [f"--only={name}" for name in dict.fromkeys(only)] + [
            "--save",
            str(another),
        ]
    elif only:
        everybody = saved.with_name(
            "everybody.json" if saved.name == "plan.json" else "plan.json"
        )
        said = "The reviewed plan is spent; it was for some agents alone. To plan for everybody"
        words += ["--save", str(everybody)]
    else:
        said = "The reviewed plan is spent. To plan the users that were left out"
        words += ["--save", str(another)]
    return f"\n{said}, run:\n    {shlex.join(words)}\n"


def _asked_about(
    log_level: str | None,
    job: Path,
    only: tuple[str, ...],
    show: Shower,
    *,
    saved: Plan | None,
    signed: Signed | None,
    accept: str | None,
    everybody: bool,
) -> Plan:
    """The plan that somebody was shown, and said yes to. Nothing is held meanwhile. Raises DeclinedError."""
    attempt = Attempt(plan=saved.id if saved else None)
    with plan_context(
        job,
        lambda begun: observers(begun, log_level),
        everybody=everybody,
        attempt=attempt,
    ) as context:
        show.keep_off(context.files)
        if saved is not None and context.state.held(context.job) is not None:
            return saved  # its apply will be refused
        plan = saved or dry_run(context, show, only).plan
        found = approved(
            context, plan, signed, accept, context.reader.describe().identity
        )
        show(found, None)
        context.observer.finished(plan, None)
    with attempted(job, context.plan_id, attempt):
        # an earlier run may have written a part of a saved plan
        begins = None if saved else show.stop
        ask(found, lifted(found, accept), begins)
    return plan

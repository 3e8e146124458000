"""`undo`: taking a run back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from connector.cli.asking import ask, asks
from connector.cli.observers import observers
from connector.cli.running import (
    Shower,
    accept_option,
    exit_code,
    job_argument,
    on_hold,
    report_option,
    say,
    say_untold,
    yes_option,
)
from connector.cli.signals import stopped_by_signals
from connector.errors import StateError
from connector.model import Plan
from connector.run.composition import apply_undo_context, undo_context
from connector.run.context import ApplyUndoContext
from connector.run.job_state import run_named
from connector.sync import apply_undo, dry_undo


@click.command
@job_argument
@click.argument("run")
@click.option("--apply", "write", is_flag=True, help="Write the undo; without this it is only shown.")
@report_option
@accept_option
@yes_option
@click.pass_obj
def command(
    log_level: str | None,
    job: Path,
    run: str,
    reports: tuple[Path, ...],
    accept: str | None,
    *,
    write: bool,
    yes: bool,
) -> int:
    """Undo RUN of JOB: restore values that are still as that run wrote them.

    RUN is an id, the beginning of one, or `last`: the newest apply that wrote. At a terminal, --apply asks first.
    The job is then on hold, since its next apply would write them again. To allow applies, run release.
    """
    run = run_named(job, run)
    show = Shower(["undo", str(job), run, "--apply"], reports, accept=accept)
    asked = write and asks(yes=yes)
    reviewed = None
    if asked or not write:
        with undo_context(job, lambda begun: observers(begun, log_level), run, everybody=bool(reports)) as context:
            show.keep_off(context.files)
            shown = dry_undo(context, show)
            code = exit_code(shown)
            context.observer.finished(shown.plan, None if asked else code)
        if not write:
            return code
        reviewed = shown.plan
        ask(reviewed, accept)
    return _written(log_level, job, run, show, accept=accept, reviewed=reviewed, everybody=bool(reports))


def _written(
    log_level: str | None,
    job: Path,
    run: str,
    show: Shower,
    *,
    accept: str | None,
    reviewed: Plan | None,
    everybody: bool,
) -> int:
    """Write the undo, no more of it than was `reviewed`."""
    run_id = reviewed.id if reviewed else None
    with (
        stopped_by_signals() as stop,
        apply_undo_context(
            job, lambda begun: observers(begun, log_level, "undo", run=run_id, stop=stop), run, everybody=everybody
        ) as context,
    ):
        show.stop, show.writes = stop, True
        show.keep_off(context.files)
        with _said_hold(context, job):
            ended = apply_undo(context, show, accept, stop, reviewed=reviewed)
            code = exit_code(ended)
            say_untold(ended, job)
        context.observer.finished(ended.plan, code)
    return code


@contextmanager
def _said_hold(context: ApplyUndoContext, job: Path) -> Iterator[None]:
    """Say at the end that the job is on hold, however that came, and whatever the end."""
    try:
        yield
    finally:
        with suppress(StateError):
            say([on_hold(job, context.state.held(context.job))])

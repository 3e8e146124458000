"""`undo`: taking a run back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

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
)
from connector.cli.signals import stopped_by_signals
from connector.errors import StateError
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
@click.pass_obj
def command(
    log_level: str | None, job: Path, run: str, reports: tuple[Path, ...], accept: str | None, *, write: bool
) -> int:
    """Undo RUN of JOB: restore values that are still as that run wrote them.

    RUN is an id, the beginning of one, or `last`: the newest apply that wrote.
    The job is then on hold, since its next apply would write them again. To allow applies, run release.
    """
    run = run_named(job, run)
    show = Shower(["undo", str(job), run, "--apply"], reports, accept=accept)
    with stopped_by_signals() as stop:
        if write:
            with apply_undo_context(
                job, lambda begun: observers(begun, log_level, "undo", stop=stop), run, everybody=bool(reports)
            ) as context:
                show.stop, show.writes = stop, True
                show.keep_off(context.files)
                with _said_hold(context, job):
                    ended = apply_undo(context, show, accept, stop)
                    code = exit_code(ended)
                    say_untold(ended, job)
                context.observer.finished(ended.plan, code)
        else:
            with undo_context(job, lambda begun: observers(begun, log_level), run, everybody=bool(reports)) as context:
                show.keep_off(context.files)
                ended = dry_undo(context, show)
                code = exit_code(ended)
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

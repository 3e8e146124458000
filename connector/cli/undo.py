"""`undo`: taking a run back."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from connector.cli.observers import observers
from connector.cli.running import Shower, accept_option, exit_code, job_argument, report_option, say, say_untold
from connector.cli.signals import stopped_by_signals
from connector.run.composition import undo, wet_undo as wet_undo_context
from connector.sync import dry_undo, wet_undo


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

    The job is then on hold, since its next apply would write them again. To allow applies, run release.
    """
    show = Shower(["undo", str(job), run, "--apply"], reports, accept=accept)
    with stopped_by_signals() as stop:
        if write:
            with wet_undo_context(job, lambda begun: observers(begun, log_level, "undo", stop=stop), run) as wet:
                show.stop = stop
                show.keep_off(wet.files)
                ended = wet_undo(wet, show, accept, stop)
                code = exit_code(ended)
                say_untold(ended, job)
                if ended.outcomes is not None and wet.state.held(wet.job):
                    command_ = shlex.join(["cec-connector", "release", str(job)])
                    say([f"\nThe job is on hold: applies are refused. To allow them again, run:\n    {command_}\n"])
                wet.observer.finished(ended.plan, code)
        else:
            with undo(job, lambda begun: observers(begun, log_level), run) as dry:
                show.keep_off(dry.files)
                ended = dry_undo(dry, show)
                code = exit_code(ended)
                dry.observer.finished(ended.plan, code)
    return code

"""`undo`: taking a run back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from msgspec import Struct

from connector.cli.advice import Exit
from connector.cli.approvals import approval_option, said_how, signed_plan
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
from connector.errors import StateError, UsageError
from connector.model import Plan
from connector.run.approval import Signed, approved, lifted
from connector.run.composition import apply_undo_context, undo_context
from connector.run.context import ApplyUndoContext
from connector.run.job_state import attempted, run_named
from connector.state.attempts import Attempt
from connector.sync import apply_undo, dry_undo


@click.command
@job_argument
@click.argument("run")
@click.option(
    "--apply",
    "write",
    is_flag=True,
    help="Write the undo; without this it is only shown.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="UNDO.json",
    help="Save the undo for a reviewer.",
)
@click.option(
    "--plan",
    "saved",
    type=click.Path(path_type=Path),
    metavar="UNDO.json",
    help="With --apply: write no more than this undo of --save.",
)
@approval_option
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
    save: Path | None,
    saved: Path | None,
    signatures: tuple[Path, ...],
    yes: bool,
) -> int:
    """Undo RUN of JOB: restore values that are still as that run wrote them.

    RUN is an id, the beginning of one, or `last`: the newest apply that wrote. At a
    terminal, --apply asks first. The job is then on hold, since its next apply would write
    them again. To allow applies, run release.
    """
    if write and save:
        raise UsageError(
            "is for an undo that is only shown. Leave out --apply", where="--save"
        )
    if (saved or signatures) and not write:
        raise UsageError("is for an undo that is written. Add --apply", where="--plan")
    run = run_named(job, run)
    options = [f"--plan={each}" for each in (save, saved) if each]
    show = Shower(
        ["undo", str(job), run, "--apply", *options], reports, save=save, accept=accept
    )
    show.goes_on = write
    reviewed, signed = signed_plan(saved, signatures)
    if reviewed and signatures:
        show.signed = reviewed.digest
    undoing = _Undoing(
        log_level, job, run, show, accept, signed, everybody=bool(reports or save)
    )
    how = () if saved else ("undo", str(job), run, "--save", "UNDO.json")
    with said_how(saved or "UNDO.json", how), stopped_by_signals() as show.stop:
        if not write:
            return undoing.show(None, save=save is not None)[1]
        asked = asks(yes=yes)
        shown = (
            undoing.show(reviewed, attempt=Attempt("undo", undoes=run))[0]
            if asked
            else reviewed
        )
        show.writes = True
        read = {each.resolve() for each in (saved, *signatures) if each}
        return undoing.write(shown, read, asked=asked and not saved)


class _Undoing(Struct, frozen=True):
    """An undo on its way."""

    log_level: str | None
    job: Path
    run: str
    shower: Shower
    accept: str | None
    signed: Signed | None
    everybody: bool

    def show(
        self,
        reviewed: Plan | None,
        *,
        save: bool = False,
        attempt: Attempt | None = None,
    ) -> tuple[Plan, int]:
        """Show the undo, and ask about it, where it is an `attempt` to write it."""
        with undo_context(
            self.job, lambda begun: observers(begun, self.log_level), self.run,
            everybody=self.everybody, attempt=attempt,
        ) as context:  # fmt: skip
            self.shower.keep_off(context.files)
            if reviewed is None:
                shown = dry_undo(context, self.shower, save=save)
                plan, code = shown.plan, exit_code(shown)
            else:
                plan, code = reviewed, Exit.DONE
            found = (
                approved(context, plan, self.signed, self.accept, context.wrote_to)
                if attempt
                else plan
            )
            self.shower(found, None)
            context.observer.finished(plan, None if attempt else code)
        if attempt:
            with attempted(self.job, context.plan_id, attempt):
                ask(
                    found,
                    lifted(found, self.accept),
                    None if reviewed else self.shower.stop,
                )
        return plan, code

    def write(self, reviewed: Plan | None, read: set[Path], *, asked: bool) -> int:
        """Write the undo, no more of it than was `reviewed`. `read`: files that no report may be written over."""
        stop, run_id = self.shower.stop, reviewed.id if reviewed else None
        with apply_undo_context(
            self.job, lambda begun: observers(begun, self.log_level, "undo", run=run_id, stop=stop), self.run,
            everybody=self.everybody,
        ) as context:  # fmt: skip
            self.shower.keep_off(context.files | read)
            with _said_hold(context, self.job):
                ended = apply_undo(
                    context,
                    self.shower,
                    self.accept,
                    stop,
                    reviewed=reviewed,
                    asked=asked,
                    signed=self.signed,
                )
                code = exit_code(ended)
                say_untold(ended, self.job)
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

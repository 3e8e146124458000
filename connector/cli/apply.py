"""`apply` and `undo`: write a plan that was shown, and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from connector.apply.approval import Signed, approved, lifted
from connector.apply.composition import (
    apply_context,
    apply_undo_context,
    plan_context,
    undo_context,
)
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    PlanContext,
    UndoContext,
)
from connector.apply.job_state import attempted, run_named
from connector.apply.result import Run
from connector.apply.sync import apply_run, apply_undo, dry_run, dry_undo
from connector.cli.advice import Exit
from connector.cli.approvals import (
    approval_option,
    ask_about_plan,
    asks,
    said_how,
    signed_plan,
)
from connector.cli.observers import observers
from connector.cli.running import (
    Shower,
    accept_option,
    exit_code,
    job_argument,
    on_hold,
    only_option,
    report_option,
    say,
    say_untold,
    yes_option,
)
from connector.cli.signals import stopped_by_signals
from connector.errors import OnHoldError, StateError, UsageError
from connector.model import Plan
from connector.state.history import Attempt


class Options(Struct, frozen=True):
    """What `apply` and `undo` are told."""

    job: Path
    reports: tuple[Path, ...]
    accept: str | None
    """The digest of the one plan that is written also if it is refused."""
    saved: Path | None
    """The file of the reviewed plan."""
    signatures: tuple[Path, ...]
    yes: bool
    only: tuple[str, ...] = ()
    run: str = ""
    """The run that is undone."""
    write: bool = True
    """False: an undo is only shown."""
    save: Path | None = None

    @property
    def read_files(self) -> set[Path]:
        """Files that no report may be written over."""
        files = [*self.signatures, self.saved]
        return {each.resolve() for each in files if each}


saved_option = click.option(
    "--plan",
    "saved",
    type=click.Path(path_type=Path),
    metavar="PLAN.json",
    help="Write no more than this reviewed plan of `plan --save`.",
)


@click.command("apply")
@job_argument
@only_option
@report_option
@accept_option
@saved_option
@approval_option
@yes_option
@click.pass_obj
def apply_command(log_level: str | None, /, **given: Any) -> int:
    """Plan JOB and write the plan to the directory, unless a limit refuses it.

    At a terminal it shows the plan and asks first. What has changed by the time of the
    answer is not written.
    """
    options = Options(**given)
    words = [f"--only={name}" for name in options.only]
    words += [f"--plan={options.saved}"] if options.saved else []
    how = () if options.saved else ("plan", str(options.job), "--save", "PLAN.json")
    command = ["apply", str(options.job), *words]
    show = Shower(command, options.reports, accept=options.accept)
    return _carry_out(log_level, options, show, how)


@click.command("undo")
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
def undo_command(log_level: str | None, /, **given: Any) -> int:
    """Undo RUN of JOB: restore values that are still as that run wrote them.

    RUN is an id, the beginning of one, or `last`: the newest apply that wrote. At a
    terminal, --apply asks first. The job is then on hold, since its next apply would write
    them again. To allow applies, run release.
    """
    options = Options(**given)
    if options.write and options.save:
        why = "is for an undo that is only shown. Leave out --apply"
        raise UsageError(why, where="--save")
    if options.read_files and not options.write:
        raise UsageError("is for an undo that is written. Add --apply", where="--plan")
    options = replace(options, run=run_named(options.job, options.run))
    words = ["undo", str(options.job), options.run]
    files = [f"--plan={each}" for each in (options.save, options.saved) if each]
    how = () if options.saved else (*words, "--save", "UNDO.json")
    command = [*words, "--apply", *files]
    show = Shower(command, options.reports, save=options.save, accept=options.accept)
    return _carry_out(log_level, options, show, how)


def _carry_out(
    log_level: str | None, options: Options, show: Shower, how: Sequence[str]
) -> Exit:
    """Show the plan, ask about it at a terminal, and write it.

    `how`: the command that saves such a plan, for people to sign; empty where one is saved.
    """
    show.goes_on = options.write
    reviewed, signed = signed_plan(options.saved, options.signatures)
    if reviewed and options.signatures:
        show.signed = reviewed.digest
    writing = _Writing(log_level, options, show, reviewed, signed)
    file = options.saved or how[-1]
    with said_how(file, how), stopped_by_signals() as show.stop:
        if not options.write:
            return writing.show_only()
        is_asked = asks(yes=options.yes)
        if is_asked:
            writing.show_and_ask()
        return writing.write_plan(is_asked=is_asked)


class _Writing(Struct):
    """An apply or an undo on its way."""

    log_level: str | None
    options: Options
    show: Shower
    reviewed: Plan | None
    """The plan of which no more is written; None: the one that is made then."""
    signed: Signed | None

    def show_and_ask(self) -> None:
        """Show the plan, and ask about it. Nothing is held meanwhile.

        Raises DeclinedError.
        """
        options, saved = self.options, self.reviewed
        attempt = Attempt(plan=saved.id if saved else None)
        if options.run:
            attempt = Attempt("undo", undoes=options.run)
        with self._open_dry(attempt) as context:
            self.show.keep_off(context.files)
            is_held = context.state.held(context.job) is not None
            if saved is not None and is_held and not options.run:
                return  # its apply will be refused
            plan = saved or self._draw_plan(context).plan
            directory = (
                context.wrote_to
                if isinstance(context, UndoContext)
                else context.reader.describe().identity
            )
            found = approved(context, plan, self.signed, options.accept, directory)
            self.show(found, None)
            context.observer.finished(plan, None)
        with attempted(options.job, context.plan_id, attempt):
            # an earlier run may have written a part of a saved plan
            begins = None if saved else self.show.stop
            ask_about_plan(found, lifted(found, options.accept), begins)
        self.reviewed = plan

    def show_only(self) -> Exit:
        """Show what would be written, and save it if that is asked for."""
        with self._open_dry() as context:
            self.show.keep_off(context.files)
            shown = self._draw_plan(context)
            code = exit_code(shown)
            context.observer.finished(shown.plan, code)
        return code

    def write_plan(self, *, is_asked: bool) -> Exit:
        """Write the plan, no more of it than was reviewed."""
        options, show = self.options, self.show
        show.writes = True
        with self._open() as context:
            show.keep_off(context.files | options.read_files)
            with _told_hold(context, options):
                asked = is_asked and not options.saved
                if isinstance(context, ApplyUndoContext):
                    run = apply_undo(
                        context,
                        show,
                        options.accept,
                        show.stop,
                        reviewed=self.reviewed,
                        asked=asked,
                        signed=self.signed,
                    )
                else:
                    run = apply_run(
                        context,
                        show,
                        options.only,
                        accept=options.accept,
                        reviewed=self.reviewed,
                        asked=asked,
                        signed=self.signed,
                        stop=show.stop,
                    )
                code = exit_code(run)
                say_untold(run, options.job)
            if not options.run:
                _tell_next_plan(options, self.reviewed, run)
            context.observer.finished(run.plan, code)
        return code

    def _open_dry(
        self, attempt: Attempt | None = None
    ) -> AbstractContextManager[PlanContext | UndoContext]:
        options = self.options
        observed = partial(observers, level=self.log_level)
        everybody = bool(options.reports or options.save)
        if options.run:
            return undo_context(
                options.job, observed, options.run, everybody=everybody, attempt=attempt
            )
        return plan_context(options.job, observed, everybody=everybody, attempt=attempt)

    def _open(self) -> AbstractContextManager[ApplyContext | ApplyUndoContext]:
        options, reviewed = self.options, self.reviewed
        run = reviewed.id if reviewed else None
        everybody = bool(options.reports)
        observed = partial(
            observers,
            level=self.log_level,
            kind="undo" if options.run else "apply",
            run=run,
            stop=self.show.stop,
        )
        if options.run:
            return apply_undo_context(
                options.job, observed, options.run, everybody=everybody
            )
        plan = run if options.saved else None
        return apply_context(options.job, observed, plan, everybody=everybody)

    def _draw_plan(self, context: PlanContext | UndoContext) -> Run:
        if isinstance(context, UndoContext):
            is_saved = self.options.save is not None
            return dry_undo(context, self.show, save=is_saved)
        return dry_run(context, self.show, self.options.only)


@contextmanager
def _told_hold(
    context: ApplyContext | ApplyUndoContext, options: Options
) -> Iterator[None]:
    """Say how a hold ends that refuses an apply, or that an undo has left."""
    try:
        yield
    except OnHoldError as fault:
        fault.add_note(shlex.join(["cec-connector", "release", str(options.job)]))
        raise
    finally:
        if options.run:  # however it ended
            with suppress(StateError):
                say([on_hold(options.job, context.state.held(context.job))])


def _tell_next_plan(options: Options, reviewed: Plan | None, run: Run) -> None:
    """Say which plan comes after a reviewed one that left users out.

    The same for a pilot that failed, else everybody's.
    """
    saved = options.saved
    wrote = run.outcomes is not None and run.tried
    if saved is None or reviewed is None or not (run.aside and wrote):
        return
    only = dict.fromkeys([*reviewed.notes.only, *options.only])
    words = ["cec-connector", "plan", str(options.job)]
    another = saved.with_name(f"{saved.stem}-next{saved.suffix}")
    said = "The reviewed plan is spent. To plan the users that were left out"
    if only and run.ending.in_part:
        said = "The reviewed plan is spent. To plan the same agents again"
        words += [f"--only={name}" for name in only]
    elif only:
        name = "everybody.json" if saved.name == "plan.json" else "plan.json"
        another = saved.with_name(name)
        said = "The reviewed plan is spent; it was for some agents alone"
        said += ". To plan for everybody"
    command = shlex.join([*words, "--save", str(another)])
    say([f"\n{said}, run:\n    {command}\n"])

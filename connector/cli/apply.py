"""`apply` and `undo` write a plan that was shown, and nothing else; `release` lets applies go on after an undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from connector.apply.approval import (
    Review,
    choose_accepted,
    find_approval_rules,
    judge_approvals,
)
from connector.apply.composition import RunOpening, open_run, read_approvers
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    PlanContext,
    UndoContext,
)
from connector.apply.job_state import (
    find_run_id,
    make_release_request,
    note_failed_attempt,
    open_audit,
    release_hold,
)
from connector.apply.planning import FinishedRun
from connector.apply.sync import apply_run, apply_undo, dry_run, dry_undo
from connector.cli.advice import Exit
from connector.cli.approvals import (
    ask_about_plan,
    attach_signatures,
    can_ask,
    explain_signing,
    load_signed_plan,
)
from connector.cli.observers import configure_log, make_auditor, make_observers
from connector.cli.options import (
    accept_option,
    approval_option,
    flag_option,
    job_argument,
    only_option,
    path_option,
    report_option,
    yes_option,
)
from connector.cli.output import command_line, print_pieces, say_command, say_text
from connector.cli.running import (
    PlanPrinter,
    RunOptions,
    describe_hold,
    exit_code,
    refuse_own_files,
    say_untold,
)
from connector.cli.signals import stopped_by_signals
from connector.errors import (
    OnHoldError,
    OutputError,
    StateError,
    UnapprovedError,
    UsageError,
)
from connector.model import Approval, Plan
from connector.observers.run_summary import Kind
from connector.planfile import write_out
from connector.reports.wording import count_noun, make_sign_command
from connector.runtime.account import name_account
from connector.runtime.stopping import StopRequest
from connector.settings.job import LoadedJob, load_job
from connector.state.history import Attempt


@click.command("apply")
@job_argument
@only_option
@report_option
@accept_option
@path_option(
    "--plan",
    "PLAN.json",
    "Write no more than this reviewed plan of `plan --save`.",
    "saved",
)
@approval_option
@yes_option
def apply_command(**given: Any) -> int:
    """Plan JOB and write the plan to the directory, unless a limit refuses it.

    At a terminal it shows the plan and asks first. What has changed by the time of the
    answer is not written.
    """
    options = RunOptions(**given)
    how = () if options.saved else ("plan", str(options.job), "--save", "PLAN.json")
    return _carry_out(options, options.make_shower("apply"), how)


@click.command("undo")
@job_argument
@click.argument("run")
@flag_option("--apply", "Write the undo; without this it is only shown.", "write")
@path_option("--save", "UNDO.json", "Save the undo for a reviewer.")
@path_option(
    "--plan",
    "UNDO.json",
    "With --apply: write no more than this undo of --save.",
    "saved",
)
@approval_option
@report_option
@accept_option
@yes_option
def undo_command(**given: Any) -> int:
    """Undo RUN of JOB: restore values that are still as that run wrote them.

    RUN is an id, the beginning of one, or `last`: the newest apply that wrote. At a
    terminal, --apply asks first. The job is then on hold, since its next apply would write
    them again. To allow applies, run release.
    """
    options = RunOptions(**given)
    if options.write and options.save:
        raise UsageError(
            "is for an undo that is only shown. Leave out --apply", where="--save"
        )
    if options.read_files and not options.write:
        raise UsageError("is for an undo that is written. Add --apply", where="--plan")
    options = replace(options, run=find_run_id(options.job, options.run))
    words = ["undo", str(options.job), options.run]
    how = () if options.saved else (*words, "--save", "UNDO.json")
    return _carry_out(options, options.make_shower("undo", options.run, "--apply"), how)


def _carry_out(options: RunOptions, show: PlanPrinter, how: Sequence[str]) -> Exit:
    """Show the plan, ask about it at a terminal, and write it.

    `how`: the command that saves such a plan, for people to sign; empty where one is saved.
    """
    show.goes_on = options.write
    review = Review(*load_signed_plan(options.saved, options.signatures))
    if review.plan and options.signatures:
        show.signed = review.plan.digest
    file = options.saved or how[-1]
    with explain_signing(file, how), stopped_by_signals() as show.stop:
        if not options.write:
            with _open_dry(options) as context:
                show.keep_off(context.place.files)
                run = _draw_plan(context, options, show)
                code = exit_code(run)
                context.observer.end_run(run.plan, code)
            return code
        if can_ask(yes=options.yes):
            review = Review(
                _show_and_ask(options, show, review),
                review.signed,
                was_just_shown=not options.saved,
            )
        return _write_plan(options, show, review)


def _show_and_ask(options: RunOptions, show: PlanPrinter, review: Review) -> Plan:
    """Show the plan, and ask about it; the plan that was agreed to. Nothing is held meanwhile.

    Raises DeclinedError.
    """
    saved = review.plan
    attempt = _make_attempt(options, saved)
    with _open_dry(options, attempt) as context:
        show.keep_off(context.place.files)
        is_held = context.state.read_hold(context.job) is not None
        if saved is not None and is_held and not options.run:
            return saved  # its apply will be refused
        plan = saved or _draw_plan(context, options, show).plan
        rules = find_approval_rules(context)
        shown = rules.approve_plan(Review(plan, review.signed), options.accept)
        found = shown.plan or plan
        show(found, None)
        context.observer.end_run(plan, None)
    with note_failed_attempt(options.job, context.plan_id, attempt):
        # an earlier run may have written a part of a saved plan
        begins = None if saved else show.stop
        ask_about_plan(found, choose_accepted(found, options.accept), begins)
    return plan


def _write_plan(options: RunOptions, show: PlanPrinter, review: Review) -> Exit:
    """Write the plan, no more of it than was reviewed."""
    show.writes = True
    with _open_writing(options, show, review) as context:
        show.keep_off(context.place.files | options.read_files)
        try:
            if isinstance(context, ApplyUndoContext):
                run = apply_undo(
                    context, show, options.accept, show.stop, review=review
                )
            else:
                run = apply_run(
                    context,
                    show,
                    options.only,
                    accept=options.accept,
                    review=review,
                    stop=show.stop,
                )
            say_untold(run, options.job)
        except OnHoldError as fault:
            fault.add_note(command_line("release", options.job))
            raise
        finally:
            if options.run:  # however it ended, it has left the job on hold
                with suppress(StateError):
                    print_pieces(
                        [
                            describe_hold(
                                options.job, context.state.read_hold(context.job)
                            )
                        ]
                    )
        if not options.run:
            _tell_next_plan(options, review.plan, run)
        code = exit_code(run)
        context.observer.end_run(run.plan, code)
    return code


def _open_dry(
    options: RunOptions, attempt: Attempt | None = None
) -> AbstractContextManager[PlanContext | UndoContext]:
    opening = RunOpening(
        everybody=bool(options.reports or options.save),
        attempt=attempt,
        undoes=options.run or None,
    )
    kind = UndoContext if options.run else PlanContext
    return open_run(kind, options.job, make_observers, opening)


def _open_writing(
    options: RunOptions, show: PlanPrinter, review: Review
) -> AbstractContextManager[ApplyContext | ApplyUndoContext]:
    saved = review.plan if options.saved else None
    opening = RunOpening(
        everybody=bool(options.reports),
        attempt=_make_attempt(options, saved),
        undoes=options.run or None,
    )
    run = review.plan.id if review.plan else None
    kind: Kind = "undo" if options.run else "apply"
    observed = partial(make_observers, run=run, stop=show.stop, kind=kind)
    context = ApplyUndoContext if options.run else ApplyContext
    return open_run(context, options.job, observed, opening)


def _make_attempt(options: RunOptions, saved: Plan | None) -> Attempt:
    """What the state notes of a run that comes to nothing."""
    if options.run:
        return Attempt("undo", undoes=options.run, by=name_account())
    return Attempt(plan=saved.id if saved else None, by=name_account())


def _draw_plan(
    context: PlanContext | UndoContext, options: RunOptions, show: PlanPrinter
) -> FinishedRun:
    if isinstance(context, UndoContext):
        return dry_undo(context, show, save=options.save is not None)
    return dry_run(context, show, options.only)


def _tell_next_plan(
    options: RunOptions, reviewed: Plan | None, run: FinishedRun
) -> None:
    """Say which plan comes after a reviewed one that left users out.

    The same for a pilot that failed, else everybody's.
    """
    saved = options.saved
    if saved is None or reviewed is None or run.outcomes is None:
        return
    if run.aside and run.tried:
        only = [*reviewed.notes.only, *options.only] if run.count_ending.in_part else []
        words = [f"--only={name}" for name in dict.fromkeys(only)]
        words += ["--save", str(saved.with_name(f"{saved.stem}-next{saved.suffix}"))]
        say_command(
            "\nThe reviewed plan is spent. To plan what is left,",
            "plan",
            options.job,
            *words,
        )


# ---------------------------------------------------------------- the end of a hold


@click.command("release")
@job_argument
@path_option("--save", "FILE", "Save what the approvers have to sign.")
@approval_option
def release_command(
    job: Path, *, save: Path | None, signatures: tuple[Path, ...]
) -> None:
    """Allow applies of JOB again, after an undo.

    Where JOB has approvers, they sign what --save writes.
    """
    if save is not None:
        if signatures:
            raise UsageError(
                "is written before it is signed. Leave out --approval", where="--save"
            )
        _save_request(job, save)
        return

    def approve(loaded: LoadedJob, text: str) -> Sequence[Approval]:
        approvers = read_approvers(loaded)
        found = judge_approvals(approvers, attach_signatures(text.encode(), signatures))
        if approvers and not found:
            needed = count_noun(approvers.needed, "signature")
            why = f"this release needs {needed}"
            raise UnapprovedError(why, where=loaded.name)
        return found

    configure_log()
    with (
        explain_signing("release.txt", ("release", str(job), "--save", "release.txt")),
        open_record(job) as record,
    ):
        released = release_hold(job, approve, record)
    said = "The job was not on hold. Nothing was changed."
    say_text("Released. The next apply may write." if released else said)


@contextmanager
def open_record(job: Path) -> Iterator[Callable[[str, Sequence[Approval]], None]]:
    """Yield what takes a release into the job's audit, if it has one.

    Until the end no run of the job can begin, so that none comes between the record and the
    release. Raises BusyError, OutputError.
    """
    settings = load_job(job).job.audit
    if settings is None:
        yield lambda why, approvals: None
        return
    with open_audit(job) as (loaded, lines, fingerprint):

        def record(why: str, approvals: Sequence[Approval]) -> None:
            stop = StopRequest()
            with closing(make_auditor(loaded, settings, "", stop)) as audit:
                if lines is not None:
                    audit.open_directory("", fingerprint, lines)
                    audit.note_release(why, approvals)
            if stop.why:
                raise OutputError(stop.why, where="release")

        yield record


def _save_request(job: Path, file: Path) -> None:
    """Save what the approvers of a release sign. Raises UsageError."""
    refuse_own_files(job, [file])
    write_out(file, [make_release_request(job)])
    again = command_line("release", job, f"--approval={file}.sig")
    say_text(
        "Saved. To sign it, and then to release the job, run:\n"
        f"    {make_sign_command(file)}\n"
        f"    {again}"
    )

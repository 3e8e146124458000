"""What plan, apply and undo have in common: how a plan is shown, and what a run's end is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from connector.apply.job_state import list_files
from connector.apply.planning import FinishedRun
from connector.cli.advice import Exit, code_of_ending
from connector.cli.output import (
    command_line,
    print_pieces,
    report_columns,
    say_command,
    say_json,
    say_text,
)
from connector.errors import UnreadError, UsageError
from connector.model import ON_HOLD, Outcome, Plan, RunEnding
from connector.planfile import save_plan, write_out
from connector.reports import Renderer, document, find_renderer, text
from connector.reports.wording import count_signatures
from connector.runtime.stopping import StopRequest
from connector.settings.job import load_job

STANDARD: Final = Path("-")
"""The report that is written to standard output."""


def split_reports(
    reports: tuple[Path, ...], *, as_json: bool
) -> tuple[tuple[Path, ...], bool]:
    """The reports that are files, and whether standard output gets the plan document alone."""
    files = tuple(path for path in reports if path != STANDARD)
    return files, as_json or len(files) < len(reports)


def refuse_own_files(job: Path, files: Iterable[Path]) -> None:
    """Refuse to write over one of the job's own files. Raises FileError, UsageError."""
    own = {each.resolve() for each in list_files(load_job(job))}
    for file in files:
        if file.resolve() in own:
            why = "this is one of the job's own files. Name another file"
            raise UsageError(why, where=str(file))


class RunOptions(Struct, frozen=True):
    """What `plan`, `apply` and `undo` are told; each has a part of them."""

    job: Path
    reports: tuple[Path, ...]
    only: tuple[str, ...] = ()
    whole: bool | None = None
    """All changes and problems are listed. None: the command has no option for that."""
    save: Path | None = None
    """The file that takes the plan for a reviewer."""
    saved: Path | None = None
    """The file of the reviewed plan."""
    accept: str | None = None
    """The digest of the one plan that is written also if it is refused."""
    signatures: tuple[Path, ...] = ()
    yes: bool = False
    run: str = ""
    """The run that is undone."""
    write: bool = True
    """False: an undo is only shown."""
    as_json: bool | None = None
    """Standard output gets the plan document alone. None: the command has no option for that."""

    @property
    def read_files(self) -> set[Path]:
        """Files that no report may be written over."""
        files = [*self.signatures, self.saved]
        return {each.resolve() for each in files if each}

    def make_shower(self, name: str | None, *words: str) -> PlanPrinter:
        """What shows the plan. `words` follow the job in the command `name` that applies it; None: nothing does."""
        named = [f"--only={name}" for name in self.only]
        named += [f"--plan={each}" for each in (self.save, self.saved) if each]
        reports, prints_json = self.reports, False
        if self.as_json is not None:
            reports, prints_json = split_reports(reports, as_json=self.as_json)
        return PlanPrinter(
            [name, str(self.job), *words, *named] if name else [],
            reports,
            save=self.save,
            accept=self.accept,
            whole=self.whole,
            prints_json=prints_json,
        )


class PlanPrinter(Struct):
    """Shows a plan on standard output and writes the reports.

    Again with outcomes, once there are some.
    """

    arguments: Sequence[str]
    """Of the command that applies this plan, for `--accept` to be added. Empty: nothing applies it."""
    reports: Sequence[Path]
    save: Path | None = None
    """The file that takes the plan for a reviewer."""
    accept: str | None = None
    """The digest of the plan that somebody has accepted."""
    whole: bool | None = None
    """All changes and problems are listed. None: the command has no option for that."""
    prints_json: bool = False
    """Standard output gets the plan document alone."""
    stop: StopRequest = field(default_factory=StopRequest)
    """Has the account of the run."""
    goes_on: bool = False
    """The plan that is shown is to be written, or asked about, unless it is refused."""
    writes: bool = False
    """The plan is about to be written, so somebody has to see it whole."""
    signed: str = ""
    """The digest of the plan that people have signed."""
    shown: str = ""
    """Id and digest of the plan that was shown last."""
    renderers: dict[Path, Renderer] = {}
    """What makes each report."""

    def __post_init__(self) -> None:
        """Raises UsageError for a report whose suffix names no format."""
        command = command_line(*self.arguments) if self.arguments else None
        self.renderers = {
            path: find_renderer(path.suffix, command) for path in self.reports
        }

    def keep_off(self, files: Collection[Path]) -> None:
        """Refuse to write a report over one of the job's own files. Raises UsageError."""
        for path in (*self.reports, self.save):
            if path and Path(os.path.realpath(path)) in files:
                raise UsageError(
                    "this is one of the job's own files. Name another file",
                    where=str(path),
                )

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        name = f"{plan.id} {plan.digest}"
        if outcomes is not None:
            self._show_outcomes(plan, outcomes)
        elif name != self.shown:
            self.shown = name
            self._show_plan(plan)

    def _show_outcomes(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        standing = self.stop.standing
        ending = standing() if standing else RunEnding.of(outcomes)
        try:
            if self.prints_json:
                say_json(document.render(plan, outcomes))
            else:
                print_pieces(text.render_ending(plan, outcomes, ending))
            self.stop.told = True
        finally:
            self.write_reports(plan, outcomes)

    def _show_plan(self, plan: Plan) -> None:
        try:
            if self.prints_json:
                say_json(document.render(plan))
            else:
                is_writable = plan.is_permitted(self.signed or self.accept)
                is_on_hold = ON_HOLD in dict(plan.about)
                lines = text.render(
                    plan,
                    whole=self.whole,
                    command=self._next_command(plan),
                    accepted=plan.digest in (self.accept, self.signed),
                    columns=report_columns(),
                    goes_on=self.goes_on and is_writable and not is_on_hold,
                )
                print_pieces(lines)
            self.stop.told = False
            if self.writes and getattr(sys.stdout, "unread", False):
                raise UnreadError(
                    "its reader has gone before the plan was shown whole",
                    where="standard output",
                )
        finally:
            self.write_reports(plan, None)
            if self.save is not None:
                save_plan(self.save, plan)
        if self.accept not in (None, plan.digest):
            said = f"The accepted digest {self.accept} is not that of this plan."
            said += " Review this plan. To apply it,"
            say_command(said, *self.arguments, "--accept", plan.digest)
        if self.signed not in ("", plan.digest) and plan.refusals:
            say_text(
                "The signatures do not lift this refusal, "
                "which came up after the plan was made."
            )

    def write_reports(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        """Write each report, over the one that there is. Raises OutputError."""
        for path, render in self.renderers.items():
            write_out(path, render(plan, outcomes))

    def _next_command(self, plan: Plan) -> str | None:
        """The command that applies the plan, if any does.

        What a saved plan lacks while it is applied, people have to sign in a new one.
        """
        words = self.arguments
        if self.goes_on and count_signatures(plan):
            words = [word for word in words if not word.startswith("--plan=")]
        return command_line(*words) if words else None


def say_untold(run: FinishedRun, job: Path) -> None:
    """Say what the audit lacks, and how it gets it."""
    if run.audit_error:
        lacking = f"The audit may lack writes: {run.audit_error}."
        say_command(
            f"\n{lacking} The next run sends the rest. To send them now,",
            "audit",
            "catch-up",
            job,
        )


def describe_hold(job: Path, held: tuple[str, str] | None) -> str:
    """That a job is on hold: since when, why, and how that ends; nothing of one that is not."""
    if held is None:
        return ""
    since, why = held
    said = f"The job is on hold since {since}: {why}. Applies are refused."
    release = command_line("release", job)
    return f"\n{said} To allow them again, run:\n    {release}\n"


def exit_code(run: FinishedRun, *, fail_on_changes: bool = False) -> Exit:
    """What a run came to, for whoever called us."""
    if run.refused:
        return Exit.REFUSED
    if run.outcomes is not None:
        return code_of_ending(run.count_ending)
    if fail_on_changes and run.plan.changes:
        return Exit.PENDING
    return Exit.DONE

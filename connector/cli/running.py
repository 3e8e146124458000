"""What plan and apply have in common: their options, how a plan is shown, and what a run's end is called."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import click

from connector.apply.result import Run
from connector.cli.advice import Exit, code_of_ending
from connector.cli.terminal import columns, show
from connector.errors import OutputError, UnreadError, UsageError
from connector.model import ON_HOLD, Ending, Outcome, Plan
from connector.model.limits import APPROVAL
from connector.planfile import save, write_out
from connector.reports import document, renderer, text
from connector.reports.text import NARROW
from connector.runtime.stopping import Stop

STANDARD: Final = Path("-")
"""The report that is written to standard output."""
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON in place of the text report, as `--report -` does.",
)
job_argument = click.argument("job", type=click.Path(path_type=Path))
only_option = click.option(
    "--only",
    multiple=True,
    metavar="AGENT",
    help="Limit the run to this agent: account:CODE, seat:WORKNO, user:NAME, or a bare code or number; repeatable.",
)
report_option = click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the report to this file; format by suffix: .json .csv .md .html .ldif; repeatable.",
)


def _check_digest(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    if value is not None and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is None:
        raise click.BadParameter(
            "must be `sha256:` and 64 hexadecimal digits. Copy the digest from the refused plan"
        )
    return value


accept_option = click.option(
    "--accept",
    metavar="DIGEST",
    callback=_check_digest,
    help="Apply the plan that has this digest, also if it is refused; no other is written.",
)


class Shower:
    """Shows a plan on standard output and writes the reports.

    Again with outcomes, once there are some.
    """

    stop: Stop
    """Has the account of the run."""
    goes_on: bool
    """The plan that is shown is to be written, or asked about, unless it is refused."""
    writes: bool
    """The plan is about to be written, so somebody has to see it whole."""
    signed: str
    """The digest of the plan that people have signed."""
    prints_json: bool
    """Standard output gets the plan document alone."""

    def __init__(
        self,
        arguments: Sequence[str],
        reports: Sequence[Path],
        *,
        save: Path | None = None,
        accept: str | None = None,
        whole: bool | None = None,
        as_json: bool | None = None,
    ) -> None:
        """`arguments`: of the command that applies this plan, for `--accept` to be added.

        `whole`: all changes and problems are listed; `as_json`, or the report `-`: standard
        output gets the plan document alone. None: the command has no such option.
        """
        self._arguments = arguments
        self._command = shlex.join(["cec-connector", *arguments])
        self.prints_json = bool(as_json)
        if as_json is not None and STANDARD in reports:
            self.prints_json = True
            reports = [path for path in reports if path != STANDARD]
        self._reports = {path: renderer(path.suffix, self._command) for path in reports}
        self._save = save
        self._accept = accept
        self._whole = whole
        self._seen = ("", "")
        self.stop = Stop()
        self.goes_on = False
        self.writes = False
        self.signed = ""

    def keep_off(self, files: Collection[Path]) -> None:
        """Refuse to write a report over one of the job's own files. Raises UsageError."""
        for path in (*self._reports, self._save):
            if path and Path(os.path.realpath(path)) in files:
                what = "this is one of the job's own files. Name another file"
                raise UsageError(what, where=str(path))

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        if outcomes is not None:
            self._show_outcomes(plan, outcomes)
        elif (plan.id, plan.digest) != self._seen:
            self._seen = (plan.id, plan.digest)
            self._show_plan(plan)

    def _show_outcomes(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        standing = self.stop.standing
        ending = standing() if standing else Ending.of(outcomes)
        try:
            if self.prints_json:
                say_json(document.render(plan, outcomes))
            else:
                say(text.ending(plan, outcomes, ending))
            self.stop.told = True
        finally:
            self._write_reports(plan, outcomes)

    def _show_plan(self, plan: Plan) -> None:
        is_on_hold = ON_HOLD in dict(plan.about)
        is_permitted = plan.is_permitted(self.signed or self._accept) and not is_on_hold
        try:
            if self.prints_json:
                say_json(document.render(plan))
            else:
                lines = text.render(
                    plan,
                    whole=self._whole,
                    command=self._next_command(plan),
                    accepted=plan.digest in (self._accept, self.signed),
                    narrow=is_narrow(),
                    goes_on=self.goes_on and is_permitted,
                )
                say(lines)
            self.stop.told = False
            if self.writes and getattr(sys.stdout, "unread", False):
                what = "its reader has gone before the plan was shown whole"
                raise UnreadError(what, where="standard output")
        finally:
            self._write_reports(plan, None)
            if self._save is not None:
                save(self._save, plan)
        if self._accept not in (None, plan.digest):
            what = f"The accepted digest {self._accept} is not that of this plan."
            say_text(f"{what} {self._next_step(plan)}")
        if self.signed not in ("", plan.digest) and plan.refusals:
            say_text(
                "The signatures do not lift this refusal, "
                "which came up after the plan was made."
            )

    def _write_reports(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        for path, render in self._reports.items():
            write_out(path, render(plan, outcomes))

    def _next_step(self, plan: Plan) -> str:
        """What to do about a plan that is not the accepted one."""
        if plan.refusals:
            return "Review this plan."
        if not plan.changes:
            return "Nothing is left to change."
        again = f"{self._command} --accept {plan.digest}"
        return f"Review this plan. To apply it, run:\n    {again}"

    def _next_command(self, plan: Plan) -> str:
        """The command that goes on from a refused plan.

        Where people have to sign, it saves the plan.
        """
        if not self.goes_on or APPROVAL not in dict(plan.about):
            return self._command
        name, *rest = self._arguments
        words = ["cec-connector", "plan" if name == "apply" else name]
        words += [word for word in rest if not word.startswith(("--apply", "--plan="))]
        return shlex.join([*words, "--save"])


def is_narrow() -> bool:
    """Whether standard output is a terminal with fewer columns than a report takes."""
    return (columns(sys.stdout) or NARROW) < NARROW


yes_option = click.option(
    "--yes", is_flag=True, help="Do not ask before writing. Only a terminal is asked."
)


def say(lines: Iterable[str], *, fitted: bool = True) -> None:
    """Print to standard output, `fitted` to a terminal. Raises OutputError."""
    try:
        if fitted:
            show(lines)
        else:
            sys.stdout.writelines(lines)
        sys.stdout.flush()
    except OSError as fault:
        raise OutputError(
            f"cannot be written: {fault.strerror}", where="standard output"
        ) from None


def say_text(text: str) -> None:
    """Print text and a line break to standard output, fitted to a terminal. Raises OutputError."""
    say(f"{line}\n" for line in text.split("\n"))


def say_json(lines: Iterable[str]) -> None:
    """Print JSON to standard output: in UTF-8, whatever the terminal takes. Raises OutputError."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    say(lines, fitted=False)


def say_untold(run: Run, job: Path) -> None:
    """Say what the audit lacks, and how it gets it."""
    if run.untold:
        command = shlex.join(["cec-connector", "audit", "catch-up", str(job)])
        lacking = (
            f"The audit may lack writes: {run.untold}. The next run sends the rest."
        )
        say([f"\n{lacking} To send them now, run:\n    {command}\n"])


def on_hold(job: Path, held: tuple[str, str] | None) -> str:
    """That a job is on hold: since when, why, and how that ends; nothing of one that is not."""
    if held is None:
        return ""
    since, why = held
    command = shlex.join(["cec-connector", "release", str(job)])
    said = f"The job is on hold since {since}: {why}. Applies are refused."
    return f"\n{said} To allow them again, run:\n    {command}\n"


def exit_code(run: Run, *, fail_on_changes: bool = False) -> Exit:
    """What a run came to, for whoever called us."""
    if run.refused:
        return Exit.REFUSED
    if run.outcomes is not None:
        return code_of_ending(run.ending)
    if fail_on_changes and run.plan.changes:
        return Exit.PENDING
    return Exit.DONE

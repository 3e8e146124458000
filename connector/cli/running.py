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

from connector.cli.advice import Exit, code_of_ending
from connector.cli.terminal import columns, show
from connector.errors import OutputError, UnreadError, UsageError
from connector.model import ON_HOLD, Ending, Outcome, Plan
from connector.reconcile.checks.limits import APPROVAL
from connector.run.result import Run
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


def _digest(
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
    callback=_digest,
    help="Apply the plan that has this digest, also if it is refused; no other is written.",
)


class Shower:
    """Shows a plan on standard output and writes the reports; again with outcomes, once there are some.

    `arguments` are those of the command that applies this plan, to which `--accept` is added. `stop` has
    the account of the run. `whole`: all changes and problems are listed on standard output.
    None: the command has no option for that.
    `as_json`, or the report `-`: standard output gets the plan document alone.
    `writes`: the plan is about to be written, so somebody has to see it whole. `goes_on`: the plan that is shown is to
    be written, or asked about, unless it is refused. `signed`: the digest of the plan that
    people have signed.
    """

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
        from connector.reports import renderer

        self._as_json = as_json or (as_json is not None and STANDARD in reports)
        files = (
            reports
            if as_json is None
            else [path for path in reports if path != STANDARD]
        )
        self._arguments = arguments
        self._command = shlex.join(["cec-connector", *arguments])
        self._reports = [(path, renderer(path.suffix, self._command)) for path in files]
        self._save = save
        self.accept = accept
        self.signed = ""
        self._whole = whole
        self.writes = self.goes_on = False
        self._seen: tuple[str, str] | None = None
        self.stop = Stop()

    def keep_off(self, files: Collection[Path]) -> None:
        """Refuse to write a report over one of the job's own files. Raises UsageError."""
        for path in [path for path, _ in self._reports] + (
            [self._save] if self._save else []
        ):
            if Path(os.path.realpath(path)) in files:
                raise UsageError(
                    "this is one of the job's own files. Name another file",
                    where=str(path),
                )

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        from connector.reports import document, text

        shown = (plan.id, plan.digest)
        if outcomes is None and shown == self._seen:
            return
        if outcomes is None:
            self._seen = shown
        if self._as_json:
            lines = document.render(plan, outcomes)
        elif outcomes is None:
            lines = text.render(
                plan,
                whole=self._whole,
                command=self._lifting(plan),
                accepted=plan.digest in (self.accept, self.signed),
                narrow=is_narrow(),
                goes_on=self.goes_on and self._permitted(plan),
            )
        else:
            standing = self.stop.standing
            lines = text.ending(
                plan, outcomes, standing() if standing else Ending.of(outcomes)
            )
        try:
            say_json(lines) if self._as_json else say(lines)
            self.stop.told = outcomes is not None
            if (
                outcomes is None
                and self.writes
                and getattr(sys.stdout, "unread", False)
            ):
                raise UnreadError(
                    "its reader has gone before the plan was shown whole",
                    where="standard output",
                )
        finally:
            if self._reports or self._save is not None:
                self._write(plan, outcomes)
        if outcomes is None and self.accept not in (None, plan.digest):
            say_text(
                f"The accepted digest {self.accept} is not that of this plan. {self._instead(plan)}"
            )
        if (
            outcomes is None
            and self.signed
            and plan.digest != self.signed
            and plan.refusals
        ):
            say(
                [
                    "The signatures do not lift this refusal, which came up after the plan was made.\n"
                ]
            )

    def _write(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        from connector.planfile import save, write_out

        for path, render in self._reports:
            write_out(path, render(plan, outcomes))
        if self._save is not None and outcomes is None:
            save(self._save, plan)

    def _instead(self, plan: Plan) -> str:
        """What to do about a plan that is not the accepted one."""
        if plan.refusals:
            return "Review this plan."
        if not plan.changes:
            return "Nothing is left to change."
        return f"Review this plan. To apply it, run:\n    {self._command} --accept {plan.digest}"

    def _permitted(self, plan: Plan) -> bool:
        return plan.is_permitted(self.signed or self.accept) and ON_HOLD not in dict(
            plan.about
        )

    def _lifting(self, plan: Plan) -> str:
        """The command that goes on from a refused plan. People sign what was saved, and after what came up since."""
        if not self.goes_on or APPROVAL not in dict(plan.about):
            return self._command
        words = [
            word
            for word in self._arguments
            if word != "--apply" and not word.startswith("--plan=")
        ]
        return shlex.join(
            [
                "cec-connector",
                "plan" if words[0] == "apply" else words[0],
                *words[1:],
                "--save",
            ]
        )


def is_narrow() -> bool:
    """Whether standard output is a terminal with fewer columns than a report takes."""
    from connector.reports.text import NARROW

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

"""`audit`: whether the audit of a job has all that the state knows, and is as it was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from connector.apply.job_state import open_audit, read_audit, runs_that_wrote
from connector.cli.advice import Exit
from connector.cli.logs import configure
from connector.cli.observers import auditor
from connector.cli.running import job_argument, say_text
from connector.errors import UsageError
from connector.observers.audit_check import (
    AuditCheck,
    Chain,
    Finding,
    KeptAudit,
    name_records,
)
from connector.reports.visible import visible
from connector.runtime.stopping import Stop
from connector.settings.job import load
from connector.settings.textfile import open_regular

_SHOWN_AT_MOST: Final = 20
"""Findings that are printed one by one."""


@click.group
def command() -> None:
    """Manage the audit of a job."""


@command.command("catch-up", short_help="Send the audit the records that it may lack.")
@job_argument
@click.pass_obj
def catch_up(log_level: str | None, job: Path) -> int:
    """Add to the audit file of JOB every record that it may lack.

    Each apply and undo does so first. Use this command after a crash or a full disk, without a run.
    """
    configure(log_level)
    with open_audit(job) as (loaded, lines, fingerprint):
        settings = loaded.job.audit
        if lines is None or settings is None:
            say_text("This job has no state yet, so no record is to be sent.")
            return Exit.DONE
        audit = auditor(loaded, settings, "", Stop())
        try:
            audit.opens("", fingerprint, lines)
        finally:
            audit.close()
    if settings.file is None:
        say_text("The state keeps the audit of this job, and it is complete.")
        return Exit.DONE
    sent = f"{audit.late} records sent late." if audit.late else "complete."
    say_text(f"{visible(str(settings.file))}: {sent}")
    return Exit.DONE


@command.command(short_help="Check that audits are as they were written.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--job", metavar="JOB", type=click.Path(path_type=Path),
    help="Check this job's records alone, with those that its state keeps, and that the end is not cut.",
)  # fmt: skip
@click.option(
    "--from", "first", type=click.IntRange(min=1), default=1, metavar="NUMBER",
    help="The first record that is still kept, if older files were deleted. Default: 1.",
)  # fmt: skip
@click.option(
    "--syslog", is_flag=True, help="The files are what a syslog receiver has kept."
)
def verify(
    files: tuple[Path, ...], job: Path | None, first: int, *, syslog: bool
) -> int:
    """Check that no record of the audit in FILE... was edited, removed, moved or added.

    Give rotated files first, the oldest first. An audit without a file is in the state: give
    --job alone. Without --job, nobody knows whether records are missing at the end. Exit code 1:
    something was found.
    """
    if job is None and not files:
        raise UsageError("name the files of the audit, or add --job JOB", where="FILE")
    if job is None:
        check = _check_files(files, first, syslog=syslog)
        name, findings = None, check.finish()
    else:
        check, name, findings = _check_with_state(files, first, job, syslog=syslog)
    _say_findings(check, findings)
    chains = [
        chain
        for chain in check.chains.values()
        if chain.last and name in (None, chain.job)
    ]
    for chain in chains:
        is_sound = not any(each.job == chain.job for each in findings)
        for line in _describe_chain(
            chain, is_sound=is_sound, has_state=job is not None
        ):
            say_text(visible(line))
    if check.open_half is not None:
        what = "half a record, of a run that is under way or was interrupted"
        say_text(visible(f"{check.open_half.where}: {what}"))
    if job is not None and not files:
        _name_unread_file(job)
    if not chains and not check.found:
        say_text("No records.")
    return Exit.FAILED if findings else Exit.DONE


def _check_files(files: Sequence[Path], first: int, *, syslog: bool) -> AuditCheck:
    check = AuditCheck(first, syslog=syslog)
    for path in files:
        check.begin_file()
        for number, line in enumerate(_read_file(path), 1):
            check.check_line(f"{path}:{number}", line)
    return check


def _check_with_state(
    files: Sequence[Path], first: int, job: Path, *, syslog: bool
) -> tuple[AuditCheck, str, list[Finding]]:
    """The files and then the lines that the state keeps; the name of the job; what was found."""
    # before the files: what a run adds meanwhile makes them longer, and no line is missing
    name, head, lines = read_audit(job)
    runs = runs_that_wrote(job)
    if not files and lines:
        first = max(first, lines[0].number)
    check = _check_files(files, first, syslog=syslog)
    if not syslog:
        check.begin_file()
        for line in lines:
            check.check_line(f"state:{line.number}", f"{line.text}\n".encode())
    latest = read_audit(job)[1]
    findings = check.finish(KeptAudit(name, head, latest, runs))
    return check, name, findings


def _name_unread_file(job: Path) -> None:
    """Say that the file of the job's audit was not read, if it has one."""
    settings = load(job).job.audit
    if settings is not None and settings.file is not None:
        path = visible(str(settings.file))
        say_text(f"{path}: not read. To check its records too, give it as FILE")


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with open_regular(path) as file:
            yield from file
    except OSError as fault:
        raise UsageError(f"cannot be read: {fault.strerror}", where=str(path)) from None


def _say_findings(check: AuditCheck, findings: Sequence[Finding]) -> None:
    for finding in findings[:_SHOWN_AT_MOST]:
        parts = (finding.where, finding.job, finding.why)
        say_text(visible(": ".join(part for part in parts if part)))
    if len(findings) > _SHOWN_AT_MOST:
        say_text(f"… and more, {check.found} in all")


def _describe_chain(chain: Chain, *, is_sound: bool, has_state: bool) -> Iterator[str]:
    """What is known of a job's chain."""
    records = name_records(chain.begun, chain.last)
    said = "unchanged" if is_sound else "see above"
    yield f"{chain.job}: {records}, {said} ({chain.since} to {chain.until})"
    if not has_state:
        yield f"{chain.job}: the end is not verified. Add --job with its job file"

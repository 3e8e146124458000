"""`audit`: whether the audit of a job has all that the state knows, and is as it was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from connector.apply.job_state import find_runs_that_wrote, open_audit, read_audit
from connector.cli.advice import Exit
from connector.cli.observers import configure_log, make_auditor
from connector.cli.options import FILE, flag_option, job_argument, path_option
from connector.cli.output import say_line, say_lines, say_text
from connector.errors import UsageError
from connector.observers.audit_check import (
    AuditCheck,
    AuditFinding,
    KeptAudit,
    name_records,
)
from connector.runtime.stopping import StopRequest
from connector.settings.job import load_job
from connector.settings.textfile import open_regular

_SHOWN_AT_MOST: Final = 20
"""Findings that are printed one by one."""


@click.group("audit")
def audit_command() -> None:
    """Manage the audit of a job."""


@audit_command.command(
    "catch-up", short_help="Send the audit the records that it may lack."
)
@job_argument
def catch_up(job: Path) -> None:
    """Add to the audit file of JOB every record that it may lack.

    Each apply and undo does so first. Use this command after a crash or a full disk, without a run.
    """
    configure_log()
    with open_audit(job) as (loaded, lines, fingerprint):
        settings = loaded.job.audit
        if lines is None or settings is None:
            say_text("This job has no state yet, so no record is to be sent.")
            return
        with closing(make_auditor(loaded, settings, "", StopRequest())) as audit:
            audit.open_directory("", fingerprint, lines)
    if settings.file is None:
        say_text("The state keeps the audit of this job, and it is complete.")
        return
    sent = f"{audit.late} records sent late." if audit.late else "complete."
    say_line(f"{settings.file}: {sent}")


@audit_command.command(short_help="Check that audits are as they were written.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=FILE)
@path_option(
    "--job",
    "JOB",
    "Check this job's records alone, with those that its state keeps, and that the end is not cut.",
)
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    default=1,
    metavar="NUMBER",
    help="The first record that is still kept, if older files were deleted. Default: 1.",
)
@flag_option("--syslog", "The files are what a syslog receiver has kept.")
def verify(
    files: tuple[Path, ...], job: Path | None, first: int, *, syslog: bool
) -> int:
    """Check that no record of the audit in FILE... was edited, removed, moved or added.

    Give rotated files first, the oldest first. An audit without a file is in the state: give
    --job alone. Without --job, nobody knows whether records are missing at the end. Exit code 1:
    something was found.
    """
    if job is not None:
        check, name, findings = _check_with_state(files, first, job, syslog=syslog)
    elif files:
        check, name = _check_files(files, first, syslog=syslog), None
        findings = check.list_findings()
    else:
        raise UsageError("name the files of the audit, or add --job JOB", where="FILE")
    say_lines(_describe_findings(check, findings))
    faulty = {finding.job for finding in findings}
    found = [
        chain
        for chain in check.chains.values()
        if (chain.last or chain.earlier_count) and name in (None, chain.job)
    ]
    for chain in found:
        if chain.earlier_count:
            what = "records of an earlier version, not verified"
            say_line(f"{chain.job}: {what}: {chain.earlier_count}")
        if not chain.last:
            continue
        said = "see above" if chain.job in faulty else "unchanged"
        records = name_records(chain.begun, chain.last)
        say_line(f"{chain.job}: {records}, {said} ({chain.since} to {chain.until})")
        if job is None:
            say_line(
                f"{chain.job}: the end is not verified. Add --job with its job file"
            )
    if check.open_half is not None:
        what = "half a record, of a run that is under way or was interrupted"
        say_line(f"{check.open_half.where}: {what}")
    if job is not None and not files:
        _name_unread_file(job)
    if not found and not check.found:
        say_text("No records.")
    return Exit.FAILED if findings else Exit.DONE


def _name_unread_file(job: Path) -> None:
    """Say that the file of the job's audit was not read, if it has one."""
    settings = load_job(job).job.audit
    if settings and settings.file:
        unread = "not read. To check its records too, give it as FILE"
        say_line(f"{settings.file}: {unread}")


def _check_files(files: Sequence[Path], first: int, *, syslog: bool) -> AuditCheck:
    check = AuditCheck(first, syslog=syslog)
    for path in files:
        check.begin_file()
        try:
            with open_regular(path) as file:
                for number, line in enumerate(file, 1):
                    check.check_line(f"{path}:{number}", line)
        except OSError as fault:
            why = f"cannot be read: {fault.strerror}"
            raise UsageError(why, where=str(path)) from None
    return check


def _check_with_state(
    files: Sequence[Path], first: int, job: Path, *, syslog: bool
) -> tuple[AuditCheck, str, list[AuditFinding]]:
    """The files and then the lines that the state keeps; the name of the job; what was found."""
    # before the files: what a run adds meanwhile makes them longer, and no line is missing
    name, head, lines = read_audit(job)
    runs = find_runs_that_wrote(job)
    if not files and lines:
        first = max(first, lines[0].number)
    check = _check_files(files, first, syslog=syslog)
    if not syslog:
        check.begin_file()
        for line in lines:
            check.check_line(f"state:{line.number}", f"{line.text}\n".encode())
    findings = check.list_findings(KeptAudit(name, head, read_audit(job)[1], runs))
    return check, name, findings


def _describe_findings(
    check: AuditCheck, findings: Sequence[AuditFinding]
) -> Iterator[str]:
    for finding in findings[:_SHOWN_AT_MOST]:
        parts = (finding.where, finding.job, finding.why)
        yield ": ".join(part for part in parts if part)
    if len(findings) > _SHOWN_AT_MOST:
        yield f"… and more, {check.found} in all"

"""`release`: the end of a hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click

from connector.apply.approval import judge_approvals
from connector.apply.composition import read_approvers
from connector.apply.job_state import (
    list_files,
    make_release_request,
    open_audit,
    release_hold,
)
from connector.cli.approvals import (
    attach_signatures,
    explain_signing,
    make_sign_command,
)
from connector.cli.logs import configure_log
from connector.cli.observers import make_auditor
from connector.cli.options import approval_option, job_argument, path_option
from connector.cli.output import command_line, say_text
from connector.errors import OutputError, UnapprovedError, UsageError
from connector.model import Approval
from connector.planfile import write_out
from connector.runtime.stopping import StopRequest
from connector.settings.job import LoadedJob, load_job


@click.command
@job_argument
@path_option("--save", "FILE", "Save what the approvers have to sign.")
@approval_option
def command(job: Path, *, save: Path | None, signatures: tuple[Path, ...]) -> None:
    """Allow applies of JOB again, after an undo.

    Where JOB has approvers, they sign what --save writes.
    """
    if save is not None:
        if signatures:
            why = "is written before it is signed. Leave out --approval"
            raise UsageError(why, where="--save")
        _save_request(job, save)
        return

    def approve(loaded: LoadedJob, text: str) -> Sequence[Approval]:
        return _find_approvals(loaded, text, signatures)

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
    if file.resolve() in {each.resolve() for each in list_files(load_job(job))}:
        why = "this is one of the job's own files. Name another file"
        raise UsageError(why, where=str(file))
    write_out(file, [make_release_request(job)])
    again = command_line("release", job, f"--approval={file}.sig")
    say_text(
        "Saved. To sign it, and then to release the job, run:\n"
        f"    {make_sign_command(file)}\n"
        f"    {again}"
    )


def _find_approvals(
    job: LoadedJob, text: str, signatures: Sequence[Path]
) -> Sequence[Approval]:
    """Who has approved this release. Raises UnapprovedError, FileError, UsageError."""
    approvers = read_approvers(job)
    found = judge_approvals(approvers, attach_signatures(text.encode(), signatures))
    if approvers and not found:
        why = f"{approvers.needed} people have to sign this release"
        raise UnapprovedError(why, where=job.name)
    return found

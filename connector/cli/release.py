"""`release`: the end of a hold."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.apply.approval import approvals
from connector.apply.composition import approvers_of
from connector.apply.job_state import files_of, open_audit, release, release_request
from connector.cli.approvals import approval_option, said_how, sign_command, signed
from connector.cli.logs import configure
from connector.cli.observers import auditor
from connector.cli.running import job_argument, say_text
from connector.errors import OutputError, UnapprovedError, UsageError
from connector.planfile import write_out
from connector.runtime.stopping import Stop
from connector.settings.job import load

if TYPE_CHECKING:
    from connector.model import Approval
    from connector.settings.job import LoadedJob


@click.command
@job_argument
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save what the approvers have to sign.",
)
@approval_option
@click.pass_obj
def command(
    log_level: str | None, job: Path, *, save: Path | None, signatures: tuple[Path, ...]
) -> int:
    """Allow applies of JOB again, after an undo.

    Where JOB has approvers, they sign what --save writes.
    """
    if save is not None:
        if signatures:
            raise UsageError(
                "is written before it is signed. Leave out --approval", where="--save"
            )
        _save(job, save, release_request(job))
        return 0

    def approve(loaded: LoadedJob, text: str) -> Sequence[Approval]:
        return _approved(loaded, text, signatures)

    with (
        said_how("release.txt", ("release", str(job), "--save", "release.txt")),
        _recorded(log_level, job) as record,
    ):
        released = release(job, approve, record)
    say_text(
        "Released. The next apply may write."
        if released
        else "The job was not on hold. Nothing was changed."
    )
    return 0


@contextmanager
def _recorded(
    log_level: str | None, job: Path
) -> Iterator[Callable[[str, Sequence[Approval]], None]]:
    """What takes a release into the job's audit, if it has one. Raises BusyError, OutputError."""
    settings = load(job).job.audit
    if settings is None:
        yield lambda why, approvals: None
        return
    configure(log_level)
    with open_audit(job) as (loaded, lines, fingerprint):
        stop = Stop()
        audit = auditor(loaded, settings, "", stop)

        def record(why: str, approvals: Sequence[Approval]) -> None:
            if lines is not None:
                audit.opens("", fingerprint, lines)
                audit.released(why, approvals)
                audit.close()
            if stop.why:
                raise OutputError(stop.why, where="release")

        try:
            yield record
        finally:
            audit.close()


def _save(job: Path, file: Path, text: str) -> None:
    if file.resolve() in {each.resolve() for each in files_of(load(job))}:
        raise UsageError(
            "this is one of the job's own files. Name another file", where=str(file)
        )
    write_out(file, [text])
    again = shlex.join(["cec-connector", "release", str(job), f"--approval={file}.sig"])
    say_text(
        f"Saved. To sign it, and then to release the job, run:\n    {sign_command(file)}\n    {again}"
    )


def _approved(
    job: LoadedJob, text: str, signatures: Sequence[Path]
) -> Sequence[Approval]:
    """Who has approved this release. Raises UnapprovedError, FileError, UsageError."""
    approvers = approvers_of(job)
    found = approvals(approvers, signed(text.encode(), signatures))
    if approvers and not found:
        raise UnapprovedError(
            f"{approvers.needed} people have to sign this release", where=job.name
        )
    return found

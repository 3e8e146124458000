"""`audit`: whether the audit of a job has all that the journal knows, and is as it was told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec.structs import replace

from connector.cli.advice import Exit
from connector.cli.running import job_argument, say_text
from connector.reports.visible import visible

if TYPE_CHECKING:
    from connector.observers.chain_check import Chain, Check
    from connector.state.telling import Link

_SHOWN: Final = 20


@click.group
def command() -> None:
    """Manage the audit of a job."""


@command.command("catch-up", short_help="Send the audit the writes that it may lack.")
@job_argument
@click.pass_obj
def catch_up(log_level: str | None, job: Path) -> int:
    """Send the audit of JOB every write that it may lack, marked as late.

    Each apply and undo does so first. Use this command after a crash or a full disk, without a run.
    """
    from connector.cli.logs import configure
    from connector.cli.observers import auditor
    from connector.run.job_state import accounts
    from connector.runtime.stopping import Stop

    configure(log_level)
    with accounts(job) as (loaded, telling, fingerprint):
        if telling is None or loaded.job.audit is None:
            say_text("This job has no state yet, so no write is to be sent.")
            return 0
        audit = auditor(loaded, loaded.job.audit, "", Stop())
        try:
            audit.opens("", fingerprint, telling)
        finally:
            audit.close()
        for where, writes in audit.late.items():
            say_text(
                f"{visible(where)}: {writes} writes sent late."
                if writes
                else f"{visible(where)}: complete."
            )
    return 0


@command.command(short_help="Check that audit files are as they were written.")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--job", metavar="JOB", type=click.Path(path_type=Path),
    help="Check this job's records alone, and by its state that the end is not cut.",
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

    Give rotated files first, the oldest first. Without --job, nobody knows whether records
    are missing at the end. Exit code 1: something was found.
    """
    from connector.observers.chain_check import Check
    from connector.run.job_state import link_of, runs_that_wrote

    sink = "syslog" if syslog else "file"
    name, link = None, None
    runs = {}
    if (
        job is not None
    ):  # before the files: what comes meanwhile makes them longer, not shorter
        name, link = link_of(job, sink)
        runs = runs_that_wrote(job)
    check = Check(sink, first)
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            check.line(f"{path}:{number}", line)
    if job is not None and link is not None and link != link_of(job, sink)[1]:
        # a run has begun meanwhile, and may have added records
        link = replace(link, ended=False)
    findings = check.end(name, link, runs)
    for finding in findings[:_SHOWN]:
        whose = f"{finding.job}: " if finding.job is not None else ""
        say_text(
            visible(
                f"{finding.where}: {whose}{finding.why}"
                if finding.where
                else f"{whose}{finding.why}"
            )
        )
    if len(findings) > _SHOWN:
        say_text(f"… and more, {check.found} in all")
    chains = [
        chain
        for chain in check.chains.values()
        if chain.seq and (name is None or chain.job == name)
    ]
    for chain in chains:
        for said in _said(
            chain, link, sound=not any(chain.job == each.job for each in findings)
        ):
            say_text(visible(said))
    _say_rest(check, chains)
    return Exit.FAILED if findings else Exit.DONE


def _lines(path: Path) -> Iterator[bytes]:
    from connector.errors import UsageError
    from connector.settings.textfile import open_regular

    try:
        with open_regular(path) as file:
            yield from file
    except OSError as fault:
        raise UsageError(f"cannot be read: {fault.strerror}", where=str(path)) from None


def _said(chain: Chain, link: Link | None, *, sound: bool) -> Iterator[str]:
    """What is known of a job's chain."""
    numbers = (
        f"record {chain.seq}"
        if chain.begun == chain.seq
        else f"records {chain.begun} to {chain.seq}"
    )
    yield f"{chain.job}: {numbers}, {'unchanged' if sound else 'see above'} ({chain.since} to {chain.last})"
    if chain.before:
        yield f"{chain.job}: {chain.before} earlier records have no chain, and cannot be verified"
    if chain.taken:
        yield f"{chain.job}: {chain.taken} records were told again after an interruption; the first ones do not count"
    if chain.cut:
        yield f"{chain.job}: records that were cut to fit a datagram: {chain.cut}. Values left in them are not verified"
    if link is None:
        yield f"{chain.job}: the end is not verified. Add --job with its job file"
    elif chain.seq > link.seq and not link.ended:
        yield (
            f"{chain.job}: {chain.seq - link.seq} records more than the state knows: a run is under way or was "
            "interrupted, or somebody added them. The next run goes on from there"
        )


def _say_rest(check: Check, chains: list[Chain]) -> None:
    if check.half:
        say_text(
            visible(
                f"{check.half}: half a record, of a run that is under way or was interrupted"
            )
        )
    if not chains and not check.found:
        say_text("No records.")

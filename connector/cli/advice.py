"""Every error that can reach a user, as what to do about it and an exit code. The only place that knows either."""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum
from io import StringIO
from typing import Final, TypeVar

import click

from connector import errors
from connector.cli.terminal import wrap_text
from connector.model import RunEnding
from connector.reports.visible import make_visible, visible_lines


class Exit(IntEnum):
    """The exit codes; every command uses them alike."""

    DONE = 0
    FAILED = 1
    PENDING = 2
    REFUSED = 3
    IN_PART = 4
    USAGE = 64
    BUSY = 75
    FILE = 78


_CODES: Final[dict[type[BaseException], Exit]] = {
    errors.FileError: Exit.FILE,
    errors.UsageError: Exit.USAGE,
    errors.RefusedError: Exit.REFUSED,
    errors.BusyError: Exit.BUSY,
    click.ClickException: Exit.USAGE,
    BaseException: Exit.FAILED,
}
_ADVICE: Final[dict[type[BaseException], str]] = {
    errors.FileError: "Fix the file and line above, then rerun. Nothing was written.",
    errors.OtherJobError: (
        "Nothing was written. Two jobs of one state need two names. Give this file another name, or rename the earlier "
        "job, file and state. If it is the same job, which was moved or changed, look at its users and accept that:"
    ),
    errors.UsageError: "Nothing was written.",
    errors.RefusedError: "Nothing was written. Save a new plan with `plan --save FILE`, and have it reviewed.",
    errors.UnapprovedError: "Nothing was written. Have the file signed, and name each signature with `--approval`:",
    errors.DeclinedError: "Nothing was written.",
    errors.UnsettledError: "Nothing was taken out.",
    errors.OnHoldError: "Nothing was written. To allow applies again, run:",
    errors.BusyError: (
        "Wait for that run to end, then rerun. If it hangs, end its process on that host: its lease ends with it."
    ),
    errors.OpenRunError: (
        "Wait for that run to end. If its plan waits, approve or reject that. To end the run, cancel its workflow in "
        "Temporal, then rerun."
    ),
    errors.StateError: (
        "Nothing is written without a state. Of a file, check its permissions and the free space of its disk. "
        "Of a database, check that it runs and that this account may log in and write."
    ),
    errors.DamagedError: (
        "Nothing is written without a sound state. Stop the jobs of this state, check its disk, and restore its "
        "backup: docs/operate.md says how."
    ),
    errors.VerifierError: (
        "Nothing was written. Install OpenSSH's client (`openssh-client`), so that `ssh-keygen` runs for this account."
    ),
    errors.OutputError: "Check that the folder exists, its permissions, and the free space of its disk.",
    errors.UnreadError: "Nothing was written. Rerun without the pipe, or send the output to a file.",
    errors.UnreachableError: (
        "The read is incomplete, so nothing is planned. Check the address, and that it answers from this "
        "machine. Check firewall and proxy. For a slow server, raise `timeout` in the job."
    ),
    errors.TemporalUnreachableError: (
        "Check `address`, `tls` and `namespace` in the fleet file, and that Temporal answers from this machine. "
        "Check firewall and proxy. Then rerun."
    ),
    errors.NoWorkerError: (
        "Check that a worker runs with the same `namespace` and `task_queue`. Read its log, then rerun."
    ),
    errors.UntrustedError: (
        "If the authority is not known, set `ca_file` to the one that signed the server's certificate. If the name "
        "does not fit, use the host name that the certificate carries. Verification cannot be switched off."
    ),
    errors.NoTlsError: "Check the port. Of most servers https:// is on 443, ldaps:// on 636.",
    errors.ProxyRefusedError: (
        "Check the proxy's address. If it wants a user and password: http://USER:PASSWORD@HOST:PORT. For an https:// "
        "proxy, let the system trust its authority, or set SSL_CERT_FILE. To do without the proxy, list the server in "
        "NO_PROXY."
    ),
    errors.TemporalDeniedError: (
        "Check `api_key` and `tls` in the fleet file, and what they may do in this namespace. Then rerun."
    ),
    errors.DeniedError: "Check the account or key, its secret, and its rights.",
    errors.MalformedError: (
        "The answer is not understood, so nothing is planned. Check the address or the file. Check that no "
        "proxy or login page answers in place of the server."
    ),
    errors.MalformedFileError: "The file is not understood, so nothing is planned. Fix the file, then rerun.",
    errors.ElsewhereError: (
        "This server has only a part of the users, so nothing is planned. Referrals are not followed. In "
        "`urls`, list the server that holds all of `base`. Or set `base` to a part that this server holds "
        "whole."
    ),
    errors.TruncatedError: (
        "The read is incomplete, so nothing is planned. Raise the limit above, or narrow `base` or `filter`."
    ),
    errors.SourceTruncatedError: (
        "The read is incomplete, so nothing is planned. Raise the limit above in `source` of the job. If the tenant "
        "never takes that much, check its address."
    ),
    errors.IncompleteRead: (
        "The read is incomplete, so nothing is planned and nothing was written. Fix the cause above, then rerun."
    ),
}
T = TypeVar("T")


def _find_nearest(fault: BaseException, table: dict[type[BaseException], T]) -> T:
    """What the table has for the kind of a fault, or for the nearest kind above it."""
    return next(table[kind] for kind in type(fault).__mro__ if kind in table)


def code_of_ending(ending: RunEnding) -> Exit:
    """The exit code of an apply that ended so; its last line is made of the same."""
    if ending.in_vain:
        return Exit.FAILED
    return Exit.IN_PART if ending.in_part else Exit.DONE


def code_of(fault: BaseException) -> Exit:
    """The exit code of a run that ended by this fault."""
    return _find_nearest(fault, _CODES)


def report_fault(fault: BaseException) -> int:
    """Say on standard error what was wrong, where, and what to do; return the exit code."""
    if isinstance(fault, click.exceptions.Exit):
        return fault.exit_code
    # `… | head`: the reader has gone, and nobody listens any more
    if not isinstance(fault, BrokenPipeError):
        click.echo(wrap_text(_describe_fault(fault), sys.stderr), err=True)
    return code_of(fault)


def _describe_fault(fault: BaseException) -> str:
    if isinstance(fault, click.ClickException):
        return _describe_usage(fault)
    if isinstance(fault, errors.ConnectorError):
        # of files that people write each fault has a line of its own; else no line break is ours
        clean = visible_lines if isinstance(fault, errors.FileError) else make_visible
        said = f"cec-connector: {clean(str(fault))}"
        commands = getattr(fault, "__notes__", ())
        lines = [f"    {make_visible(command)}" for command in commands]
        return "\n".join([said, _find_nearest(fault, _ADVICE), *lines])
    # A traceback shows lines of code and no values; the message itself could carry one, so
    # only its type is told.
    frames = "".join(traceback.format_tb(fault.__traceback__))
    return (
        f"cec-connector: unexpected {type(fault).__name__}. This is a fault of the program. Report it with these "
        f"lines:\n{frames}"
    )


def _describe_usage(fault: click.ClickException) -> str:
    shown = StringIO()
    fault.show(shown)
    said = visible_lines(shown.getvalue()).rstrip()
    if isinstance(fault, click.NoSuchOption) and fault.ctx is not None:
        common = fault.ctx.find_root().command.params
        if any(fault.option_name in option.opts for option in common):
            said += (
                f"\nWrite it before the command: cec-connector {fault.option_name} …"
            )
    return said

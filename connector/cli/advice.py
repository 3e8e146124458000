"""Every error that can reach a user, as a code, what to do about it, and an exit code. The only place that knows them.

`scripts/reference.py` makes docs/messages.md of it.
"""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum
from io import StringIO
from typing import Final

import click
from msgspec import Struct

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


class Advice(Struct, frozen=True):
    """What to do about one kind of error."""

    code: str
    """`CEC-` and four digits, of which the first two are the exit code. Once released it never changes."""
    what_to_do: str
    page: str = ""
    """Page of docs/, and heading, that says more."""

    @property
    def exit_code(self) -> Exit:
        return Exit(int(self.code[4:6]))


ADVICE: Final[dict[type[BaseException], Advice]] = {
    errors.OutputError: Advice(
        "CEC-0101",
        "Check that the folder exists, its permissions, and the free space of its disk.",
    ),
    errors.UnreadError: Advice(
        "CEC-0102",
        "Nothing was written. Rerun without the pipe, or send the output to a file.",
    ),
    errors.VerifierError: Advice(
        "CEC-0103",
        "Nothing was written. Install OpenSSH's client (`openssh-client`), so that `ssh-keygen` runs for this account.",
        "approvals.md",
    ),
    errors.StateError: Advice(
        "CEC-0110",
        (
            "Nothing is written without a state. Of a file, check its permissions and the free space of its disk. Of "
            "a database, check that it runs and that this account may log in and write."
        ),
        "operate.md",
    ),
    errors.DamagedError: Advice(
        "CEC-0111",
        (
            "Nothing is written without a sound state. Stop the jobs of this state, check its disk, and restore its "
            "backup: docs/operate.md says how."
        ),
        "operate.md#back-up-the-state",
    ),
    errors.IncompleteRead: Advice(
        "CEC-0120",
        "The read is incomplete, so nothing is planned and nothing was written. Fix the cause above, then rerun.",
    ),
    errors.UnreachableError: Advice(
        "CEC-0121",
        (
            "The read is incomplete, so nothing is planned. Check the address, and that it answers from this machine. "
            "Check firewall and proxy. For a slow server, raise `timeout` in the job."
        ),
    ),
    errors.ProxyRefusedError: Advice(
        "CEC-0122",
        (
            "Check the proxy's address. If it wants a user and password: http://USER:PASSWORD@HOST:PORT. For an "
            "https:// proxy, let the system trust its authority, or set SSL_CERT_FILE. To do without the proxy, list "
            "the server in NO_PROXY."
        ),
    ),
    errors.NoTlsError: Advice(
        "CEC-0123",
        "Check the port. Of most servers https:// is on 443, ldaps:// on 636.",
    ),
    errors.UntrustedError: Advice(
        "CEC-0124",
        (
            "Set `ca_file` to the authority that signed the server's certificate. Verification cannot be switched "
            "off."
        ),
    ),
    errors.CertificateDateError: Advice(
        "CEC-0131",
        (
            "Check this machine's clock. If it is right, have the certificate renewed: the server's, or that of its "
            "authority (then set `ca_file` to the new one). Verification cannot be switched off."
        ),
    ),
    errors.HostNameError: Advice(
        "CEC-0132",
        (
            "Use a host name that the server's certificate carries. Or have a certificate issued that "
            "carries this one. Verification cannot be switched off."
        ),
    ),
    errors.DeniedError: Advice(
        "CEC-0125",
        "Check the account or key, its secret, and its rights.",
    ),
    errors.MalformedError: Advice(
        "CEC-0126",
        (
            "The answer is not understood, so nothing is planned. Check the address or the file. Check that no proxy "
            "or login page answers in place of the server."
        ),
    ),
    errors.MalformedFileError: Advice(
        "CEC-0127",
        "The file is not understood, so nothing is planned. Fix the file, then rerun.",
    ),
    errors.TruncatedError: Advice(
        "CEC-0128",
        "The read is incomplete, so nothing is planned. Raise the limit above, or narrow `base` or `filter`.",
    ),
    errors.SourceTruncatedError: Advice(
        "CEC-0129",
        (
            "The read is incomplete, so nothing is planned. Raise the limit above in `source` of the job. If the "
            "tenant never takes that much, check its address."
        ),
    ),
    errors.ElsewhereError: Advice(
        "CEC-0130",
        (
            "This server has only a part of the users, so nothing is planned. Referrals are not followed. In `urls`, "
            "list the server that holds all of `base`. Or set `base` to a part that this server holds whole."
        ),
    ),
    errors.TemporalUnreachableError: Advice(
        "CEC-0140",
        (
            "Check `address`, `tls` and `namespace` in the fleet file, and that Temporal answers from this machine. "
            "Check firewall and proxy. Then rerun."
        ),
    ),
    errors.NoWorkerError: Advice(
        "CEC-0141",
        "Check that a worker runs with the same `namespace` and `task_queue`. Read its log, then rerun.",
    ),
    errors.TemporalDeniedError: Advice(
        "CEC-0142",
        "Check `api_key` and `tls` in the fleet file, and what they may do in this namespace. Then rerun.",
    ),
    BaseException: Advice(
        "CEC-0199",
        "This is a fault of the program. Nothing below holds a value. Report these lines:",
        "troubleshoot.md#send-a-bug-report",
    ),
    errors.RefusedError: Advice(
        "CEC-0301",
        "Nothing was written. Save a new plan with `plan --save FILE`, and have it reviewed.",
    ),
    errors.UnapprovedError: Advice(
        "CEC-0302",
        "Nothing was written. Have the file signed, and name each signature with `--approval`:",
        "approvals.md",
    ),
    errors.DeclinedError: Advice(
        "CEC-0303",
        "Nothing was written.",
    ),
    errors.OnHoldError: Advice(
        "CEC-0304",
        "Nothing was written. To allow applies again, run:",
        "review.md#take-a-run-back",
    ),
    errors.UnsettledError: Advice(
        "CEC-0305",
        "Nothing was taken out.",
    ),
    errors.UsageError: Advice(
        "CEC-6401",
        "Nothing was written.",
    ),
    click.ClickException: Advice(
        "CEC-6402",
        "Nothing was written. Correct the command line, then rerun.",
        "commands.md",
    ),
    errors.BusyError: Advice(
        "CEC-7501",
        "Wait for that run to end, then rerun. If it hangs, end its process on that host: its lease ends with it.",
    ),
    errors.OpenRunError: Advice(
        "CEC-7502",
        (
            "Wait for that run to end. If its plan waits, approve or reject that. To end the run, cancel its workflow "
            "in Temporal, then rerun."
        ),
        "fleet.md",
    ),
    errors.FileError: Advice(
        "CEC-7801",
        "Fix the file and line above, then rerun. Nothing was written.",
    ),
    errors.OtherJobError: Advice(
        "CEC-7802",
        (
            "Nothing was written. Two jobs of one state need two names. Give this file another name, or rename the "
            "earlier job, file and state. If it is the same job, which was moved or changed, look at its users and "
            "accept that:"
        ),
        "operate.md#change-the-source",
    ),
}
"""What is to be done, by kind of error. A kind without a row has that of the nearest kind above it."""


def find_advice(fault: BaseException) -> Advice:
    """What to do about a fault: the row of its kind, or of the nearest kind above it."""
    return next(ADVICE[kind] for kind in type(fault).__mro__ if kind in ADVICE)


def code_of_ending(ending: RunEnding) -> Exit:
    """The exit code of an apply that ended so; its last line is made of the same."""
    if ending.in_vain:
        return Exit.FAILED
    return Exit.IN_PART if ending.in_part else Exit.DONE


def code_of(fault: BaseException) -> Exit:
    """The exit code of a run that ended by this fault."""
    return find_advice(fault).exit_code


def report_fault(fault: BaseException) -> int:
    """Say on standard error what was wrong, where, and what to do; return the exit code."""
    if isinstance(fault, click.exceptions.Exit):
        return fault.exit_code
    # `… | head`: the reader has gone, and nobody listens any more
    if not isinstance(fault, BrokenPipeError):
        click.echo(wrap_text(_describe_fault(fault), sys.stderr), err=True)
    return code_of(fault)


def _describe_fault(fault: BaseException) -> str:
    """What was wrong and where; the code and what to do; lines that belong to it."""
    lines = [f"    {make_visible(note)}" for note in getattr(fault, "__notes__", ())]
    if isinstance(fault, click.ClickException):
        said = _describe_usage(fault)
    elif isinstance(fault, errors.ConnectorError):
        # of files that people write each fault has a line of its own; else no line break is ours
        clean = visible_lines if isinstance(fault, errors.FileError) else make_visible
        said = f"cec-connector: {clean(str(fault))}"
    else:
        # A traceback shows lines of code and no values; the message itself could carry one, so
        # only its type is told.
        said = f"cec-connector: unexpected {type(fault).__name__}"
        lines = ["".join(traceback.format_tb(fault.__traceback__))]
    advice = find_advice(fault)
    return "\n".join([said, f"{advice.code}: {advice.what_to_do}", *lines])


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

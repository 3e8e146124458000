"""A code of a message never changes its meaning: people search for it, and scripts read it in logs."""

from __future__ import annotations

from typing import Final

import click

from connector import errors
from connector.cli.advice import ADVICE, Exit, code_of, find_advice

CODES: Final[dict[str, type[BaseException]]] = {
    "CEC-0101": errors.OutputError,
    "CEC-0102": errors.UnreadError,
    "CEC-0103": errors.VerifierError,
    "CEC-0110": errors.StateError,
    "CEC-0111": errors.DamagedError,
    "CEC-0120": errors.IncompleteRead,
    "CEC-0121": errors.UnreachableError,
    "CEC-0122": errors.ProxyRefusedError,
    "CEC-0123": errors.NoTlsError,
    "CEC-0124": errors.UntrustedError,
    "CEC-0125": errors.DeniedError,
    "CEC-0126": errors.MalformedError,
    "CEC-0127": errors.MalformedFileError,
    "CEC-0128": errors.TruncatedError,
    "CEC-0129": errors.SourceTruncatedError,
    "CEC-0130": errors.ElsewhereError,
    "CEC-0131": errors.CertificateDateError,
    "CEC-0132": errors.HostNameError,
    "CEC-0140": errors.TemporalUnreachableError,
    "CEC-0141": errors.NoWorkerError,
    "CEC-0142": errors.TemporalDeniedError,
    "CEC-0199": BaseException,
    "CEC-0301": errors.RefusedError,
    "CEC-0302": errors.UnapprovedError,
    "CEC-0303": errors.DeclinedError,
    "CEC-0304": errors.OnHoldError,
    "CEC-0305": errors.UnsettledError,
    "CEC-6401": errors.UsageError,
    "CEC-6402": click.ClickException,
    "CEC-7501": errors.BusyError,
    "CEC-7502": errors.OpenRunError,
    "CEC-7801": errors.FileError,
    "CEC-7802": errors.OtherJobError,
}
"""Add a line for a new code. A line that was released is never changed, and its code is never given again."""


def test_each_code_stands_for_the_kind_of_error_that_it_was_given_to() -> None:
    assert {advice.code: kind for kind, advice in ADVICE.items()} == CODES
    assert len(ADVICE) == len(CODES), "a code stands for two kinds"


def test_a_code_begins_with_the_exit_code_of_its_error() -> None:
    for fault, code, ending in (
        (errors.RefusedBindError("refused"), "CEC-0125", Exit.FAILED),  # of a kind without a row: the nearest above
        (errors.OnHoldError("on hold"), "CEC-0304", Exit.REFUSED),
        (click.NoSuchOption("--on"), "CEC-6402", Exit.USAGE),
        (errors.OpenRunError("open"), "CEC-7502", Exit.BUSY),
        (errors.FileError("wrong"), "CEC-7801", Exit.FILE),
        (KeyError("canary"), "CEC-0199", Exit.FAILED),
    ):
        assert (find_advice(fault).code, code_of(fault)) == (code, ending)

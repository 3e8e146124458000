"""What can go wrong, as a tree; `cli/advice.py` turns each into a sentence of advice and an exit code.

::

    ConnectorError
    ├── FileError             a file that people write is wrong: job, mapping, pins, plan      exit 78
    │   └── OtherJobError     the state knows the job's name as another job's                  exit 78
    ├── UsageError            the command line asks for something that cannot be               exit 64
    ├── RefusedError          a plan may not be applied: spent, tampered with, foreign         exit  3
    │   ├── UnapprovedError   people who have to sign a plan have not, or not rightly         exit  3
    │   ├── DeclinedError     somebody was asked, and did not say yes                          exit  3
    │   ├── OnHoldError       a job applies nothing until somebody releases it                 exit  3
    │   └── UnsettledError    what is to be forgotten is still needed                          exit  3
    ├── BusyError             another run holds this directory                                 exit 75
    │   └── OpenRunError      a run of the job is open in the fleet                            exit 75
    ├── StateError            the state cannot be opened, read or written                      exit  1
    │   └── DamagedError      its file, or a part of it, is not as it was written              exit  1
    ├── VerifierError         ssh-keygen, which verifies signatures, is missing or fails       exit  1
    ├── OutputError           a report or a plan could not be written out                      exit  1
    │   └── UnreadError       nobody reads the plan that is about to be written                exit  1
    └── IncompleteRead        the source or the directory was not read whole                   exit  1
        ├── UnreachableError  no connection, a time-out, a connection cut
        │   └── TemporalUnreachableError  Temporal does not answer, or not now
        │       └── NoWorkerError  Temporal answers, but no worker of the fleet
        ├── UntrustedError    TLS: unknown authority
        │   ├── CertificateDateError  the certificate has expired, or is not valid yet
        │   ├── HostNameError         the certificate is for another host
        │   └── NoTlsError    what answers speaks no TLS
        ├── ProxyRefusedError the proxy of the environment refuses us, is none, or is not trusted
        ├── DeniedError       credentials or rights refused
        │   ├── TemporalDeniedError  Temporal refuses the fleet's API key, certificate or rights
        │   └── RefusedBindError  the account's own proof was refused: another attempt may lock it
        ├── MalformedError    an answer that is not what its protocol or page says
        │   ├── NoTokenError  what a token endpoint answered has no access token in it
        │   └── MalformedFileError  a file of agents or users that is not what its format says
        └── TruncatedError    a limit, a pager that stands still
            ├── LimitError        the directory's size, time or administrative limit
            ├── SourceTruncatedError  a limit that the job sets for its source
            └── ElsewhereError  a referral: a part is on another server

Nothing here ever holds a secret: messages are made of names, numbers and places.
"""

from typing import Final

import msgspec

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for octets that are no JSON, no UTF-8, or nested too deeply to be read."""


class ConnectorError(Exception):
    """Something a user can meet. `what` was wrong, `where` (a file and line, an address, an entry, a record)."""

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class FileError(ConnectorError):
    """A file that people write is wrong; `where` is `path:line` as far as the line is known."""


class OtherJobError(FileError):
    """The state knows the job's name with another tenant or directory, so that its users would be cleared."""


class UsageError(ConnectorError):
    """The command line asks for something that cannot be done."""


class RefusedError(ConnectorError):
    """A saved plan may not be applied: spent, tampered with, or made for something else."""


class UnapprovedError(RefusedError):
    """People who have to sign have not, or a signature is not good."""


class DeclinedError(RefusedError):
    """Somebody at a terminal was asked, and did not say yes."""


class OnHoldError(RefusedError):
    """The job applies nothing until somebody releases it."""


class UnsettledError(RefusedError):
    """Something has to be settled before this can be taken out of the state."""


class BusyError(ConnectorError):
    """Another run holds this directory."""


class OpenRunError(BusyError):
    """A run of this job is open in the fleet: no second one begins."""


class StateError(ConnectorError):
    """The state cannot be opened, read or written."""


class DamagedError(StateError):
    """The state is not as this program has written it."""


class VerifierError(ConnectorError):
    """`ssh-keygen`, which verifies signatures, is missing or cannot be run here."""


class OutputError(ConnectorError):
    """A report or a plan could not be written out whole."""


class UnreadError(OutputError):
    """The reader of the output has gone before it saw the whole plan."""


class IncompleteRead(ConnectorError):  # noqa: N818  # the word that the ports and the design use
    """The source or the directory was not read whole."""


class UnreachableError(IncompleteRead):
    """No connection, a time-out, or a connection that was cut. `sent`: a request may have reached the other side."""

    def __init__(self, what: str, *, where: str = "", sent: bool = False) -> None:
        super().__init__(what, where=where)
        self.sent = sent


class TemporalUnreachableError(UnreachableError):
    """Temporal, which runs the jobs of a fleet, does not answer, or cannot do what is asked now."""


class NoWorkerError(TemporalUnreachableError):
    """Temporal answers, but no worker of the fleet does."""


class UntrustedError(IncompleteRead):
    """The certificate of the other side is not trusted."""


class CertificateDateError(UntrustedError):
    """The certificate of the other side has expired, or is not valid yet."""


class HostNameError(UntrustedError):
    """The certificate of the other side is for another host."""


class NoTlsError(UntrustedError):
    """The server at this address speaks no TLS. Another attempt changes nothing."""


class ProxyRefusedError(IncompleteRead):
    """The proxy of the environment refuses us, is none, or is not trusted. Each attempt may lock its account."""


class DeniedError(IncompleteRead):
    """Credentials or rights were refused."""


class TemporalDeniedError(DeniedError):
    """Temporal refuses the fleet's API key, its client certificate or its rights."""


class RefusedBindError(DeniedError):
    """The server refused the account's password, ticket or certificate. Each further attempt may lock the account."""


class MalformedError(IncompleteRead):
    """An answer is not what its protocol, or the vendor's page, says."""


class NoTokenError(MalformedError):
    """The answer of a token endpoint has no access token in it."""


class MalformedFileError(MalformedError):
    """A file of agents or users is not what its format says."""


class TruncatedError(IncompleteRead):
    """The other side stopped early: a limit, or a pager that stands still."""


class LimitError(TruncatedError):
    """The directory's own limit cut a search short: its size, its time, or what its administrator allows."""


class SourceTruncatedError(TruncatedError):
    """The agents were not read to their end within the limits of the job."""


class ElsewhereError(TruncatedError):
    """A referral: a part of what was asked for is on another server."""

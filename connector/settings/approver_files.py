"""Reads the files that say who approves a job's plans."""

from __future__ import annotations

from pathlib import Path

from connector.approval.approvers import Approvers, people
from connector.approval.signers import KRL, Faults, allowed_signers, revoked_keys
from connector.errors import FileError
from connector.reconcile.checks.limits import Limits
from connector.settings.approvers import Approvers as Settings
from connector.settings.job import LoadedJob
from connector.settings.textfile import Fault, read_octets, read_text, wrong


def load(job: LoadedJob, settings: Settings) -> Approvers:
    """Raises FileError with every fault of a file and its line."""
    signers, faults = allowed_signers(read_text(settings.allowed))
    _hold(settings.allowed, faults)
    if settings.needed > (count := people(signers)):
        why = f"needs {settings.needed} people to sign, and {settings.allowed} names {count}"
        raise FileError(
            f"approvers.needed: {why}", where=job.where("approvers", "needed")
        )
    revoked = _revoked(settings.revoked) if settings.revoked else frozenset()
    free = Limits(settings.free.update, settings.free.clear, settings.free.secret)
    return Approvers(tuple(signers), settings.needed, revoked, free)


def _revoked(path: Path) -> frozenset[bytes]:
    try:
        text = read_text(path)
    except FileError:  # a KRL is no text
        text = KRL if read_octets(path, len(KRL)) == KRL.encode() else ""
        if not text:
            raise
    keys, faults = revoked_keys(text)
    _hold(path, faults)
    return keys


def _hold(path: Path, faults: Faults) -> None:
    if faults:
        raise wrong(path, [Fault(line, 0, what) for line, what in faults])

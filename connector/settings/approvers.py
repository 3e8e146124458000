"""The keys of a job that say who approves its plans, and the files that they name."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field

from connector.approval.approvers import Approvers as Signing, count_people
from connector.approval.signatures import find_revoked_keys
from connector.approval.signers import (
    Faults,
    PublicKey,
    SignatureError,
    read_allowed_signers,
    read_revoked_keys,
)
from connector.errors import FileError, VerifierError
from connector.model.limits import Limit, Limits
from connector.settings.fields import RegularFile, UserLimit
from connector.settings.shape import Strict
from connector.settings.textfile import Fault, join_faults, read_octets, read_text

if TYPE_CHECKING:
    from connector.settings.job import LoadedJob

_KRL: Final = b"SSHKRL\n"
"""A key revocation list (KRL) begins with it."""


class Free(Strict):
    """How many users one apply may change without approval. A limit that is not said is 0."""

    update: UserLimit = Limit(0)
    """Most users with an attribute to set."""
    clear: UserLimit = Limit(0)
    """Most users with an attribute to empty."""
    secret: UserLimit = Limit(0)
    """Most users with a secret to set."""


class Approvers(Strict):
    """Who approves the plans of this job, by SSH signature."""

    allowed: RegularFile
    """File of allowed signers, in OpenSSH's format."""
    needed: int = Field(ge=1, le=100)
    """Different people who have to sign."""
    revoked: RegularFile | None = None
    """File of revoked public keys, one a line, or a key revocation list of OpenSSH."""
    free: Free = Free()
    """Changes that need no approval."""


def load_approvers(job: "LoadedJob", settings: Approvers) -> Signing:
    """Raises FileError with every fault of a file and its line."""
    signers, faults = read_allowed_signers(read_text(settings.allowed))
    _require_sound(settings.allowed, faults)
    count = count_people(signers.values())
    if settings.needed > count:
        why = f"needs {settings.needed} people to sign, and {settings.allowed} names {count}"
        raise FileError(
            f"approvers.needed: {why}", where=job.where("approvers", "needed")
        )
    revoked = frozenset[PublicKey]()
    if settings.revoked is not None:
        allowed = [signer.key for signer in signers.values()]
        revoked = _load_revoked_keys(settings.revoked, allowed)
    free = Limits(settings.free.update, settings.free.clear, settings.free.secret)
    return Signing(signers, settings.needed, revoked, free)


def _load_revoked_keys(
    path: Path, allowed: Iterable[PublicKey]
) -> frozenset[PublicKey]:
    """The keys of a list, or those of the allowed ones that a key revocation list names."""
    with suppress(OSError):
        if read_octets(path, len(_KRL)) == _KRL:
            try:
                return find_revoked_keys(read_octets(path), allowed)
            except (SignatureError, VerifierError) as fault:
                raise FileError(str(fault), where=str(path)) from None
    keys, faults = read_revoked_keys(read_text(path))
    _require_sound(path, faults)
    return keys


def _require_sound(path: Path, faults: Faults) -> None:
    if faults:
        raise join_faults(path, [Fault(line, 0, what) for line, what in faults])

"""The keys of a job that say who approves its plans, and the files that they name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from connector.approval.approvers import Approvers as Signing, count_people
from connector.approval.signers import (
    KRL,
    Faults,
    PublicKey,
    read_allowed_signers,
    read_revoked_keys,
)
from connector.errors import FileError
from connector.model.limits import Limit, Limits
from connector.settings.fields import RegularFile, UserLimit
from connector.settings.shape import Strict
from connector.settings.textfile import Fault, read_octets, read_text, wrong

if TYPE_CHECKING:
    from connector.settings.job import LoadedJob


class Free(Strict):
    """How many users one apply may change without approval. A limit that is not said is 0."""

    update: Annotated[
        UserLimit, Field(description="Most users with an attribute to set.")
    ] = Limit(0)
    clear: Annotated[
        UserLimit, Field(description="Most users with an attribute to empty.")
    ] = Limit(0)
    secret: Annotated[
        UserLimit, Field(description="Most users with a secret to set.")
    ] = Limit(0)


class Approvers(Strict):
    """Who approves the plans of this job, by SSH signature."""

    allowed: Annotated[
        RegularFile, Field(description="File of allowed signers, in OpenSSH's format.")
    ]
    needed: Annotated[
        int, Field(ge=1, le=100, description="Different people who have to sign.")
    ]
    revoked: Annotated[
        RegularFile | None,
        Field(description="File of revoked public keys, one a line."),
    ] = None
    free: Annotated[Free, Field(description="Changes that need no approval.")] = Free()


def load_approvers(job: "LoadedJob", settings: Approvers) -> Signing:
    """Raises FileError with every fault of a file and its line."""
    signers, faults = read_allowed_signers(read_text(settings.allowed))
    _require_sound(settings.allowed, faults)
    if settings.needed > (count := count_people(signers.values())):
        why = f"needs {settings.needed} people to sign, and {settings.allowed} names {count}"
        raise FileError(
            f"approvers.needed: {why}", where=job.where("approvers", "needed")
        )
    revoked = _load_revoked_keys(settings.revoked) if settings.revoked else frozenset()
    free = Limits(settings.free.update, settings.free.clear, settings.free.secret)
    return Signing(signers, settings.needed, revoked, free)


def _load_revoked_keys(path: Path) -> frozenset[PublicKey]:
    try:
        text = read_text(path)
    except FileError:  # a KRL is no text
        text = KRL if read_octets(path, len(KRL)) == KRL.encode() else ""
        if not text:
            raise
    keys, faults = read_revoked_keys(text)
    _require_sound(path, faults)
    return keys


def _require_sound(path: Path, faults: Faults) -> None:
    if faults:
        raise wrong(path, [Fault(line, 0, what) for line, what in faults])

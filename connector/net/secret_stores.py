"""Fetches a secret from wherever a job says it is kept: on this machine, or in HashiCorp Vault (KV version 2)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connector.model import Secret
from connector.settings.fields import Place, SecretRef, file_of, resolve_secret
from connector.settings.shape import Strict, walk_parts

if TYPE_CHECKING:
    from connector.settings.job import LoadedJob

READABLE: Final = "other users of this machine can read this secret file"
WRITABLE: Final = (
    "other users of this machine can write here, and so change who approves plans"
)


def resolve(ref: SecretRef, what: str, where: str) -> Secret:
    """The secret itself. `what` says what it is for ("the app key"), `where` which line of the job asks for it.

    Raises FileError where there is none, and kinds of IncompleteRead where Vault cannot be
    asked or denies it. No message repeats a value.
    """
    if ref.vault is None:
        return resolve_secret(ref, what, where)
    from connector.net import vault  # noqa: PLC0415  # an adapter that few jobs name; it loads httpx

    return vault.read(ref.vault, what, where)


def open_to_others(job: LoadedJob) -> list[tuple[Path, str, str]]:
    """What others on this machine may read or write, and should not, in order; why, and what `chmod` is told.

    Files of secrets and private keys; and where it is said who approves, with the folders of that.
    """
    approvers = job.job.approvers
    said = (
        [
            path.absolute()
            for path in (job.path, approvers.allowed, approvers.revoked)
            if path
        ]
        if approvers
        else []
    )
    places = sorted({*said, *(path.parent for path in said)})
    secret = sorted(set(_files(job.job)))
    return [
        *(
            (path, READABLE, "o-r,g-r")
            for path in secret
            if _others_may(path, stat.S_IROTH, stat.S_IRGRP)
        ),
        *(
            (path, WRITABLE, "o-w,g-w")
            for path in places
            if _others_may(path, stat.S_IWOTH, stat.S_IWGRP)
        ),
    ]


def _others_may(path: Path, everybody: int, group: int) -> bool:
    """Whether others on this machine have one of these rights to a file; in a sticky folder they have none (chmod(1)).

    A group of this process's own may: Kubernetes mounts secrets as 0440 for the group of
    the pod (`fsGroup`).
    """
    with suppress(OSError):  # whoever reads it says so
        status = path.stat()
        open_to = (
            everybody
            if status.st_gid in {os.getegid(), *os.getgroups()}
            else everybody | group
        )
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        return bool(status.st_mode & open_to) and not sticky
    return False


def _files(settings: Strict) -> Iterator[Path]:
    for name, each in walk_parts(settings):
        if name == "key_file" and isinstance(each, Path):
            yield each
        if isinstance(each, Place) and (path := file_of(each)):
            yield path

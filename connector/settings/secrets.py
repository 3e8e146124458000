"""Fetches a secret from where a job says it is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from connector.errors import FileError
from connector.model import Secret
from connector.settings.fields import Place
from connector.settings.textfile import read_text

MAX_BYTES: Final = 64 << 10


def resolve(ref: Place, what: str, where: str) -> Secret:
    """The secret itself. `what` says what it is for ("the app key"), `where` which line of the job asks for it.

    An empty one is refused: to LDAP it would be an anonymous bind that succeeds (RFC 4513
    §5.1.2). Raises FileError, which names the variable or the file and never what is in it.
    """
    try:
        return Secret(_found(ref))
    except FileError as fault:
        raise FileError(f"{what}: {fault}", where=where) from None


def file_of(ref: Place) -> Path | None:
    """The file on this machine that a secret is kept in; None where it is elsewhere.

    That of a credential is named by systemd (systemd.exec(5), $CREDENTIALS_DIRECTORY).
    """
    if ref.credential is not None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        return Path(folder) / ref.credential if folder else None
    return ref.file


def _found(ref: Place) -> str:
    if ref.env is not None:
        place, value = f"environment variable {ref.env}", os.environ.get(ref.env)
        if value is None:
            raise FileError(f"{place} is not set")
        if any(
            "\ud800" <= letter <= "\udfff" for letter in value
        ):  # how Python keeps octets that are not UTF-8
            raise FileError(f"{place} is not UTF-8 text")
    else:
        path = file_of(ref)
        if path is None:
            why = "systemd passes none here (CREDENTIALS_DIRECTORY is not set). Add LoadCredential= to the unit"
            raise FileError(f"credential {ref.credential}: {why}")
        place, value = str(path), read_text(path, MAX_BYTES)
        value = value[:-2] if value.endswith("\r\n") else value.removesuffix("\n")
    if not value:
        raise FileError(f"{place} is empty")
    return value

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

    An empty one is refused: to LDAP it would be an anonymous bind that succeeds (RFC 4513 §5.1.2). Raises FileError,
    which names the variable or the file and never what is in it.
    """
    if ref.env is not None:
        place, value = f"environment variable {ref.env}", _variable(ref.env, what, where)
    else:
        path = ref.file or _handed_over(ref.credential or "", what, where)
        place, value = str(path), _file(path, what, where)
    if not value:
        raise FileError(f"{what}: {place} is empty", where=where)
    return Secret(value)


def _handed_over(name: str, what: str, where: str) -> Path:
    """The file of a credential (systemd.exec(5), $CREDENTIALS_DIRECTORY)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        why = (
            f"credential {name}: systemd passes none here (CREDENTIALS_DIRECTORY is not set). Add LoadCredential= "
            "to the unit"
        )
        raise FileError(f"{what}: {why}", where=where)
    return Path(folder) / name


def _variable(name: str, what: str, where: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise FileError(f"{what}: environment variable {name} is not set", where=where)
    if any("\ud800" <= letter <= "\udfff" for letter in value):  # how Python keeps octets that are not UTF-8
        raise FileError(f"{what}: environment variable {name} is not UTF-8 text", where=where)
    return value


def _file(path: Path, what: str, where: str) -> str:
    try:
        value = read_text(path, MAX_BYTES, regular=True)
    except FileError as fault:
        raise FileError(f"{what}: {fault}", where=where) from None
    return value[:-2] if value.endswith("\r\n") else value.removesuffix("\n")

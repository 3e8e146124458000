"""The key of a state in a file, for jobs that name none: a file beside the state, so that neither alone tells a secret.

Whoever comes first makes it, under a lock on the file itself. A process that dies meanwhile
leaves it empty, and the next one fills it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connector.errors import FileError, StateError
from connector.model import Secret

_MOST: Final = 4096
"""Octets of a key that are heeded."""


def beside(state: Path) -> Path:
    """Where the key of this state is kept, by whichever symbolic link the state is named."""
    real = Path(os.path.realpath(state))
    return real.with_name(f"{real.name}.key")


def key_of(state: Path, *, needed: bool, make: bool = True) -> Secret | None:
    """The key of this state, made where there is none; None where it cannot or is not to be made, nor is `needed`.

    Raises StateError, and FileError for a file that is none, or open to others.
    """
    path = beside(state)
    try:
        key = _read(path, os.O_RDONLY)
    except FileNotFoundError:
        key = b""
    except OSError as fault:
        raise StateError(
            f"the key of the state cannot be read: {fault.strerror}", where=str(path)
        ) from None
    if not (key or make):
        return None
    try:
        return Secret(key or _read(path, os.O_RDWR | os.O_CREAT))
    except OSError as fault:
        if not needed:
            return None
        raise StateError(
            f"the key of the state cannot be made: {fault.strerror}", where=str(path)
        ) from None


def _read(path: Path, flags: int) -> bytes:
    """The key; where it may be written, a new one if the file has none. Raises OSError and FileError."""
    with _opened(path, flags) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if flags & os.O_CREAT else fcntl.LOCK_SH)
        key = os.read(handle, _MOST).strip()
        if not key and flags & os.O_CREAT:
            key = os.urandom(32).hex().encode()
            try:
                os.pwrite(handle, key + b"\n", 0)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, 0)  # a part of a key is none
                raise
        return key


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """An open file that is nobody else's. Raises OSError and FileError."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise _refused(path) from None
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path)
        if status.st_mode & 0o077:
            why = "others may read or write the key of the state. Run `chmod 600` on it"
            raise FileError(
                f"{why}. If somebody may have read it, remove it; the next run creates another",
                where=str(path),
            )
        yield handle
    finally:
        os.close(handle)


def _refused(path: Path) -> FileError:
    why = (
        "the key of the state is no regular file. Move it away, or set `key` in the job"
    )
    return FileError(why, where=str(path))

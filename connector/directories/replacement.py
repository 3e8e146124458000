"""Replaces a file whole or not at all: a new one beside it, synchronised, then renamed over it."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

PRIVATE: Final = 0o600


class ChangedError(Exception):
    """Somebody changed the file while it was being replaced; nothing was done, and one may try again."""


class Replacement:
    """The file as it is (`old`, locked), and what is to become of it (`new`), if `commit` is called in the end.

    The lock is advisory (flock) and dies with the process. What a killed process left beside the file is removed.
    Raises OSError, BlockingIOError where another program holds the lock, and ChangedError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new_path = path.with_name(f".{path.name}.new")
        self.done = False

    def __enter__(self) -> Self:
        # opened for writing, so that a file that we may not write is not replaced by way of its folder
        self.old: BinaryIO = self._path.open("r+b")
        try:
            self._lock()
            self.new: BinaryIO = self._create()
        except BaseException:
            self.old.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(OSError):  # what could not be written is not wanted any more
                self.new.close()
            if not self.done:
                self._new_path.unlink(missing_ok=True)
        finally:
            self.old.close()  # and the lock with it

    def commit(self) -> None:
        """Put the new file in the old one's place, and make sure that it outlives a power cut.

        Raises ChangedError and OSError; `done` says whether the file had been replaced by then.
        """
        self.new.flush()
        os.fsync(self.new.fileno())
        if not self._unchanged():
            raise ChangedError
        self._new_path.replace(self._path)
        self.done = True
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _lock(self) -> None:
        """Lock the file, and see that it still is the file: another program may have replaced it just before."""
        fcntl.flock(self.old, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._before = os.fstat(self.old.fileno())
        if not self._unchanged():
            raise ChangedError

    def _unchanged(self) -> bool:
        now = self._path.stat()
        return _identity(now) == _identity(self._before)

    def _create(self) -> BinaryIO:
        """Empty, ours alone until it has the old one's owner, and then with the old one's mode."""
        self._new_path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self._new_path, flags, PRIVATE)
        mode = stat.S_IMODE(self._before.st_mode)
        try:
            os.fchown(descriptor, -1, self._before.st_gid)
            os.fchown(descriptor, self._before.st_uid, -1)
        except PermissionError:
            if os.fstat(descriptor).st_gid != self._before.st_gid:
                mode &= ~stat.S_IRWXG  # our group is not the one that was allowed to read it
        os.fchmod(descriptor, mode)
        return os.fdopen(descriptor, "wb")


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

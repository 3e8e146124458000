"""Replaces a file whole or not at all: a new one beside it, synchronised, then renamed over it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

PRIVATE = 0o600
_ACL = "system.posix_acl_access"
_OF_CONTENT = frozenset({"security.ima", "security.evm"})
"""Attributes that the kernel works out from what a file holds (ima(7)); those of another
content are worth nothing."""


class ChangedError(Exception):
    """Somebody changed the file while it was being replaced; nothing was done, and one may try again."""


class LinkedError(Exception):
    """The file has another name, under which it would stay as it is; nothing was done."""


class FileReplacement:
    """The file as it is (`old`, locked), and what is to become of it (`new`), if `commit` is called in the end.

    The lock is advisory (flock) and dies with the process. What a killed process left
    beside the file is removed. Owner, mode, POSIX ACL and extended attributes are those of
    the old file. Raises OSError, BlockingIOError where another program holds the lock,
    LinkedError and ChangedError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new_path = path.with_name(f".{path.name}.new")
        self.done = False

    def __enter__(self) -> Self:
        # opened for writing, so that a file that we may not write is not replaced by way of
        # its folder
        self.old: BinaryIO = self._path.open("r+b")
        try:
            self._lock_file()
            self.new: BinaryIO = self._create_file()
        except BaseException:
            self.old.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with suppress(OSError):  # what could not be written is not wanted any more
                self.new.close()
            if not self.done:
                self._new_path.unlink(missing_ok=True)
        finally:
            self.old.close()  # and the lock with it

    def commit_file(self) -> None:
        """Put the new file in the old one's place, and make sure that it outlives a power cut.

        Raises ChangedError and OSError; `done` says whether the file had been replaced by then.
        """
        self.new.flush()
        os.fsync(self.new.fileno())
        if not self._is_unchanged():
            raise ChangedError
        self._new_path.replace(self._path)
        self.done = True
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _lock_file(self) -> None:
        """Lock the file, and see that it still is the file: another program may have replaced it just before."""
        fcntl.flock(self.old, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._before = os.fstat(self.old.fileno())
        if not self._is_unchanged():
            raise ChangedError
        if self._before.st_nlink > 1:
            raise LinkedError

    def _is_unchanged(self) -> bool:
        now = self._path.stat()
        return identify_file(now) == identify_file(self._before)

    def _create_file(self) -> BinaryIO:
        """Empty, ours alone until it has the old one's owner, and then with the old one's mode."""
        self._new_path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        new = os.fdopen(os.open(self._new_path, flags, PRIVATE), "wb")
        try:
            self._copy_attributes(new.fileno())
        except BaseException:
            new.close()
            self._new_path.unlink()
            raise
        return new

    def _copy_attributes(self, new: int) -> None:
        """Give the new file all that the old one has beside its content. Raises OSError."""
        mode = stat.S_IMODE(self._before.st_mode)
        kept = _read_attributes(self.old.fileno())
        try:
            os.fchown(new, -1, self._before.st_gid)
            os.fchown(new, self._before.st_uid, -1)
        except PermissionError as fault:
            if os.fstat(new).st_gid != self._before.st_gid:
                if (
                    _ACL in kept
                ):  # it says what the owning group may do, which would be another one
                    raise OSError(
                        fault.errno, "its group cannot be kept, and it has a POSIX ACL"
                    ) from None
                # our group is not the one that was allowed to read it
                mode &= ~stat.S_IRWXG
        given = _read_attributes(new)
        if (
            _ACL in given.keys() - kept.keys()
        ):  # of the folder's default ACL, which the mode would bring to life
            os.removexattr(new, _ACL)
        os.fchmod(new, mode)
        for name, value in kept.items():
            if given.get(name) != value:
                try:
                    os.setxattr(new, name, value)
                except OSError as fault:
                    said = f"its extended attribute {name} cannot be kept: {fault.strerror}"
                    raise OSError(fault.errno, said) from None


def _read_attributes(file: int) -> dict[str, bytes]:
    """The extended attributes of an open file, a POSIX ACL among them (xattr(7), acl(5))."""
    try:
        return {
            name: os.getxattr(file, name)
            for name in os.listxattr(file)
            if name not in _OF_CONTENT
        }
    except OSError as fault:
        if fault.errno == errno.ENOTSUP:  # the file system has none
            return {}
        raise


def identify_file(status: os.stat_result) -> tuple[int, int, int, int]:
    """What another file, or the same one with other content, would not have in common."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

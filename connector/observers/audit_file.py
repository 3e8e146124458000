"""The file of an audit: lines are added at its end, and looked for from there."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from connector.errors import OutputError
from connector.runtime.log import log
from connector.state.audit_lines import ChainHead, digest_line, read_place

_PIPE: Final = "this is a pipe, which could block a run. Name a regular file"
_BLOCK: Final = 1 << 16
"""Octets that are read together."""
_TAIL: Final = 1 << 28
"""Octets of a file that are looked through at most."""
_LAST_LINES: Final = 1000
"""Lines that are looked through for the last one of a job, which is only warned about."""
_PATIENCE: Final = 30
"""Seconds that a lock is waited for, which other jobs have while they add their lines."""


class AuditFile:
    """Lines at the end of a file, for its owner alone. Methods but `close` raise OSError.

    Other jobs may add to it: none of them sees half of what another is adding, where the
    file system has locks.
    """

    def __init__(self, path: Path) -> None:
        """Raises OutputError where it cannot be opened, or is a pipe."""
        self.where = str(path)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._handle = os.open(path, flags, 0o600)
        except OSError as fault:
            why = f"the audit cannot be kept: {fault.strerror}"
            raise OutputError(why, where=self.where) from None
        mode = os.fstat(self._handle).st_mode
        if stat.S_ISFIFO(mode):
            os.close(self._handle)
            raise OutputError(f"the audit cannot be kept: {_PIPE}", where=self.where)
        self._is_regular = self._has_locks = stat.S_ISREG(mode)

    def append_lines(self, texts: Sequence[str]) -> None:
        """Add lines, in this order; where it fails, those before may have been added."""
        octets = b"".join(text.encode("ascii") + b"\n" for text in texts)
        with self._hold_lock():
            if self._ends_within_a_line():
                octets = b"\n" + octets
            self.append_octets(octets)

    def append_octets(self, octets: bytes) -> None:
        """Add octets, or as many as the disk takes. Raises OSError where those are not all."""
        if os.write(self._handle, octets) != len(octets):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _ends_within_a_line(self) -> bool:
        """Whether a disk that was full, or a program that died, has left half a line at the end."""
        size = os.fstat(self._handle).st_size
        return size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"

    def sync_to_disk(self) -> None:
        """See that the disk has what was added."""
        if self._is_regular:
            os.fsync(self._handle)

    def close(self) -> None:
        """Let go of it. Never raises."""
        with suppress(OSError):
            os.close(self._handle)

    # ------------------------------------------------------------ reading

    def find_last_line(self, job: str) -> ChainHead | None:
        """The last line of this job; None: none of the file's last lines is."""
        for text in islice(self.read_backwards(), _LAST_LINES):
            place = read_place(text)
            if place is not None and place.job == job:
                return ChainHead(place.number, digest_line(text))
        return None

    def read_backwards(self) -> Iterator[bytes]:
        """Its lines from the end, without their newlines, while no other job adds to it."""
        with self._hold_lock():
            end = os.fstat(self._handle).st_size
            least, rest = max(0, end - _TAIL), b""
            while end > least:
                start = max(least, end - _BLOCK)
                block = os.pread(self._handle, end - start, start)
                rest, *lines = (block + rest).split(b"\n")
                yield from reversed(lines)
                end = start
            if end == 0:
                yield rest

    # ------------------------------------------------------------ other jobs

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        """While no other job adds to the file."""
        self._take_lock()
        try:
            yield
        finally:
            if self._has_locks:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _take_lock(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._has_locks:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    why = "another program keeps it locked"
                    raise OSError(errno.EBUSY, why) from None
                time.sleep(0.005)  # flock(2) has no time-out
            except OSError as fault:
                # jobs that share it may see each other's halves then
                self._has_locks = False
                log.warning(
                    "audit file cannot be locked",
                    where=self.where,
                    reason=fault.strerror,
                )
            else:
                return

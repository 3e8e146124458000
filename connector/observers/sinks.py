"""Where an audit is kept: a file, a syslog receiver. What was told to one is safe once `secure` says so."""

import errno
import fcntl
import json
import os
import stat
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from msgspec import Struct

from connector.errors import OutputError
from connector.observers.chain_links import Place, digest_of, place_of, record_of
from connector.observers.syslog import Syslog
from connector.runtime.log import log
from connector.state.telling import Link

Record = dict[str, Any]
Number = tuple[str, int]
"""A run, and the number of an outcome in it."""
_PIPE: Final = (
    "this is a pipe or a socket, which could block a run. Name a regular file"
)
_BLOCK: Final = 1 << 16
_PATIENCE: Final = 30
"""So many seconds a lock is waited for, which others have while they add their lines."""
_HALVES: Final = 8
"""So many lines that are no records are accounted for at most."""
_TAIL: Final = 1 << 28
"""So many octets of a file at most are looked through for what it was told last."""


class Line(Struct, frozen=True):
    """One record as it is told. `text` is JSON, in ASCII; `digest` its SHA-256."""

    event: str
    severity: int
    text: str
    digest: str
    number: Number | None = None

    @classmethod
    def of(cls, record: Record, severity: int) -> Self:
        number = (
            (str(record["run"]), int(record["number"])) if "number" in record else None
        )
        text = _text(record)
        return cls(
            str(record["event"]),
            severity,
            text,
            digest_of(text.encode("ascii")),
            number,
        )

    @property
    def late(self) -> str:
        """The text, marked as told late."""
        return (
            self.text
            if '"late":true' in self.text
            else f'{self.text[:-1]},"late":true}}'
        )

    @property
    def short(self) -> str:
        """The text without values, marked so, with the digest of the whole."""
        kept = {
            key: value
            for key, value in json.loads(self.text).items()
            if key != "attributes"
        }
        return _text(kept | {"cut": True, "whole": f"sha256:{self.digest}"})


def _text(record: Record) -> str:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"))


class File:
    """Lines at the end of a file, for its owner alone. What was told is safe once the disk has it.

    Other jobs may add to it: none of them sees half of what another is adding, where the
    file system has locks.
    `safe`: the numbers of what has become safe, until somebody takes them. All methods but `close` raise OSError.
    """

    kind = "file"

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.safe: deque[Number] = deque()
        self._told: list[Number] = []
        self._reader: int | None = None
        try:
            flags = (
                os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            )
            self._handle = os.open(path, flags, 0o600)
        except OSError as fault:
            # nobody reads it, or it is a socket
            why = _PIPE if fault.errno == errno.ENXIO else fault.strerror
            raise OutputError(
                f"the audit cannot be kept: {why}", where=self.where
            ) from None
        mode = os.fstat(self._handle).st_mode
        if stat.S_ISFIFO(mode):
            os.close(self._handle)
            raise OutputError(f"the audit cannot be kept: {_PIPE}", where=self.where)
        self._regular = self._locks = stat.S_ISREG(mode)
        if self._regular:
            with suppress(OSError):  # it may be for writing alone
                reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                if os.path.sameopenfile(reader, self._handle):
                    self._reader = reader
                else:
                    os.close(reader)

    def tell(self, lines: Sequence[Line]) -> None:
        """Take lines, in this order; where it fails, those before may have been taken."""
        with self._alone():
            begin = b"\n" if self._is_torn() else b""
            self.add(
                begin + b"".join(line.text.encode("ascii") + b"\n" for line in lines)
            )
        self._told += [line.number for line in lines if line.number is not None]

    def add(self, octets: bytes) -> None:
        """Add octets, or as many as the disk takes. Raises OSError where those are not all."""
        if os.write(self._handle, octets) != len(octets):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def ends_within_a_line(self) -> bool:
        """Whether a disk that was full, or a program that died, has left half a line at the end."""
        with self._alone():
            return self._is_torn()

    def _is_torn(self) -> bool:
        if self._reader is None:
            return False
        size = os.fstat(self._reader).st_size
        return size > 0 and os.pread(self._reader, 1, size - 1) not in (b"\n", b"")

    def last(self, job: str, safe: Link, lines: int | None = None) -> Link | None:
        """The last record that it is seen to have of the chain which goes on from `safe`, under whatever name.

        Where that one is no record: the last of this job. It is looked for in so many
        `lines` from the end.
        """
        with self._alone():
            return self._last(job, safe, lines)

    def _last(self, job: str, safe: Link, lines: int | None) -> Link | None:
        after: list[tuple[Place, str]] = []
        seen = False
        for line in islice(self._backwards(), lines):
            place = self._place(line)
            if place is None:
                continue
            digest = digest_of(line)
            if not safe.seq and place.job == job:
                return Link(place.seq, digest, ended=False)
            if safe.seq and digest == safe.digest:
                seen = True
                break
            if safe.seq and place.seq > safe.seq:
                after.append((place, digest))
        last = safe if seen else None
        follow = {f"sha256:{safe.digest}": safe.seq}
        for place, digest in reversed(after):
            if place.prev is not None and follow.get(place.prev) == place.seq - 1:
                follow[f"sha256:{digest}"] = place.seq
                last = Link(place.seq, digest, ended=False)
        return last

    def _place(self, line: bytes) -> Place | None:
        """The place of a record of any job; None: it is none of a chain."""
        record = record_of(line) if b'"chain":' in line else None
        with suppress(ValueError):
            return place_of(record, self.kind) if record is not None else None
        return None

    def halves(self) -> list[str]:
        """The digests of the lines at its end that are no records: halves, which the next record accounts for."""
        found: list[str] = []
        with self._alone():
            for line in islice(self._backwards(), _HALVES):
                if record_of(line) is not None:
                    break
                found.insert(0, f"sha256:{digest_of(line)}")
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other job adds to the file."""
        self._lock()
        try:
            yield
        finally:
            if self._locks:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _lock(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._locks:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OSError(
                        errno.EBUSY, "another program keeps it locked"
                    ) from None
                time.sleep(0.005)  # flock(2) has no time-out
            except (
                OSError
            ) as fault:  # jobs that share it may see each other's halves then
                self._locks = False
                log.warning(
                    "audit file cannot be locked",
                    where=self.where,
                    reason=fault.strerror,
                )
            else:
                return

    def _backwards(self) -> Iterator[bytes]:
        """Its lines from the end, without their newlines, as far as it is looked through."""
        if self._reader is None:
            return
        place = os.fstat(self._reader).st_size
        least, rest, at_end = max(0, place - _TAIL), b"", True
        while place > least:
            start = max(least, place - _BLOCK)
            rest, *lines = (os.pread(self._reader, place - start, start) + rest).split(
                b"\n"
            )
            if at_end and lines and not lines[-1]:
                lines.pop()  # nothing comes after the last newline
            at_end = False
            yield from reversed(lines)
            place = start
        if place == 0 and (rest or not at_end):
            yield rest

    def holds(self, runs: Collection[str]) -> set[Number]:
        """Which outcomes of these runs it is seen to have been told."""
        if self._reader is None:
            return set()  # the state's mark decides
        wanted = [run.encode() for run in runs]
        return {
            number
            for line in self._tail()
            if any(run in line for run in wanted)
            for number in _numbers(line)
        }

    def _tail(self) -> Iterator[bytes]:
        assert self._reader is not None
        with open(os.dup(self._reader), "rb") as file:  # noqa: PTH123  # a descriptor, no path
            file.seek(max(0, os.fstat(self._reader).st_size - _TAIL))
            yield from file

    def secure(self) -> bool:
        """Make sure of what was told, as far as it can be; whether all of it is safe."""
        if self._regular:
            os.fsync(self._handle)
        self.safe.extend(self._told)
        self._told.clear()
        return True

    def close(self) -> None:
        """Let go of it. Never raises."""
        for handle in (self._handle, self._reader):
            if handle is not None:
                with suppress(OSError):
                    os.close(handle)


def _numbers(line: bytes) -> Iterator[Number]:
    record = record_of(line) or {}
    if isinstance(record.get("run"), str) and isinstance(record.get("number"), int):
        yield record["run"], record["number"]


class Receiver:
    """A syslog receiver. A record that no datagram can hold is sent without its values.

    What was sent over a stream is kept until the receiver is known to have read it. Where
    the stream breaks before, all of that is sent once more, marked as late: by its number
    whoever reads it knows it again.
    """

    kind = "syslog"

    def __init__(self, url: str, ca_file: Path | None) -> None:
        self.where = url
        self.safe: deque[Number] = deque()
        self._unread: list[Line] = []
        self._certain = self._closes = True
        try:
            self._syslog = Syslog(url, ca_file)
        except OSError as fault:
            why = fault.strerror or str(fault)
            raise OutputError(
                f"the audit cannot be kept: no connection: {why}", where=url
            ) from None

    def tell(self, lines: Sequence[Line]) -> None:
        with self._whole():
            self._unread += lines
            try:
                for line in lines:
                    self._send(line, line.text)
            except OSError:
                if not self._syslog.stream:
                    raise
                self._once_more()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Sending that a signal may interrupt at any moment: then nothing is certain from there on."""
        certain, self._certain = self._certain, False
        try:
            yield
        except BaseException:
            self._syslog.close()  # half a message may be on its way
            raise
        self._certain = certain

    def _once_more(self) -> None:
        self._syslog.close()
        for line in self._unread:
            self._send(line, line.late)

    def _send(self, line: Line, text: str) -> None:
        try:
            self._syslog.send(line.event, line.severity, text)
        except OSError as fault:
            if fault.errno != errno.EMSGSIZE:
                raise
            self._syslog.send(line.event, line.severity, line.short)

    def holds(self, runs: Collection[str]) -> set[Number]:  # noqa: ARG002  # nobody can ask a receiver what it holds
        return set()

    def last(self, _job: str, _safe: Link, _lines: int | None = None) -> Link | None:
        return None  # nobody can ask a receiver for its last record

    def ends_within_a_line(self) -> bool:
        return False

    def halves(self) -> list[str]:
        return []

    def secure(self) -> bool:
        if self._certain and self._closes:
            with self._whole():
                self._closes = self._ended()
                if self._closes:
                    self.safe.extend(
                        line.number for line in self._unread if line.number is not None
                    )
                else:  # nothing that comes after may be marked, for a mark covers what was before
                    log.warning("audit receiver does not close", where=self.where)
        self._unread.clear()
        return self._certain and self._closes

    def _ended(self) -> bool:
        """Whether the receiver is known to have read all."""
        try:
            return self._syslog.end()
        except TimeoutError:
            raise
        except OSError:
            self._once_more()
            return self._syslog.end()

    def close(self) -> None:
        self._syslog.close()


Sink = File | Receiver

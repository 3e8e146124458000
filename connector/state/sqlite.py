"""The state in one SQLite file; leases are operating-system locks on files beside it, and so is the key.

Whoever comes first makes the key, under a lock on its file. A process that dies meanwhile
leaves it empty, and the next one fills it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from connector.errors import (
    BusyError,
    DamagedError,
    FileError,
    OutputError,
    StateError,
    UsageError,
)
from connector.model import Secret
from connector.runtime.clock import stamp
from connector.state.database import Transaction, restored, storable

_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
"""The second where the library's own message quotes a name in a file that is damaged."""

_PIECE: Final = 2_000
"""Pages of a state that are copied at once: 32 MB."""
_AGAIN: Final = 3
"""So often the copy of a state is begun piece by piece."""


class Sqlite:
    """An open file. `path` None: one that ends with this process. Raises StateError."""

    def __init__(self, path: Path | None) -> None:
        # by its own name, so that whoever comes by way of a symbolic link finds the same locks
        self._path = Path(os.path.realpath(path)) if path is not None else None
        self.where = str(path) if path else "a state in memory"
        self.kept = path is not None
        self._rests_on: dict[Path, tuple[int, int]] = {}
        self._keeps_rollbacks = False
        try:
            if self._path is not None:
                with suppress(FileExistsError):
                    self._path.touch(mode=0o600, exist_ok=False)
            self._db = sqlite3.connect(
                self._path or ":memory:", timeout=10, isolation_level=None
            )
            if self._path is not None:
                self._rests_on[self._path] = _identify_file(self._path.stat())
        except (OSError, sqlite3.Error) as fault:
            raise self._make_error("opened", fault) from None
        try:
            # where the rollback journal is removed, its removal survives a power cut too
            # (SQLite, pragma synchronous); with `full`, a transaction that was said to be
            # durable could be rolled back after one
            self.rows("pragma synchronous = extra")
            # in a new file; a batch then touches a quarter as many as of the usual size
            # (SQLite, pragma page_size)
            self.rows("pragma page_size = 16384")
            # what is deleted is overwritten, for it may be about people (SQLite, pragma
            # secure_delete)
            self.rows("pragma secure_delete = on")
            # a rollback journal that is written over, and removed at the end, takes less
            # time than one that is made and removed for each transaction (SQLite, pragma
            # journal_mode); another mode was somebody's choice
            if self.rows("pragma journal_mode") == [("delete",)]:
                self._keeps_rollbacks = self.rows("pragma journal_mode = persist") == [
                    ("persist",)
                ]
        except BaseException:
            self.close()
            raise

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return [restored(row) for row in self._db.execute(sql, storable(values))]
        except _FAULTS as fault:
            raise self._make_error("read", fault) from None

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        self._check_files()
        try:
            self._db.execute("begin immediate")
            try:
                self._check_end()
                yield Transaction(self._db)
                self._db.execute("commit")
            except BaseException:
                # a failed commit may have been rolled back already; what cannot be rolled
                # back now is so by whoever opens the file next, from the rollback journal
                with suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise
        except _FAULTS as fault:
            raise self._make_error("written", fault) from None

    def _check_files(self) -> None:
        """What is written to a file that nobody will find again is not kept, and a lock on one keeps nobody out."""
        for path, known in self._rests_on.items():
            try:
                there = _identify_file(path.stat())
            except OSError:
                there = None
            if there != known:
                raise StateError(
                    f"{path.name} was removed or replaced during a run",
                    where=self.where,
                )

    def _check_end(self) -> None:
        """SQLite takes what is missing of a last page for zeros; nobody else is writing now, so that none may be."""
        if self._path is not None:
            ((page,),) = self._db.execute("pragma page_size")
            try:
                size = self._path.stat().st_size
            except OSError as fault:
                raise self._make_error("written", fault) from None
            if size % page:
                raise DamagedError(
                    "it is damaged: the end of the file is missing", where=self.where
                )

    migrating = writing  # there is one writer at a time anyway

    def version(self) -> int:
        # first, for they come together with the version
        tables = self.rows("select 1 from sqlite_master limit 1")
        ((version,),) = self.rows("pragma user_version")
        if version == 0 and tables:
            raise StateError(
                "this file is another program's database. Correct `state` in the job",
                where=self.where,
            )
        return int(version)

    def note_version(self, transaction: Transaction, version: int) -> None:
        transaction.execute(f"pragma user_version = {version}")

    @contextmanager
    def lease(self, name: str, job: str = "") -> Iterator[None]:
        if self._path is None:
            yield
            return
        short = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        path = self._path.with_name(f"{self._path.name}.{short}.lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise StateError(
                f"the lock cannot be opened: {fault.strerror}", where=str(path)
            ) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"another run holds this directory{_left_by(handle)}", where=name
                ) from None
            except OSError as fault:
                raise StateError(
                    f"the lock cannot be taken: {fault.strerror}", where=str(path)
                ) from None
            self._rests_on[path] = _identify_file(os.fstat(handle))
            import socket  # noqa: PLC0415  # seldom needed

            who = f"job {job} on {socket.gethostname()}, process {os.getpid()}, since {stamp('seconds')}"
            with suppress(
                OSError
            ):  # it is for messages alone; that it cannot be left is no matter
                os.ftruncate(handle, 0)
                os.pwrite(
                    handle, (who if job else "").encode("utf-8", "surrogateescape"), 0
                )
            yield
        finally:
            self._rests_on.pop(path, None)
            os.close(handle)

    def size(self) -> tuple[int, int]:
        page, all_, free = (
            self.rows(f"pragma {each}")[0][0]
            for each in ("page_size", "page_count", "freelist_count")
        )
        return page * all_, page * free

    def faults(self) -> list[str]:
        return [said for (said,) in self.rows("pragma integrity_check") if said != "ok"]

    def back_up(self, path: Path) -> None:
        # a name of its own, so that nobody takes a part for the whole
        new = path.with_name(f".{path.name}.new")
        try:
            if path.exists():
                raise UsageError("this file exists. Name a new one", where=str(path))
            new.unlink(missing_ok=True)
            new.touch(mode=0o600, exist_ok=False)
            try:
                with closing(sqlite3.connect(new)) as copy:
                    self._copy_pages(copy)
                # unlike a renamed file, it never takes the place of another
                # one
                os.link(new, path)
                _sync_folder(path.parent)
            finally:
                new.unlink(missing_ok=True)
        except FileExistsError:
            raise UsageError(
                "this file exists. Name a new one", where=str(path)
            ) from None
        except OSError as fault:
            raise OutputError(
                f"cannot be written: {_describe_fault(fault)}", where=str(path)
            ) from None
        except sqlite3.Error as fault:
            raise self._make_error("copied", fault) from None

    def _copy_pages(self, copy: sqlite3.Connection) -> None:
        """Copy piece by piece, so that others may write; a write begins it anew. After some of these, all at once."""
        begun = 0

        def progress(_status: int, left: int, all_: int) -> None:
            nonlocal begun
            begun += left >= all_ - _PIECE
            if begun > _AGAIN:
                raise _BeginsAnewError

        try:
            self._db.backup(copy, pages=_PIECE, progress=progress)
        except _BeginsAnewError:
            self._db.backup(copy)

    def _make_error(self, done: str, fault: Exception) -> StateError:
        """What it is called that something could not be `done`."""
        code = getattr(fault, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_NOTADB:
            what = "this file is no SQLite database. Correct `state` in the job, or restore the backup"
            return DamagedError(what, where=self.where)
        torn = (
            code & 0xFF == sqlite3.SQLITE_CORRUPT or code == sqlite3.SQLITE_IOERR_READ
        )
        lost = torn or isinstance(fault, UnicodeDecodeError)
        kind = DamagedError if lost else StateError
        return kind(
            f"the state cannot be {done}: {_describe_fault(fault)}", where=self.where
        )

    def close(self) -> None:
        with suppress(StateError):
            if self._keeps_rollbacks:
                # the rollback journal is removed by its name, which may be
                # another file's by now
                self._check_files()
                self.rows("pragma busy_timeout = 0")
                self.rows("pragma journal_mode = delete")
        with suppress(sqlite3.Error):
            self._db.close()


class _BeginsAnewError(Exception):
    """The copy of a state was begun too often."""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _left_by(handle: int) -> str:
    """The word that the holder of a lock has left, as the end of a sentence."""
    try:
        word = os.pread(handle, 1000, 0).decode("utf-8", "replace")
    except OSError:
        return ""
    return f": {word}" if word.isprintable() and word else ""


def _identify_file(file: os.stat_result) -> tuple[int, int]:
    """What a file is known by, whatever its name."""
    return file.st_dev, file.st_ino


def _describe_fault(fault: Exception) -> str:
    if isinstance(fault, UnicodeDecodeError):
        return "it is damaged"
    return (fault.strerror if isinstance(fault, OSError) else None) or str(fault)


# ------------------------------------------------------------ the key

_MOST_OF_A_KEY: Final = 4096
"""Octets of a key that are heeded."""


def locate_key(state: Path) -> Path:
    """Where the key of this state is kept, by whichever symbolic link the state is named."""
    real = Path(os.path.realpath(state))
    return real.with_name(f"{real.name}.key")


def read_or_make_key(state: Path, *, needed: bool, make: bool = True) -> Secret | None:
    """The key of this state, made where there is none; None where it cannot or is not to be made, nor is `needed`.

    Raises StateError, and FileError for a file that is none, or open to others.
    """
    path = locate_key(state)
    try:
        key = _read_key(path, os.O_RDONLY)
    except FileNotFoundError:
        key = b""
    except OSError as fault:
        raise StateError(
            f"the key of the state cannot be read: {fault.strerror}", where=str(path)
        ) from None
    if not (key or make):
        return None
    try:
        return Secret(key or _read_key(path, os.O_RDWR | os.O_CREAT))
    except OSError as fault:
        if not needed:
            return None
        raise StateError(
            f"the key of the state cannot be made: {fault.strerror}", where=str(path)
        ) from None


def _read_key(path: Path, flags: int) -> bytes:
    """The key; where it may be written, a new one if the file has none. Raises OSError and FileError."""
    with _open_key(path, flags) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if flags & os.O_CREAT else fcntl.LOCK_SH)
        key = os.read(handle, _MOST_OF_A_KEY).strip()
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
def _open_key(path: Path, flags: int) -> Iterator[int]:
    """An open file that is nobody else's. Raises OSError and FileError."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise _refuse_key(path) from None
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _refuse_key(path)
        if status.st_mode & 0o077:
            why = "others may read or write the key of the state. Run `chmod 600` on it"
            raise FileError(
                f"{why}. If somebody may have read it, remove it; the next run creates another",
                where=str(path),
            )
        yield handle
    finally:
        os.close(handle)


def _refuse_key(path: Path) -> FileError:
    why = (
        "the key of the state is no regular file. Move it away, or set `key` in the job"
    )
    return FileError(why, where=str(path))

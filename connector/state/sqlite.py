"""The state in one SQLite file; leases are operating-system locks on files beside it, and so is the key.

Whoever comes first makes the key, under a lock on its file. A process that dies meanwhile
leaves it empty, and the next one fills it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
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
from connector.runtime.clock import format_now
from connector.state.database import (
    Transaction,
    find_column,
    find_value,
    make_storable,
    name_process,
    restore_row,
)

_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
"""The second where the library's own message quotes a name in a file that is damaged."""

_PRAGMAS: Final = (
    # where the rollback journal is removed, its removal survives a power cut too (SQLite,
    # pragma synchronous); with `full`, a transaction that was said to be durable could be
    # rolled back after one
    "synchronous = extra",
    # in a new file; a batch then touches a quarter as many as of the usual size (SQLite,
    # pragma page_size)
    "page_size = 16384",
    # what is deleted is overwritten, for it may be about people (SQLite, pragma
    # secure_delete)
    "secure_delete = on",
)


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
                self._rests_on[self._path] = _identify_file(self._path.stat())
            self._db = sqlite3.connect(
                self._path or ":memory:", timeout=10, isolation_level=None
            )
        except (OSError, sqlite3.Error) as fault:
            raise self._make_error("opened", fault) from None
        try:
            for pragma in _PRAGMAS:
                self.rows(f"pragma {pragma}")
            # a rollback journal that is written over, and removed at the end, takes less
            # time than one that is made and removed for each transaction (SQLite, pragma
            # journal_mode); another mode was somebody's choice
            self._keeps_rollbacks = self.rows("pragma journal_mode") == [("delete",)]
            if self._keeps_rollbacks:
                self.rows("pragma journal_mode = persist")
        except BaseException:
            self.close()
            raise

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            return [
                restore_row(row) for row in self._db.execute(sql, make_storable(values))
            ]
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
            with suppress(OSError):
                if _identify_file(path.stat()) == known:
                    continue
            raise StateError(
                f"{path.name} was removed or replaced during a run", where=self.where
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
        version = int(find_value(self, "pragma user_version"))
        if version == 0 and tables:
            raise StateError(
                "this file is another program's database. Correct `state` in the job",
                where=self.where,
            )
        return version

    def note_version(self, transaction: Transaction, version: int) -> None:
        transaction.execute(f"pragma user_version = {version}")

    @contextmanager
    def lease(self, name: str, job: str = "") -> Iterator[None]:
        if self._path is None:
            yield
            return
        path = _locate_lock(self._path, name)
        with ExitStack() as held:
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                held.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"another run holds this directory{_read_word(handle)}", where=name
                ) from None
            except OSError as fault:
                raise StateError(
                    f"the lock cannot be taken: {fault.strerror}", where=str(path)
                ) from None
            self._rests_on[path] = _identify_file(os.fstat(handle))
            held.callback(self._rests_on.pop, path)
            _leave_word(handle, job)
            yield

    def find_holder(self, name: str) -> str | None:
        if self._path is None:
            return None
        try:
            handle = os.open(_locate_lock(self._path, name), os.O_RDONLY)
        except OSError:
            return None  # nobody has ever held it
        try:
            # until the file is closed: a run that begins in that instant is told to rerun
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_word(handle)
        finally:
            os.close(handle)
        return None

    def size(self) -> tuple[int, int]:
        ((page, pages, free),) = self.rows(
            "select * from pragma_page_size, pragma_page_count, pragma_freelist_count"
        )
        return page * pages, page * free

    def faults(self) -> list[str]:
        check = "select * from pragma_integrity_check where integrity_check <> 'ok'"
        return find_column(self, check)

    def back_up(self, path: Path) -> None:
        # a name of its own, so that nobody takes a part for the whole
        new = path.with_name(f".{path.name}.new")
        try:
            new.unlink(missing_ok=True)
            new.touch(mode=0o600, exist_ok=False)
            try:
                with closing(sqlite3.connect(new)) as copy:
                    self._db.backup(copy)
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

    def _make_error(self, done: str, fault: Exception) -> StateError:
        """What it is called that something could not be `done`."""
        code = getattr(fault, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_NOTADB:
            return DamagedError(
                "this file is no SQLite database. Correct `state` in the job, or restore the backup",
                where=self.where,
            )
        what = f"the state cannot be {done}: {_describe_fault(fault)}"
        if (
            code & 0xFF == sqlite3.SQLITE_CORRUPT
            or code == sqlite3.SQLITE_IOERR_READ
            or isinstance(fault, UnicodeDecodeError)
        ):
            return DamagedError(what, where=self.where)
        return StateError(what, where=self.where)

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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locate_lock(state: Path, name: str) -> Path:
    """The file whose lock is the lease of this name."""
    short = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return state.with_name(f"{state.name}.{short}.lock")


def _leave_word(handle: int, job: str) -> None:
    """Leave word in a lock of who holds it, for messages alone; that it cannot be left is no matter."""
    word = f"job {job} {name_process()} since {format_now('seconds')}" if job else ""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, word.encode("utf-8", "surrogateescape"), 0)


def _read_word(handle: int) -> str:
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
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise FileError(
            "the key of the state is no regular file. Move it away, or set `key` in the job",
            where=str(path),
        )
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if os.fstat(handle).st_mode & 0o077:
            why = "others may read or write the key of the state. Run `chmod 600` on it"
            raise FileError(
                f"{why}. If somebody may have read it, remove it; the next run creates another",
                where=str(path),
            )
        yield handle
    finally:
        os.close(handle)

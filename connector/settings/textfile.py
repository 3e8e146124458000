"""Files that people write, as text; and how all that is wrong in one of them becomes one error."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from msgspec import Struct

from connector.errors import FileError
from connector.model.spelling import meant

T = TypeVar("T")
MAX_BYTES: Final = 1 << 20
MAX_FAULTS: Final = 50
NOT_REGULAR: Final = "is a device, a socket or a pipe: name a regular file"
_noted: ContextVar[dict[Path, str] | None] = ContextVar("noted", default=None)
_given: ContextVar[Mapping[Path, str]] = ContextVar("given", default={})  # noqa: B039  # the default is only read; `set` puts another in its place


class Fault(Struct, frozen=True, order=True):
    """One thing that is wrong in a file. Lines and columns count from 1; 0 is unknown."""

    line: int
    column: int
    what: str


def wrong(path: Path, faults: list[Fault]) -> FileError:
    """All faults of one file as one error: `where` is the first one's place, each further one has a line with its own.

    Two faults or more read like a compiler's output, so that editors and terminals can jump
    to each.
    """
    ordered = sorted(set(faults))
    listed = [(_place(path, fault), fault.what) for fault in ordered[:MAX_FAULTS]]
    (where, what), *rest = listed
    more = (
        [f"{path}: and {len(ordered) - MAX_FAULTS} more"]
        if len(ordered) > MAX_FAULTS
        else []
    )
    return FileError(
        "\n".join([what, *(f"{place}: {text}" for place, text in rest), *more]),
        where=where,
    )


def raise_together(faults: Sequence[FileError]) -> None:
    """Raise the faults of several files as one error, each with its own place, if there are any."""
    if faults:
        first, *rest = faults
        raise FileError("\n".join([first.what, *map(str, rest)]), where=first.where)


def _place(path: Path, fault: Fault) -> str:
    return ":".join(str(part) for part in (path, fault.line, fault.column) if part)


@contextmanager
def _meanwhile(variable: ContextVar[Any], value: T) -> Iterator[T]:
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


def noted() -> AbstractContextManager[dict[Path, str]]:
    """Every text that is read meanwhile, by its path, so that it can be `given` later, whatever has become of it."""
    return _meanwhile(_noted, {})


def given(texts: Mapping[Path, str]) -> AbstractContextManager[object]:
    """Meanwhile these texts stand for what is on the disk."""
    return _meanwhile(_given, texts)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """A file that people name, open for reading; every such file is opened here.

    Raises OSError; FileError for a pipe, also one of the shell (`<(…)`), a socket and a
    device: a pipe could be waited for without end, and the first wait is that for its
    writer, in `open`.
    """
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileError(NOT_REGULAR, where=str(path))
        yield file


def read_octets(path: Path, limit: int = -1) -> bytes:
    """What such a file holds, at most `limit` octets if that is not negative. Raises OSError and FileError."""
    with open_regular(path) as file:
        return file.read(limit)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a file that people write: UTF-8, with or without a byte order mark, at most `limit` bytes.

    Raises FileError.
    """
    if path in _given.get():
        return _given.get()[path]
    text = _read(path, limit)
    texts = _noted.get()
    if texts is not None:
        texts[path] = text
    return text


def _read(path: Path, limit: int) -> str:
    try:
        octets = read_octets(path, limit + 1)
    except FileNotFoundError:
        raise FileError("there is no such file", where=str(path)) from None
    except (OSError, ValueError) as fault:
        reason = (
            fault.strerror if isinstance(fault, OSError) else "this is no file name"
        )
        raise FileError(f"cannot be read: {reason}", where=str(path)) from None
    if len(octets) > limit:
        raise FileError(f"is larger than {limit:,} bytes", where=str(path))
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = octets.count(b"\n", 0, fault.start) + 1
        raise FileError("is not UTF-8 text", where=f"{path}:{line}") from None


def why_no_file(path: Path) -> str | None:
    """Why there is no regular file at that path; None where there is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            return f"{path} is a link to a file that is not there"
        beside = (
            [each.name for each in path.parent.iterdir()]
            if path.parent.is_dir()
            else []
        )
        return f"there is no file {path}{meant(path.name, beside)}"
    except OSError as fault:
        return f"{path}: {fault.strerror}"
    if stat.S_ISDIR(mode):
        return f"{path} is a folder"
    if not stat.S_ISREG(mode):
        return f"{path} {NOT_REGULAR}"
    return None

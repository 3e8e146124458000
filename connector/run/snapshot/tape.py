"""The lines of a snapshot on disk. Each has a check of itself and of all lines before it.

What is wrong is a FileError that names the line: it was changed, cut off, or is of something else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from msgspec import UNSET, Struct, UnsetType, ValidationError, json

from connector.errors import NOT_JSON, FileError, OutputError, UsageError
from connector.regex import regex

NAME: Final = "snapshot.jsonl"
"""The file in the folder of a snapshot."""
LAST: Final = frozenset({"plan", "failed"})
"""What the last line of a snapshot says: what became of it."""
_CHECK: Final = regex(rb',"check":"([0-9a-f]{16})"}\n\Z')


class Line(Struct, omit_defaults=True):
    """One line: `what` it is, `of` which question by number, `about` what it asks, and what is `said` to it."""

    what: str
    of: int | UnsetType = UNSET
    about: Any = UNSET
    said: Any = UNSET


def _checked(before: bytes, body: bytes) -> bytes:
    return sha256(before + body).hexdigest()[:16].encode()


class TapeWriter:
    """Writes lines to a new file that only its owner reads. Raises OutputError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._check = b""
        self._last = False
        self._fault: OutputError | None = None
        self._file = _made(folder)

    def write(self, line: Line) -> None:
        if self._fault is not None:  # whoever gets on without an answer does not get on without the snapshot
            raise self._fault
        body = json.encode(line)
        self._check = _checked(self._check, body)
        self._last = line.what in LAST
        try:
            self._file.write(body[:-1] + b',"check":"' + self._check + b'"}\n')
            if self._last:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as fault:
            self._fault = OutputError(f"it cannot be written: {fault.strerror}", where=str(self._path))
            raise self._fault from None

    @property
    def ended(self) -> bool:
        return self._last

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as fault:
            raise OutputError(f"it cannot be written: {fault.strerror}", where=str(self._path)) from None

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()
            self._path.parent.rmdir()


def _made(folder: Path) -> BinaryIO:
    """The file in a new folder, or in an empty one that is there. Raises UsageError and OutputError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError("this folder is not empty. Name a new folder", where=str(folder))
        folder.chmod(0o700)
        return os.fdopen(os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 1 << 16)
    except (FileExistsError, NotADirectoryError):
        raise UsageError("this is no folder. Name a new folder", where=str(folder)) from None
    except OSError as fault:
        raise OutputError(f"the snapshot cannot be written: {fault.strerror}", where=str(folder)) from None


class TapeReader:
    """Reads lines one after the other. Raises FileError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.number = 0
        self._check = b""
        self._next: Line | None = None
        self._fault: FileError | None = None
        try:
            self._file = self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise FileError(f"no snapshot: there is no {NAME} in it", where=str(folder)) from None
        except OSError as fault:
            raise FileError(f"the snapshot cannot be read: {fault.strerror}", where=str(folder)) from None

    def peek(self) -> Line:
        """The next line, which is left there."""
        if self._fault is not None:  # the planner gets on without some answers
            raise self._fault
        if self._next is None:
            self._next = self._read()
        return self._next

    def take(self, what: str) -> Line:
        """The next line, which has to be of this kind."""
        line = self.peek()
        if line.what != what:
            self.misfit(f"here is {line.what!r}, and {what!r} is next")
        self._next = None
        return line

    def end(self) -> None:
        """See that nothing is left."""
        if self._file.readline():
            self.number += 1
            self.wrong("there are lines after its end")

    def misfit(self, why: str) -> NoReturn:
        """The lines are as they were written, and do not answer what is asked."""
        if self._next is not None and self._next.what == "failed":
            self.wrong(f"its run ended here, by {self._next.said}")
        self._refuse(f"the snapshot does not fit: {why}. Use the version of the program that took it")

    def wrong(self, why: str) -> NoReturn:
        """The lines are not as they were written."""
        self._refuse(f"the snapshot cannot be used: {why}. Take a new one")

    def _refuse(self, what: str) -> NoReturn:
        self._fault = FileError(what, where=f"{self._path}:{self.number}")
        raise self._fault

    def close(self) -> None:
        self._file.close()

    def _read(self) -> Line:
        self.number += 1
        try:
            octets = self._file.readline()
        except OSError as fault:
            self.wrong(f"it cannot be read: {fault.strerror}")
        found = _CHECK.search(octets)
        if found is None:
            self.wrong("this line is cut off, or no line of a snapshot" if octets else "its end is missing")
        body = octets[: found.start()] + b"}"
        self._check = _checked(self._check, body)
        if self._check != found[1]:
            self.wrong("this line, or one before it, was changed, removed or added")
        try:
            return json.decode(body, type=Line)
        except (*NOT_JSON, ValidationError):
            self.wrong("this is no line of a snapshot")

"""Where the log goes: to a file, to standard error, or, at a terminal, nowhere but for plain warnings."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from select import PIPE_BUF
from threading import Lock
from typing import Any, Final

from connector.cli.terminal import fit, has_colour
from connector.errors import OutputError, UsageError
from connector.reports.document import as_json
from connector.reports.visible import cleaned
from connector.runtime.log import Event, log

_TOLD: Final = {"outcome", "finished"}
"""Events that the report of a run tells as well."""
_LONGEST_LINE: Final = 1 << 20


class LogFile:
    """A file that lines are appended to. If that fails, standard error says so once, and the run goes on."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file holds something else than a log, and OutputError where it cannot be opened.

        A name that is mistyped must not add lines to a directory, a mapping or a plan.
        """
        try:
            self._file = os.open(
                path,
                os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY,
                0o666,
            )
        except OSError as fault:
            raise OutputError(
                f"cannot be opened: {fault.strerror}", where=str(path)
            ) from None
        if stat.S_ISREG(os.fstat(self._file).st_mode) and not _is_log(
            os.pread(self._file, _LONGEST_LINE, 0)
        ):
            raise UsageError("this file is no log. Name another file", where=str(path))
        self.path = path
        self._lost = False

    def write(self, text: str) -> None:
        try:
            os.write(self._file, text.encode("utf-8", "backslashreplace"))
        except OSError as fault:
            if not self._lost:
                self._lost = True
                with suppress(OSError):
                    sys.stderr.write(
                        f"Warning: the log is incomplete: {self.path}: {fault.strerror}\n"
                    )

    def flush(self) -> None:
        """Each piece is written at once."""


def _is_log(begin: bytes) -> bool:
    """Whether a file is empty, or begins with a line of a log."""
    try:
        first = json.loads(begin.splitlines()[0]) if begin else {"event": ""}
    except ValueError:
        return False
    return isinstance(first, dict) and "event" in first


class _Warnings:
    """Standard error at a terminal: a bar that moves there makes room for what is written."""

    def __init__(self) -> None:
        self._terminal = sys.stderr

    def write(self, text: str) -> None:
        sys.stderr.write(fit(text, self._terminal))

    def flush(self) -> None:
        sys.stderr.flush()


_files: list[LogFile] = []


def log_to_file(path: Path) -> None:
    """From now on let the log go to this file, as JSON. Raises UsageError and OutputError."""
    _files[:] = [LogFile(path)]


def is_quiet(level: str | None) -> bool:
    """Whether there is to be no log: somebody is at a terminal, and asked for none."""
    return level is None and not _files and sys.stderr.isatty()


def configure(level: str | None) -> None:
    """Let whatever is logged go to its place: as JSON but at a terminal, where without a level only warnings come."""
    form: Callable[[Event], str] = json_line
    output: Any = _files[0] if _files else sys.stderr
    if is_quiet(level):
        output, form = _Warnings(), _plain
    elif sys.stderr.isatty() and not _files:
        form = _for_terminals()
    lock = Lock()

    def take(events: list[Event]) -> None:
        with lock:
            for text in _pieces(map(form, events)):
                output.write(text)
                output.flush()

    log.configure(take, level or ("warning" if is_quiet(level) else "info"))


def configure_service(level: str | None) -> list[str]:
    """The same for a process that lives for months; the options by which the processes that it starts log likewise."""
    level = level or ("warning" if is_quiet(level) else None)
    configure(level)
    return [
        *([f"--log-level={level}"] if level else []),
        *(f"--log-file={file.path}" for file in _files),
    ]


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """Lines put together, as many as a pipe takes whole, for other processes may write to it too (POSIX, `write`)."""
    text = ""
    for line in filter(None, lines):
        if text and len(text) + len(line) >= PIPE_BUF:
            yield text
            text = ""
        text += f"{line}\n"
    if text:
        yield text


def _for_terminals() -> Callable[[Event], str]:
    from structlog.dev import ConsoleRenderer

    render = ConsoleRenderer(colors=has_colour(sys.stderr))
    return lambda event: render(None, "", cleaned(event))


def _plain(event: Event) -> str:
    """`Warning: notice not sent (way: mail, reason: …)`; nothing of what the report tells."""
    if event["event"] in _TOLD:
        return ""
    event = cleaned(event)
    unsaid = {"event", "level", "timestamp", "run", "job", "digest"}
    details = ", ".join(
        f"{key}: {value}" for key, value in event.items() if key not in unsaid
    )
    return f"Warning: {event['event']}" + (f" ({details})" if details else "")


def json_line(event: Event) -> str:
    """An event as JSON, in a form that no terminal obeys, whoever reads the log with whatever.

    Nearly all are of plain texts and whole numbers, and there is one for every user: these
    take less time. JSON escapes controls, so a line without escapes needs no cleaning.
    """
    try:
        text = as_json(event)
    except (
        TypeError,
        ValueError,
    ):  # values that JSON does not know, or half a surrogate pair
        text = "\\"
    if "\\" not in text and text.isascii() and text.isprintable():
        return text
    return json.dumps(cleaned(event), default=repr)

"""Where the log goes: to a file, to standard error, or, at a terminal, nowhere but for plain warnings."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from connector.cli.terminal import fit, has_colour
from connector.errors import OutputError, UsageError
from connector.reports.document import as_json
from connector.reports.visible import cleaned


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let what is imported in here take a module for not installed, unless it is loaded already.

    structlog loads all of rich for tracebacks in colour, which are half of its cost, and which JSON does not have.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # None there means "not found" (Python Reference 5.3.1)
    try:
        yield
    finally:
        del sys.modules[module]


# whoever imports this module does so before an adapter loads structlog
with nullcontext() if sys.stderr.isatty() else _without("rich"):
    import structlog
    from structlog.typing import EventDict

logger: Final = structlog.get_logger
contextvars: Final = structlog.contextvars
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
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
        except OSError as fault:
            raise OutputError(f"cannot be opened: {fault.strerror}", where=str(path)) from None
        if stat.S_ISREG(os.fstat(self._file).st_mode) and not _is_log(os.pread(self._file, _LONGEST_LINE, 0)):
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
                    sys.stderr.write(f"Warning: the log is incomplete: {self.path}: {fault.strerror}\n")

    def flush(self) -> None:
        """Each line is written at once."""


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


def files() -> list[Path]:
    """The files that the log goes to: one or none."""
    return [file.path for file in _files]


def is_quiet(level: str | None) -> bool:
    """Whether there is to be no log: somebody is at a terminal, and asked for none."""
    return level is None and not _files and sys.stderr.isatty()


def configure(level: str | None) -> None:
    """Let whatever is logged go to its place: as JSON but at a terminal, where without a level only warnings come."""
    forms: tuple[Any, ...]
    output: Any = _files[0] if _files else sys.stderr
    if is_quiet(level):
        output, forms = _Warnings(), (_plain,)
    elif sys.stderr.isatty() and not _files:
        forms = (_visible, structlog.dev.ConsoleRenderer(colors=has_colour(sys.stderr)))
    else:
        forms = (Json(),)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *forms,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level or ("warning" if is_quiet(level) else "info")),
        logger_factory=structlog.WriteLoggerFactory(output),
    )


def _visible(logger: Any, name: str, event_dict: EventDict) -> EventDict:  # structlog's
    """What came from outside, in a form that no terminal obeys, whoever reads the log with whatever."""
    event: EventDict = cleaned(event_dict)
    return event


def _plain(logger: Any, name: str, event_dict: EventDict) -> str:
    """`Warning: notice not sent (way: mail, reason: …)`."""
    if event_dict["event"] in _TOLD:
        raise structlog.DropEvent
    event = _visible(logger, name, event_dict)
    unsaid = {"event", "level", "timestamp", "run", "job", "digest"}
    details = ", ".join(f"{key}: {value}" for key, value in event.items() if key not in unsaid)
    return f"Warning: {event['event']}" + (f" ({details})" if details else "")


class Json(structlog.processors.JSONRenderer):
    """The same text, made visible, in less time where an event is of plain texts and whole numbers.

    Nearly all are, and there is one for every user. JSON escapes controls, so a line without escapes needs no cleaning.
    """

    def __call__(self, logger: Any, name: str, event_dict: EventDict) -> str | bytes:
        try:
            text = as_json(event_dict)
        except (TypeError, ValueError):  # values that JSON does not know, or half a surrogate pair
            text = "\\"
        if "\\" not in text and text.isascii() and text.isprintable():
            return text
        return super().__call__(logger, name, _visible(logger, name, event_dict))

"""Where the log goes: to a file, to standard error, or, at a terminal, nowhere but for plain warnings."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter
from structlog.typing import EventDict, Processor

from connector.cli.terminal import has_colour, wrap_text
from connector.errors import OutputError, UsageError
from connector.reports.visible import clean_texts
from connector.runtime.log import add_run_details

_REPORTED_EVENTS: Final = {"outcome", "finished"}
"""Events that the report of a run tells as well."""
_REPORTED_KEYS: Final = ("level", "timestamp", "run", "job", "digest")
"""Keys that say nothing to somebody who is at the terminal of the run."""
_LONGEST_LINE: Final = 1 << 20


class LogFile:
    """A file that lines are appended to. If that fails, standard error says so once, and the run goes on."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file holds something else than a log, and OutputError where it cannot be opened.

        A name that is mistyped must not add lines to a directory, a mapping or a plan.
        """
        try:
            if path.is_file() and not _is_log(path):
                why = "this file is no log. Name another file"
                raise UsageError(why, where=str(path))
            # a pipe that is also read by its writer does not wait for another reader
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._file = os.open(path, flags, 0o666)
        except OSError as fault:
            why = f"cannot be opened: {fault.strerror}"
            raise OutputError(why, where=str(path)) from None
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


def _is_log(path: Path) -> bool:
    """Whether a file is empty, or begins with a line of a log."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        first = json.loads(line) if line else {"event": ""}
    except ValueError:
        return False
    return isinstance(first, dict) and "event" in first


class TerminalOutput:
    """Standard error at a terminal: lines are broken between words, above a bar that moves."""

    def write(self, text: str) -> None:
        sys.stderr.write(wrap_text(text, sys.stderr))

    def flush(self) -> None:
        sys.stderr.flush()


_files: list[LogFile] = []


def log_to_file(path: Path) -> None:
    """From now on let the log go to this file, as JSON. Raises UsageError and OutputError."""
    _files[:] = [LogFile(path)]


def wanted_level() -> str | None:
    """The level of `--log-level`, which the command line keeps for all commands."""
    level: str | None = click.get_current_context().obj
    return level


def is_quiet() -> bool:
    """Whether there is to be no log: somebody is at a terminal, and asked for none."""
    return wanted_level() is None and not _files and sys.stderr.isatty()


def configure_log() -> None:
    """Let the log go to its place: as JSON, but at a terminal, where without a level only warnings come."""
    output: Any = _files[0] if _files else sys.stderr
    rendering: list[Processor] = [structlog.processors.JSONRenderer()]
    default = "info"
    if is_quiet():
        default = "warning"
        output = TerminalOutput()
        rendering = [drop_reported, warning_renderer()]
    elif sys.stderr.isatty() and not _files:
        rendering = [ConsoleRenderer(colors=has_colour(sys.stderr))]
    structlog.configure(
        processors=[
            add_run_details,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            make_visible,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(wanted_level() or default),
        logger_factory=structlog.WriteLoggerFactory(output),
    )


def configure_service() -> list[str]:
    """The same for a process that lives for months; the options by which the processes that it starts log likewise."""
    level = "warning" if is_quiet() else wanted_level()
    click.get_current_context().obj = level
    configure_log()
    options = [f"--log-level={level}"] if level else []
    return options + [f"--log-file={file.path}" for file in _files]


def make_visible(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Name characters that a terminal would obey, whoever reads the log with whatever."""
    visible: EventDict = clean_texts(event)
    return visible


def drop_reported(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out what the report of the run tells as well."""
    if event["event"] in _REPORTED_EVENTS:
        raise structlog.DropEvent
    return {key: event[key] for key in event if key not in _REPORTED_KEYS}


def warning_renderer() -> ConsoleRenderer:
    """Renders `Warning: notice not sent way=mail reason=…`."""
    warning = KeyValueColumnFormatter(None, "", "", str, prefix="Warning: ")
    detail = KeyValueColumnFormatter("", "", "", str)
    return ConsoleRenderer(columns=[Column("event", warning), Column("", detail)])

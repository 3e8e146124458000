"""What commands print on standard output."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any

from msgspec import json

from connector.cli.terminal import count_columns, write_lines
from connector.errors import OutputError
from connector.reports.text import COLUMNS
from connector.reports.visible import make_visible


def report_columns() -> int:
    """How wide a report on standard output may be."""
    return count_columns(sys.stdout) or COLUMNS


def print_pieces(lines: Iterable[str], *, fitted: bool = True) -> None:
    """Print to standard output, `fitted` to a terminal. Raises OutputError."""
    try:
        if fitted:
            write_lines(lines)
        else:
            sys.stdout.writelines(lines)
        sys.stdout.flush()
    except OSError as fault:
        raise OutputError(
            f"cannot be written: {fault.strerror}", where="standard output"
        ) from None


def say_text(text: str) -> None:
    """Print text and a line break to standard output, fitted to a terminal. Raises OutputError."""
    print_pieces(f"{line}\n" for line in text.split("\n"))


def say_lines(lines: Iterable[str]) -> None:
    """Print each as one line: its line breaks are not ours, and are named. Raises OutputError."""
    print_pieces(f"{make_visible(line)}\n" for line in lines)


def say_line(line: str) -> None:
    """Print it as one line: its line breaks are not ours, and are named. Raises OutputError."""
    say_lines([line])


def say_command(said: str, *words: object) -> None:
    """Print a sentence that ends with `run:`, and below it a command line. Raises OutputError."""
    say_text(f"{said} run:\n    {make_visible(command_line(*words))}")


def command_line(*words: object) -> str:
    """The command line of the program with these words."""
    return shlex.join(["cec-connector", *map(str, words)])


def say_json(lines: Iterable[str]) -> None:
    """Print JSON to standard output: in UTF-8, whatever the terminal takes. Raises OutputError."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    print_pieces(lines, fitted=False)


def say_document(value: Any) -> None:
    """Print a value as JSON, with line breaks and indents. Raises OutputError."""
    say_json([json.format(json.encode(value), indent=1).decode() + "\n"])

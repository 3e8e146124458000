"""Text at a terminal: words are not broken at its edge, and a few lines have a colour."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Final, TextIO

from rich.cells import cell_len

from connector.reports.visible import visible_lines

_COMMAND: Final = re.compile(r" *(cec-connector|ssh-keygen|\$) ")
"""A line that somebody copies: the terminal itself breaks it, so that it stays one line."""
_HANGING: Final = re.compile(r" *((- |~ |! )|(?=\S))")
_RED, _YELLOW, _GREEN, _BOLD = "31", "33", "32", "1"
_STYLES: Final = (
    (re.compile(r"REFUSED|Refused|Stopped: |(conflict|failed): \d"), f"{_BOLD};{_RED}"),
    (re.compile(r" *! |Worth a look|Done in part|Problems: |Warning: "), _YELLOW),
    (re.compile(r"Done: "), _GREEN),
    (
        re.compile(r"(Kinds of changes|Changes) \(|Agents +\d|\S+: what (apply|undo) "),
        _BOLD,
    ),
)
"""By how a line begins. Colour says nothing that the words do not say."""


def count_columns(stream: TextIO) -> int | None:
    """How wide the terminal is that a stream goes to; None where it goes to none."""
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal():
        return int(said) or 80
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def has_colour(stream: TextIO) -> bool:
    """Whether colours are welcome there (https://no-color.org)."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not is_plain


def write_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, as its terminal can show them, or as they are."""
    output = sys.stdout
    painted = isinstance(output, VisibleOutput) and has_colour(output)
    for line in lines:
        text = wrap_text(line, output)
        styles = [style for begin, style in _STYLES if painted and begin.match(line)]
        if isinstance(output, VisibleOutput) and styles:
            output.write_painted(text, styles[0])
        else:
            output.write(text)


def wrap_text(text: str, stream: TextIO) -> str:
    """The text with lines that end between words where the terminal does."""
    width = count_columns(stream)
    if width is None:
        return text
    lines = (_wrap_line(line, width) for line in text.split("\n"))
    return "\n".join(part for parts in lines for part in parts)


def _wrap_line(line: str, width: int) -> Iterator[str]:
    """One line as several of a width; what follows is indented below it. A word that is longer stays whole."""
    if cell_len(line) <= width or _COMMAND.match(line):
        yield line
        return
    begin = _HANGING.match(line)
    hanging = len(begin[0]) if begin else 0
    indent = " " * min(hanging + 2, width // 3)
    now = ""
    for word in re.findall(r" *\S+", line):
        if now and cell_len(now) + cell_len(word) > width:
            yield now
            now = indent + word.lstrip()
        else:
            now += word
    yield now


class VisibleOutput(TextIOWrapper):
    """Text to a stream of octets; every character that would not show as itself is named, but for line breaks.

    `unread`: its reader has gone (`| head`); what is written from then on goes nowhere, and nobody is told of it.
    """

    unread = False

    def write(self, text: str, /) -> int:
        """Returns `len(text)`."""
        self._write_or_let_go(visible_lines(text))
        return len(text)

    def write_painted(self, text: str, style: str) -> None:
        """Write text in a style (SGR of ECMA-48), of which text from outside knows nothing."""
        line = text.removesuffix("\n")
        end = text[len(line) :]
        self._write_or_let_go(f"\x1b[{style}m{visible_lines(line)}\x1b[0m{end}")

    def _write_or_let_go(self, text: str) -> None:
        try:
            super().write(text)
        except BrokenPipeError:
            self._let_go()

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._let_go()

    def _let_go(self) -> None:
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard_output() -> None:
    """Let standard output be one of these; a letter that a terminal cannot show gets its escape, not a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper):
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        # where ASCII alone is said to be taken, click would write UTF-8 itself, past this stream
        encoding = "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding
        sys.stdout = VisibleOutput(
            sys.stdout.detach(), encoding, "backslashreplace", line_buffering=lines
        )

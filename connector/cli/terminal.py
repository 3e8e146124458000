"""Text at a terminal: words are not broken at its edge, and a few lines have a colour."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

_COMMAND: Final = re.compile(r" *(cec-connector|\$) ")
"""A line that somebody copies: the terminal itself breaks it, so that it stays one line."""
_HANGING: Final = re.compile(r" *((- |~ |! )|(?=\S))")
_RED, _YELLOW, _GREEN, _BOLD = "31", "33", "32", "1"
_STYLES: Final = (
    (re.compile(r"REFUSED|Refused|Stopped: |(conflict|failed): \d"), f"{_BOLD};{_RED}"),
    (re.compile(r" +! |Worth a look|Done in part|Problems: |Warning: "), _YELLOW),
    (re.compile(r"Done: "), _GREEN),
    (
        re.compile(r"(Kinds of changes|Changes) \(|Agents +\d|\S+: what (apply|undo) "),
        _BOLD,
    ),
)
"""By how a line begins. Colour says nothing that the words do not say."""


def columns(stream: TextIO) -> int | None:
    """How wide the terminal is that a stream goes to; None where it goes to none."""
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    try:
        return (
            int(said)
            if said.isdecimal()
            else os.get_terminal_size(stream.fileno()).columns
        ) or 80
    except OSError:
        return 80


def has_colour(stream: TextIO) -> bool:
    """Whether colours are welcome there (https://no-color.org)."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def show(lines: Iterable[str]) -> None:
    """Write lines to standard output, as its terminal can show them, or as they are."""
    output = sys.stdout
    width = columns(output)
    paint = getattr(output, "paint", None) if has_colour(output) else None
    for line in lines:
        text = line if width is None else _wrapped(line, width)
        style = (
            next((style for begin, style in _STYLES if begin.match(line)), "")
            if paint
            else ""
        )
        if paint and style:
            paint(text, style)
        else:
            output.write(text)


def fit(text: str, stream: TextIO) -> str:
    """The text with lines that end between words where the terminal does."""
    width = columns(stream)
    return text if width is None else _wrapped(text, width)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(part for line in text.split("\n") for part in _lines(line, width))


def _lines(line: str, width: int) -> Iterator[str]:
    """One line as several of a width; what follows is indented below it. A word that is longer stays whole."""
    if _cells(line) <= width or _COMMAND.match(line):
        yield line
        return
    begin = _HANGING.match(line)
    indent = " " * min((len(begin[0]) if begin else 0) + 2, width // 3)
    now = ""
    for word in re.findall(r" *\S+", line):
        if now and _cells(now) + _cells(word) > width:
            yield now
            now = indent + word.lstrip()
        else:
            now += word
    yield now


def _cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))

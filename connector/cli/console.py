"""Standard output, on which no text from outside can do anything but be read."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

from connector.reports.visible import visible_lines


class Visible(TextIOWrapper):
    """Text to a stream of octets; every character that would not show as itself is named, but for line breaks."""

    def write(self, text: str, /) -> int:
        """How much of the text was taken, which is all of it."""
        super().write(visible_lines(text))
        return len(text)


def guard() -> None:
    """Let standard output be one of these; a letter that a terminal cannot show gets its escape, not a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper):
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        # where ASCII alone is said to be taken, click would write UTF-8 itself, past this stream
        encoding = "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding
        sys.stdout = Visible(sys.stdout.detach(), encoding, "backslashreplace", line_buffering=lines)

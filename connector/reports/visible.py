"""Text from outside, made fit to be shown: no character that a terminal obeys, or that an eye could be deceived by.

Names, values and messages of servers and of the source may hold anything: an escape
sequence, a line break that forges a line, an override of the direction in which text runs.
They are cleaned where they leave the program: in reports, on standard output
(`cli/terminal.py`), in errors (`cli/advice.py`), in the log (`cli/observers.py`) and in
notices.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Letters and marks that count as printable and show as nothing
(Default_Ignorable_Code_Point), and blank Braille."""


def is_visible(letter: str) -> bool:
    """Whether a character shows as itself: no control, escape, bidirectional override, odd space, or blank letter."""
    return letter.isprintable() and not _BLANK.match(letter)


def make_visible(text: str) -> str:
    """The text with `<U+202E>` in place of each character that would not show as itself."""
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)):
        return text
    return "".join(
        letter if is_visible(letter) else f"<U+{ord(letter):04X}>" for letter in text
    )


def visible_lines(text: str) -> str:
    """The same of text whose line breaks are our own."""
    return "\n".join(map(make_visible, text.split("\n")))


def clean_texts(held: Any, clean: Callable[[str], str] = make_visible) -> Any:
    """Lists and objects with each text in them cleaned."""
    if isinstance(held, str):
        return clean(held)
    if isinstance(held, dict):
        return {
            clean_texts(name, clean): clean_texts(value, clean)
            for name, value in held.items()
        }
    if isinstance(held, list | tuple):
        return [clean_texts(each, clean) for each in held]
    return held

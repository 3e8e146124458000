"""Says in our own sentences what ruamel.yaml's parser finds wrong in a file, and where the mistake was made.

The parser stops where it can read no further, often a line after the mistake. Nothing is quoted
from the file: it may be a secret that somebody wrote in clear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ruamel.yaml.error import MarkedYAMLError

Place = tuple[int, int]
"""Line and column, counted from 0."""
NO_SPACE: Final = re.compile(r"""\s*(- +)*["']?[\w.-]+["']?:[^\s"']""")
"""A key whose colon is followed by no space."""
_HAS_COLON: Final = re.compile(r":(\s|$)")
_BRACES: Final = re.compile(r"\{[^{}]*\}[^\s,}\]]")
"""A text that begins as a mapping in braces."""
_TAB: Final = "a tab is used for indentation; use spaces"
_COLON_MISSING: Final = "the colon after a key is missing; write `key: value`"
SPACE_MISSING: Final = "a space is missing after the colon; write `key: value`"
_UNALIGNED: Final = (
    "this line is indented unlike the keys above; align keys of one level"
)
_MISPLACED: Final = {
    "-": "a list item where a key belongs; indent it below its key, or remove the `- `",
    "?": "a key where a list item belongs; begin it with `- `, or align it with its item's first key",
    "<block sequence start>": "this list item is indented unlike those above; align them",
}
"""What stands where a block has to end, by the parser's word for it."""
_SENTENCES: Final = {
    r"'\\t' that cannot start": _TAB,
    "that cannot start": "a value cannot begin with this character; put the value in quotes",
    "alphabetic or numeric": "a value cannot begin with * or &; put the value in quotes",
    "sequence entries": "a list item cannot begin here; begin each `- ` on a line of its own",
    "escape": "a backslash in double quotes begins an escape; use single quotes",
    "chomping|a comment": "only a comment may follow | or >; begin the text on the next line",
    "'<stream end>'": "a `[` or `{` above is not closed; close it",
    "node content": "a value is missing before this character; if it is a part of the value, use quotes",
}
"""Sentences that need no look at the lines, each by a pattern of what the parser says."""
_ELSE: Final = (
    "not YAML; check indentation, quotes, brackets, and the space after each colon, here and on "
    "the line above"
)


def find_mistake(error: MarkedYAMLError, text: str) -> tuple[int, int, str]:
    """Find the mistake that stopped the parser: its line and column, from 1, and how to fix it."""
    # the parser ends lines at these, and may stop behind the last one
    problem, lines = error.problem or "", [*re.split("\r\n|[\r\n]", text), ""]
    mark = error.problem_mark or error.context_mark
    stop = (mark.line, mark.column)
    begin = error.context_mark or mark
    start = (begin.line, begin.column)
    if "end of stream" in problem or "document separator" in problem:
        place, what = start, "the quote that begins here is not closed; close it"
    elif "expected ':'" in problem:
        is_close = NO_SPACE.match(lines[begin.line])
        place, what = start, SPACE_MISSING if is_close else _COLON_MISSING
    elif "mapping values" in problem:
        place, what = _explain_colon(stop, lines)
    elif "<block end>" in problem:
        place, what = _explain_misplaced(problem, start, stop, lines)
    elif problem.startswith("expected ',' or"):
        opened = "{" if "}" in problem else "["
        what = f"a comma is missing, or the `{opened}` of line {begin.line + 1} is not closed"
        place = stop
    else:
        place, what = stop, _choose_sentence(problem)
    if _BRACES.search(lines[place[0]]):
        what = "text follows a closing brace; put a text with braces in quotes"
    return place[0] + 1, place[1] + 1, what


def _choose_sentence(problem: str) -> str:
    for pattern, sentence in _SENTENCES.items():
        if re.search(pattern, problem):
            return sentence
    return _ELSE


def _explain_colon(stop: Place, lines: Sequence[str]) -> tuple[Place, str]:
    """Explain a colon where no key can be: the value before it, or the line above, goes on to here."""
    number, column = stop
    if _HAS_COLON.search(lines[number][:column]):
        return stop, "a second colon in one value; put the value in quotes"
    return _explain_indentation((number, 0), lines)


def _explain_indentation(place: Place, lines: Sequence[str]) -> tuple[Place, str]:
    """Explain a key that is indented unlike those above: it is, or the line above is no key."""
    above = place[0] - 1
    while above > 0 and not _strip_comment(lines[above]):
        above -= 1
    line = _strip_comment(lines[above])
    if NO_SPACE.match(line):
        return (above, 0), SPACE_MISSING
    if not _HAS_COLON.search(line):
        return (above, 0), _COLON_MISSING
    return place, _UNALIGNED


def _strip_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line).strip()


def _explain_misplaced(
    problem: str, start: Place, stop: Place, lines: Sequence[str]
) -> tuple[Place, str]:
    """Explain what stands where a block, which began at `start`, has to end."""
    for sign, what in _MISPLACED.items():
        if problem.endswith(f"'{sign}'"):
            return stop, what
    if problem.endswith("'<block mapping start>'"):
        return _explain_indentation(stop, lines)
    for number in range(start[0], stop[0]):
        if _has_open_quote(lines[number]):
            return (number, 0), "a quote is not closed on this line; close it"
    return (
        stop,
        "text follows a closing quote; put the whole value in one pair of quotes",
    )


def _has_open_quote(line: str) -> bool:
    """Tell whether a quote is open at the end of a line that begins outside of quotes."""
    closed = re.sub(r""""(\\.|[^"\\])*"|'[^']*'|\s#.*""", "", line)
    return re.search(r"""[:\[{,-]\s*["']""", closed) is not None

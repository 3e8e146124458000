"""Text for a terminal of any width: nothing of it is lost, and words stay whole."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, strategies as st

from connector.cli.terminal import count_columns, has_colour, wrap_text

words = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12)
lines = st.builds(lambda indent, some: " " * indent + " ".join(some), st.integers(0, 12), st.lists(words, max_size=12))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.lists(lines, max_size=5).map("\n".join), st.integers(20, 100))
def test_lines_end_between_words_and_no_word_is_lost(text: str, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        fitted = wrap_text(text, Terminal())
    assert fitted.split() == text.split()
    for line in fitted.split("\n"):
        assert len(line) <= width or len(line.split()) <= 1 or line.lstrip().startswith(("cec-connector ", "$ "))
    assert wrap_text(text, io.StringIO()) == text


def test_what_follows_is_indented_and_what_is_copied_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert wrap_text("  - one two three four five six", Terminal()) == "  - one two three\n      four five six"
    command = "    cec-connector apply job.yaml --accept sha256:00"
    assert wrap_text(command, Terminal()) == command
    assert wrap_text("姓名 姓名 姓名 姓名 姓名", Terminal()) == "姓名 姓名 姓名 姓名\n  姓名"


@pytest.mark.parametrize(
    ("variables", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_shown_where_it_is_welcome(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colour: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_colour(Terminal()) is colour
    assert not has_colour(io.StringIO())


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert count_columns(terminal) == 80  # one that does not say
        monkeypatch.setenv("COLUMNS", "33")
        assert count_columns(terminal) == 33
    os.close(ours)
    assert count_columns(io.StringIO()) is None

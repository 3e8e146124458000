"""The pictures in README and docs: they show what the demo shows now, and ask for nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.pages import ROOT
from tests.support.png import frequent, size
from tests.support.terminal import plain

pytestmark = pytest.mark.slow
SMALL = 60_000
SVG = (pictures.FOLDER / pictures.TERMINAL).read_text(encoding="utf-8")
PNG = (pictures.FOLDER / pictures.PAGE).read_bytes()


def test_the_terminal_in_the_picture_says_what_the_demo_prints(tmp_path: Path) -> None:
    lines = pictures.excerpt(pictures.demo(tmp_path))
    assert list(pictures.text_of(SVG)) == [plain(line).rstrip() for line in lines], "run `make pictures`"


def test_the_pictures_are_small_and_ask_for_nothing() -> None:
    assert len(SVG) < SMALL
    assert len(PNG) < SMALL
    assert re.findall(r"\w+://[^\"' )]+", SVG) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in SVG
    assert "@import" not in SVG


@pytest.mark.parametrize("page", ["README.md", "docs/review.md"])
def test_pages_show_both_pictures_and_say_what_is_in_them(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = {(ROOT / page).parent / link: alt for alt, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)}
    assert {path.resolve() for path in shown} == {pictures.FOLDER / pictures.TERMINAL, pictures.FOLDER / pictures.PAGE}
    assert all(len(alt.split()) > 10 for alt in shown.values())


@pytest.mark.browser
def test_the_pictures_can_be_made_anew(tmp_path: Path) -> None:
    pictures.make(tmp_path)
    assert (tmp_path / pictures.TERMINAL).read_text(encoding="utf-8") == SVG
    made = (tmp_path / pictures.PAGE).read_bytes()
    assert (size(made), len(made) < SMALL) == (size(PNG), True)
    assert frequent(made)[0] == frequent(PNG)[0] == b"\xff\xff\xff"  # the page
    assert b"\x1c\x24\x30" in frequent(made)[:4]  # and its text

"""The pictures of README and docs, made from the demo: `make pictures`.

python -m tests.support.pictures [FOLDER]
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.text import Text

from tests.support.browser import browsing
from tests.support.png import reduced
from tests.support.terminal import at_a_terminal

TERMINAL: Final = "terminal.svg"
PAGE: Final = "report.png"
FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH: Final = 104
TITLE: Final = "cec-connector plan job.yaml"
_FETCHED: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Fonts that a reader's browser would fetch from elsewhere, and the address of rich."""
_FONTS: Final = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono"
_SVG: Final = "{http://www.w3.org/2000/svg}"


def demo(folder: Path) -> str:
    """What the demo prints at a terminal; it leaves its files in `demo`."""
    code, seen = at_a_terminal(folder, "demo", "--folder", "demo", width=WIDTH)
    assert code == 0, seen
    return seen


def excerpt(seen: str) -> list[str]:
    """The part of it that is shown, with its colours: of the plan what no run changes."""
    lines = seen.replace("\r\n", "\n").split("\n")
    first = next(place for place, line in enumerate(lines) if line.endswith("users would be changed."))
    last = next(place for place, line in enumerate(lines) if "the only user by a pin" in line)
    return lines[first : last + 1]


def terminal(lines: list[str]) -> str:
    """The lines as a picture."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="standard")
    for line in lines:
        console.print(Text.from_ansi(line), overflow="ignore", no_wrap=True, crop=False)
    svg = console.export_svg(title=TITLE, unique_id="terminal")
    return _FETCHED.sub("", svg).replace("Fira Code", _FONTS)


def page(folder: Path) -> bytes:
    """The top of the reviewer's page that the demo has left."""
    shown = folder / "shown.html"
    html = (folder / "demo" / "plan.html").read_text(encoding="utf-8").replace(f"{folder}/", "")
    assert str(folder) not in html, "a picture shows no path of a machine"
    shown.write_text(html, encoding="utf-8")
    with browsing() as browser:
        opened = browser.new_page()
        opened.set_viewport_size({"width": 1000, "height": 1000})
        opened.goto(shown.as_uri())
        return reduced(opened.screenshot(), 128)


def text_of(svg: str) -> Iterator[str]:
    """The lines that a picture shows."""
    lines: dict[str, list[tuple[float, str]]] = {}
    for text in ET.fromstring(svg).iter(f"{_SVG}text"):
        place = text.get("clip-path")
        if place:
            lines.setdefault(place, []).append((float(text.get("x", "0")), text.text or ""))
    for parts in lines.values():
        yield "".join(text for _, text in sorted(parts)).replace("\xa0", " ").rstrip()


def make(folder: Path) -> None:
    """Write both pictures there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        seen = demo(Path(made))
        (folder / TERMINAL).write_text(terminal(excerpt(seen)), encoding="utf-8")
        (folder / PAGE).write_bytes(page(Path(made)))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

"""Pages of the documentation as a reader follows them: their commands run, and what they show is what is printed.

A block of a page is marked by a comment above it: `<!-- test: NAME -->` for commands or a file,
`<!-- shown: NAME -->` for what the commands of that name print. In the latter, `…` stands for anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from tests.support.program import program

ROOT = Path(__file__).parents[2]


class Page:
    """A page that is followed in a folder. `places`: its addresses and names, each with the test's."""

    def __init__(self, name: str, folder: Path, env: Mapping[str, str], places: dict[str, str]) -> None:
        self.name, self.folder, self._env, self.places = name, folder, env, places
        self.text = (ROOT / name).read_text(encoding="utf-8")

    def block(self, name: str, mark: str = "test") -> str:
        """A block, with this test's places."""
        found = re.search(rf"<!-- {mark}: {re.escape(name)} -->\n```\w+\n(.*?)```", self.text, re.DOTALL)
        assert found is not None, f"{self.name} has no block {name}"
        text = found.group(1)
        for old, new in self.places.items():
            text = text.replace(old, new)
        return text

    def write(self, name: str) -> None:
        """The file of that name, as the page has it."""
        (self.folder / name).write_text(self.block(name), encoding="utf-8")

    def run(self, name: str) -> str:
        """Run the commands of a block, which all succeed. What they print."""
        printed = ""
        for line in self.block(name).replace("\\\n", " ").splitlines():
            command, *arguments = shlex.split(line, comments=True)
            assert command == "cec-connector", line
            ended = program(*arguments, folder=self.folder, env=self._env)
            assert ended.code == 0, f"{line}: {ended.said}"
            assert "canary" not in ended.said
            printed += ended.out
        return printed

    def follow(self, name: str) -> str:
        """The same, and they print what the page shows."""
        printed = self.run(name)
        if f"<!-- shown: {name} -->" in self.text:
            for line in self.block(name, "shown").splitlines():
                for part in line.split("…"):
                    assert part.strip() in printed, f"{self.name} shows {part!r}, and not so: {printed}"
        return printed

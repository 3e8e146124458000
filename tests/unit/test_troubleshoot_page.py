"""Pages name messages as the program prints them, with an ellipsis for what a run puts in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ldap3.core.results import RESULT_CODES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshoot.md").read_text(encoding="utf-8")
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
FIRST_RUN = (ROOT / "docs" / "first-run.md").read_text(encoding="utf-8")
MESSAGES = {"Message", "Note"}
"""Columns that hold messages."""


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def column(names: set[str], page: str = PAGE) -> Iterator[str]:
    """The texts in code of every column of a page that is called so."""
    place: int | None = None
    for line in page.splitlines():
        if not line.startswith("|"):
            place = None
        elif place is None:
            place = next((number for number, name in enumerate(cells(line)) if name in names), -1)
        elif place >= 0:
            for found in re.finditer(r"``(.+?)``(?!`)|`([^`]+)`", cells(line)[place]):
                yield found[1] or found[2]


@cache
def texts() -> str:
    """Every text of the program, with a mark where a value is put in, and ldap3's names of results."""
    found = [*RESULT_CODES.values()]
    for path in (ROOT / "connector").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in documentation:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


@pytest.mark.parametrize("message", sorted({*column(MESSAGES), *column(MESSAGES, FIRST_RUN)}))
def test_the_program_has_every_message_of_the_pages(message: str) -> None:
    parts = [part.strip() for part in message.split("…") if len(part.strip()) > 3]
    assert parts, "nothing in it can be found again"
    missing = [part for part in parts if part not in texts()]
    assert not missing, "no text of the program holds this"


def test_the_head_and_the_refusal_of_a_lost_state_are_shown_as_printed() -> None:
    shown = OPERATE.partition("## A lost state")[2].partition("```\n")[2].partition("```")[0]
    parts = [part.strip() for line in shown.splitlines() for part in re.split(r"…|\d+|  +", line)]
    sentences = [part for part in parts if " " in part]
    assert len(sentences) >= 3
    written = texts().lower()
    assert [part for part in sentences if part.lower() not in written] == []

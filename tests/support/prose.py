"""The sentences, headings and links of a Markdown page, as far as tests measure them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2[^\n]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_LEAD = re.compile(r"^\s*(?:[-*+]|\d+\.|>)\s+")
_ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|etc|cf|vs|No)\.")


@dataclass(frozen=True, slots=True)
class Measure:
    """How long the sentences of a page are, in words."""

    average: float
    long: float  # the part of sentences of more than 30 words

    @classmethod
    def of(cls, page: str) -> Measure:
        lengths = [len(sentence.split()) for sentence in sentences(page)]
        if not lengths:
            return cls(0.0, 0.0)
        return cls(sum(lengths) / len(lengths), sum(length > 30 for length in lengths) / len(lengths))


def sentences(page: str) -> list[str]:
    """The sentences of its paragraphs and lists; code in a line counts as one word, a link as its text."""
    found: list[str] = []
    for block in _blocks(_without_code(page)):
        text = re.sub(r"`+[^`]*`+", "code", _LINK.sub(r"\1", block))
        text = _ABBREVIATIONS.sub(r"\1", re.sub(r"[*_]{2,}", "", text))
        parts = re.split(r"(?<=[.!?])[\"')]*\s+(?=\S)", text)
        found += [part for part in parts if re.search(r"\w", part)]
    return found


def code(page: str) -> list[str]:
    """The lines of its code, continued ones joined, and the code within its sentences."""
    fenced = "\n".join(match[0] for match in _FENCE.finditer(page))
    indented = "\n".join(line for line in page.splitlines() if line.startswith("    "))
    inline = re.findall(r"`([^`\n]+)`", _without_code(page))
    return re.sub(r"\\\n\s*", "", f"{fenced}\n{indented}").splitlines() + inline


def links(page: str) -> list[str]:
    """The targets of its links and pictures, but for whole addresses."""
    inline = [target for _, target in _LINK.findall(re.sub(r"(`+)[^`]*\1", "", _without_code(page)))]
    return [unquote(target) for target in inline if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(page: str) -> set[str]:
    """The names by which a link reaches its headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", _FENCE.sub("", page), re.MULTILINE):
        text = _LINK.sub(r"\1", heading).replace("`", "").strip().lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(next(one for one in (name, *(f"{name}-{at}" for at in range(1, 100))) if one not in found))
    return found


def broken(path: Path, root: Path = ROOT) -> list[str]:
    """The links of a page that lead to no file, or to no heading of one."""
    wrong = []
    for target in links(path.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        inside = there.is_relative_to(root) and there.exists()
        if not inside or (anchor and anchor not in anchors(there.read_text("utf-8"))):
            wrong.append(target)
    return wrong


def _without_code(page: str) -> str:
    return _FENCE.sub("", re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL))


def _blocks(page: str) -> list[str]:
    """Paragraphs and list items, each on one line; no headings, tables, indented code."""
    blocks: list[str] = []
    for before, line in pairwise(["", *page.splitlines()]):
        new = not before.strip() or _LEAD.match(line) or before.startswith("#")
        if not line.strip() or line.startswith(("#", "|", "    ")):
            continue
        if new or not blocks:
            blocks.append(_LEAD.sub("", line).strip())
        else:
            blocks[-1] += " " + line.strip()
    return blocks

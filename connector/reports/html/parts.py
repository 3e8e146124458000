"""What the page is made of: text, values, users with links to their rows, and tables in chunks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from typing import Final, TypeVar

from connector.reports.sections import Marker, Section
from connector.reports.visible import make_visible
from connector.reports.wording import Lines, People, find_person

CHUNK: Final = 200
"""Rows that a browser lays out together, once they come near the screen. It can do that for
blocks, not for rows."""
T = TypeVar("T")
_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001eeff]"
_RIGHT_TO_LEFT: Final = re.compile(f"{_LETTER}(?:(?:{_LETTER}|[ .'-])*{_LETTER})?")
"""Words of scripts such as Hebrew and Arabic, and what stands between two of them within
one value."""


def escape_text(value: str) -> str:
    """The text as text, in an element as well as in an attribute."""
    return escape(make_visible(value), quote=True)


def isolate_direction(shown: str) -> str:
    """Text that does not reorder what surrounds it. ASCII never does, and a page has very much of it."""
    said = escape_text(shown)
    return said if shown.isascii() else f"<bdi>{said}</bdi>"


def escape_prose(said: str) -> str:
    """A sentence. Values written right to left keep their place in it; else `old → new` would read as its opposite."""
    return _RIGHT_TO_LEFT.sub(r"<bdi>\g<0></bdi>", escape_text(said))


def escape_value(shown: str) -> str:
    """A value in a fixed pitch. A DN may break after each comma."""
    said = isolate_direction(shown)
    if "=" in shown:
        said = said.replace(",", ",<wbr>")
    return f"<code>{said}</code>"


def split_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items, as many at a time as make a chunk."""
    left = iter(items)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def render_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], attributes: str = ""
) -> Lines:
    """Rows of cells, in a table for each chunk. `attributes`: of each row."""
    for number, chunk in enumerate(split_chunks(rows)):
        lines = [
            f"<tr{attributes}><td>{'</td><td>'.join(cells)}</td></tr>"
            for cells in chunk
        ]
        yield from render_chunk(columns, lines, is_first=not number)


def render_chunk(
    columns: Sequence[str],
    rows: Sequence[str],
    attributes: str = "",
    *,
    is_first: bool,
) -> Lines:
    """One table. Columns are named above the first of several. `attributes`: what its rows have in common."""
    classes = "part"
    if len(rows) == CHUNK:
        classes += " chunk"
    if is_first:
        classes += " first"
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    yield f'<div class="{classes}"><table>\n<thead><tr>{head}</tr></thead>\n<tbody{attributes}>'
    yield from rows
    yield "</tbody>\n</table></div>\n"


class PageMarker(Marker):
    """Users with the name of the person, where it was read, and a link to their row."""

    between = "<br>"
    news = "{said} <strong>{mark}</strong>"

    def __init__(self, people: People, changed: Iterable[str]) -> None:
        """`changed`: the names of users in the order of their rows."""
        super().__init__(people)
        self.rows = {name: number for number, name in enumerate(changed, 1)}
        """The numbers of rows by the names of users."""

    def mark_prose(self, said: str) -> str:
        return escape_prose(said)

    def mark_value(self, shown: str) -> str:
        return escape_value(shown)

    def name_user(self, name: str) -> str:
        """A user by name, without a link; the person's name first."""
        person = find_person(self.people, name)
        said = escape_value(name)
        return f"<b>{isolate_direction(person)} </b>{said}" if person else said

    def mark_user(self, name: str) -> str:
        said = self.name_user(name)
        row = self.rows.get(name)
        return f'<a href="#u{row}">{said}</a>' if row else said


def render_section(found: Section) -> Lines:
    """A section with its table."""
    if found.rows:
        yield f"<section>\n<h2>{found.title}</h2>\n"
        yield from render_table(found.columns, found.rows)
        yield "</section>\n"

"""What a server's lists are worth, tried out on whatever users there are: pages by index and by cursor, and numbers.

Pages can only be told apart where there are several: of a server with too few users it is said that nothing was seen.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from connector.directories.scim.answers import document, good, id_of, listing, resource, said
from connector.directories.scim.paging import Ask
from connector.directories.scim.protocol import Answer

WORKS: Final = "works"
_PAGE: Final = 100
"""So many users a page bears at most servers (measured: 100 and more)."""


def paging(ask: Ask, *, announced: bool) -> Generator[tuple[str, str], None, bool]:
    """What was tried, and what came of it; returns whether to page by cursor, which is `announced`, or is not."""
    first = _ids(ask((("startIndex", "1"), ("count", "2"))))
    yield "paging by index", _by_index(ask, first)
    yield "totalResults", _total(ask)
    by_cursor = _by_cursor(ask)
    yield "paging by cursor", by_cursor or "no next page is named"
    counting = ask((("count", "0"),))
    yield "count=0", WORKS if good(counting) and document(counting) else f"refused: {said(counting)}"
    return by_cursor == WORKS or (not by_cursor and announced and len(first) < 2)


def _ids(answer: Answer) -> list[str]:
    """Who is on a page; nobody where it is refused, as some refuse what is beyond the end."""
    return [id_of(resource(answer, raw)) for raw in listing(answer).resources] if good(answer) else []


def _by_index(ask: Ask, first: list[str]) -> str:
    after = _ids(ask((("startIndex", str(len(first) + 1)), ("count", "2"))))
    if len(first) < 2 or not after:
        return "not seen: there are too few users, or pages of them"
    if after[0] == first[0]:
        return "ignores startIndex: the second page is the first one"
    overlapping = _ids(ask((("startIndex", "2"), ("count", "2"))))
    return "pages can overlap" if overlapping[:1] == first[1:2] else "pages cannot overlap"


def _total(ask: Ask) -> str:
    """Whether the number is right, where one page shows all: where nobody else is behind it."""
    answer = ask((("startIndex", "1"), ("count", str(_PAGE))))
    if not good(answer):
        return f"not judged: a page of {_PAGE} is refused: {said(answer)}"
    page, shown = listing(answer), _ids(answer)
    if page.cursor or _ids(ask((("startIndex", str(len(shown) + 1)), ("count", str(_PAGE))))):
        return "not judged: there are more users than a page shows"
    if page.total is None:
        return "none is told"
    return "right" if page.total == len(shown) else f"wrong: {page.total}, where {len(shown)} users are shown"


def _by_cursor(ask: Ask) -> str:
    """What the next page is that the first one names (RFC 9865 §2); empty where it names none."""
    answer = ask((("cursor", ""), ("count", "1")))
    page = listing(answer) if good(answer) else None
    if page is None or not page.cursor:
        return ""
    following = ask((("cursor", page.cursor), ("count", "1")))
    if not good(following):
        return f"the next page is refused: {said(following)}"
    shown = _ids(following)
    if shown and shown == _ids(answer):
        return "the next page is the first one"
    return WORKS if shown or not page.resources else "the next page shows nobody"

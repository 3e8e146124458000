"""The words of a server's refusal, as far as they can be shown: they may repeat whatever the server was sent.

A server echoes the values that it refuses: as they are, in JSON, in a URL, in base64, or in part. So three sieves stand
one behind the other. What follows a name of a password is cut. A word that shares four characters with something that
was sent in this request, in any spelling, is left out. Of the rest only plain words, names and short numbers are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

import msgspec

from connector.directories.scim import known_schema
from connector.directories.scim.paths import CORE, ENTERPRISE, Json, member
from connector.directories.scim.port import Answer
from connector.errors import NOT_JSON
from connector.http.wording import PASSWORD
from connector.model import spellings

SHOWN: Final = 200
"""Characters of a server's words that are shown at most."""
_READ: Final = 4_000
"""Characters of them that are looked at."""
_PIECE: Final = 4
"""A word that has so many characters running in common with what was sent is left out."""
_SENT: Final = 2_000
"""Characters of one value whose pieces are looked for: an echo of a photo's middle is no word anyway."""
_KEYS: Final = ("detail", "message", "error_description", "title", "description", "error", "errors")
"""Where words are: RFC 7644 §3.12, RFC 6749 §5.2, RFC 9457 §3, and what others use; some put them one level down."""
_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_BETWEEN: Final = re.compile(r"[-./:,;'\"`()\[\]{}<>=|!?#*_、。]+")
_JSON: Final = ("{", "}", '":')
"""What marks a word as a part of a document."""
_LEFT_OUT: Final = "…"
_SHORT_FORM: Final = re.compile(r"(?<=[a-z])'(?:s|t|re|ll)\b")


def detail(answer: Answer) -> str:
    """What the server says of its refusal, in one bounded line; empty where nothing of it can be shown."""
    text = _words(answer)[:_READ]
    pieces = _pieces(answer)
    names = _names(answer.sent)
    shown: list[str] = []
    left_out = 0
    for word in PASSWORD.sub(r"\1<secret>", text).split():
        if _harmless(word, pieces, names):
            shown.append(word)
        else:
            left_out += 1
            if shown[-1:] != [_LEFT_OUT]:
                shown.append(_LEFT_OUT)
    if 2 * left_out > len(shown):  # an echo with words around it: not worth a line
        return ""
    line = " ".join(shown)
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + _LEFT_OUT


def _words(answer: Answer) -> str:
    """The server's words: of JSON, of text, or of an HTML page its title."""
    body = answer.content
    try:
        found = msgspec.json.decode(body)
    except NOT_JSON:
        first = body.lstrip()[:1]
        if first == b"<":
            title = _TITLE.search(body[:_READ])
            return unescape(title[1].decode("utf-8", "replace")) if title else ""
        if first in (b"{", b"["):
            return ""
        return body[: 4 * _READ].decode("utf-8", "replace") if b"\0" not in body[:_READ] else ""
    return next(_said(found, 0), "")


def _said(found: Json, depth: int) -> Iterator[str]:
    if isinstance(found, str) and found:
        yield found
    elif isinstance(found, list) and found and depth < 3:
        yield from _said(found[0], depth + 1)
    elif isinstance(found, dict) and depth < 3:
        for key in _KEYS:
            yield from _said(member(found, key), depth + 1)


def _harmless(word: str, pieces: frozenset[str], names: frozenset[str]) -> bool:
    """Whether a word can be shown; one of several parts only if all of them are names or short numbers."""
    lower = word.lower()
    cut = (lower[at : at + _PIECE] for at in range(len(lower) - _PIECE + 1))
    if any(mark in word for mark in _JSON) or any(piece in pieces for piece in cut):
        return False
    parts = [part for part in _BETWEEN.split(_SHORT_FORM.sub("", word)) if part]
    if any(part.lower() in pieces for part in parts):
        return False
    return all(part.lower() in names or _number(part) or (_plain(part) and len(parts) == 1) for part in parts)


def _number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < _PIECE


def _plain(part: str) -> bool:
    """Whether it is a word of some language: letters of one case, but perhaps for the first."""
    return part.isalpha() and (part[1:] == part[1:].lower() or part == part.upper())


def _names(sent: Json) -> frozenset[str]:
    """The names that a message may speak of: those of the RFCs, and those that the request itself named."""
    return _KNOWN | frozenset(part.lower() for path in _paths(sent) for part in _BETWEEN.split(path))


def _paths(sent: Json) -> Iterator[str]:
    """Members of what was sent, and paths of its operations: names, and never values."""
    for each in sent if isinstance(sent, list | tuple) else ():
        yield from _paths(each)
    if isinstance(sent, dict):
        yield from sent
        for name, held in sent.items():
            if name == "path" and isinstance(held, str):
                yield held.partition("[")[0]
            else:
                yield from _paths(held)


def _pieces(answer: Answer) -> frozenset[str]:
    """All that the server was sent, in every spelling, cut into pieces; who asked is among it.

    A value that is shorter than a piece stands for itself.
    """
    values = {value[:_SENT] for value in (*_values(answer.sent), *answer.proofs)}
    return frozenset(
        spelt[at : at + _PIECE]
        for value in values - {""}
        for spelt in map(str.lower, spellings(value))
        for at in range(max(len(spelt) - _PIECE, 0) + 1)
    )


def _values(sent: Json) -> Iterator[str]:
    """Every value of the request, but what names schemas, operations and paths."""
    if isinstance(sent, dict):
        for name, held in sent.items():
            if name not in _NO_VALUES:
                yield from _values(held)
    elif isinstance(sent, list | tuple):
        for each in sent:
            yield from _values(each)
    elif isinstance(sent, str):
        yield sent
    elif isinstance(sent, int | float) and not isinstance(sent, bool):
        yield str(sent)


_NO_VALUES: Final = frozenset({"schemas", "op", "path"})
_MORE: Final = (
    "schemas scim scimtype sub attributes attribute value values type primary display ref operations op path patch "
    "patchop put post delete resourcetype serviceproviderconfig listresponse startindex itemsperpage totalresults etag "
    "oauth invalidfilter toomany invalidsyntax invalidpath notarget invalidvalue invalidvers if match none e mail read "
    "write only readonly readwrite writeonly case exact sensitive caseexact multi valued multivalued non empty null"
)


def _known() -> Iterator[str]:
    yield from _MORE.split()
    for urn in (CORE, ENTERPRISE):
        yield from _BETWEEN.split(urn.lower())
    waiting: list[Any] = [*known_schema.COMMON, *known_schema.USER, *known_schema.ENTERPRISE_USER, *known_schema.CEC]
    while waiting:
        attribute = waiting.pop()
        yield attribute.name.lower()
        waiting.extend(attribute.sub_attributes or ())


_KNOWN: Final = frozenset(_known())

"""The words of a SCIM server's refusal: where they are, and what they may repeat; `server_text.py` sieves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

import msgspec

from connector.directories.common.server_text import LEFT_OUT, READ, told
from connector.directories.scim import core_schema
from connector.directories.scim.paths import CORE, ENTERPRISE, Json, member
from connector.directories.scim.protocol import Answer
from connector.errors import NOT_JSON

_KEYS: Final = (
    "detail",
    "message",
    "error_description",
    "title",
    "description",
    "error",
    "errors",
)
"""Where words are: RFC 7644 §3.12, RFC 6749 §5.2, RFC 9457 §3, and what others use; some
put them one level down."""
_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SCOPE: Final = re.compile(
    r"""\bscope=(?:"([^"]{1,200})"|([^\s",]{1,200}))""", re.IGNORECASE
)
_NO_VALUES: Final = frozenset({"schemas", "op", "path"})
_MORE: Final = (
    "scimtype patchop resourcetype serviceproviderconfig listresponse startindex itemsperpage totalresults etag oauth "
    "invalidfilter toomany invalidsyntax invalidpath notarget invalidvalue invalidvers caseexact value values type "
    "primary display ref"
)


def detail(answer: Answer) -> str:
    """What the server says of its refusal, in one bounded line; empty where nothing of it can be shown."""
    return told(
        _words(answer),
        (*_values(answer.sent), *answer.proofs),
        (*_NAMES, *_paths(answer.sent)),
    )


def scope(answer: Answer) -> str:
    """The scope that the server asks for (RFC 6750 §3.1); empty where it names none, or one that cannot be shown."""
    found = _SCOPE.search(answer.headers.get("www-authenticate", ""))
    named = (found[1] or found[2]) if found else ""
    shown = told(named, (*_values(answer.sent), *answer.proofs), named.split())
    return shown if LEFT_OUT not in shown else ""


def _words(answer: Answer) -> str:
    """The server's words: of JSON, of text, or of an HTML page its title."""
    body = answer.content
    try:
        found = msgspec.json.decode(body)
    except NOT_JSON:
        first = body.lstrip()[:1]
        if first == b"<":
            title = _TITLE.search(body[:READ])
            return unescape(title[1].decode("utf-8", "replace")) if title else ""
        if first in (b"{", b"["):
            return ""
        return (
            body[: 4 * READ].decode("utf-8", "replace")
            if b"\0" not in body[:READ]
            else ""
        )
    return next(_said(found, 0), "")


def _said(found: Json, depth: int) -> Iterator[str]:
    if isinstance(found, str) and found:
        yield found
    elif isinstance(found, list) and found and depth < 3:
        yield from _said(found[0], depth + 1)
    elif isinstance(found, dict) and depth < 3:
        for key in _KEYS:
            yield from _said(member(found, key), depth + 1)


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


def _names() -> Iterator[str]:
    """The names that a message may speak of beside those that the request itself named."""
    yield from _MORE.split()
    yield from (CORE, ENTERPRISE)
    waiting: list[Any] = [
        *core_schema.COMMON,
        *core_schema.USER,
        *core_schema.ENTERPRISE_USER,
        *core_schema.CEC,
    ]
    while waiting:
        attribute = waiting.pop()
        yield attribute.name
        waiting.extend(attribute.sub_attributes or ())


_NAMES: Final = frozenset(_names())

"""What answers say of the form of a write: a refusal, in so many words, the one that is wanted; a yes, that it fits."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from msgspec.structs import replace

from connector.directories.scim.answers import document
from connector.directories.scim.dialect import Dialect
from connector.directories.scim.paths import inner
from connector.directories.scim.protocol import PLAIN_JSON, Answer

_MALFORMED: Final = (400, 422, 501)
_OFFERED: Final = (
    r"(?i:must be|should be|has to be|expected|expects|use|one of|case[- ]sensitive"
    r"|(?:allowed|supported|valid)(?: (?:values|operations|ops))?(?: are)?)"
)
_NAME: Final = r"""["'`]?(?:Add|Remove|Replace)["'`]?"""
_CAPITALS: Final = re.compile(
    rf"\b{_OFFERED}[^\w\"'`]{{1,3}}(?i:one of )?\W?{_NAME},? (?:(?i:or|and) )?{_NAME}(?!\w)"
    rf"|\b(?i:op|operation)\b.{{0,40}}\b{_OFFERED}\W{{1,3}}Replace\b"
)
_ARRAY: Final = re.compile(
    r"""(?:^|[\s.'"`(\]])value["'`]?:?\s(?:Input |field )?"""
    r"(?:(?:must|should|has to|needs to) be|is not|isn't|expected(?: to be)?)"
    r""" (?:an? )?(?:valid |JSON )?(?:array|list)["'`]?\s*(?:[.;]|$)""",
    re.IGNORECASE,
)
"""Speaks of the member `value` itself, and ends there: a value may have to be "a valid list member" (a rule of its)."""
_LONGEST: Final = 2000
"""So many characters of a refusal are looked at."""


def adapted(spoken: Dialect, answer: Answer) -> Dialect | None:
    """The form that a refusal asks for in place of the one that was `spoken`; None where it names no other."""
    if answer.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE and spoken.media != PLAIN_JSON:
        return replace(spoken, media=PLAIN_JSON)
    said = _detail(answer) if answer.status in _MALFORMED and spoken.writes == "patch" else ""
    if not spoken.capitals and _CAPITALS.search(said):
        return replace(spoken, capitals=True)
    if not spoken.arrays and _ARRAY.search(said):
        return replace(spoken, arrays=True)
    return None


def learnt(known: Dialect, spoken: Dialect, *, cleared: bool) -> Dialect:
    """What is known of a server that has understood a write in the form `spoken`: all of it, with two exceptions.

    How attributes are emptied shows only in a write that has `cleared` one; arrays are wanted path by path.
    """
    clearing = (spoken.clearing or "remove") if cleared else known.clearing
    return replace(spoken, clearing=clearing, arrays=known.arrays)


def _detail(answer: Answer) -> str:
    """`detail` of a refusal (RFC 7644 §3.12); some frameworks make a list of objects with a `msg` of it."""
    detail = inner(document(answer), "detail")
    if isinstance(detail, list):
        detail = "; ".join(_of_a_list(each) for each in detail if isinstance(each, dict))
    return detail[:_LONGEST] if isinstance(detail, str) else ""


def _of_a_list(each: dict[str, object]) -> str:
    """Where (`loc`) and what (`msg`), as FastAPI says it."""
    where = each.get("loc")
    place = str(where[-1]) if isinstance(where, list) and where else ""
    return f"{place} {each.get('msg', '')}"

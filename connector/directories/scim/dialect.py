"""How SCIM servers differ, as a value: what a server says of itself, and what a probe has found (`check --probe`).

Answers tell more: a refusal, in so many words, which form of a write is wanted; a yes, that a form fits.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from connector.directories.scim.answers import document
from connector.directories.scim.discovery import Features
from connector.directories.scim.paths import inner
from connector.directories.scim.protocol import MEDIA_TYPE, PLAIN_JSON, Answer
from connector.directories.scim.resource_schema import Schemas
from connector.errors import NOT_JSON, FileError, OutputError
from connector.regex import regex
from connector.settings.textfile import read_octets

SCHEMA: Final = "cec-connector/scim-dialect/1"
_MALFORMED: Final = (400, 422, 501)
_OFFERED: Final = (
    r"(?i:must be|should be|has to be|expected|expects|use|one of|case[- ]sensitive"
    r"|(?:allowed|supported|valid)(?: (?:values|operations|ops))?(?: are)?)"
)
_NAME: Final = r"""["'`]?(?:Add|Remove|Replace)["'`]?"""
_CAPITALS: Final = regex(
    rf"\b{_OFFERED}[^\w\"'`]{{1,3}}(?i:one of )?\W?{_NAME},? (?:(?i:or|and) )?{_NAME}(?!\w)"
    rf"|\b(?i:op|operation)\b.{{0,40}}\b{_OFFERED}\W{{1,3}}Replace\b"
)
_ARRAY: Final = regex(
    r"""(?:^|[\s.'"`(\]])value["'`]?:?\s(?:Input |field )?"""
    r"(?:(?:must|should|has to|needs to) be|is not|isn't|expected(?: to be)?)"
    r""" (?:an? )?(?:valid |JSON )?(?:array|list)["'`]?\s*(?:[.;]|$)""",
    re.IGNORECASE,
)
"""Speaks of the member `value` itself, and ends there: a value may have to be "a valid list member" (a rule of its)."""
_LONGEST: Final = 2000
"""So many characters of a refusal are looked at."""


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """What one server does its own way; `adapted` adds what a refusal asks for.

    `writes`: by PATCH, or by PUT where there is no PATCH; "no": there is none, and a PUT could take away what is never
    shown. `clearing`: how PATCH empties an attribute, as RFC 7644 §3.5.2.2 has it, or as a server that knows `replace`
    alone; None: as it turns out. `versions`: it heeds If-Match (RFC 7644 §3.14). `cursor`: it pages by cursor (RFC
    9865). `found`: what a probe has seen, for people.

    `capitals`: operations are `Replace` and `Remove`. `arrays`: a single value goes in an array. `media`: the content
    type of what is sent. `paths`: operations name the path of what they set; else one operation has all of it, and
    some servers wipe what stands beside it. `at_once`: a request may have several operations. Only a file says no to
    these two.
    """

    writes: Literal["patch", "put", "no"] = "patch"
    clearing: Literal["remove", "null"] | None = None
    versions: bool = False
    cursor: bool = False
    capitals: bool = False
    arrays: bool = False
    paths: bool = True
    at_once: bool = True
    media: Literal["application/scim+json", "application/json"] = MEDIA_TYPE
    found: dict[str, str] = field(default_factory=dict)
    schema: str = SCHEMA


def announced(features: Features, schemas: Schemas) -> Dialect:
    """As far as the server says."""
    writes: Literal["patch", "put", "no"] = "patch" if features.patch else "put" if schemas.open else "no"
    return Dialect(writes=writes, versions=features.etag, cursor=features.cursor)


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


def save(path: Path, dialect: Dialect) -> None:
    """For the job to name. Raises OutputError."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(dialect), indent=2) + b"\n")
    except OSError as fault:
        raise OutputError(fault.strerror or "it cannot be written", where=str(path)) from None


def load(path: Path) -> Dialect:
    """As a probe has saved it. Raises FileError."""
    try:
        found = msgspec.json.decode(read_octets(path), type=Dialect)
    except OSError as fault:
        raise FileError(fault.strerror or "it cannot be read", where=str(path)) from None
    except NOT_JSON as fault:
        raise FileError(f"not a dialect file of `check --probe --save`: {fault}", where=str(path)) from None
    if found.schema != SCHEMA:
        raise FileError(f"this is not of the kind {SCHEMA}", where=str(path))
    return found

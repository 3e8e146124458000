"""How SCIM servers differ, as a value: what a server says of itself, or what a job's dialect file says of it.

A refusal tells more where it can mean one thing only: 415 that another content type is
wanted, 428 a version.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from connector.directories.scim.discovery import Features
from connector.directories.scim.protocol import MEDIA_TYPE, PLAIN_JSON, Answer
from connector.directories.scim.resource_schema import Schemas
from connector.errors import NOT_JSON, FileError
from connector.settings.textfile import read_octets

SCHEMA: Final = "cec-connector/scim-dialect/1"


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """What one server does its own way, as it is found out or as a job's dialect file says."""

    writes: Literal["patch", "put", "no"] = "patch"
    """By PATCH, or by PUT where there is no PATCH; "no": there is none, and a PUT could
    erase what is never shown."""
    clearing: Literal["remove", "null"] | None = None
    """How PATCH empties an attribute: as RFC 7644 §3.5.2.2 has it, or as a server that knows
    `replace` alone; None: as the first answer shows."""
    versions: bool = False
    """The server heeds If-Match (RFC 7644 §3.14)."""
    cursor: bool = False
    """The server pages by cursor (RFC 9865)."""
    capitals: bool = False
    """Operations are `Replace` and `Remove`. Only a file says so."""
    arrays: bool = False
    """A single value goes in an array. Only a file says so."""
    paths: bool = True
    """Operations name the path of what they set; else one operation has all of it, and some
    servers wipe what stands beside it. Only a file says no."""
    at_once: bool = True
    """A request may have several operations. Only a file says no."""
    media: Literal["application/scim+json", "application/json"] = MEDIA_TYPE
    """The content type of what is sent."""
    found: dict[str, str] = field(default_factory=dict)
    """What `check --probe` of earlier versions saw; read and not used."""
    schema: str = SCHEMA


def announced(features: Features, schemas: Schemas) -> Dialect:
    """As far as the server says."""
    writes: Literal["patch", "put", "no"] = (
        "patch" if features.patch else "put" if schemas.open else "no"
    )
    return Dialect(writes=writes, versions=features.etag, cursor=features.cursor)


def adapted(spoken: Dialect, answer: Answer) -> Dialect | None:
    """The form that a refusal can only mean, in place of the one that was `spoken`; None where it means no other."""
    if (
        answer.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        and spoken.media != PLAIN_JSON
    ):
        return replace(spoken, media=PLAIN_JSON)
    return None


def learnt(known: Dialect, spoken: Dialect, *, cleared: bool) -> Dialect:
    """What is known of a server that has understood a write in the form `spoken`.

    How attributes are emptied shows only in a write that has `cleared` one.
    """
    return replace(
        spoken, clearing=(spoken.clearing or "remove") if cleared else known.clearing
    )


def load(path: Path) -> Dialect:
    """A dialect file, as a job names it. Raises FileError."""
    try:
        found = msgspec.json.decode(read_octets(path), type=Dialect)
    except OSError as fault:
        raise FileError(
            fault.strerror or "it cannot be read", where=str(path)
        ) from None
    except NOT_JSON as fault:
        raise FileError(f"not a dialect file: {fault}", where=str(path)) from None
    if found.schema != SCHEMA:
        raise FileError(f"this is not of the kind {SCHEMA}", where=str(path))
    return found

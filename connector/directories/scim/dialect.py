"""How SCIM servers differ, as a value: what a server says of itself, and what a probe has found (`check --probe`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from connector.directories.scim.discovery import Features
from connector.directories.scim.edits import Clearing
from connector.directories.scim.protocol import MEDIA_TYPE
from connector.directories.scim.resource_schema import Schemas
from connector.errors import NOT_JSON, FileError, OutputError

SCHEMA: Final = "cec-connector/scim-dialect/1"


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """What one server does its own way; `forms.py` adds what a refusal asks for.

    `writes`: by PATCH, or by PUT where there is no PATCH; "no": there is none, and a PUT could take away what is never
    shown. `clearing`: how PATCH empties an attribute; None: as it turns out. `versions`: it heeds If-Match (RFC 7644
    §3.14). `cursor`: it pages by cursor (RFC 9865). `found`: what a probe has seen, for people.

    `capitals`: operations are `Replace` and `Remove`. `arrays`: a single value goes in an array. `media`: the content
    type of what is sent. `paths`: operations name the path of what they set; else one operation has all of it, and
    some servers wipe what stands beside it. `at_once`: a request may have several operations. Only a file says no to
    these two.
    """

    writes: Literal["patch", "put", "no"] = "patch"
    clearing: Clearing | None = None
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


def save(path: Path, dialect: Dialect) -> None:
    """For the job to name. Raises OutputError."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(dialect), indent=2) + b"\n")
    except OSError as fault:
        raise OutputError(fault.strerror or "it cannot be written", where=str(path)) from None


def load(path: Path) -> Dialect:
    """As a probe has saved it. Raises FileError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Dialect)
    except OSError as fault:
        raise FileError(fault.strerror or "it cannot be read", where=str(path)) from None
    except NOT_JSON as fault:
        raise FileError(f"not a dialect file of `check --probe --save`: {fault}", where=str(path)) from None
    if found.schema != SCHEMA:
        raise FileError(f"this is not of the kind {SCHEMA}", where=str(path))
    return found

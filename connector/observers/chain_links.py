"""What a line of an audit says of its place in a job's chain."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, ValidationError, convert

_LAST: Final = 2**53
"""Numbers go up to here: every state can keep them, and every reader of JSON has them exactly."""


class Place(Struct, frozen=True):
    """The place of one record. `prev`: the digest of the record before, None for the first.

    `again`: it takes the place of what was told after that one. `halves`: the digests of the lines before it that are
    no records. `whole`: the digest of a record that was cut to fit a datagram.
    """

    job: str
    seq: Annotated[int, Meta(ge=1, le=_LAST)]
    prev: str | None
    again: bool = False
    halves: tuple[str, ...] = ()
    whole: str | None = None


def digest_of(octets: bytes) -> str:
    """The digest of a line without its newline, as the next record has it."""
    return hashlib.sha256(octets).hexdigest()


def record_of(line: bytes) -> dict[str, Any] | None:
    """The record in a line; None where it is none, as half a line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def place_of(record: dict[str, Any], sink: str) -> Place | None:
    """Its place in the chain of its job with this kind of sink; None where it says none. Raises ValueError."""
    links = record.get("chain")
    if links is None:
        return None
    try:
        link = convert(links, dict[str, Any])[sink]
        return convert(
            {"job": record.get("job"), "whole": record.get("whole"), **link}, Place
        )
    except (KeyError, TypeError, ValidationError):
        raise ValueError(f"it is not linked as a record of a {sink}") from None

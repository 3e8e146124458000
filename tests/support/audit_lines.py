"""The lines of an audit file, which may have halves of lines among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def records(octets: bytes) -> Iterator[dict[str, Any]]:
    """The lines that are whole; half a line has one for itself, and is none."""
    for line in octets.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            assert line.count(b'"time"') <= 1, "something was added to half a line"

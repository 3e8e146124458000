"""The lines of an audit file, which may have halves of lines among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from connector.observers.chain_check import Check, Finding
from connector.state.telling import Link


def records(octets: bytes) -> Iterator[dict[str, Any]]:
    """The lines that are whole; half a line has one for itself, and is none."""
    for line in octets.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            assert line.count(b'"time"') <= 1, "something was added to half a line"


def chain_faults(*files: bytes, job: str, link: Link | None = None, sink: str = "file") -> list[Finding]:
    """What is wrong with a job's chain in an audit, the oldest file first; `link`: what the state knows of its end."""
    check = Check(sink)
    for octets in files:
        for number, line in enumerate(BytesIO(octets), 1):
            check.line(str(number), line)
    return check.end(job if link else None, link)

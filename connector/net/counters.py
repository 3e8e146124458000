"""Counts requests where they are sent: to the source, to the directory. Like the log there is one for the process.

A run begins with none; what is counted is for metrics alone, and nothing is ever decided by it.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

SIDES: Final = ("source", "directory")
_lock: Final = Lock()  # SCIM asks from several threads


class RequestCounts(Struct):
    """How many requests went to one side, and how many of those failed or were answered with an error."""

    requests: int = 0
    errors: int = 0


_counts: Final = defaultdict[str, RequestCounts](RequestCounts)


def reset_counts() -> None:
    """Forget what was counted for the run before."""
    with _lock:
        _counts.clear()


def count_request(side: str) -> None:
    """Count a request that is sent to this side."""
    with _lock:
        _counts[side].requests += 1


def count_error(side: str) -> None:
    """Count a request that came to nothing, or whose answer is an error."""
    with _lock:
        _counts[side].errors += 1


def read_counts() -> dict[str, RequestCounts]:
    """Return what has been counted since the run began, by side."""
    with _lock:
        return {side: replace(each) for side, each in _counts.items()}

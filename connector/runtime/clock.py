"""The clock of this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def format_now(timespec: str = "microseconds", before: timedelta = timedelta()) -> str:
    """The time now, or so long ago (RFC 3339, UTC)."""
    return (datetime.now(UTC) - before).isoformat(timespec=timespec)


def read_clock() -> datetime:
    """The time now (UTC)."""
    return datetime.now(UTC)

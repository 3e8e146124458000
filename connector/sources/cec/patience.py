"""How long to wait before a request is repeated: what the server asks for, up to a bound, or a growing random time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tenacity import RetryCallState, wait_random_exponential

LONGEST: Final = 120.0
"""Seconds that `Retry-After` is honoured for at most."""

_JITTER: Final = wait_random_exponential(multiplier=1, max=30)


def seconds_to_wait(state: RetryCallState, headers: Mapping[str, str] | None) -> float:
    """Seconds, for tenacity; `headers` are those of the answer, if there was one."""
    asked = retry_after(headers) if headers is not None else None
    return _JITTER(state) if asked is None else asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` (RFC 9110 §10.2.3), seconds or a date, as seconds from 0 to `LONGEST`; None: absent or unreadable.

    A date is measured against the same answer's `Date`, so that the two clocks need not agree.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), LONGEST)
    until = _date(said)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

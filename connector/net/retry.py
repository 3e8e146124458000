"""How long to wait before a request is repeated: what the server asks for, or a growing random time."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 30.0
"""Seconds that a wait of our own choosing lasts at most, while a run waits for it."""


def seconds_to_wait(
    attempt: int, headers: Mapping[str, str] | None = None, *, longest: float = LONGEST
) -> float:
    """Seconds, after the attempt of this number (from 1); `headers` are those of its answer, if there was one.

    Of our own choosing is a random time between none and a bound that doubles, up to
    `longest`, so that those who were sent away together do not come back together.
    """
    asked = retry_after(headers) if headers is not None else None
    if asked is not None:
        return asked
    return random.uniform(0, min(longest, 2.0 ** (attempt - 1)))  # noqa: S311  # a pause, not a secret


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` (RFC 9110 §10.2.3), seconds or a date, as seconds from 0; None: absent or unreadable.

    A date is measured against the same answer's `Date`, so that the two clocks need not agree.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    until = _date(said)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max((until - now).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

"""Asking again: how long to wait before a request is repeated, and with which access token."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from connector.runtime.log import log

LONGEST: Final = 30.0
"""Seconds that a wait of our own choosing lasts at most, while a run waits for it."""
LONGEST_LIFE: Final = 1e9
"""Seconds of a token's life; more is no life."""
USED_SHARE: Final = 0.9
"""So much of a token's life is used, so that none runs out on its way."""

Fetch = Callable[[], tuple[str, float]]
"""Asks for a new token: the token, and the seconds that it lasts."""


def seconds_to_wait(
    attempt: int, headers: Mapping[str, str] | None = None, *, longest: float = LONGEST
) -> float:
    """Seconds, after the attempt of this number (from 1); `headers` are those of its answer, if there was one.

    Of our own choosing is a random time between none and a bound that doubles, up to `longest`, so
    that those who were sent away together do not come back together.
    """
    asked = retry_after(headers or {})
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
    until = _parse_date(said)
    if until is None:
        return None
    now = _parse_date(headers.get("date", "")) or datetime.now(UTC)
    return max((until - now).total_seconds(), 0.0)


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def parse_lifetime(said: object, assumed: float) -> float:
    """Seconds that a token lasts, as its answer says in a number or in digits; `assumed` where it does not say."""
    try:
        seconds = float(str(said))
    except ValueError:
        return assumed
    return seconds if 0 < seconds < LONGEST_LIFE else assumed


class TokenKeeper:
    """Holds one token, and fetches another when nine tenths of its life are over. Several threads may ask at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = clock()

    def get_token(self, fetch: Fetch, refused: str | None = None) -> str:
        """Return a token that should still be good, and is another than the one that was refused.

        Another thread may have fetched that since. What `fetch` raises is passed on.
        """
        with self._lock:
            asked = self._clock()
            if asked >= self._good_until or self._token == refused:
                self._good_until = asked  # should it fail, the old one is of no use
                self._token, seconds = fetch()
                log.info("access token received", seconds=seconds)
                self._good_until = asked + seconds * USED_SHARE
            return self._token

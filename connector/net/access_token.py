"""Keeps an access token as long as it is good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from connector.runtime.log import log

Fetch = Callable[[], tuple[str, float]]
"""Asks for a new token: the token, and the seconds that it lasts."""

USED_SHARE: Final = 0.9
"""So much of a token's life is used, so that none runs out on its way."""


class TokenKeeper:
    """Holds one token, and fetches another when nine tenths of its life are over. Several threads may ask at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = clock()

    def value(self, fetch: Fetch) -> str:
        """A token that should still be good. What `fetch` raises is passed on."""
        with self._lock:
            return (
                self._token
                if self._clock() < self._good_until
                else self._renewed(fetch)
            )

    def renewed(self, fetch: Fetch, refused: str) -> str:
        """A token other than the one that was refused: a new one, or one that another thread has fetched since."""
        with self._lock:
            return self._token if self._token != refused else self._renewed(fetch)

    def _renewed(self, fetch: Fetch) -> str:
        asked = self._clock()
        self._good_until = asked  # should it fail, the old one is of no use
        self._token, seconds = fetch()
        log.info("access token received", seconds=seconds)
        self._good_until = asked + seconds * USED_SHARE
        return self._token

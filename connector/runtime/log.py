"""The log of the process: events with details, which one taker makes lines of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from threading import get_ident
from time import time_ns
from typing import Any, Final

Event = dict[str, Any]
LEVELS: Final = ("debug", "info", "warning", "error")


class Log:
    """Until it is configured, nobody takes what is logged. `about`: what every event carries, in any thread."""

    def __init__(self) -> None:
        self.about: dict[str, object] = {}
        self._least = 0
        self._take: Callable[[list[Event]], None] = lambda events: None
        self._held: dict[int, list[Event]] = {}

    def configure(
        self, take: Callable[[list[Event]], None], least: str = "debug"
    ) -> None:
        """From now on hand events of this level and above to `take`, several at once where they come `together`."""
        self._take, self._least = take, LEVELS.index(least)

    def debug(self, event: str, **details: object) -> None:
        self._log(0, event, details)

    def info(self, event: str, **details: object) -> None:
        self._log(1, event, details)

    def warning(self, event: str, **details: object) -> None:
        self._log(2, event, details)

    def error(self, event: str, **details: object) -> None:
        self._log(3, event, details)

    def _log(self, level: int, event: str, details: Event) -> None:
        if level >= self._least:
            details["event"] = event
            details |= self.about | details
            details["level"], details["timestamp"] = LEVELS[level], _time()
            held = self._held.get(get_ident()) if self._held else None
            if held is None:
                self._take([details])
            else:
                held.append(details)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hand on at the end, at once, what this thread logs meanwhile."""
        held = self._held[get_ident()] = []
        try:
            yield
        finally:
            del self._held[get_ident()]
            self._take(held)


def _time() -> str:
    seconds, rest = divmod(time_ns(), 1_000_000_000)
    return f"{_until_second(seconds)}.{rest // 1000:06}Z"


@lru_cache(maxsize=1)
def _until_second(seconds: int) -> str:
    """Date and time of nearly all events of a second, without the part below it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


log: Final = Log()

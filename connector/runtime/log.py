"""The log of the process: events with details, which one taker makes lines of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

Event = dict[str, Any]
LEVELS: Final = ("debug", "info", "warning", "error")


class Log:
    """Until it is configured, nobody takes what is logged. `about`: what every event carries, in any thread."""

    def __init__(self) -> None:
        self.about: dict[str, object] = {}
        self._least = 0
        self._take: Callable[[Event], None] = lambda event: None

    def configure(self, take: Callable[[Event], None], least: str = "debug") -> None:
        """From now on hand events of this level and above to `take`."""
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
            time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            details["event"] = event
            details |= self.about | details
            details["level"], details["timestamp"] = LEVELS[level], time
            self._take(details)


log: Final = Log()

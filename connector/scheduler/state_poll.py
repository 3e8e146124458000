"""What the state of a job says of its schedule, asked in a thread of its own: a state that hangs holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from connector.errors import FileError, StateError
from connector.state.ticks import Tick

PATIENCE: Final = 10.0
"""Seconds after which a state that has not answered counts as away."""
SOON: Final = 0.05
"""Seconds between two looks at a question that was just asked; later ones are as far apart as the question is old."""


class Question:
    """One question, which is asked at once. A thread that never hears an answer ends with the process."""

    def __init__(self, ask: Callable[[], Tick | None]) -> None:
        self._ask = ask
        self._begun = time.monotonic()
        self._answer: Tick | None = None
        self._fault = ""
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._answer = self._ask()
        except (StateError, FileError, OSError) as fault:
            self._fault = str(fault) or type(fault).__name__

    @property
    def open(self) -> bool:
        """Whether it is still waited for an answer."""
        return self._thread.is_alive()

    @property
    def look(self) -> float:
        """Seconds until it is worth another look."""
        return min(max(time.monotonic() - self._begun, SOON), 1.0)

    def answer(self) -> Tick | None:
        """The answer. Raises StateError where there is none, also for one that is late."""
        if self.open:
            raise StateError(f"no answer within {PATIENCE:g} seconds", where="state")
        if self._fault:
            raise StateError(self._fault)
        return self._answer

    @property
    def late(self) -> bool:
        """Whether it has been waited for long enough to say so."""
        return self.open and time.monotonic() - self._begun > PATIENCE

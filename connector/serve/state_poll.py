"""What the state of a job, or a disk, is asked in a thread of its own: one that hangs holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from connector.errors import FileError, StateError

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds after which a state that has not answered counts as away."""
SOON: Final = 0.05
"""Seconds between two looks at a question that was just asked; later ones are as far apart
as the question is old."""


class Question(Generic[T]):
    """One question, which is asked at once; after `patience` seconds its answer is late.

    A thread that never hears an answer ends with the process.
    """

    def __init__(self, ask: Callable[[], T], patience: float = PATIENCE) -> None:
        self._ask = ask
        self._patience = patience
        self._begun = time.monotonic()
        self._answers: list[T] = []
        self._fault = ""
        self._thread = threading.Thread(target=self._work, name="question", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._answers.append(self._ask())
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

    def answer(self) -> T:
        """The answer. Raises StateError where there is none, also for one that is late."""
        if self._answers:
            return self._answers[0]
        raise StateError(self._fault or f"no answer within {self._patience:g} seconds")

    @property
    def late(self) -> bool:
        """Whether it has been waited for long enough to say so."""
        return self.open and time.monotonic() - self._begun > self._patience

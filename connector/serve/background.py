"""Calls in threads of their own, so that what hangs holds up nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from connector.errors import FileError, StateError

T = TypeVar("T")
Wake = Callable[[], None]
"""Lets the loop look at its jobs at once; called in any thread."""


class BackgroundCall(Generic[T]):
    """One call in a thread of its own, so that a state or a disk that hangs holds nobody up.

    A thread that never comes back ends with the process.
    """

    def __init__(
        self,
        call: Callable[[], T],
        patience: float,
        wake: Wake,
    ) -> None:
        self._patience = patience
        self._begun = time.monotonic()
        self._answers: list[T] = []
        self._fault = f"no answer within {patience:g} seconds"
        self.is_open = True
        work = partial(self._work, call, wake)
        threading.Thread(target=work, daemon=True).start()

    def _work(self, call: Callable[[], T], wake: Wake) -> None:
        try:
            self._answers.append(call())
        except (StateError, FileError, OSError) as fault:
            self._fault = str(fault) or type(fault).__name__
        finally:
            self.is_open = False
            wake()

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun

    @property
    def is_awaited(self) -> bool:
        """Whether there is no answer yet, and it is not late."""
        return self.is_open and self.age <= self._patience

    def take_answer(self) -> T:
        """The answer. Raises StateError if the call failed, or has not answered."""
        if self._answers:
            return self._answers[0]
        raise StateError(self._fault)

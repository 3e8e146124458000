"""How fast a run asks, and how long it lets itself be put off: the pauses of all its threads together."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable


class Patience:
    """Turns to send, and pauses before something is sent again.

    `rate`: turns a second, at most. `budget`: seconds that pauses may take together, those of several threads at one
    time counting once. When it is used up there are no more pauses, and those under way are
    over; when it has been ended, turns are not waited for either. `why` says what ended it.
    `clock` (seconds, monotonic) and `sleep` are there to try waits without waiting.
    """

    def __init__(
        self,
        *,
        rate: float | None,
        budget: float,
        clock: Callable[[], float],
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._left = budget
        self._clock = clock
        self._budget = budget
        self._spent, self._ended = threading.Event(), threading.Event()
        self.why = ""
        self._sleep = sleep or self._spent.wait
        self._sleep_for_a_turn = sleep or self._ended.wait
        self._lock = threading.Lock()
        self._next_turn = self._opens = self._paid_until = -math.inf

    def turn(self) -> bool:
        """Wait until it is this thread's turn to send, and the server wants to be asked; False if there is no more."""
        while (wait := self._until_my_turn()) > 0 and not self._ended.is_set():
            (self._sleep_for_a_turn if self._spent.is_set() else self._sleep)(wait)
        return self._clock() >= self._opens

    def _until_my_turn(self) -> float:
        with self._lock:
            now = self._clock()
            wait = (
                max(self._next_turn, -math.inf if self._spent.is_set() else self._opens)
                - now
            )
            if wait <= 0:
                self._next_turn = now + self._interval
            return wait

    def pause(self, seconds: float, *, everybody: bool) -> bool:
        """Wait so long, or let everybody's next turn wait; False, at once, where the patience does not reach."""
        with self._lock:
            now = self._clock()
            until = now + seconds
            more = until - max(now, self._paid_until)
            if more > self._left:
                self._spend(
                    f"the server asked for longer pauses than {self._budget:g} s in all (directory.budget)"
                )
            if self._spent.is_set():
                return False
            if more > 0:
                self._left -= more
                self._paid_until = until
            if everybody:
                self._opens = max(self._opens, until)
                return True
        self._sleep(seconds)
        return not self._spent.is_set()

    def _spend(self, why: str) -> None:
        self.why = self.why or why
        self._spent.set()

    def end(self, why: str) -> None:
        self._spend(why)
        self._ended.set()

"""Being asked to stop: at once as long as nothing is being written, and after that when what is in flight is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from connector.model import RunEnding

_FIRST: Final = 0.1
"""Seconds of the first pause; each after it is twice as long."""
_HEED: Final = 0.1
"""Seconds after which a pause looks whether it is to end."""


class StopRequest:
    """A request to stop one run, from a signal or from whoever runs us. `str(why)` names who asked."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.failed = ""
        self.standing: Callable[[], RunEnding] | None = None
        """From when they are known: what is known now of the changes."""
        self.told = False
        """Whether the last line of the run is out."""
        self._writing = False
        self._over = False

    def ask_to_stop(self, why: str) -> None:
        """Ask to stop. Raises KeyboardInterrupt where nothing stands in the way, and for the second who asks.

        Once nothing more is written, nobody who asks changes what the run came to.
        """
        if self._over:
            return
        if self.why is not None or not self._writing:
            self._over = self._writing
            raise KeyboardInterrupt
        self.why = why

    def end_run(self, why: str) -> None:
        """Let the run end in good order, for a reason that lies in itself, which is `failed` from then on."""
        self.failed = self.failed or why
        self.why = self.why or why

    def wait_for_the_end(self) -> None:
        """From now on a stop waits for what is in flight, and for the account of it."""
        self._writing = True

    @property
    def is_early(self) -> bool:
        """Whether nothing can have been written yet."""
        return not self._writing

    def nothing_more(self) -> None:
        """All is written that will be: from now on nothing is interrupted."""
        self._over = True


class SettleTime:
    """The time that readers may need to see what was written: a replica that lags, a read through a load balancer.

    `seconds` are for one batch altogether, from `begin_batch` on. `stop` ends a pause. `clock` (seconds, monotonic) and
    `sleep` are there to try waits without waiting.
    """

    def __init__(
        self,
        seconds: float = 0,
        stop: StopRequest | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self._left = seconds
        self._in_vain: set[str] = set()
        self._shown: set[str] = set()
        self._stop = stop or StopRequest()
        self._clock = clock
        self._sleep = sleep

    @property
    def stopped_by(self) -> str:
        """Who asked to stop, if anybody has."""
        return self._stop.why or ""

    def begin_batch(self) -> None:
        """A batch begins, which has all of the time."""
        self._left = self.seconds

    def note_shown(self, names: Iterable[str]) -> None:
        """Take in that readers show these attributes."""
        self._shown.update(names)

    def gave_up(self, names: Iterable[str]) -> None:
        """Take in that these attributes were waited for until the time was up."""
        self._in_vain.update(names)

    def hopes_for(self, names: Collection[str]) -> bool:
        """Whether to wait for any of these attributes: not where one wait was in vain, and no reader ever showed it."""
        return not names or not self._in_vain.difference(self._shown).issuperset(names)

    def wait_for_looks(self) -> Iterator[None]:
        """After each of some growing pauses it is time to look again; no more when the time is up, or at a stop."""
        end = self._clock() + self._left
        pause = _FIRST
        left = self._left
        while left > 0:
            self._sleep_until(self._clock() + min(pause, left))
            left = end - self._clock()
            self._left = max(0.0, left)
            if self.stopped_by:
                return
            yield
            left = end - self._clock()
            pause *= 2

    def _sleep_until(self, until: float) -> None:
        """Sleep, unless somebody asks to stop meanwhile."""
        rest = until - self._clock()
        while rest > 0 and not self.stopped_by:
            self._sleep(min(rest, _HEED))
            rest = until - self._clock()

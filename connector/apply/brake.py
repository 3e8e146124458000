"""What ends the writing of a plan, for whoever hands out changes and for whoever settles them."""

from __future__ import annotations

from connector.model import Outcome, Result
from connector.runtime.stopping import Stop


class Brake:
    """What ends the writing, and why. `counts`: failures do. `doubt`: it is not known what became of some write."""

    def __init__(self, max_failures: int, stop: Stop) -> None:
        self._most = max_failures
        self._stop = stop
        self._failures = 0
        self.counts = True
        self.doubt = False
        self.why: str | None = None

    def heard(self, outcome: Outcome) -> None:
        if outcome.result is Result.FAILED:
            self._failures += self.counts
            self.doubt = self.doubt or outcome.unknown
        elif outcome.result is Result.SKIPPED:
            self.pull(outcome.why)

    def pull(self, why: str) -> None:
        """Write nothing more."""
        self.why = self.why or why

    def release(self) -> None:
        """All is written: whoever asks from now on stops nothing."""
        self._stop.nothing_more()

    def check(self) -> str | None:
        """Why nothing more is written, if so, also for what has come up since."""
        if self.why is None:
            self.why = self._stop.why
        if self.why is None and self._failures >= self._most:
            self.why = f"{self._failures} writes failed (max_failures)"
        return self.why

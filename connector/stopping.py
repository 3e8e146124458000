"""Being asked to stop: at once as long as nothing is being written, and after that when what is in flight is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """A request to stop, from a signal or from whoever runs us. `str(why)` names who asked."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._patient = False

    def ask(self, why: str) -> None:
        """Ask to stop. Raises KeyboardInterrupt where nothing stands in the way, and for the second who asks."""
        if not self._patient or self.why is not None:
            raise KeyboardInterrupt
        self.why = why

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """As long as this lasts, a stop waits for what is in flight."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

"""Being asked to stop: at once as long as nothing is being written, and after that when what is in flight is done."""

from __future__ import annotations


class Stop:
    """A request to stop one run, from a signal or from whoever runs us. `str(why)` names who asked."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._writing = False

    def ask(self, why: str) -> None:
        """Ask to stop. Raises KeyboardInterrupt where nothing stands in the way, and for the second who asks."""
        if not self._writing or self.why is not None:
            raise KeyboardInterrupt
        self.why = why

    def end(self, why: str) -> None:
        """Let the run end in good order, for a reason that lies in itself."""
        self.why = self.why or why

    def wait_for_the_end(self) -> None:
        """From now on a stop waits for what is in flight, and for the account of it."""
        self._writing = True

"""The process of a server that a test has started: it is ended by its own id, and waited for."""

from __future__ import annotations

import os
import signal
import subprocess


class OwnProcess:
    """What has one. `stop()` ends it politely, `kill()` does not; neither minds if it has ended."""

    _process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End it, and wait for its end. It says goodbye to its clients."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it where it stands."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, sign)
            self._process.wait(60)
        self._process = None

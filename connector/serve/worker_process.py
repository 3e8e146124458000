"""One run as a process of its own.

Memory that a run takes is given back with its process, and nothing that goes wrong in it
takes the schedule along. It is in a session of its own, so that Ctrl-C on a terminal
reaches it by way of us alone, and once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from connector.serve.worker_protocol import Result, RunRequest


def command_line(options: Sequence[str]) -> list[str]:
    """What starts the process of a run, which reads its request from standard input. `options` are the program's."""
    warnings = [f"-W{option}" for option in sys.warnoptions]
    # -P: not from where we started
    return [sys.executable, "-P", *warnings, "-m", "connector", *options, "worker"]


class Worker:
    """A run under way; `output` becomes readable as it speaks, and at its end. Raises OSError if it cannot begin."""

    def __init__(self, request: RunRequest, options: Sequence[str]) -> None:
        self.request = request
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  # ourselves
            command_line(options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.output = self._process.stdout
        self._said = bytearray()
        self._waiting = memoryview(msgspec.json.encode(request, enc_hook=str))
        self.input = self._process.stdin
        os.set_blocking(self.input.fileno(), False)

    def tell(self) -> bool:
        """Hand over as much of the request as it takes now; whether there is more."""
        try:
            while self._waiting:
                self._waiting = self._waiting[
                    os.write(self.input.fileno(), self._waiting) :
                ]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            # it has ended; what it came to is told by its end
            self._waiting = memoryview(b"")
        self.input.close()
        return False

    def hear(self) -> bool:
        """Take in what it says; whether there may be more."""
        said = os.read(self.output.fileno(), 1 << 16)
        self._said += said
        return bool(said)

    def stop(self, *, at_once: bool) -> None:
        """Let it end in good order, or at once."""
        self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def ended(self) -> tuple[Result | None, str]:
        """What came of it, or None and how it ended."""
        code = self._process.wait()
        self.output.close()
        if not self.input.closed:
            self.input.close()
        try:
            return msgspec.json.decode(
                bytes(self._said), type=Result, dec_hook=lambda kind, value: kind(value)
            ), ""
        except msgspec.DecodeError:
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return None, f"the process of the run ended by {how} without a result"

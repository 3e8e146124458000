"""The program at a terminal: a pseudo-terminal for its input and both of its outputs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.program import LONGEST, WARNINGS, environment


class Session:
    """The program while it runs at a terminal; `seen` is all that came to it so far."""

    def __init__(self, child: int, terminal: int) -> None:
        self._child, self._terminal = child, terminal
        self._octets = b""
        self._code: int | None = None

    @property
    def seen(self) -> str:
        return self._octets.decode(errors="replace")

    def type(self, keys: str) -> None:
        """Send keys; `\\x03` is Ctrl-C."""
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until this has come."""
        until = time.monotonic() + LONGEST
        while text not in self.seen:
            assert self._read(until - time.monotonic()), f"{text!r} did not come: {self.seen}"

    def end(self) -> int:
        """Wait for its end; its exit code."""
        if self._code is None:
            until = time.monotonic() + LONGEST
            while self._read(until - time.monotonic()):
                pass
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        return self._code

    def close(self) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        os.close(self._terminal)

    def _read(self, seconds: float) -> bool:
        assert select.select([self._terminal], [], [], max(seconds, 0))[0], f"no end: {self.seen}"
        try:
            octets = os.read(self._terminal, 65536)
        except OSError:  # Linux tells the end of a terminal so
            return False
        self._octets += octets
        return bool(octets)


@contextmanager
def session(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    width: int = 80,
    start: Sequence[str] = ("-m", "connector"),
) -> Iterator[Session]:
    """Run the program with a terminal of so many columns. `start`: how Python starts it."""
    variables = {"TERM": "xterm"} | environment(env or {})
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.execve(sys.executable, [sys.executable, *WARNINGS, *start, *arguments], variables)
    running = Session(child, terminal)
    try:
        yield running
    finally:
        running.close()


def at_a_terminal(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, width: int = 80
) -> tuple[int, str]:
    """Run the program to its end at a terminal; its exit code, and all that came to the terminal."""
    with session(folder, *arguments, env=env, width=width) as running:
        return running.end(), running.seen


def plain(seen: str) -> str:
    """What was seen without the sequences that steer a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r\n", "\n")

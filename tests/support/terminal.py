"""The program at a terminal: a pseudo-terminal for both of its outputs."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.program import WARNINGS, environment, to_its_end


def at_a_terminal(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run the program with a terminal for both of its outputs; its exit code, and all that came to the terminal."""
    variables = environment(env or {}) | {"TERM": "xterm"}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, *WARNINGS, "-m", "connector", *arguments], variables)
    seen = to_its_end(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen.decode()

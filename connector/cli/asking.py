"""Asking somebody at a terminal before a plan is written."""

from __future__ import annotations

import os
import select
import sys
import termios
from contextlib import suppress
from typing import Final

from connector.cli.running import say
from connector.errors import DeclinedError
from connector.model import ON_HOLD, Ending, Plan
from connector.reports.wording import count
from connector.runtime.stopping import Stop

SECONDS: Final = 300.0
"""How long an answer is waited for."""


def asks(*, yes: bool) -> bool:
    """Whether there is somebody to ask: both standard input and standard output are terminals."""
    return not yes and bool(sys.stdin) and sys.stdin.isatty() and sys.stdout.isatty()


def ask(plan: Plan, accept: str | None, stop: Stop | None = None) -> None:
    """Ask whether a plan that was shown is to be written. Raises DeclinedError where the answer is anything but yes.

    Nobody is asked about a plan without changes, or one that will be refused. `stop` learns
    that none is written yet.
    """
    if not plan.changes or not plan.is_permitted(accept) or ON_HOLD in dict(plan.about):
        return
    changes = len(plan.changes)
    if stop is not None:
        stop.standing = lambda: Ending.unsent(changes)
    confirm(f"Apply {count(changes, 'change')}?")


def confirm(question: str) -> None:
    """Ask at the terminal. Raises DeclinedError where the answer is anything but yes."""
    with suppress(termios.error):
        # what was typed before the question answers nothing
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    say([f"{question} [y/N] "])
    try:
        answer = _answer()
    except KeyboardInterrupt:
        say(["\n"])
        raise
    if answer is None:
        say(["\n"])
        raise DeclinedError(f"no answer within {SECONDS / 60:g} minutes")
    if answer.strip().lower() not in {"y", "yes"}:
        raise DeclinedError("not applied, since the answer was not yes")


def _answer() -> str | None:
    """The line that is typed; None: nobody types one."""
    terminal = sys.stdin.fileno()
    if not select.select([terminal], [], [], SECONDS)[0]:
        return None
    return os.read(terminal, 1024).decode(errors="replace")

"""SIGTERM, SIGINT and SIGHUP: a run ends in good order; the second one ends it at once, in a bound whatever hangs.

The bound is kept by a thread that hears of signals from the interpreter's own handler
(`signal.set_wakeup_fd`): so it does even while the main thread waits in a library for a
database, a name or a disk that does not answer. It also wakes the main thread. A signal
that comes just before a call that waits does not end that call, and its handler would wait
as long.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import click

from connector.cli.advice import Exit, code_of_ending
from connector.errors import OutputError
from connector.runtime.stopping import Stop

SECONDS: Final = 8.0
"""How long a run has that was told to end at once, before its process is ended."""
_MOMENT: Final = 0.5
"""Seconds that are waited for an output that may be full, or for an account of the writes."""
_WAKE: Final = 0.1
"""Seconds between two wakings of the main thread, after a signal and until the bound."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ENDED: Final = (
    f"cec-connector: no answer within {SECONDS:g} seconds after the request to stop; the process was ended. "
    "Writes under way stay open in the journal. Rerun the command: it settles them first.\n"
)


@contextmanager
def stopped_by_signals(*, once: bool = False) -> Iterator[Stop]:
    """A request to stop that these signals make, as long as this lasts. `once`: the first one only; others are deaf."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if once:
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_IGN)
        stop.ask(f"stopped by {signal.Signals(number).name}")

    # under nohup a terminal that closes is no matter
    deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    before = {
        number: signal.signal(number, handle)
        for number in _SIGNALS
        if not (deaf and number == signal.SIGHUP)
    }
    try:
        with _bounded(stop):
            yield stop
    except (
        KeyboardInterrupt
    ):  # of which click itself would write to standard error, however full
        raise click.Abort("" if once else _account(stop)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """For the end of the process, once its exit code is known: from here on a signal could change no more than that."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _bounded(stop: Stop) -> Iterator[None]:
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    # for good: one may be under way at the end
    signal.signal(signal.SIGURG, lambda number, frame: None)
    threading.Thread(
        target=_observer, args=(heard, stop), name="signals", daemon=True
    ).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(wakeup)  # which the thread hears of


def _observer(heard: int, stop: Stop) -> None:
    """End the process `SECONDS` after the second signal, or after the first one if no write is waited for."""
    asked = 0
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if select.select([heard], [], [], left if left is None else min(left, _WAKE))[
            0
        ]:
            octets = os.read(heard, 64)
            if not octets:
                os.close(heard)
                return
            signals = sum(octet in _SIGNALS for octet in octets)
            asked += signals
            if signals and (deadline is None or asked == 2):
                deadline = time.monotonic() + SECONDS
        elif left:
            _wake()
        elif asked > 1 or stop.why is None:
            _end(stop)
        else:
            deadline = None  # it writes, and ends in good order


def _wake() -> None:
    """Let the main thread run what handlers are due."""
    if (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, signal.SIGURG)


def _account(stop: Stop) -> str:
    """The last line of a run that was ended at once; empty where it is out already, or not known."""
    from connector.reports.wording import last_line

    if stop.told:
        return ""
    if stop.standing is not None:
        return last_line(stop.standing())
    return (
        "Stopped: nothing was written. Rerun the same command." if stop.is_early else ""
    )


def _end(stop: Stop) -> None:
    """End the process, and say before that why and what is known: as far as that can be said at once."""
    code, line = Exit.FAILED if stop.standing is None else Exit.IN_PART, ""

    def account() -> None:
        """What is known of the writes, without asking anybody: a line and the exit code that goes with it."""
        from connector.reports.wording import last_line

        nonlocal code, line
        if stop.standing is not None:
            ending = stop.standing()
            code, line = code_of_ending(ending), f"{last_line(ending)}\n"

    try:
        at_once(account)
        if not stop.told:
            at_once(lambda: _write(2, _ENDED), lambda: _write(1, line))
    finally:
        os._exit(code)


def tell_stopped(account: str) -> None:
    """Say that the command was stopped: the last line of its run, or, where nobody knows more, that alone."""
    from connector.cli.running import say

    with suppress(OutputError):  # whoever read it has gone
        say([f"{account}\n"]) if account else click.echo("interrupted", err=True)


def at_once(*works: Callable[[], object]) -> bool:
    """Do these in threads of their own, none of which is waited for longer than a moment; whether all have ended."""
    threads = [threading.Thread(target=work, name="end", daemon=True) for work in works]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _MOMENT
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
    return not any(thread.is_alive() for thread in threads)


def _write(output: int, text: str) -> None:
    with suppress(OSError):  # whoever read it has gone
        os.write(output, text.encode())

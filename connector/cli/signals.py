"""SIGTERM, SIGINT and SIGHUP: a run ends in good order; the second one ends it at once, in a bound whatever hangs.

The bound is kept by a thread that hears of signals from the interpreter's own handler (`signal.set_wakeup_fd`): so it
does even while the main thread waits in a library for a database, a name or a disk that does not answer.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from connector.cli.advice import Exit
from connector.stopping import Stop

SECONDS: Final = 8.0
"""How long a run has that was told to end at once, before its process is ended."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ENDED: Final = (
    f"cec-connector: something did not answer within {SECONDS:g} seconds after the request to stop, so the process was "
    "ended. Writes that were under way are open in the journal. Rerun the command: it settles them first.\n"
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

    deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # under nohup a terminal that closes is no matter
    before = {number: signal.signal(number, handle) for number in _SIGNALS if not (deaf and number == signal.SIGHUP)}
    try:
        with _bounded(stop):
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bounded(stop: Stop) -> Iterator[None]:
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(heard, stop), name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(wakeup)  # which the thread hears of


def _watch(heard: int, stop: Stop) -> None:
    """End the process `SECONDS` after the second signal, or after the first one if no write is waited for."""
    asked = 0
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if select.select([heard], [], [], left)[0]:
            octets = os.read(heard, 64)
            if not octets:
                os.close(heard)
                return
            asked += sum(octet in _SIGNALS for octet in octets)
            if deadline is None or asked == 2:
                deadline = time.monotonic() + SECONDS
        elif asked > 1 or stop.why is None:
            os.write(2, _ENDED.encode())
            os._exit(_account(stop))
        else:
            deadline = None  # it writes, and ends in good order


def _account(stop: Stop) -> int:
    """Say what is known of the writes, without asking anybody; the exit code that goes with it."""
    from connector.reports.values import last_line

    if stop.standing is None:
        return Exit.FAILED
    outcomes = stop.standing()
    os.write(1, f"{last_line(outcomes)}\n".encode())
    return Exit.IN_PART if any(outcome.touched for outcome in outcomes) else Exit.FAILED

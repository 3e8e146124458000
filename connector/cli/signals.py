"""SIGTERM, SIGINT and SIGHUP: a run ends in good order; the second one ends it at once, in a bound whatever hangs.

The bound is kept by a thread that hears of signals from the interpreter's own handler
(`signal.set_wakeup_fd`): so it does even while the main thread waits in a library for a
database, a name or a disk that does not answer. It also wakes the main thread. A signal
that comes just before a call that waits does not end that call, and its handler would wait
as long.
"""

from __future__ import annotations

import math
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
from connector.cli.output import print_pieces
from connector.errors import OutputError
from connector.model import RunEnding
from connector.reports.wording import last_line
from connector.runtime.stopping import StopRequest

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
def stopped_by_signals(*, once: bool = False) -> Iterator[StopRequest]:
    """A request to stop that signals make, as long as this lasts.

    `once`: the first signal alone; others are ignored. Under nohup a terminal that closes
    is no signal.
    """
    stop = StopRequest()

    def handle_signal(number: int, _frame: FrameType | None) -> None:
        if once:
            ignore_signals()
        stop.ask_to_stop(f"stopped by {signal.Signals(number).name}")

    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heeded = _SIGNALS[:-1] if is_nohup else _SIGNALS
    before = {number: signal.signal(number, handle_signal) for number in heeded}
    try:
        with _ended_in_time(stop):
            yield stop
    except KeyboardInterrupt:
        # the last line of a run that was ended at once; empty where it is out already, or not known
        line = ""
        if not (once or stop.told):
            if stop.standing is not None:
                line = last_line(stop.standing())
            elif stop.is_early:
                line = "Stopped: nothing was written. Rerun the same command."
        # click itself would write to standard error, however full
        raise click.Abort(line) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here on a signal could change nothing but an exit code that is known."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _ended_in_time(stop: StopRequest) -> Iterator[None]:
    """Let a thread hear of each signal, which ends the process in its bound."""
    heard, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    # for good: one may be under way at the end
    signal.signal(signal.SIGURG, lambda *_: None)
    watch = threading.Thread(
        target=_watch_signals, args=(heard, stop, threading.get_ident()), daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(wakeup)  # which the thread hears of


def _watch_signals(heard: int, stop: StopRequest, main: int) -> None:
    """End the process `SECONDS` after the second signal.

    After the first one, if no write is waited for. Until then the thread `main` is woken
    now and then, so that it runs the handlers that are due.
    """
    asked = 0
    deadline = math.inf
    while True:
        left = deadline - time.monotonic()
        wait = None if deadline == math.inf else max(min(left, _WAKE), 0.0)
        is_heard, _, _ = select.select([heard], [], [], wait)
        if is_heard:
            octets = os.read(heard, 64)
            if not octets:
                os.close(heard)
                return
            signals = sum(octet in _SIGNALS for octet in octets)
            asked += signals
            if signals and (deadline == math.inf or asked == 2):
                deadline = time.monotonic() + SECONDS
        elif left > 0:
            signal.pthread_kill(main, signal.SIGURG)
        elif asked == 1 and stop.why is not None:
            deadline = math.inf  # it writes, and ends in good order
        else:
            _end_process(stop)


def _end_process(stop: StopRequest) -> None:
    """End the process, and say before that why and what is known.

    As far as that can be said at once: neither an output nor an account is waited for.
    """
    endings: list[RunEnding] = []
    standing = stop.standing
    code = Exit.FAILED
    line = ""
    try:
        if standing is not None:
            code = Exit.IN_PART
            run_briefly(lambda: endings.append(standing()))
        for ending in endings:
            code = code_of_ending(ending)
            line = f"{last_line(ending)}\n"
        if not stop.told:
            run_briefly(lambda: _write_text(2, _ENDED), lambda: _write_text(1, line))
    finally:
        os._exit(code)


def tell_stopped(account: str) -> None:
    """Say that the command was stopped: the last line of its run.

    Where nobody knows more, that alone.
    """
    with suppress(OutputError):  # whoever read it has gone
        if account:
            print_pieces([f"{account}\n"])
        else:
            click.echo("interrupted", err=True)


def run_briefly(*works: Callable[[], object]) -> bool:
    """Do these in threads of their own; whether all have ended within a moment."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _MOMENT
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
    return not any(thread.is_alive() for thread in threads)


def _write_text(output: int, text: str) -> None:
    with suppress(OSError):  # whoever read it has gone
        os.write(output, text.encode())

"""SIGTERM, SIGINT and SIGHUP: a run ends in good order; the second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from connector.stopping import Stop

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

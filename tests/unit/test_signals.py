"""Being told to stop while the main thread waits: a signal that its wait does not notice ends it all the same."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest

from connector.cli.signals import SECONDS, stopped_by_signals


@contextmanager
def unnoticed(number: signal.Signals) -> Iterator[None]:
    """The system hands this signal to a thread that is not the main one, which then goes on with its wait.

    To the main thread that is the same as a signal that comes just before its wait begins.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def told_then_waits(number: signal.Signals, silent: int) -> None:
    os.kill(os.getpid(), number)
    select.select([silent], [], [], 60)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_wait_does_not_notice_ends_it(told: signal.Signals) -> None:
    silent, keeps_open = os.pipe()
    began = time.monotonic()
    try:
        with pytest.raises(click.Abort, match="nothing was written"), stopped_by_signals(), unnoticed(told):
            told_then_waits(told, silent)
    finally:
        os.close(silent)
        os.close(keeps_open)
    assert time.monotonic() - began < SECONDS / 2

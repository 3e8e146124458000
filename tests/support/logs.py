"""What the program logs, for tests in the same process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connector.runtime.log import Event, log


@contextmanager
def logged() -> Iterator[list[Event]]:
    """The events of every level that are logged meanwhile."""
    before, events = vars(log).copy(), list[Event]()
    log.about = {}
    log.configure(events.extend)
    try:
        yield events
    finally:
        vars(log).update(before)

"""Sends notices beside the schedule, which never waits for it, and does not repeat what has not changed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final, Self

import structlog

from connector.serve.orders import Result
from connector.serve.scheduled import Scheduled
from connector.settings.job import LoadedJob
from connector.watchers.facts import RunFacts
from connector.watchers.notices import Notice
from connector.watchers.notify import deliver, wanted

log = structlog.get_logger(__name__)

ATTEMPTS: Final = 8
"""With waits that double up to five minutes, a receiver may be away for a quarter of an hour."""
WAITING: Final = 100
"""So many notices wait at most."""
REPEATED_AFTER: Final = 86400.0
"""Seconds after which the same is said again, if it is still so."""
FAREWELL: Final = 10.0
"""Seconds that the end waits for notices that are on their way."""


class Courier:
    """A thread that sends; a context manager. `clock`: seconds, steady."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: queue.Queue[tuple[LoadedJob, Notice] | None] = queue.Queue(WAITING)
        self._leaving = threading.Event()
        self._said: dict[str, tuple[tuple[object, ...], float]] = {}
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()  # nobody waits for another attempt any more
        self._waiting.put(None)
        self._thread.join(FAREWELL)

    def told(self, job: Scheduled, facts: RunFacts, result: Result) -> None:
        """Tell of a run that has ended, if there is something new to tell; returns at once."""
        loaded = job.accepted.job
        told = wanted(loaded, facts, result.waiting)
        if told is None:
            if facts.ending != "busy":
                self._said.pop(job.name, None)
            return
        about, since = self._said.get(job.name, (None, 0.0))
        if about == told.about and self._clock() - since < REPEATED_AFTER:
            return
        self._said[job.name] = told.about, self._clock()
        try:
            self._waiting.put_nowait((loaded, told))
        except queue.Full:
            log.warning("notice not sent", job=job.name, reason="too many wait already")

    def _work(self) -> None:
        while (told := self._waiting.get()) is not None:
            job, message = told
            deliver(job, message, ATTEMPTS, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self._leaving.wait(seconds)

"""Sends notices beside the schedule, which never waits for it, and does not repeat what was taken and is still so.

Each receiver has a queue and a thread of its own: one that is away, slow or broken keeps no
other from being told.
"""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Final, Self

from connector.observers.notices import Notice
from connector.observers.notify import Target, deliver, targets, wanted
from connector.observers.run_summary import RunSummary
from connector.runtime.log import log
from connector.settings.job import LoadedJob

ATTEMPTS: Final = 10
"""With bounds of the waits that double, a receiver may be away for four minutes on the average."""
WAITING: Final = 100
"""So many notices wait for a receiver at most."""
REPEATED_AFTER: Final = 86400.0
"""Seconds after which the same is said again, if it is still so."""
FAREWELL: Final = 5.0
"""Seconds that the end waits for all notices that are on their way."""

About = tuple[object, ...]


class NotificationQueue:
    """Threads that send; a context manager."""

    def __init__(self) -> None:
        self._leaving = threading.Event()
        self._receivers: dict[Target, _Receiver] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()  # nobody waits for another attempt any more
        until = time.monotonic() + FAREWELL
        for receiver in self._receivers.values():
            receiver.queue.put(None)
        for receiver in self._receivers.values():
            receiver.thread.join(max(until - time.monotonic(), 0.0))

    def told(self, job: LoadedJob, summary: RunSummary, waiting: Path | None) -> None:
        """Tell of a run that has ended, if there is something new to tell; returns at once."""
        notice = wanted(job, summary, waiting)
        for target in targets(job):
            receiver = self._receivers.get(target)
            if receiver is None:
                receiver = self._receivers[target] = _Receiver(target, self._leaving)
            if notice is not None:
                receiver.offer(job, notice)
            elif summary.ending != "busy":
                receiver.forget(job.name)


class _Receiver:
    """One receiver: by job what waits for it, and what it has taken, and when. None in its `queue` is the end."""

    def __init__(self, target: Target, leaving: threading.Event) -> None:
        self._target = target
        self._leaving = leaving
        self._lock = threading.Lock()
        self.queue: queue.SimpleQueue[tuple[LoadedJob, Notice] | None] = (
            queue.SimpleQueue()
        )
        self._offered: dict[str, About] = {}
        self._taken: dict[str, tuple[About, float]] = {}
        self.thread = threading.Thread(target=self._work, name=target.way, daemon=True)
        self.thread.start()

    def offer(self, job: LoadedJob, notice: Notice) -> None:
        """Send this, unless the same waits already, or was taken within a day."""
        with self._lock:
            about, since = self._taken.get(job.name, (None, 0.0))
            again = about == notice.about and time.monotonic() - since < REPEATED_AFTER
            if again or self._offered.get(job.name) == notice.about:
                return
            if self.queue.qsize() >= WAITING:
                log.warning(
                    "notice not sent",
                    job=job.name,
                    way=self._target.way,
                    reason="too many wait already",
                )
                return
            self._offered[job.name] = notice.about
        self.queue.put((job, notice))

    def forget(self, job: str) -> None:
        """There is nothing to tell of this job any more: what comes next is news."""
        with self._lock:
            self._offered.pop(job, None)
            self._taken.pop(job, None)

    def _work(self) -> None:
        while (next_ := self.queue.get()) is not None:
            job, notice = next_
            taken = deliver(job, self._target, notice, ATTEMPTS, self._leaving)
            with self._lock:
                if self._offered.get(job.name) == notice.about:  # else it is old news
                    del self._offered[job.name]
                    if taken:
                        self._taken[job.name] = notice.about, time.monotonic()

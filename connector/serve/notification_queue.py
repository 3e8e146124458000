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
from connector.observers.notify import (
    Target,
    deliver_notice,
    list_targets,
    make_wanted_notice,
)
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
        receivers = self._receivers.values()
        for receiver in receivers:
            receiver.queue.put(None)
        for receiver in receivers:
            receiver.thread.join(max(until - time.monotonic(), 0.0))

    def told(
        self,
        job: LoadedJob,
        summary: RunSummary,
        waiting: Path | None,
    ) -> None:
        """Tell of a run that has ended, if there is something new to tell; returns at once."""
        notice = make_wanted_notice(job, summary, waiting)
        for target in list_targets(job):
            receiver = self._receivers.get(target)
            if receiver is None:
                receiver = self._receivers[target] = _Receiver(target, self._leaving)
            if notice is not None:
                receiver.offer_notice(job, notice)
            elif summary.ending != "busy":
                receiver.forget_job(job.name)


class _Receiver:
    """One receiver, and what each job has told it last."""

    def __init__(self, target: Target, leaving: threading.Event) -> None:
        self._target = target
        self._leaving = leaving
        self._lock = threading.Lock()
        self._told: dict[str, tuple[object, float]] = {}
        """By job: what its last notice says, and since when that waits or is taken."""
        self.queue = queue.SimpleQueue[tuple[LoadedJob, Notice] | None]()
        """What waits; None is the end."""
        self.thread = threading.Thread(
            target=self._send_all, name=target.way, daemon=True
        )
        self.thread.start()

    def offer_notice(self, job: LoadedJob, notice: Notice) -> None:
        """Send this, unless the same waits already, or was taken within a day."""
        now = time.monotonic()
        with self._lock:
            about, since = self._told.get(job.name, (None, 0.0))
            if about == notice.about and now - since < REPEATED_AFTER:
                return
            if self.queue.qsize() < WAITING:
                self._told[job.name] = notice.about, now
                self.queue.put((job, notice))
                return
        why = "too many wait already"
        log.warning(
            "notice not sent",
            job=job.name,
            way=self._target.way,
            reason=why,
        )

    def forget_job(self, job: str) -> None:
        """There is nothing to tell of this job any more: what comes next is news."""
        with self._lock:
            self._told.pop(job, None)

    def _send_all(self) -> None:
        while (next_ := self.queue.get()) is not None:
            job, notice = next_
            is_taken = deliver_notice(
                job,
                self._target,
                notice,
                ATTEMPTS,
                self._leaving,
            )
            with self._lock:
                about, _ = self._told.get(job.name, (None, 0.0))
                # else it is old news
                if about == notice.about:
                    if is_taken:
                        self._told[job.name] = about, time.monotonic()
                    else:
                        del self._told[job.name]

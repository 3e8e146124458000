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
    NoticeTarget,
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
        self._receivers: dict[NoticeTarget, _NoticeReceiver] = {}

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

    def notify_of_run(
        self, job: LoadedJob, summary: RunSummary, waiting: Path | None
    ) -> None:
        """Tell of a run that has ended, if there is something new to tell; returns at once."""
        notice = make_wanted_notice(job, summary, waiting)
        if notice is None and summary.ending == "busy":
            return
        for target in list_targets(job):
            if target not in self._receivers:
                self._receivers[target] = _NoticeReceiver(target, self._leaving)
            self._receivers[target].queue_notice(job, notice)


class _NoticeReceiver:
    """One receiver, and what each job has told it last."""

    def __init__(self, target: NoticeTarget, leaving: threading.Event) -> None:
        self._target = target
        self._leaving = leaving
        self.queue = queue.SimpleQueue[tuple[LoadedJob, Notice | None] | None]()
        """What waits; without a notice: what comes next of the job is news. None is the end."""
        self.thread = threading.Thread(target=self._send_all, daemon=True)
        self.thread.start()

    def queue_notice(self, job: LoadedJob, notice: Notice | None) -> None:
        """Let this wait its turn."""
        if self.queue.qsize() < WAITING:
            self.queue.put((job, notice))
            return
        why, way = "too many wait already", self._target.way
        log.warning("notice not sent", job=job.name, way=way, reason=why)

    def _send_all(self) -> None:
        """Send each notice, unless the same was taken within a day."""
        taken: dict[str, tuple[object, float]] = {}
        while (waiting := self.queue.get()) is not None:
            job, notice = waiting
            about, since = taken.pop(job.name, (None, 0.0))
            if notice is None:
                continue
            is_news = about != notice.subject_matter
            is_old = time.monotonic() - since >= REPEATED_AFTER
            if is_news or is_old:
                since = time.monotonic()
                is_taken = deliver_notice(
                    job, self._target, notice, ATTEMPTS, self._leaving
                )
                if not is_taken:
                    continue
            taken[job.name] = notice.subject_matter, since

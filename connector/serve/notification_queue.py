"""Sends notices beside the schedule, which never waits for it, and does not repeat what was taken and is still so.

Each receiver has a queue and a thread of its own: one that is away, slow or broken keeps no
other from being told. What waits of a job is its latest notice alone.
"""

from __future__ import annotations

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
from connector.settings.job import LoadedJob

ATTEMPTS: Final = 10
"""With bounds of the waits that double, a receiver may be away for four minutes on the average."""
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
            receiver.end()
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
    """One receiver: what waits for it, and what each job has told it last."""

    def __init__(self, target: NoticeTarget, leaving: threading.Event) -> None:
        self._target = target
        self._leaving = leaving
        self._changed = threading.Condition()
        self._is_ending = False
        self._waiting: dict[str, tuple[LoadedJob, Notice]] = {}
        """By job, what is told of it next, in the order in which the jobs came."""
        self._told: dict[str, tuple[object, float]] = {}
        """By job: what its last notice says, and since when that is on its way or taken."""
        self.thread = threading.Thread(target=self._send_all, daemon=True)
        self.thread.start()

    def queue_notice(self, job: LoadedJob, notice: Notice | None) -> None:
        """Let this wait its turn, in place of what waits of the job; without one, what comes next is news."""
        with self._changed:
            if notice is None:
                self._told.pop(job.name, None)
            else:
                self._waiting[job.name] = job, notice
                self._changed.notify()

    def end(self) -> None:
        """Send what waits, and nothing that comes later."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def _send_all(self) -> None:
        """Send each notice, unless the same was taken within a day."""
        while (waiting := self._take_next()) is not None:
            job, notice = waiting
            now = time.monotonic()
            with self._changed:
                about, since = self._told.get(job.name, (None, 0.0))
                if about == notice.subject_matter and now - since < REPEATED_AFTER:
                    continue
                self._told[job.name] = notice.subject_matter, now
            is_taken = deliver_notice(
                job, self._target, notice, ATTEMPTS, self._leaving
            )
            if not is_taken:
                self.queue_notice(job, None)

    def _take_next(self) -> tuple[LoadedJob, Notice] | None:
        """What has waited longest; None: this is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            for name in self._waiting:
                return self._waiting.pop(name)
            return None

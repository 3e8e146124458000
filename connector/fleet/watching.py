"""Looks of a fleet at its tenants and directories between ticks (`serve.watch`), by one worker at a time.

What moved begins an ordinary run in Temporal. A run that is under way may have read already, so its job
gets another one once it has ended. A plan that waits for somebody is made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec import Struct
from temporalio.client import Client
from temporalio.service import RPCError

from connector.errors import FileError, NoWorkerError, OpenRunError, StateError
from connector.fleet.client import begin_run, renew_plan
from connector.fleet.jobs import list_files, place_request
from connector.fleet.limits import SharedLimits
from connector.runtime.clock import read_clock
from connector.runtime.log import log
from connector.serve.accounts import AccountBook, Mark, mark_file
from connector.serve.scheduled_job import JobFiles
from connector.serve.watch import Cause, JobWatch, Look, Watched
from connector.settings.fleet import LoadedFleet

_RENEW: Final = 15.0
"""Seconds between two words to the limits, and between two looks at the job files."""
_AGAIN: Final = 5.0
"""Seconds until a run is tried again that could not begin."""
_SOON: Final = 1.0
"""Seconds until a look is tried again that waits for another one of its account."""


class WatchListener(Struct, frozen=True):
    """Who is told of looks."""

    note_wake_up: Callable[[str, Cause, datetime], None]
    """Job, cause, and the earliest time of the change: its run has begun."""
    note_look: Callable[[str, bool], None]
    """Job, and whether the look failed."""


class WatchedJob:
    """A job with `serve.watch`, and the run that a look of it wants."""

    def __init__(self, files: JobFiles, wake: Callable[[], None]) -> None:
        self.files = files
        self.mark = _mark_files(files)
        self.account = place_request(files.loaded, "", "plan").account
        """Hash by which the limits know whom it logs in as."""
        self.looks_with: Mark = ()
        """Mark of the account's files when the last look began."""
        self.wanted: Cause | None = None
        """Why a run is wanted that has not begun; None: none is."""
        self.changed_after = read_clock()
        self.next_try = 0.0
        """When that run may be tried, on the steady clock."""
        self._wake = wake
        self.watch = self._make_watch()

    @property
    def name(self) -> str:
        return self.files.loaded.name

    def _make_watch(self) -> JobWatch:
        watched = Watched(self.files.loaded, self.files.mapping)
        return JobWatch(watched, self.files.settings.watch or 0, self._wake)

    def take_look(self) -> Look | None:
        """What the last look has come to, once; what it wants stays wanted."""
        look = self.watch.take_look()
        if look is not None and look.cause is not None and self.wanted is None:
            self.wanted, self.changed_after = look.cause, self.watch.changed_after
        return look

    def forget_looks(self) -> None:
        """Forget what was seen: another worker looks from now on."""
        self.watch.close()
        self.watch, self.wanted = self._make_watch(), None


class FleetWatch:
    """The looks of one worker, while the fleet's database says that it is the one that looks."""

    def __init__(
        self,
        client: Client,
        fleet: LoadedFleet,
        folder: Path,
        limits: SharedLimits,
        listener: WatchListener,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._folder = folder
        self._limits = limits
        self._listener = listener
        self._token = str(uuid4())
        self._looks = False
        """Whether this worker is the one that looks."""
        self._taken: frozenset[str] = frozenset()
        """Hashes of accounts that their directories took last."""
        self._accounts = AccountBook()
        self._jobs: dict[str, WatchedJob] = {}
        self._unwatched: dict[str, Mark] = {}
        """Files of other jobs, and files that are wrong, each with its mark."""
        self._changed = asyncio.Event()

    async def watch_jobs(self) -> None:
        """Look for as long as this worker works."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the worker has ended
                loop.call_soon_threadsafe(self._changed.set)

        renewed = -_RENEW
        try:
            while True:
                if time.monotonic() - renewed >= _RENEW:
                    renewed = time.monotonic()
                    await asyncio.to_thread(self._read_changed_files, wake)
                    await self._keep_watch()
                pause = await self._look_at_jobs() if self._looks else _RENEW
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), pause)
                self._changed.clear()
        finally:
            for job in self._jobs.values():
                job.watch.close()
            if self._looks:
                with suppress(StateError):
                    await asyncio.to_thread(self._limits.end_watch, self._token)

    # ------------------------------------------------------------ whose looks, and of what

    def _read_changed_files(self, wake: Callable[[], None]) -> None:
        """Read the job files that have changed since they were read; what is wrong, their runs tell."""
        paths = {path.stem: path for path in list_files(self._folder, self._fleet.path)}
        for name in self._jobs.keys() - paths:
            self._jobs.pop(name).watch.close()
        for name, path in paths.items():
            mark = (mark_file(path),)
            known = self._jobs.get(name)
            is_same = self._unwatched.get(name) == mark
            if known is not None:
                is_same = known.mark == _mark_files(known.files)
            if is_same:
                continue
            if known is not None:
                self._jobs.pop(name).watch.close()
            self._unwatched[name] = mark
            with suppress(FileError):
                files = JobFiles.read_files(path)
                if files.settings.watch is not None:
                    del self._unwatched[name]
                    self._jobs[name] = WatchedJob(files, wake)

    async def _keep_watch(self) -> None:
        """Be or stay the worker that looks, where there is anything to look at and no other one does."""
        taken = None
        if self._jobs:
            with suppress(StateError):  # the worker says so itself
                taken = await asyncio.to_thread(self._limits.keep_watch, self._token)
        if taken is None and self._looks:
            for job in self._jobs.values():
                job.forget_looks()
        self._looks = taken is not None
        self._taken = taken or frozenset()

    # ------------------------------------------------------------ looks

    async def _look_at_jobs(self) -> float:
        """Take in looks that have ended, begin others, and the runs that they want; seconds until the next."""
        pause = _RENEW
        for job in self._jobs.values():
            await self._take_look(job)
            pause = min(pause, self._begin_look(job))
        wanted = [job for job in self._jobs.values() if job.wanted is not None]
        # the worker itself says that Temporal is silent; it is tried again
        with suppress(NoWorkerError, RPCError, TimeoutError):
            for job in wanted:
                if job.next_try <= time.monotonic():
                    await self._begin_run(job)
        return min(pause, _AGAIN) if wanted else pause

    def _begin_look(self, job: WatchedJob) -> float:
        """Begin a look, if it is time; seconds until the next may begin."""
        watch, account = job.watch, job.files.account
        if watch.is_looking or job.wanted is not None:
            return _RENEW
        if watch.seconds_left:
            return watch.seconds_left
        # a run has to find out first whether the directory takes the account
        if account.who and job.account not in self._taken:
            return _RENEW
        for other in self._jobs.values():
            is_tried = other.watch.is_looking
            if is_tried and self._accounts.exclude_each_other(
                account, other.files.account
            ):
                return _SOON
        job.looks_with = account.read_mark()
        watch.begin_look()
        return _RENEW

    async def _take_look(self, job: WatchedJob) -> None:
        look = job.take_look()
        if look is None:
            return
        account = job.files.account
        if look.is_refused:
            self._accounts.note_refusal(account, job.looks_with)
            self._taken -= {job.account}
            with suppress(StateError):
                await asyncio.to_thread(self._limits.note_refusal, job.account)
        elif not look.faults:
            self._accounts.note_login(account, job.looks_with)
        if job.watch.note_faults(look):
            say = log.warning if look.faults else log.info
            event = "watch failed" if look.faults else "watch works again"
            say(event, job=job.name, reason="; ".join(look.faults) or None)
        self._listener.note_look(job.name, bool(look.faults))

    async def _begin_run(self, job: WatchedJob) -> None:
        """Begin the run that a look wants, unless one is under way that may have read already.

        Raises NoWorkerError, RPCError or TimeoutError where Temporal does not answer.
        """
        job.next_try = time.monotonic() + _AGAIN
        tick, queue = read_clock().isoformat(), self._fleet.settings.task_queue
        try:
            await begin_run(self._client, queue, job.name, tick)
        except OpenRunError:
            if not await renew_plan(self._client, job.name, tick):
                return
        cause, job.wanted = job.wanted, None
        if cause is not None:
            log.info("run woken", job=job.name, woken_by=cause)
            self._listener.note_wake_up(job.name, cause, job.changed_after)


def _mark_files(files: JobFiles) -> Mark:
    return tuple(map(mark_file, files.texts))

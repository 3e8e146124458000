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
from connector.fleet.client import (
    begin_run,
    do_each,
    read_waiting_digest,
    renew_plan,
)
from connector.fleet.jobs import list_files, place_request
from connector.fleet.limits import PlaceRequest, SharedLimits
from connector.fleet.schedules import follows_schedule
from connector.observers.metrics import RunMetrics
from connector.runtime.clock import read_clock
from connector.runtime.log import log
from connector.serve.accounts import AccountBook, Mark, mark_file
from connector.serve.scheduled_job import JobFiles
from connector.serve.watch import Cause, JobWatch, Watched
from connector.settings.fleet import LoadedFleet

_RENEW: Final = 15.0
"""Seconds between two words to the limits, and between two looks at the job files."""
_AGAIN: Final = 5.0
"""Seconds until a run is tried again that could not begin."""
_SOON: Final = 1.0
"""Seconds until a look is tried again that waits for another one of its account."""


class WatchedJob(Struct):
    """A job with `serve.watch`, and the run that a look of it wants."""

    files: JobFiles
    mark: Mark
    """Of its files when they were read."""
    place: PlaceRequest
    """By what the limits know whom it logs in as."""
    watch: JobWatch
    wanted: Cause | None = None
    """Why a run is wanted that has not begun; None: none is."""
    next_try: float = 0.0
    """When that run may be tried, on the steady clock."""
    is_renewed: bool = False
    """Whether a plan that waits was asked to be made anew for it."""

    @property
    def name(self) -> str:
        return self.files.loaded.name


class FleetWatch:
    """The looks of one worker, while the fleet's database says that it is the one that looks."""

    def __init__(
        self,
        client: Client,
        fleet: LoadedFleet,
        folder: Path,
        limits: SharedLimits,
        metrics: RunMetrics,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._folder = folder
        self._limits = limits
        self._metrics = metrics
        self._token = str(uuid4())
        self._is_ours = False
        """Whether this worker is the one that looks."""
        self._taken: frozenset[str] = frozenset()
        """Hashes of accounts that their directories took last."""
        self._accounts = AccountBook()
        self._jobs: dict[str, WatchedJob] = {}
        self._unwatched: dict[str, Mark] = {}
        """Files of jobs without `serve.watch`, each with its mark."""
        self._woken: dict[str, tuple[datetime, datetime]] = {}
        """By job, when a look began a run, and since when what it saw may have changed."""
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
                    await self._keep_watch(wake)
                pause = await self._look_at_jobs()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), pause)
                self._changed.clear()
        finally:
            for job in self._jobs.values():
                job.watch.close()
            if self._is_ours:
                with suppress(StateError):
                    await asyncio.to_thread(self._limits.end_watch, self._token)

    def note_end(self, job: str, ended: float) -> None:
        """Note when a run of a job ended, in seconds since 1970: perhaps it is one that a look began."""
        woken, changed_after = self._woken.get(job, (None, None))
        if woken and changed_after and ended > woken.timestamp():
            del self._woken[job]
            took = ended - changed_after.timestamp()
            self._metrics.set_gauge("last_change_seconds", job, took)

    # ------------------------------------------------------------ whose looks, and of what

    async def _keep_watch(self, wake: Callable[[], None]) -> None:
        """Be or stay the worker that looks, unless another one does, and see which jobs there are."""
        self._is_ours = False
        try:
            taken = await asyncio.to_thread(self._limits.keep_watch, self._token)
        except StateError:  # the worker says so itself; nobody looks meanwhile
            return
        if taken is None:
            self._drop_jobs(lambda _: True)
            return
        if taken - self._taken:
            self._accounts.forget_all()  # a run has logged in
        self._taken, self._is_ours = taken, True
        await asyncio.to_thread(self._read_changed_files, wake)

    def _read_changed_files(self, wake: Callable[[], None]) -> None:
        """Read the job files that have changed since they were read; what is wrong, their runs tell."""
        self._drop_jobs(lambda job: job.mark != _mark_files(job.files))
        for path in list_files(self._folder, self._fleet.path):
            mark = (mark_file(path),)
            if path.stem in self._jobs or self._unwatched.get(path.stem) == mark:
                continue
            with suppress(FileError):
                files = JobFiles.read_files(path)
                seconds = files.settings.watch
                if seconds is None:
                    self._unwatched[path.stem] = mark
                else:
                    self._jobs[path.stem] = _watch_job(files, seconds, wake)

    def _drop_jobs(self, is_dropped: Callable[[WatchedJob], bool]) -> None:
        """Forget what was seen of these jobs, but for those with a look under way: its account may be refused."""
        for job in [*self._jobs.values()]:
            if is_dropped(job) and not job.watch.is_looking:
                del self._jobs[job.name]
                job.watch.close()
                self._metrics.set_gauge("watch_failing", job.name, 0)

    # ------------------------------------------------------------ looks

    async def _look_at_jobs(self) -> float:
        """Take in looks that have ended, begin others, and the runs that they want; seconds until the next."""
        pause = _RENEW
        for job in self._jobs.values():
            await self._take_look(job)
            pause = min(pause, self._begin_look(job))
        wanted = [job for job in self._jobs.values() if job.wanted is not None]
        if self._is_ours:
            now = time.monotonic()
            due = [job for job in wanted if job.next_try <= now]
            await do_each(due, self._try_run)
        return min(pause, _AGAIN) if wanted else pause

    def _begin_look(self, job: WatchedJob) -> float:
        """Begin a look, if it is time; seconds until the next may begin."""
        watch, account = job.watch, job.files.account
        if watch.is_looking or job.wanted is not None or not self._is_ours:
            return _RENEW
        if watch.seconds_left:
            return watch.seconds_left
        # a run has to find out first whether the directory takes the account
        is_taken = not account.who or job.place.account in self._taken
        if not is_taken or self._accounts.explain_waiting(account):
            return _RENEW
        for other in self._jobs.values():
            is_tried = other.watch.is_looking
            if is_tried and self._accounts.exclude_each_other(
                account, other.files.account
            ):
                return _SOON
        watch.begin_look()
        return _RENEW

    async def _take_look(self, job: WatchedJob) -> None:
        look = job.watch.take_look(self._accounts)
        if look is None:
            return
        if look.is_refused:
            with suppress(StateError):
                await asyncio.to_thread(self._limits.end_step, job.place, denied=True)
        self._metrics.set_gauge("watch_failing", job.name, bool(look.faults))
        if look.cause is not None:
            job.wanted = look.cause

    async def _try_run(self, job: WatchedJob) -> None:
        """Begin the run that a look wants. Where Temporal does not answer, the worker itself says so."""
        is_begun = False
        with suppress(NoWorkerError, RPCError, TimeoutError):
            is_begun = await self._begin_run(job)
        job.next_try = time.monotonic() + _AGAIN
        if is_begun and job.wanted is not None:
            log.info("run woken", job=job.name, woken_by=job.wanted)
            self._metrics.count_wake_up(job.name, job.wanted)
            self._woken[job.name] = read_clock(), job.watch.changed_after
            job.wanted, job.is_renewed = None, False

    async def _begin_run(self, job: WatchedJob) -> bool:
        """Begin it; False: one is under way that may have read already.

        A plan that waits is made anew once; until it is, or its run has ended, the run stays wanted.
        Raises NoWorkerError, RPCError or TimeoutError where Temporal does not answer.
        """
        client, queue = self._client, self._fleet.settings.task_queue
        if not await follows_schedule(client, job.name, queue):
            # whoever resumes its schedule has a run by that
            job.wanted, job.is_renewed = None, False
            return False
        try:
            await begin_run(client, queue, job.name)
        except OpenRunError:
            if not await read_waiting_digest(client, job.name):
                return False
            if not job.is_renewed:
                await renew_plan(client, job.name, read_clock().isoformat())
                job.is_renewed = True
                return False
        return True


def _watch_job(files: JobFiles, seconds: int, wake: Callable[[], None]) -> WatchedJob:
    watched = Watched(files.loaded, files.mapping)
    watch = JobWatch(watched, files.account, seconds, wake)
    place = place_request(files.loaded, "", "plan")
    return WatchedJob(files, _mark_files(files), place, watch)


def _mark_files(files: JobFiles) -> Mark:
    return tuple(map(mark_file, files.texts))

"""What wakes a job between its ticks: looks at its tenant and its directory, which carry no data, and the hook.

A look takes marks before the run that it wakes reads anything. So what changes while that run reads
is seen by the next look, and our own writes cost at most one run that finds nothing to do.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from connector.apply.adapters import feed_of, source_of
from connector.directories.port import Feed
from connector.errors import ConnectorError, RefusedBindError, StateError
from connector.model.mapping import Mapping
from connector.observers.run_summary import describe_impersonally
from connector.runtime.clock import read_clock
from connector.runtime.log import log
from connector.serve.accounts import AccountBook, DirectoryAccount, Mark
from connector.serve.background import BackgroundCall, Wake
from connector.settings.job import LoadedJob
from connector.sources.port import Source, digest_tenant

Cause = Literal["start", "tenant", "directory", "hook"]
"""Why a run is woken; `start`: there was no look before to compare with."""
LONGEST_PAUSE: Final = 300.0
"""Seconds between looks that go on failing, unless `watch` is longer: what refuses us is not to be pressed."""
CAUSES: Final[tuple[Cause, ...]] = ("start", "tenant", "directory", "hook")


class WakeUp(Struct, frozen=True):
    """A run that is wanted before the next tick."""

    cause: Cause
    at: datetime
    """When it became known."""
    changed_after: datetime
    """The earliest time of the change that it is for."""
    run_id: str
    """Id of the run's first attempt."""


class Look(Struct, frozen=True):
    """What a look came to."""

    cause: Cause | None = None
    """None: nothing has moved."""
    faults: tuple[str, ...] = ()
    """Why the tenant or the directory could not be looked at, without names of people."""
    is_blind: bool = False
    """Whether the directory cannot tell if its users change."""
    is_refused: bool = False
    """Whether the directory refused the account."""


class Watched:
    """A job's tenant and directory, with the marks of the last look. In one thread at a time."""

    def __init__(self, job: LoadedJob, mapping: Mapping) -> None:
        self.name = job.name
        self._job = job
        self._mapping = mapping
        self._key = os.urandom(32)
        self._source: Source | None = None
        self._digest = b""
        self._feed: Feed | None = None
        self._mark: str | None = None

    def look(self) -> Look:
        """Look once, at both."""
        causes: list[Cause] = []
        faults: list[str] = []
        for look_at_part in (self._look_at_tenant, self._look_at_directory):
            try:
                cause = look_at_part()
            except RefusedBindError as fault:
                return Look(faults=(describe_impersonally(fault),), is_refused=True)
            except ConnectorError as fault:
                faults.append(describe_impersonally(fault))
            else:
                if cause is not None:
                    causes.append(cause)
        return Look(
            cause=causes[0] if causes else None,
            faults=tuple(faults),
            is_blind=self._mark == "",
        )

    def _look_at_tenant(self) -> Cause | None:
        try:
            if self._source is None:
                self._source = source_of(self._job, self._mapping)
            digest = digest_tenant(self._source.read(), self._key)
        except ConnectorError:
            self._source = None  # its key may be another by the next look
            raise
        former, self._digest = self._digest, digest
        if not former:
            return "start"
        return "tenant" if digest != former else None

    def _look_at_directory(self) -> Cause | None:
        try:
            if self._feed is None:
                self._feed = feed_of(self._job)
            answer = self._feed.ask_since(self._mark or "")
        except ConnectorError:
            self.close()
            raise
        former, self._mark = self._mark, answer.mark
        if former is None:
            return "start"
        return "directory" if answer.has_moved else None

    def close(self) -> None:
        """Let go of the connection to the directory."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None


class JobWatch:
    """Looks once in a while, in a thread of its own, one look at a time."""

    def __init__(
        self, watched: Watched, account: DirectoryAccount, seconds: int, wake: Wake
    ) -> None:
        """`account`: whom looks log in as. `seconds`: between the begins of two looks."""
        self._watched = watched
        self._account = account
        self._mark: Mark = ()
        """Mark of the account's files when the last look began."""
        self._seconds = seconds
        self._wake = wake
        self._call: BackgroundCall[Look] | None = None
        # so that the jobs of one process do not all look at once
        scattered = random.random() * seconds  # noqa: S311  # a pause, not a secret
        self._next = time.monotonic() + scattered
        self._begun = self._begun_before = read_clock()
        self._faults: tuple[str, ...] = ()
        self._failures = 0

    @property
    def changed_after(self) -> datetime:
        """When the last look but one that saw all began: what the last one saw has changed since."""
        return self._begun_before

    @property
    def is_looking(self) -> bool:
        """Whether a look is under way, or its answer was not taken."""
        return self._call is not None

    @property
    def seconds_left(self) -> float:
        """Seconds until the next look may begin; 0: now."""
        return max(0.0, self._next - time.monotonic())

    def begin_look(self) -> None:
        """Begin the next look."""
        doublings = min(max(0, self._failures - 2), 10)
        longest = max(self._seconds, LONGEST_PAUSE)
        pause = min(self._seconds * 2**doublings, longest)
        self._next = time.monotonic() + pause
        if not self._faults:
            self._begun_before = self._begun
        self._begun = read_clock()
        self._mark = self._account.read_mark()
        self._call = BackgroundCall(self._watched.look, float("inf"), self._wake)

    def take_look(self, accounts: AccountBook) -> Look | None:
        """What the look has come to, once; None where none has ended.

        `accounts` note what it tells of its account. The log says where it failed otherwise than the one before.
        """
        call = self._call
        if call is None or call.is_open:
            return None
        self._call = None
        try:
            look = call.take_answer()
        except StateError as fault:
            look = Look(faults=(str(fault),))
        if look.is_refused:
            accounts.note_refusal(self._account, self._mark)
        elif not look.faults:
            accounts.note_login(self._account, self._mark)
        former, self._faults = self._faults, look.faults
        self._failures = self._failures + 1 if look.faults else 0
        if look.faults != former:
            say = log.warning if look.faults else log.info
            event = "watch failed" if look.faults else "watch works again"
            say(event, job=self._watched.name, reason="; ".join(look.faults) or None)
        return look

    def close(self) -> None:
        """Let go of the connection, unless a look is under way, whose thread ends with the process."""
        if self._call is None:
            with suppress(OSError):
                self._watched.close()

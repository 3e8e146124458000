"""What became of a change."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from connector.model.directory import User, UserRef
from connector.model.secret import Held


class Result(StrEnum):
    """What became of a change."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"


class StoredValues(Struct, frozen=True):
    """How a directory stores an attribute that was sent in another spelling."""

    name: str
    values: tuple[Held, ...] = ()
    """Empty for a secret."""


class Outcome(Struct, frozen=True, gc=False):
    """What became of one user's change."""

    user: UserRef
    result: Result
    why: str = ""
    """The reason, for all but *written*."""
    shown: User | None = None
    """The user as the directory showed it in its answer to the write; for reading back
    alone."""
    unknown: bool = False
    """Of one that *failed*: it may have been written all the same; the next run finds
    out."""
    may_stand: bool = False
    """The server has answered, and some of the values may be there all the same. No
    reason to stop."""
    lost: tuple[str, ...] = ()
    """Of one that *failed*, the attributes that the server took and does not show as
    written. The others are as written."""
    aside: bool = False
    """Of one that was *skipped*: it was left out on purpose."""
    unnoted: bool = False
    """Of one that was *written*: the journal does not know it, so that the next run
    settles it."""
    differs: tuple[str, ...] = ()
    """Of a *conflict*, the attributes that are not as the change expects."""
    stored: tuple[StoredValues, ...] = ()
    """Of one that was *written*, what is stored in another spelling. Only reports have
    it, since it has values."""
    answered: bool = False
    """Whether `shown` is the write's own answer, and not a reading after it."""

    @property
    def is_open(self) -> bool:
        """Whether only reading tells what is there now."""
        return self.unknown or self.may_stand

    @property
    def touched(self) -> bool:
        """Whether something was written, or may have been."""
        return self.result is Result.WRITTEN or self.is_open or bool(self.lost)

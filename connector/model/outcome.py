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
    """What became of one user's change; `why` for all but *written*.

    `shown`: the user as the directory showed it in its answer to the write, where it did; for reading back alone.
    `answered`: that answer is the write's own, and not a reading after it.
    `unknown`: of one that *failed*, that it may have been written all the same; the next run finds out. `may_stand`: so
    does it where the server has answered, and some of the values may be there; that is no
    reason to stop. `lost`: of one that *failed*, the attributes that the server took and
    does not show as written; the others are as written.
    `aside`: of one that was *skipped*, that it was left out on purpose. `unnoted`: of one that was *written*, that the
    journal does not know, so that the next run settles it. `differs`: of a *conflict*, the
    attributes that are not as the change expects. `stored`: of one that was *written*, what is stored in another
    spelling. It has values, so only reports have it: logs, audit and journal do not.
    """

    user: UserRef
    result: Result
    why: str = ""
    shown: User | None = None
    unknown: bool = False
    may_stand: bool = False
    lost: tuple[str, ...] = ()
    aside: bool = False
    unnoted: bool = False
    differs: tuple[str, ...] = ()
    stored: tuple[StoredValues, ...] = ()
    answered: bool = False

    @property
    def open(self) -> bool:
        """Whether only reading tells what is there now."""
        return self.unknown or self.may_stand

    @property
    def touched(self) -> bool:
        """Whether something was written, or may have been."""
        return self.result is Result.WRITTEN or self.open or bool(self.lost)

"""What became of a change."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from connector.model.change import AttributeChange
from connector.model.directory import User, UserRef
from connector.model.secret import Held


class Result(StrEnum):
    """What became of a change."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"


class Difference(Struct, frozen=True):
    """How one attribute is not as a change expects: `wanted` by that change, held `now`, and wanted now (`then`).

    `wanted` None: the change left it alone. `now` None: it is not known. `then` None: the same, or nothing.
    `reviewed`: somebody has seen the change. `stored`: it was written, and `now` is how the directory stores it.
    """

    name: str
    wanted: AttributeChange | None
    now: tuple[Held, ...] | None = None
    then: AttributeChange | None = None
    reviewed: bool = False
    stored: bool = False


class Outcome(Struct, frozen=True, gc=False):
    """What became of one user's change; `why` for all but *written*.

    `shown`: the user as the directory showed it in its answer to the write, where it did; for reading back alone.
    `answered`: that answer is the write's own, and not a reading after it.
    `unknown`: of one that *failed*, that it may have been written all the same; the next run finds out. `may_stand`: so
    does it where the server has answered, and some of the values may be there; that is no
    reason to stop. `lost`: of one that *failed*, the attributes that the server took and
    does not show as written; the others are as written.
    `aside`: of one that was *skipped*, that it was left out on purpose. `unnoted`: of one that was *written*, that the
    journal does not know, so that the next run settles it. `differs`: of a *conflict*, how;
    of one that was
    *written*, what is stored in another spelling. It has values, so only reports have it: logs, audit and journal do
    not.
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
    differs: tuple[Difference, ...] = ()
    answered: bool = False

    @property
    def open(self) -> bool:
        """Whether only reading tells what is there now."""
        return self.unknown or self.may_stand

    @property
    def touched(self) -> bool:
        """Whether something was written, or may have been."""
        return self.result is Result.WRITTEN or self.open or bool(self.lost)

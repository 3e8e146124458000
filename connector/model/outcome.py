"""What became of a change, and how an apply ended, in numbers: what its last line and its exit code are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

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


AGAIN: Final = "written again, perhaps: the result of an interrupted run is unknown"
NOT_SENT: Final = "not sent"
"""With these words the reason begins of a change that was not sent since the run was stopped."""


class RunEnding(Struct, frozen=True):
    """Users by what became of their changes. Each is counted once, but for `unnoted`."""

    written: int = 0
    unchanged: int = 0
    """The directory had the values already."""
    not_written: int = 0
    not_sent: int = 0
    not_known: int = 0
    """Nobody can tell now whether they were written; the next run finds out."""
    left_out: int = 0
    """On purpose."""
    unnoted: int = 0
    """Of those written, how many the journal does not know."""
    stopped: bool = False
    """The run ended before its last change."""
    cut: bool = False
    """It ended at once."""
    touched: bool = False
    """Something was written, or may have been, be it a part of a change."""
    untold: bool = False
    """The audit of the run could not be kept to its end."""

    @classmethod
    def of(
        cls,
        outcomes: Iterable[Outcome],
        *,
        touched: bool = False,
        cut: bool = False,
        untold: bool = False,
        stopped: bool = False,
    ) -> Self:
        """`stopped`: it was to end before its time, which counts where not all is known to be written."""
        outcomes = list(outcomes)
        # seldom many
        others = [each for each in outcomes if each.result is not Result.WRITTEN]
        written = len(outcomes) - len(others)
        counts = Counter(map(_counted_as, others))
        unsent = any(
            each.result is Result.SKIPPED and each.why.startswith(NOT_SENT)
            for each in others
        )
        return cls(
            **counts,
            written=written,
            unnoted=sum(outcome.unnoted for outcome in outcomes),
            stopped=unsent or ((stopped or cut) and counts["not_known"] > 0),
            cut=cut,
            touched=touched
            or written > 0
            or any(outcome.touched for outcome in others),
            untold=untold,
        )

    @classmethod
    def unsent(cls, changes: int, left: Iterable[Outcome] = ()) -> Self:
        """An apply that was ended at once before any of its changes was sent. `left`: outcomes that it had before."""
        settled = cls.of(left, cut=True)
        return replace(settled, not_sent=settled.not_sent + changes, stopped=True)

    @property
    def user_count(self) -> int:
        return sum(
            (
                self.written,
                self.unchanged,
                self.not_written,
                self.not_sent,
                self.not_known,
                self.left_out,
            )
        )

    @property
    def in_part(self) -> bool:
        """Whether something that was to be written was not, or is not known to be, or the account of it is not kept."""
        return bool(
            self.not_written
            or self.not_sent
            or self.not_known
            or self.unnoted
            or self.untold
        )

    @property
    def in_vain(self) -> bool:
        """Whether the run was ended at once, before it could touch anything."""
        return self.cut and self.stopped and not self.touched


def _counted_as(outcome: Outcome) -> str:
    """The field of `RunEnding` in which an outcome counts that is not *written*."""
    match outcome.result:
        case Result.UNCHANGED:
            return "unchanged"
        case Result.SKIPPED:
            return "left_out" if outcome.aside else "not_sent"
        case _:
            return "not_known" if outcome.is_open else "not_written"

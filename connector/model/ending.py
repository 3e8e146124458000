"""How an apply ended, in numbers: what its last line and its exit code are made of."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.model.outcome import Outcome, Result

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

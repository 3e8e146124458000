"""How much time has passed between two applies, as far as the clock can be believed. Grace is counted by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct

from connector.model import Moment

SLACK: Final = timedelta(days=1)
"""A clock that was set by less than this is put right, as clocks are."""
MOST: Final = timedelta(days=31)
"""So long a time is believed where the machine has been started anew since, so that only
the clock tells of it."""


class Passed(Struct, frozen=True):
    """The time that counts. `jump`: why none does, where the clock has jumped."""

    time: timedelta = timedelta(0)
    jump: str = ""


def passed(last: Moment | None, now: Moment) -> Passed:
    """The time between two readings of the clock; none where it jumped, or had jumped before the first.

    Within one boot, the seconds since then tell. Else a clock that goes back has jumped,
    and so has one that goes on by more than `MOST`.
    """
    if last is None:
        return Passed()
    clock = now.time - last.time
    if now.boot and now.boot == last.boot:
        if abs(clock - timedelta(seconds=now.up - last.up)) > SLACK:
            return Passed(jump="the clock was set by more than a day")
    elif clock < -SLACK:
        return Passed(jump="the clock was set back by more than a day")
    elif clock > MOST:
        return Passed(
            jump=f"only the clock says that more than {MOST.days} days have passed"
        )
    elif not last.sure:
        return Passed()
    return Passed(max(clock, timedelta(0)))

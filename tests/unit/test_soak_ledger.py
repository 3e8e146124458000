"""The ledger of `make soak`: which runs of a job are in order, also where the clock is set as one begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.serving import Event
from tests.support.soak_ledger import Beats

NOON = datetime(2027, 3, 26, 12, tzinfo=UTC)
EVERY = timedelta(seconds=3)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def run(tick: float, began: float) -> list[Event]:
    """What is logged of a run that takes a second."""
    started = {"event": "run started", "job": "beat", "tick": at(tick).isoformat(), "timestamp": at(began).isoformat()}
    return [started, {"event": "run ended", "job": "beat", "ending": "done", "timestamp": at(began + 1).isoformat()}]


def checked(*events: Event, jumps: tuple[tuple[float, float], ...] = ()) -> int:
    beats = Beats("beat", EVERY)
    for before, after in jumps:
        beats.jumped(at(before), at(after))
    return beats.check(events)


@pytest.mark.parametrize("back", [120, 86_400])
def test_a_run_that_begins_while_the_clock_is_set_back_is_in_order(back: int) -> None:
    """The tick was due by the old clock; what is logged has the time of the new one. Days back, ticks come again."""
    again = 6 if back < 600 else 6 - back
    runs = (*run(0, 0), *run(3, 3.2 - back), *run(again, again + 0.1))
    assert checked(*runs, jumps=((3.1, 3.1 - back),)) == 3


def test_a_run_before_its_tick_is_too_early() -> None:
    with pytest.raises(AssertionError, match="too early"):
        checked(*run(0, 0), *run(3, 2.5))
    with pytest.raises(AssertionError, match="too early"):
        checked(*run(0, 0), *run(3, 3.2 - 110), jumps=((3.1, 3.1 - 120),))


def test_a_run_that_is_left_out_and_one_that_is_made_twice_are_noticed() -> None:
    with pytest.raises(AssertionError, match="missed"):
        checked(*run(0, 0), *run(6, 6.1))
    with pytest.raises(AssertionError, match="twice"):
        checked(*run(0, 0), *run(0, 1.5))

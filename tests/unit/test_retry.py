"""The one policy of waits between two attempts."""

from __future__ import annotations

import random

import pytest

from connector.net.retry import LONGEST, seconds_to_wait


def test_the_bound_of_a_random_wait_doubles_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most - least)
    assert [seconds_to_wait(attempt) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, LONGEST, LONGEST]
    assert seconds_to_wait(10, longest=300) == 300


def test_what_the_answer_asks_for_comes_first() -> None:
    assert seconds_to_wait(1, {"retry-after": "7"}, longest=3) == 7

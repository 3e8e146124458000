"""The lines of the log."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from io import StringIO
from select import PIPE_BUF
from typing import Any

import pytest
import structlog
from hypothesis import example, given, strategies as st

from connector.cli.logs import configure, json_line
from connector.model import Secret
from connector.reports.visible import cleaned
from connector.runtime.log import LEVELS, log
from tests.support.logs import logged

facts = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(-1e9, 1e9).map(lambda seconds: round(seconds, 3))
    | st.text()
    | st.builds(Secret, st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), facts, max_size=4))
@example({"user": "uid=agent1,ou=people", "attributes": ["mail"]})
@example({"user": "uid=Jörg", "all of ASCII": "".join(map(chr, range(128))), "half a pair": "\udcff"})
def test_an_event_is_made_visible_and_spelt_as_structlog_spells_it(event: dict[str, Any]) -> None:
    assert json_line(event) == structlog.processors.JSONRenderer()(None, "info", cleaned(event))


def test_an_event_carries_its_own_details_before_those_of_the_run() -> None:
    with logged() as events:
        log.about = {"run": "1", "job": "staff"}
        log.info("outcome", job="other")
    ((*first, (_, time)),) = (event.items() for event in events)
    assert first == [("job", "other"), ("event", "outcome"), ("run", "1"), ("level", "info")]
    assert datetime.fromisoformat(time).utcoffset() == timedelta(0)


def test_events_that_come_together_are_handed_on_at_once() -> None:
    taken: list[list[str]] = []
    with logged():
        log.configure(lambda events: taken.append([event["event"] for event in events]))
        log.info("before")
        with log.together():
            log.info("one")
            log.info("two")
        log.info("after")
    assert taken == [["before"], ["one", "two"], ["after"]]


def test_lines_are_written_in_pieces_that_a_pipe_takes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(sys, "stderr", StringIO())
    monkeypatch.setattr(sys.stderr, "write", written.append)
    with logged():
        configure("info")
        with log.together():
            for number in range(100):
                log.info("outcome", number=number, why="x" * (50 * number))
    assert [json.loads(line)["number"] for line in "".join(written).splitlines()] == list(range(100))
    assert all(text.endswith("\n") and (len(text) <= PIPE_BUF or text.count("\n") == 1) for text in written)
    assert len(written) < 100


@pytest.mark.parametrize("least", LEVELS)
def test_events_below_the_level_are_not_taken(least: str) -> None:
    with logged() as events:
        log.configure(events.extend, least)
        for level in LEVELS:
            getattr(log, level)("happened")
    assert [event["level"] for event in events] == list(LEVELS[LEVELS.index(least) :])

"""The lines of the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import click
import pytest
import structlog
from hypothesis import example, given, strategies as st

from connector.cli.main import cli
from connector.cli.observers import configure_log
from connector.model import Secret
from connector.reports.visible import clean_texts
from connector.runtime.log import log, run_details
from tests.support.logs import logged

LEVELS = ("debug", "info", "warning", "error")
NAMES = st.text().filter(lambda name: name not in ("event", "level", "timestamp", "self"))
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


@contextmanager
def log_output(level: str) -> Iterator[StringIO]:
    """Standard error, to which the log goes."""
    output = StringIO()
    with logged(), redirect_stderr(output), click.Context(cli, obj=level):
        configure_log()
        yield output


@given(st.dictionaries(NAMES, facts, max_size=4))
@example({"user": "uid=agent1,ou=people", "attributes": ["mail"]})
@example({"user": "uid=Jörg", "all of ASCII": "".join(map(chr, range(128))), "half a pair": "\udcff"})
def test_an_event_is_a_line_of_visible_ascii(details: dict[str, Any]) -> None:
    with log_output("debug") as output:
        log.info("happened", **details)
    line = output.getvalue()
    assert line.endswith("\n")
    assert line.isascii()
    assert line[:-1].isprintable()
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("timestamp")).utcoffset() == timedelta(0)
    expected = clean_texts({**details, "event": "happened", "level": "info"})
    assert told == json.loads(structlog.processors.JSONRenderer()(None, "info", expected))


def test_an_event_carries_its_own_details_before_those_of_the_run() -> None:
    with log_output("info") as output:
        run_details.update(run="1", job="staff")
        log.info("outcome", job="other")
    *first, _ = json.loads(output.getvalue()).items()
    assert first == [("job", "other"), ("event", "outcome"), ("run", "1"), ("level", "info")]


@pytest.mark.parametrize("least", LEVELS)
def test_events_below_the_level_are_not_logged(least: str) -> None:
    with log_output(least) as output:
        for level in LEVELS:
            getattr(log, level)("happened")
    events = [json.loads(line)["level"] for line in output.getvalue().splitlines()]
    assert events == list(LEVELS[LEVELS.index(least) :])

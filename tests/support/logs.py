"""What the program logs, for tests in the same process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict

from connector.runtime.log import add_run_details, run_details


@contextmanager
def logged() -> Iterator[list[EventDict]]:
    """The events of every level that are logged meanwhile."""
    events: list[EventDict] = []

    def take(_logger: object, _method: str, event: EventDict) -> EventDict:
        events.append(event)
        raise structlog.DropEvent

    before, details = structlog.get_config(), run_details.copy()
    run_details.clear()
    structlog.configure(
        processors=[add_run_details, structlog.processors.add_log_level, take],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
    )
    try:
        yield events
    finally:
        structlog.configure(**before)
        run_details.clear()
        run_details.update(details)

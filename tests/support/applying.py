"""Write changes as an apply does, with fewer words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.apply.engine import Applied, WriteOrder, WriteTarget, write_changes
from connector.apply.ledger import Journal
from connector.directories.port import Directory
from connector.model import Change, Description
from connector.model.limits import Pace
from connector.observers.observer import Observer
from connector.runtime.stopping import Settling, Stop


def apply(
    changes: Sequence[Change],
    directory: Directory,
    description: Description,
    journal: Journal,
    observer: Observer,
    *,
    pace: Pace = Pace(),  # noqa: B008  # a frozen value
    stop: Stop | None = None,
    settling: Settling | None = None,
    **known: Any,
) -> Applied:
    """`known`: the other fields of the order."""
    target = WriteTarget(directory, description, journal, observer)
    return write_changes(WriteOrder(changes, **known), target, pace, stop=stop, settling=settling)

"""Write changes as an apply does, with fewer words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.apply.engine import WriteOrder, WriteResult, WriteTarget, write_changes
from connector.apply.ledger import WriteJournal
from connector.directories.port import Directory
from connector.model import Change, Description
from connector.model.limits import ApplyPace
from connector.observers.observer import Observer
from connector.runtime.stopping import SettleTime, StopRequest


def apply(
    changes: Sequence[Change],
    directory: Directory,
    description: Description,
    journal: WriteJournal,
    observer: Observer,
    *,
    pace: ApplyPace = ApplyPace(),  # noqa: B008  # a frozen value
    stop: StopRequest | None = None,
    settling: SettleTime | None = None,
    **known: Any,
) -> WriteResult:
    """`known`: the other fields of the order."""
    target = WriteTarget(
        directory, description, journal, observer, lambda user, name, value: "", pace, stop or StopRequest(),
        settling or SettleTime(),
    )  # fmt: skip
    return write_changes(WriteOrder(changes, **known), target)

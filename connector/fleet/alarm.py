"""Telling somebody that the applies of a fleet have stopped."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from secrets import token_hex

from connector.observers.notices import SCHEMA, Notice
from connector.observers.notify import deliver, targets
from connector.reports.visible import visible
from connector.settings.fleet import LoadedFleet

_ATTEMPTS = 5
_NAMED = 20
"""So many jobs are named at most."""


def alarm(fleet: LoadedFleet, ran: int, bad: Sequence[str]) -> None:
    """Tell whom the fleet's file names. Never raises: what cannot be told is logged."""
    told = _notice(ran, bad)
    for target in targets(fleet):
        deliver(fleet, target, told, _ATTEMPTS)


def _notice(ran: int, bad: Sequence[str]) -> Notice:
    subject = f"cec-connector: the applies of the fleet have stopped: {len(bad):,} of {ran:,} jobs turned bad"
    more = f" and {len(bad) - _NAMED:,} others" if len(bad) > _NAMED else ""
    text = "\n".join(
        [
            f"Of {ran:,} jobs that ran within the last hour, {len(bad):,} failed, were refused, or wrote in part:",
            *(f"    {visible(name)}" for name in bad[:_NAMED]),
            *([more.strip()] if more else []),
            "No apply begins until somebody says so. Find the cause, then run:",
            "    cec-connector fleet resume FOLDER",
        ]
    )
    about = {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "occasions": ["failed"],
        "jobs": list(bad),
        "ran": ran,
    }
    body = about | {"digest": "", "fault": subject, "ending": "failed", "text": text}
    return Notice(
        id=token_hex(16), occasions=("failed",), subject=subject, text=text, body=body
    )

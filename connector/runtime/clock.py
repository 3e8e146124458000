"""The clock of this machine, with its boot and the seconds since then, by which a jump of the clock is seen."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connector.model import Moment

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""A random number that the kernel (Linux) draws at its start."""


def stamp(timespec: str = "microseconds", before: timedelta = timedelta()) -> str:
    """The time now, or so long ago (RFC 3339, UTC)."""
    return (datetime.now(UTC) - before).isoformat(timespec=timespec)


def now() -> Moment:
    """The time, to the second where it is written down."""
    try:
        boot, up = (
            _BOOT.read_text("ascii").strip(),
            int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        )
    except (OSError, AttributeError, UnicodeError):
        boot, up = "", 0
    return Moment(datetime.now(UTC), boot, up)

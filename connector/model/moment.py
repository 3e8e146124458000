"""A reading of the clock, and what it can be held against."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Moment(Struct, frozen=True):
    """A time (UTC), as the clock had it.

    `boot`: the boot of the machine in which it was read, empty where nothing tells; `up`: seconds since then, which
    nobody can set. `sure` False: the clock had jumped just before.
    """

    time: datetime
    boot: str = ""
    up: int = 0
    sure: bool = True

"""What a plan is made with, beside the agents and the directory."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from connector.model import Description, Fingerprint, Memory
from connector.model.limits import Limits
from connector.model.mapping import Mapping

NAMES_SECONDS: Final = 5
"""So long names of people are waited for that nobody has asked for."""
Slot = tuple[str, str]
"""A user's id, and an attribute."""


class ShownNames(Struct, frozen=True):
    """The names of people in reports."""

    attributes: tuple[str, ...] = ()
    """The attributes that have them, in the order in which they are tried."""
    asked: bool = False
    """The job says so itself."""
    everybody: bool = False
    """A report will name all users of the changes."""


class PlanBrief(Struct, frozen=True, kw_only=True):
    """The job's rules, what is known of the directory, and the plan's heading."""

    mapping: Mapping
    limits: Limits
    description: Description
    memory: Memory
    fingerprint: Fingerprint
    job: str
    plan_id: str
    now: datetime
    """When planning began."""
    about: tuple[tuple[str, str], ...] = ()
    """What the plan is made from, for its reader."""
    show: ShownNames = ShownNames()

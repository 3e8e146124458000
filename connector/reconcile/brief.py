"""What a plan is drawn from, besides the directory's answers: values that are the same for a plan and for an undo."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from connector.model import Description, Fingerprint, Memory
from connector.reconcile.limits import Limits
from connector.reconcile.mapping import Mapping


class Brief(Struct, frozen=True, kw_only=True):
    """The job's rules, what is known of the directory, and the plan's heading.

    `now`: when the plan is drawn (UTC). `about`: between what, for the reader of the plan.
    """

    mapping: Mapping
    limits: Limits
    description: Description
    memory: Memory
    fingerprint: Fingerprint
    job: str
    plan_id: str
    now: datetime
    about: tuple[tuple[str, str], ...] = ()

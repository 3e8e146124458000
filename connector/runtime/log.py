"""The log of the process. structlog makes it; `cli/observers.py` says in which form and where to."""

from __future__ import annotations

from typing import Any, Final

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

run_details: Final[dict[str, Any]] = {}
"""What every event carries while a run is under way. It is one for all threads: those that an
adapter starts do not see context variables of the run."""


def add_run_details(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the details of the run to an event, which keeps its own (a processor of structlog)."""
    return {**event, **run_details, **event}


log: Final[FilteringBoundLogger] = structlog.get_logger()

# until somebody says where the log goes, nothing is logged
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))

"""Plans that are kept, so that later ones can be compared with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from connector.apply.context import Context, PlanContext
from connector.errors import StateError
from connector.model import Drawn, Plan
from connector.planning.comparison import drawn, since

Before = Callable[[], Drawn]
"""Finds the plan that a new one is compared with. It is asked once that is drawn, and all
open writes are settled."""


def compared(
    context: PlanContext, plan: Plan, before: Before | None, by: str, *, some: bool
) -> Plan:
    """The plan with what is new in it; a full one is kept for the next comparison."""
    earlier = before() if before is not None else None
    if not some:
        with suppress(StateError):  # the plan itself is whole
            context.state.drawn.note(context.job, drawn(plan), by)
    return (
        replace(plan, notes=replace(plan.notes, since=since(earlier, plan)))
        if earlier is not None
        else plan
    )


def keep(context: Context, run: str, plan: Plan, *, some: bool) -> None:
    """Keep the plan of a run or attempt, so that a later one can be compared with it."""
    if plan.changes and not some:
        context.state.drawn.note_run(context.job, run, drawn(plan))

"""Whether a job may be applied at all: it may be on hold, its agents may come from elsewhere, its plan may be spent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from connector.errors import OnHoldError
from connector.model import ON_HOLD, Plan
from connector.run.context import ApplyContext, PlanContext
from connector.state.store import Store


def permit(context: ApplyContext, directory: str, reviewed: Plan | None, octets: bytes | None) -> None:
    """Raises OnHoldError for a job on hold, and RefusedError for a plan that is not to be applied.

    `octets`: of the plan's file, where they have to be those that were saved.
    """
    not_on_hold(context.state, context.job)
    if reviewed is not None:
        context.state.permit(reviewed, context.job, directory, octets=octets)


def not_on_hold(state: Store, job: str) -> None:
    """Raises OnHoldError for a job on hold."""
    held = state.held(job)
    if held is not None:
        since, why = held
        raise OnHoldError(f"this job is on hold since {since}: {why}", where=job)


def same_source(context: PlanContext) -> None:
    """Raises OnHoldError for a job whose agents came from elsewhere before: then all of its users would be stale."""
    why = _moved(context)
    if why:
        context.state.hold(context.job, why)
        raise OnHoldError(f"this job is on hold: {why}", where=context.job)


def _moved(context: PlanContext) -> str:
    """That the agents of the job came from elsewhere before; empty where they did not."""
    before, now = context.state.source(context.job), context.source.identity
    return "" if before in (None, now) else f"its source was {before} and is now {now}"


def held_back(context: PlanContext) -> Iterator[tuple[str, str]]:
    """That an apply would be refused, for whoever reads a plan."""
    held, moved = context.state.held(context.job), _moved(context)
    if held or moved:
        why = f"since {held[0]}: {held[1]}" if held else f"from the next apply on: {moved}"
        release = shlex.join(["cec-connector", "release", context.file])
        yield ON_HOLD, f"{why}; applies are refused. To allow them, run: {release}"

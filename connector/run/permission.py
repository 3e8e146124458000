"""Whether a job may be applied at all: it may be on hold, its agents may come from elsewhere, its plan may be spent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from connector.errors import OnHoldError, RefusedError
from connector.model import ON_HOLD, Plan
from connector.run.context import ApplyContext, PlanContext
from connector.state.store import Store


def permit(
    context: ApplyContext, directory: str, reviewed: Plan | None, octets: bytes | None, *, asked: bool = False
) -> None:
    """Raises OnHoldError for a job on hold, and RefusedError for a plan that is not to be applied.

    `octets`: of the plan's file, where they have to be those that were saved. `asked`: it was shown just now, and not
    saved.
    """
    not_on_hold(context.state, context.job)
    if reviewed is None:
        return
    if not asked:
        context.state.permit(reviewed, context.job, directory, octets=octets)
    elif not set(undone(context.state, context.job)).issubset(reviewed.cautions):
        raise RefusedError("a run of this job was taken back after this plan was shown", where=reviewed.id)


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


def undone(state: Store, job: str) -> Iterator[str]:
    """That a run was taken back: a note of the next plans, so that no digest that was read before is theirs."""
    number = state.history.undone(job)
    if number is not None:
        yield f"an undo, run number {number} of the state, took back a run. This plan may write the same again"

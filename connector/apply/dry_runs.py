"""Dry runs: a plan, or what would take a run back, is made and shown, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from connector.apply.context import Context, PlanContext, UndoContext
from connector.apply.kept_plans import Before, compared
from connector.apply.permission import same_job
from connector.apply.planning import make_plan
from connector.apply.result import Run
from connector.errors import UsageError
from connector.model import Outcome, Plan, Result
from connector.planfile import sha256_of
from connector.planning.undoing import undo

Show = Callable[[Plan, Sequence[Outcome] | None], None]


def dry_run(
    context: PlanContext,
    show: Show,
    only: Collection[str] = (),
    *,
    save: bool = False,
    before: Before | None = None,
    by: str = "",
) -> Run:
    """Plan and show; `context` can write nothing to the directory. `save`: the plan is for `apply --plan`.

    `before`: what the plan is compared with. `by`: who has it drawn, as the state keeps it for the next one.
    """
    same_job(context)
    plan = compared(context, make_plan(context, only).plan, before, by, some=bool(only))
    if save:
        context.state.keep(
            plan, context.reader.describe().identity, file=sha256_of(plan)
        )
    return shown(context, plan, show)


def dry_undo(context: UndoContext, show: Show, *, save: bool = False) -> Run:
    """Show what would take a run back. `save`: the plan is for `undo --plan`."""
    same_job(context)
    plan = undo_plan(context)
    if save:
        context.state.keep(
            plan, context.wrote_to, undoes=context.run, file=sha256_of(plan)
        )
    return shown(context, plan, show)


def undo_plan(context: UndoContext) -> Plan:
    """The plan that takes back what a run has written, as far as it still is as that run left it."""
    _, steps = context.state.steps(context.run, context.job, context.sealer)
    brief = context.brief(
        {
            each.name
            for step in steps
            for each in step.change.attributes
            if not each.secret
        }
    )
    if brief.description.identity != context.wrote_to:
        raise UsageError(
            f"that run wrote to another directory ({context.wrote_to})",
            where=context.run,
        )
    context.observer.stage(
        "read directory",
        users=sum(step.outcome in (Result.WRITTEN, None) for step in steps),
    )
    about = [*brief.about, ("takes back", f"run {context.run}")]
    earlier = context.state.history.taken_back(context.run)
    about += (
        [("done before", f"run {earlier} took it back, as far as it could")]
        if earlier
        else []
    )
    return undo(
        context.look_up(),
        replace(brief, about=tuple(about)),
        [(step.change, step.outcome, step.server, step.run) for step in steps],
        begun=context.state.history.released(context.run),
        since=context.state.history.written_since(context.run),
        exclude=context.exclude,
        unshown=[
            (step.change, step.lost)
            for step in steps
            if step.lost and step.outcome is not Result.WRITTEN
        ],
    )


def shown(context: Context, plan: Plan, show: Show) -> Run:
    """Tell observers of a plan, and show it."""
    context.observer.planned(plan)
    context.observer.stage(
        "show",
        changes=len(plan.changes),
        problems=len(plan.problems),
        refusals=len(plan.refusals),
    )
    show(plan, None)
    return Run(plan, refused=bool(plan.refusals))

"""Dry runs: a plan, or what would take a run back, is made and shown, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.context import PlanContext, RunContext, UndoContext
from connector.apply.permission import require_same_job
from connector.apply.planning import make_plan
from connector.errors import StateError, UsageError
from connector.model import EarlierPlan, Outcome, Plan, Result, RunEnding
from connector.planning.review import digest_plan, find_news
from connector.planning.undoing import WrittenRun, WrittenStep, make_undo_plan

Show = Callable[[Plan, Sequence[Outcome] | None], None]
FindEarlier = Callable[[], EarlierPlan]
"""Finds the plan that a new one is compared with. It is asked once that is drawn, and all
open writes are settled."""


class FinishedRun(Struct, frozen=True):
    """What a run came to."""

    plan: Plan
    refused: bool
    outcomes: Sequence[Outcome] | None = None
    """None: nothing was to be applied."""
    aside: frozenset[str] = frozenset()
    """Ids of users whose change was left out on purpose."""
    remembered: bool = True
    """Whether the state could be written to its end."""
    tried: bool = True
    """Whether every change was tried."""
    touched: bool = False
    """Whether something was written, or may have been, if not all of a user's change."""
    cut: bool = False
    """Whether it was ended at once."""
    audit_error: str = ""
    """Why the audit could not be completed."""

    @property
    def count_ending(self) -> RunEnding:
        return RunEnding.of(
            self.outcomes or (),
            touched=self.touched,
            cut=self.cut,
            untold=bool(self.audit_error),
            stopped=not self.tried,
        )


def dry_run(
    context: PlanContext,
    show: Show,
    only: Collection[str] = (),
    *,
    save: bool = False,
    before: FindEarlier | None = None,
    by: str = "",
) -> FinishedRun:
    """Plan and show. `save`: the plan is for `apply --plan`. `before`, `by`: as `compare_plan` has them."""
    require_same_job(context)
    plan = make_plan(context, only).plan
    plan = compare_plan(
        context,
        plan,
        before,
        by,
        some=bool(only),
    )
    if save:
        identity = context.reader.describe().identity
        context.state.keep_saved_plan(plan, identity)
    return show_plan(context, plan, show)


def dry_undo(
    context: UndoContext,
    show: Show,
    *,
    save: bool = False,
) -> FinishedRun:
    """Show what would take a run back. `save`: the plan is for `undo --plan`."""
    require_same_job(context)
    plan = draw_undo(context)
    if save:
        context.state.keep_saved_plan(plan, context.wrote_to, undoes=context.run)
    return show_plan(context, plan, show)


def draw_undo(context: UndoContext) -> Plan:
    """The plan that takes back what a run has written, as far as it still is as that run left it."""
    state, run = context.state, context.run
    _, steps = state.read_steps_of_run(run, context.job, context.sealer)
    changes = [each for step in steps for each in step.change.attributes]
    brief = context.make_brief({each.name for each in changes if not each.secret})
    if brief.description.identity != context.wrote_to:
        why = f"that run wrote to another directory ({context.wrote_to})"
        raise UsageError(why, where=run)
    users = sum(step.outcome in (Result.WRITTEN, None) for step in steps)
    context.observer.begin_stage("read directory", users=users)
    about = [*brief.about, ("takes back", f"run {run}")]
    if earlier := state.history.find_undo(run):
        said = f"run {earlier} took it back, as far as it could"
        about.append(("done before", said))
    written = WrittenRun(
        [
            WrittenStep(
                step.change,
                step.outcome,
                step.server,
                step.run,
            )
            for step in steps
        ],
        begun=state.history.find_parts_alone(run),
        since=state.history.find_later_writes(run),
        unshown=[
            (step.change, step.lost)
            for step in steps
            if step.lost and step.outcome is not Result.WRITTEN
        ],
    )
    brief = replace(brief, about=tuple(about))
    exclude = context.rules.exclude
    return make_undo_plan(
        context.look_up(),
        brief,
        written,
        exclude,
    )


def compare_plan(
    context: PlanContext,
    plan: Plan,
    before: FindEarlier | None,
    by: str,
    *,
    some: bool,
) -> Plan:
    """The plan with what is new in it; a full one is kept for the next comparison.

    `by`: who has it drawn, as the state keeps it for the next one.
    """
    earlier = before() if before is not None else None
    if not some:
        with suppress(StateError):  # the plan itself is whole
            context.state.drawn.note_last(context.job, digest_plan(plan), by)
    if earlier is None:
        return plan
    return replace(plan, notes=replace(plan.notes, since=find_news(earlier, plan)))


def show_plan(
    context: RunContext,
    plan: Plan,
    show: Show,
) -> FinishedRun:
    """Tell observers of a plan, and show it."""
    context.observer.take_plan(plan)
    context.observer.begin_stage(
        "show",
        changes=len(plan.changes),
        problems=len(plan.problems),
        refusals=len(plan.refusals),
    )
    show(plan, None)
    return FinishedRun(plan, refused=bool(plan.refusals))

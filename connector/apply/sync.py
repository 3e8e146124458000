"""Apply, undo: all that a run does to a directory, in this order. Its plan is made in `apply/planning.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.approval import (
    Signed,
    approved,
    lifted,
    octets_to_hold,
    refused_unapproved,
)
from connector.apply.context import ApplyContext, ApplyUndoContext, Context
from connector.apply.dry_runs import Show, dry_run, dry_undo, shown, undo_plan
from connector.apply.engine import Applied, apply
from connector.apply.holding import holding
from connector.apply.kept_plans import Before, compared, keep
from connector.apply.permission import identity_of, permit, same_job
from connector.apply.planning import make_plan, with_noticed
from connector.apply.recovery import Recovery, Settled
from connector.apply.result import Run
from connector.matching.selection import EVERYBODY, Selection
from connector.model import Change, Description, Ending, LastGood, Outcome, Plan, Result
from connector.planning.plan_builder import PlanResult
from connector.planning.review import fresh_refusals, hold_to
from connector.planning.undoing import folded
from connector.runtime import clock
from connector.runtime.stopping import Settling, Stop

if TYPE_CHECKING:
    from connector.state.memory import DirectoryMemory

__all__ = ["Run", "apply_run", "apply_undo", "dry_run", "dry_undo", "make_plan"]


class Work(Struct, frozen=True):
    """What an apply is to do: the plan it goes by, the changes to write, and outcomes of those that are not.

    `again`: users of whom an interrupted run may have written the same already. `settled`: writes of such a run
    that were open when this one began. `found`: what the next run's agents and users are
    held against.
    `some`: it is for some agents alone.
    """

    plan: Plan
    changes: Sequence[Change]
    left: Sequence[tuple[Change, Outcome]] = ()
    aside: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    settled: Settled = Settled()
    kind: str = "apply"
    undoes: str | None = None
    found: LastGood | None = None
    some: bool = False

    def written(self, applied: Applied) -> dict[str, Change]:
        """By user the changes that are confirmed, or what went first of them, but for what was there already."""
        confirmed = {
            outcome.user.id
            for outcome in applied.outcomes
            if outcome.result is Result.WRITTEN
        }
        changes = (change for change in self.changes if change.user.id in confirmed)
        firsts = {change.user.id: change for change in folded(applied.firsts)}
        return firsts | {
            change.user.id: _less(change, applied.found) for change in changes
        }


def _less(change: Change, found: Collection[tuple[str, str]]) -> Change:
    left = tuple(
        each for each in change.attributes if (change.user.id, each.name) not in found
    )
    return replace(change, attributes=left)


# ---------------------------------------------------------------- two heads


def apply_run(
    context: ApplyContext,
    show: Show,
    only: Collection[str] = (),
    *,
    accept: str | None = None,
    reviewed: Plan | None = None,
    asked: bool = False,
    signed: Signed | None = None,
    stop: Stop | None = None,
    before: Before | None = None,
    by: str = "",
) -> Run:
    """Plan, show, hold to what was reviewed, permit or refuse, apply, show what became of it.

    `accept` is the digest of the one plan that may be written; `reviewed` a plan of which no more than it says is
    written: one that was saved, perhaps `signed`, or one that somebody has just been
    `asked` about. `before` and `by`: as of a dry run.
    """
    identity = context.directory.describe().identity
    saved, reviewed = (
        reviewed,
        reviewed and approved(context, reviewed, signed, accept, identity),
    )
    with holding(context) as (description, ended):
        same_job(context)
        permit(
            context,
            description.identity,
            saved,
            octets_to_hold(context, signed),
            asked=asked,
        )
        recovery = Recovery(context, description)
        settled = recovery.settle()
        planned = make_plan(
            context, only, settled.doubtful, whole=reviewed is not None and not asked
        )
        memory = context.state.memory(description.identity, context.job)
        memory.note_excluded(planned.excluded)
        settled = recovery.settle_secrets(settled, planned.confirmed, planned.denied)
        memory.note_gone(planned.away, description.server)
        if reviewed is None:
            plan = compared(context, planned.plan, before, by, some=bool(only))
            plan = refused_unapproved(context, plan, description.identity)
            work = Work(plan, plan.changes)
        elif (
            any(fresh_refusals(reviewed, planned.plan, context.limits, some=bool(only)))
            and accept != planned.plan.digest
        ):
            return ended(
                _refused(context, shown(context, planned.plan, show), some=bool(only))
            )
        else:
            work = _held_to(context, reviewed, planned.plan, planned.only)
            accept = _of_reviewed(accept, reviewed, planned.plan)
        found = _found(context, planned.plan, description, some=bool(only))
        work = replace(
            work,
            again=settled.again(work.changes),
            settled=settled,
            found=found,
            some=bool(only),
        )
        run = _carry_out(context, work, show, accept, stop or Stop())
        if run.outcomes is not None and run.remembered:
            _remember(context, memory, planned, run, some=bool(only))
        return ended(run)


def apply_undo(
    context: ApplyUndoContext,
    show: Show,
    accept: str | None = None,
    stop: Stop | None = None,
    *,
    reviewed: Plan | None = None,
    asked: bool = False,
    signed: Signed | None = None,
) -> Run:
    """Take a run back, and put the job on hold, so that the next apply does not write it all again.

    An undo that takes nothing back leaves the job as it was. `reviewed`, `asked` and
    `signed`: as of an apply.
    """
    identity = context.directory.describe().identity
    saved, reviewed = (
        reviewed,
        reviewed and approved(context, reviewed, signed, accept, identity),
    )
    with holding(context) as (description, ended):
        same_job(context)
        if saved and not asked:
            octets = octets_to_hold(context, signed)
            context.state.permit(
                saved,
                context.job,
                description.identity,
                undoes=context.run,
                octets=octets,
            )
        settled = Recovery(context, description).settle()
        fresh = undo_plan(context)
        if (
            reviewed
            and any(fresh_refusals(reviewed, fresh, context.limits))
            and accept != fresh.digest
        ):
            return ended(_refused(context, shown(context, fresh, show), some=True))
        accept = _of_reviewed(accept, reviewed, fresh) if reviewed else accept
        plan = reviewed or refused_unapproved(context, fresh, description.identity)
        held = context.state.held(context.job)
        if plan.changes and plan.is_permitted(lifted(plan, accept)):
            context.state.hold(context.job, f"its run {context.run} was taken back")
        work = (
            _held_to(context, reviewed, fresh) if reviewed else Work(plan, plan.changes)
        )
        work = replace(work, settled=settled, kind="undo", undoes=context.run)
        run = _carry_out(context, work, show, accept, stop or Stop())
        if held is None and run.remembered and not run.touched:
            context.state.release(context.job)
        return ended(run)


# ---------------------------------------------------------------- one tail


def _refused(context: Context, run: Run, *, some: bool) -> Run:
    """A refused plan was shown: an attempt, which can be compared with."""
    keep(context, context.state.attempts.refused(run.plan), run.plan, some=some)
    return replace(run, refused=True)


def _of_reviewed(accept: str | None, reviewed: Plan, fresh: Plan) -> str | None:
    """The digest that accepts a reviewed plan. That of the fresh plan accepts every refusal that is left."""
    return reviewed.digest if accept == fresh.digest else accept


def _found(
    context: ApplyContext, plan: Plan, description: Description, *, some: bool
) -> LastGood:
    """What the next run is held against; no limit judges the users of a run of `some` agents, so it takes none away."""
    now = LastGood.of(plan.summary)
    last = (
        context.state.memory(description.identity, context.job).last_good()
        if some
        else None
    )
    return replace(now, matched=max(now.matched, last.expected(now))) if last else now


def _held_to(
    context: Context, reviewed: Plan, fresh: Plan, only: Selection = EVERYBODY
) -> Work:
    held = hold_to(
        context.look_up(), reviewed, fresh, context.brief(),
        done=context.state.history.written(reviewed.id),
        released=context.state.history.released(reviewed.id),
        since=context.state.history.overtaken(reviewed.id), only=only,
    )  # fmt: skip
    return Work(reviewed, held.changes, held.left, held.aside)


def _carry_out(
    context: ApplyContext | ApplyUndoContext,
    work: Work,
    show: Show,
    accept: str | None,
    stop: Stop,
) -> Run:
    """Show, permit or refuse, apply, show what became of it."""
    accept = lifted(work.plan, accept)
    if work.changes and work.plan.is_permitted(accept):
        unsent = Ending.unsent(len(work.changes), [outcome for _, outcome in work.left])
        stop.standing = lambda: unsent
    run = shown(context, work.plan, show)
    some = work.some or work.kind != "apply"
    if not work.plan.is_permitted(accept):
        return _refused(context, run, some=some)
    keep(context, work.plan.id, work.plan, some=some)
    context.observer.stage(
        "apply", changes=len(work.changes), left=len(work.left), accepted=run.refused
    )
    description = context.directory.describe()
    stop.wait_for_the_end()
    memory = context.state.memory(description.identity, context.job)
    if work.kind == "apply":
        context.state.note_identity(context.job, identity_of(context))
    noted = context.state.run(
        work.plan, description, context.sealer,
        kind=work.kind, undoes=work.undoes, found=work.found, some=work.some,
    )  # fmt: skip
    try:
        with noted as journal:
            applied = apply(
                work.changes, context.directory, description, journal, context.observer,
                pace=context.pace, stop=stop, settling=Settling(context.pace.settle, stop),
                left=work.left, again=work.again, left_open=work.settled.left_by(work.plan.id),
                refused=memory.refused(), last=context.mapping.told_by,
                fingerprint=context.fingerprint,
            )  # fmt: skip
            run = Run(
                work.plan, False, applied.outcomes, work.aside,
                tried=not applied.stopped, touched=applied.touched, cut=applied.cut,
            )  # fmt: skip
            applied_run = run
            stop.standing = lambda: replace(applied_run, untold=stop.failed).ending
            journal.result = (
                "done"
                if not run.ending.in_part
                else "stopped"
                if applied.stopped
                else "part"
            )
            if not (journal.broken or applied.cut):
                memory.note_refused(applied.ended, applied.turns)
                if work.settled:
                    Recovery(context, description).settle_at_the_end(
                        work.settled, work.written(applied)
                    )
            run = replace(run, remembered=not (journal.broken or applied.cut))
    finally:
        if run.outcomes is not None:  # also where the end of the run could not be noted
            run = replace(run, untold=stop.failed)
            ending = run.ending
            stop.standing = lambda: ending
            context.observer.stage("show", outcomes=ending.users)
            show(with_noticed(context.directory, work.plan), run.outcomes)
    return run


def _remember(
    context: ApplyContext,
    memory: DirectoryMemory,
    planned: PlanResult,
    run: Run,
    *,
    some: bool,
) -> None:
    """Keep what the next run needs to know of an apply, beside what its journal has."""
    outcomes = run.outcomes or ()
    if not some and any(outcome.result is Result.WRITTEN for outcome in outcomes):
        right = (Result.WRITTEN, Result.UNCHANGED)
        failed = {each.user.id for each in outcomes if each.result not in right}
        ours = {rule.name: rule.owns for rule in context.mapping.attributes}
        memory.take_over(frozenset(planned.matched()) - failed, ours)
    memory.note_claimed(planned.matched())
    memory.note_lapsed(planned.lapsed)
    if not some:
        memory.forget_refused({change.user.id for change in planned.plan.changes})
    if planned.stale is not None:
        memory.note_stale(
            planned.stale | planned.lapsed, clock.now(), planned.left_to_others
        )
    if run.tried and not some and not run.aside:
        context.state.renew(context.job, context.sealer)

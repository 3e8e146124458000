"""Apply and undo: all that a run does to a directory, in this order.

    apply_run    take the lease ── settle open writes ── plan ──────────┐
    apply_undo   take the lease ── settle open writes ── plan back ─────┤
                                                                        │
        show ── permit or refuse ── write ── settle ── show outcomes <──┘

The plan is made in `planning.py`, and written in `engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.approval import (
    Review,
    choose_accepted,
    find_approval_rules,
    identify_job,
    require_permission,
    require_same_job,
)
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    WriteContext,
)
from connector.apply.engine import WriteOrder, WriteTarget, write_changes
from connector.apply.ledger import CONFIRMED
from connector.apply.planning import (
    FindEarlier,
    FinishedRun,
    Show,
    compare_plan,
    draw_undo,
    dry_run,
    dry_undo,
    make_plan,
    note_agents,
    show_plan,
    with_noticed,
)
from connector.apply.recovery import Recovery
from connector.matching.selection import EVERYBODY, Selection
from connector.model import Description, LastGood, Plan, Result, RunEnding
from connector.planning.make_plan import PlannedRun
from connector.planning.review import (
    HeldPlan,
    Progress,
    digest_plan,
    find_fresh_refusals,
    hold_to,
)
from connector.runtime import clock
from connector.runtime.stopping import SettleTime, StopRequest

if TYPE_CHECKING:
    from connector.state.memory import DirectoryMemory

__all__ = ["FinishedRun", "apply_run", "apply_undo", "dry_run", "dry_undo", "make_plan"]


class WriteTask(Struct, frozen=True):
    """What an apply or undo is to write of a plan, and how its run is recorded."""

    plan: Plan
    recovery: Recovery
    """Knows the writes of earlier runs that were open when this one began."""
    held: HeldPlan = HeldPlan(())
    """The changes to write, and outcomes of those that are not."""
    is_permitted: bool = False
    undoes: str | None = None
    """The run that it takes back; None: it is an apply."""
    expected: LastGood | None = None
    """What the next run's agents and users are held against."""
    is_selected: bool = False
    """Whether it is for some agents alone."""

    @property
    def is_comparable(self) -> bool:
        """Whether later plans may be compared with this one."""
        return bool(self.plan.changes) and not self.is_selected and not self.undoes


# ---------------------------------------------------------------- two heads


def apply_run(
    context: ApplyContext,
    show: Show,
    only: Collection[str] = (),
    *,
    accept: str | None = None,
    review: Review = Review(),  # noqa: B008  # a frozen value
    stop: StopRequest | None = None,
    before: FindEarlier | None = None,
    by: str = "",
) -> FinishedRun:
    """Plan, show, hold to what was reviewed, permit or refuse, write, show what became of it.

    `accept`: the digest of the one plan that may be written. `before`, `by`: as of a dry run.
    """
    is_selected = bool(only)
    rules = find_approval_rules(context)
    saved, review = review, rules.approve_plan(review, accept)

    def carry_out(description: Description) -> FinishedRun:
        require_same_job(context)
        require_permission(context, rules, saved)
        recovery = Recovery(context, description)
        recovery.settle_by_reading()
        open_now = recovery.open_changes
        planned = make_plan(context, only, open_now, whole=review.is_saved)
        if not only:
            note_agents(context, planned)
        memory = context.state.memory(description.identity, context.job)
        memory.note_excluded(planned.exclusion.named)
        recovery.settle_by_comparing(planned.confirmed, planned.denied)
        memory.note_gone(planned.away, description.server)
        fresh = planned.plan
        if review.plan is None:
            fresh = compare_plan(context, fresh, before, by, some=is_selected)
        task = WriteTask(
            fresh,
            recovery,
            expected=_expect_next(memory, fresh, is_selected=is_selected),
            is_selected=is_selected,
        )
        task = _hold_to_review(context, task, review, accept, planned.only)
        run = _write_plan(context, task, show, stop or StopRequest())
        if run.outcomes is not None and run.remembered:
            _remember_apply(context, memory, planned, run, is_selected=is_selected)
        return run

    return _run_locked(context, carry_out)


def apply_undo(
    context: ApplyUndoContext,
    show: Show,
    accept: str | None = None,
    stop: StopRequest | None = None,
    *,
    review: Review = Review(),  # noqa: B008  # a frozen value
) -> FinishedRun:
    """Take a run back, and put the job on hold, so that the next apply does not write it all again.

    An undo that takes nothing back leaves the job as it was.
    """
    state, job = context.state, context.job
    rules = find_approval_rules(context)
    saved, review = review, rules.approve_plan(review, accept)

    def carry_out(description: Description) -> FinishedRun:
        require_same_job(context)
        rules.permit_saved(saved, context.run)
        recovery = Recovery(context, description)
        recovery.settle_by_reading()
        task = WriteTask(draw_undo(context), recovery, undoes=context.run)
        task = _hold_to_review(context, task, review, accept)
        held = state.read_hold(job)
        if task.plan.changes and task.is_permitted:
            state.hold_job(job, f"its run {context.run} was taken back")
        run = _write_plan(context, task, show, stop or StopRequest())
        if held is None and run.remembered and not run.touched:
            state.release_job(job)
        return run

    return _run_locked(context, carry_out)


def _run_locked(
    context: WriteContext,
    carry_out: Callable[[Description], FinishedRun],
) -> FinishedRun:
    """Carry out a run under the directory's lease; note its begin and end in the audit.

    Observers are told of the begin after the lease was taken, and of the end before it is
    let go: the audit is a chain, to which one run at a time may add. Raises BusyError,
    OutputError, StateError.
    """
    description, observer = context.directory.describe(), context.observer
    with context.state.lease(description.identity, context.job):
        try:
            observer.open_directory(
                description.identity, context.fingerprint, context.state.audit
            )
            run = carry_out(description)
        except BaseException as fault:
            observer.close_directory(None, None, fault)
            raise
        observer.close_directory(run.plan, None if run.refused else run.count_ending)
    return run


# ---------------------------------------------------------------- one tail


def _hold_to_review(
    context: WriteContext,
    task: WriteTask,
    review: Review,
    accept: str | None,
    only: Selection = EVERYBODY,
) -> WriteTask:
    """What is written of the fresh plan of a task, or of the reviewed one; nothing where that is refused anew."""
    fresh, plan = task.plan, review.plan
    if plan is None:
        plan = find_approval_rules(context).refuse_unapproved(fresh)
        held = HeldPlan(plan.changes)
    else:
        refusals = find_fresh_refusals(
            plan, fresh, context.rules.limits, some=task.is_selected
        )
        if accept == fresh.digest:  # accepts every refusal that is left
            accept = plan.digest
        elif any(refusals):
            return task
        history = context.state.history
        progress = Progress(
            done=history.find_written_users(plan.id),
            released=history.find_parts_alone(plan.id),
            since=history.find_overtaken(plan.id),
        )
        brief = context.make_brief()
        held = hold_to(context.look_up(), plan, fresh, brief, progress, only=only)
    is_permitted = plan.is_permitted(choose_accepted(plan, accept))
    return replace(task, plan=plan, held=held, is_permitted=is_permitted)


def _expect_next(
    memory: DirectoryMemory,
    plan: Plan,
    *,
    is_selected: bool,
) -> LastGood:
    """What the next run is held against; no limit judges the users of a run of some agents, so it takes none away."""
    now, last = LastGood.of(plan.summary), memory.last_good()
    if not is_selected or last is None:
        return now
    return replace(now, matched=max(now.matched, last.expected(now)))


def _write_plan(
    context: WriteContext,
    task: WriteTask,
    show: Show,
    stop: StopRequest,
) -> FinishedRun:
    """Show, permit or refuse, write, show what became of it."""
    plan, held, state = task.plan, task.held, context.state
    if held.changes and task.is_permitted:
        left = [outcome for _, outcome in held.left]
        unsent = RunEnding.unsent(len(held.changes), left)
        stop.standing = lambda: unsent
    run = show_plan(context, plan, show)
    attempt = plan.id if task.is_permitted else state.attempts.note_refusal(plan)
    if task.is_comparable:
        state.drawn.note_run(context.job, attempt, digest_plan(plan))
    if not task.is_permitted:
        return replace(run, refused=True)
    context.observer.begin_stage(
        "apply", changes=len(held.changes), left=len(held.left), accepted=run.refused
    )
    stop.wait_for_the_end()
    return _write_changes(context, task, show, stop)


def _write_changes(
    context: WriteContext,
    task: WriteTask,
    show: Show,
    stop: StopRequest,
) -> FinishedRun:
    """Write what is permitted, settle what was open, and show what became of it."""
    plan, held, state = task.plan, task.held, context.state
    rules, pace = context.rules, context.rules.pace
    description = context.directory.describe()
    memory = state.memory(description.identity, context.job)
    order = WriteOrder(
        held.changes,
        left=held.left,
        again=task.recovery.find_written_again(held.changes),
        left_open=task.recovery.list_of_run(plan.id),
        refused=memory.read_refused(),
        last=rules.mapping.told_by,
    )
    if task.undoes is None:
        state.note_identity(context.job, identify_job(context))
    recorded = state.record_run(
        plan,
        description,
        context.sealer,
        kind="apply" if task.undoes is None else "undo",
        undoes=task.undoes,
        found=task.expected,
        some=task.is_selected,
    )
    run = FinishedRun(plan, refused=False)
    try:
        with recorded as journal:
            target = WriteTarget(
                context.directory,
                description,
                journal,
                context.observer,
                context.fingerprint,
                pace,
                stop,
                SettleTime(pace.settle, stop),
            )
            applied = write_changes(order, target)
            run = replace(
                run,
                outcomes=applied.outcomes,
                aside=held.aside,
                tried=not applied.stopped,
                touched=applied.touched,
                cut=applied.cut,
                remembered=not (journal.broken or applied.cut),
            )
            stop.standing = lambda: replace(run, audit_error=stop.failed).count_ending
            journal.result = _name_result(run)
            if run.remembered:
                memory.note_refused(applied.ended, applied.turns)
                task.recovery.settle_by_writing(applied.written)
    finally:
        if run.outcomes is not None:  # also where the end of the run could not be noted
            run = replace(run, audit_error=stop.failed)
            context.observer.begin_stage("show", outcomes=run.count_ending.user_count)
            show(with_noticed(context.directory, plan), run.outcomes)
    return run


def _name_result(run: FinishedRun) -> str:
    """What a run came to, as the state keeps it: one that was stopped can be resumed."""
    if not run.count_ending.in_part:
        return "done"
    return "part" if run.tried else "stopped"


def _remember_apply(
    context: ApplyContext,
    memory: DirectoryMemory,
    planned: PlannedRun,
    run: FinishedRun,
    *,
    is_selected: bool,
) -> None:
    """Keep what the next run needs to know of an apply, beside what its journal has."""
    outcomes = run.outcomes or ()
    matched = frozenset(planned.matches.user_ids())
    has_written = any(outcome.result is Result.WRITTEN for outcome in outcomes)
    if not is_selected and has_written:
        failed = {each.user.id for each in outcomes if each.result not in CONFIRMED}
        owns = {rule.name: rule.owns for rule in context.rules.mapping.attributes}
        memory.take_over(matched - failed, owns)
    memory.note_claimed(matched)
    memory.note_lapsed(planned.leavers.lapsed)
    if not is_selected:
        memory.forget_refused({change.user.id for change in planned.plan.changes})
    if planned.stale is not None:
        stale = planned.stale | planned.leavers.lapsed
        memory.note_stale(stale, clock.read_clock(), planned.left_to_others)
    if run.tried and not is_selected and not run.aside:
        context.state.note_key(context.job, context.sealer)

"""The plan of a run is made, from a source that is read whole; a dry run shows it, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.approval import (
    require_same_job,
    tell_free,
    tell_hold,
    tell_undone,
)
from connector.apply.context import PlanContext, RunContext, UndoContext
from connector.directories.port import Reader
from connector.errors import FileError, IncompleteRead, StateError, UsageError
from connector.matching.selection import select_names
from connector.model import (
    NOBODY,
    NOTICED,
    Agent,
    Change,
    EarlierPlan,
    Outcome,
    Plan,
    Result,
    RunEnding,
    SiblingPlan,
)
from connector.planning import make_plan as planner
from connector.planning.brief import PlanInput
from connector.planning.make_plan import PlannedRun
from connector.planning.review import digest_plan, find_news
from connector.planning.undoing import WrittenRun, WrittenStep, make_undo_plan
from connector.reports.wording import nobody_matches
from connector.runtime.clock import format_now

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


def make_plan(
    context: PlanContext,
    only: Collection[str] = (),
    untold: Sequence[Change] = (),
    *,
    whole: bool = False,
) -> PlannedRun:
    """Read the tenant whole, and hand the planner the directory.

    `only`: names of agents and users, to whom the plan is restricted unless it is `whole`.
    `untold`: writes of an interrupted run of which it is not known whether they happened.
    """
    state, rules, observer = context.state, context.rules, context.observer
    observer.begin_stage("read source")
    tenant = context.source.read()
    agents = [agent.ref for agent in tenant.agents] if only else []
    others = tenant.others if only else ()
    named = select_names(only, agents, "--only", others)
    observer.begin_stage("describe directory", agents=tenant.size)
    brief = context.make_brief()
    described = brief.description
    cautions = (*described.cautions, *tell_undone(state, context.job))
    brief = replace(
        brief,
        about=(*brief.about, *tell_hold(context)),
        description=replace(described, cautions=cautions),
    )
    memory = state.memory(described.identity, context.job)
    known_users = memory.count_users()
    directory = context.look_up(known_users)
    given = PlanInput.prepare_input(brief, tenant, rules.pins, rules.exclude)
    planned = planner.make_plan(
        directory,
        given,
        named,
        whole=whole,
        open_writes=untold,
    )
    if directory.at_least > known_users and context.remembers:
        memory.note_users(directory.at_least)
    plan = with_noticed(context.reader, planned.plan)
    about = list(plan.about)
    if directory.cut:
        read = f"the agents were looked up, since not all users can be read: {directory.cut}"
        about.append(("read", read))
    summary = plan.summary
    assigned = summary.agents - summary.unassigned - summary.invalid
    if 0 < summary.unmatched == assigned:
        is_empty = _is_empty(context.reader)
        about.append((NOBODY, nobody_matches(dict(about), empty=is_empty)))
    plan = tell_free(context, replace(plan, about=tuple(about)))
    if not whole:
        plan = replace(plan, notes=replace(plan.notes, only=tuple(only)))
    return replace(planned, plan=plan)


def _is_empty(reader: Reader) -> bool:
    """Whether the directory shows no user at all."""
    try:
        return next(iter(reader.scan()), None) is None
    except IncompleteRead:
        return False


def with_noticed(
    reader: Reader,
    plan: Plan,
) -> Plan:
    """The plan with cautions that came up since its directory was described; none of them is in its digest."""
    try:
        cautions = reader.describe().cautions
    except (IncompleteRead, FileError):
        return plan
    late = [each for each in cautions if each not in plan.cautions]
    about = [each for each in plan.about if each[0] != NOTICED]
    if late:
        about.append((NOTICED, "; ".join(late)))
    return replace(plan, about=tuple(about))


# ---------------------------------------------------------------- dry runs


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
    planned = make_plan(context, only)
    if not only:
        note_agents(context, planned)
    plan = compare_plan(
        context,
        planned.plan,
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
    plan = make_undo_plan(
        context.look_up(),
        brief,
        written,
        exclude,
    )
    return tell_free(context, plan)


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


def note_agents(context: PlanContext, planned: PlannedRun) -> None:
    """Keep what a full plan says of its agents, for siblings and `coverage`."""
    agents = planned.candidates.roster.agents
    said = SiblingPlan(
        context.job,
        found=_list_accounts(agents, planned.find_agents_here()),
        missing=_list_accounts(agents, planned.matches.unmatched),
        created=format_now(),
        max_age=context.rules.siblings.max_age,
    )
    with suppress(StateError):  # the plan itself is whole
        context.state.agent_plans.note_plan(said)


def _list_accounts(agents: Sequence[Agent], numbers: Iterable[int]) -> frozenset[str]:
    """The accounts of these agents; a seat without an account has none."""
    accounts = (agents[number].account_code for number in numbers)
    return frozenset(each for each in accounts if each is not None)


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

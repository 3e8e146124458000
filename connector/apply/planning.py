"""The plan of a run: the source is read whole, and the planner is handed the directory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from connector.apply.context import PlanContext
from connector.apply.permission import tell_hold, tell_undone
from connector.directories.port import Reader
from connector.errors import FileError, IncompleteRead
from connector.matching.selection import select_names
from connector.model import NOBODY, NOTICED, Change, Plan, Summary
from connector.planning import make_plan as planner
from connector.planning.brief import PlanInput
from connector.planning.make_plan import PlannedRun
from connector.reports.wording import nobody_matches


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
    context.observer.begin_stage("read source")
    tenant = context.source.read()
    agents = [agent.ref for agent in tenant.agents] if only else []
    named = select_names(
        only,
        agents,
        "--only",
        tenant.others if only else (),
    )
    context.observer.begin_stage("describe directory", agents=tenant.size)
    brief = context.make_brief()
    notes = (*brief.description.cautions, *tell_undone(context.state, context.job))
    brief = replace(
        brief,
        about=(*brief.about, *tell_hold(context)),
        description=replace(brief.description, cautions=notes),
    )
    memory = context.state.memory(brief.description.identity, context.job)
    directory = context.look_up(memory.count_users())
    rules = context.rules
    given = PlanInput.prepare_input(
        brief,
        tenant,
        rules.pins,
        rules.exclude,
    )
    planned = planner.make_plan(
        directory, given, named, whole=whole, open_writes=untold
    )
    if directory.at_least > memory.count_users() and context.remembers:
        memory.note_users(directory.at_least)
    plan = with_noticed(context.reader, planned.plan)
    if directory.cut:
        read = f"the agents were looked up, since not all users can be read: {directory.cut}"
        plan = replace(plan, about=(*plan.about, ("read", read)))
    if _has_no_match(plan.summary):
        nobody = nobody_matches(dict(plan.about), empty=_is_empty(context.reader))
        plan = replace(plan, about=(*plan.about, (NOBODY, nobody)))
    return replace(
        planned,
        plan=plan
        if whole
        else replace(plan, notes=replace(plan.notes, only=tuple(only))),
    )


def _has_no_match(summary: Summary) -> bool:
    return (
        0 < summary.unmatched == summary.agents - summary.unassigned - summary.invalid
    )


def _is_empty(reader: Reader) -> bool:
    """Whether the directory shows no user at all."""
    try:
        return next(iter(reader.scan()), None) is None
    except IncompleteRead:
        return False


def with_noticed(reader: Reader, plan: Plan) -> Plan:
    """The plan with cautions that came up since its directory was described; none of them is in its digest."""
    try:
        late = [
            each for each in reader.describe().cautions if each not in plan.cautions
        ]
    except (IncompleteRead, FileError):
        return plan
    about = [each for each in plan.about if each[0] != NOTICED]
    return replace(
        plan, about=(*about, *([(NOTICED, "; ".join(late))] if late else ()))
    )

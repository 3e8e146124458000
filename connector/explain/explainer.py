"""Why one agent or user is planned for as it is: the planner's own steps, held to what concerns them."""

from __future__ import annotations

from typing import Final

from connector.apply.context import PlanContext
from connector.apply.permission import require_same_job
from connector.errors import UsageError
from connector.explain.user_case import UserCase
from connector.matching.selection import nobody, selected
from connector.model import AgentRef
from connector.model.dn import rdns
from connector.planning.explanation import Explained, Explanation

WHERE = "AGENT"
"""What a name on the command line is called there."""
_OURS: Final = 3
"""So many users of one name are told."""


def explain(context: PlanContext, name: str) -> Explained:
    """The records of the source that this names, each explained: one, unless several share an account or a seat.

    Of a user, the agents that look for it; before them the user itself, where none of them
    claims it. Raises UsageError for a name that is nobody's, or two things.
    """
    require_same_job(context)
    context.observer.stage("read source")
    tenant = context.source.read()
    agents = [agent.ref for agent in tenant.agents]
    unreadable = [*tenant.invalid, *tenant.others_invalid]
    invalid = [AgentRef(record.work_no, record.account_code) for record in unreadable]
    only = selected([name], [*agents, *invalid], WHERE)
    context.observer.stage("describe directory", agents=tenant.size)
    case = UserCase(context.brief(), tenant, context.rules.pins, context.rules.exclude)
    directory = context.look_up()
    if only.users:
        found = case.explain_user(directory, only.users[0])
        if not found:
            raise UsageError(
                f"{nobody(only, only.users[0])}{_ours(context, only.users[0])}",
                where=WHERE,
            )
        return case.with_people(directory, found)
    named = [number for number, ref in enumerate(agents) if only.names_agent(ref)]
    unread = [
        Explanation(ref, "invalid", f"record {record.record}: {record.why}")
        for record, ref in zip(unreadable, invalid, strict=True)
        if only.names_agent(ref)
    ]
    told = [case.explain(directory, number) for number in named]
    return case.with_people(directory, [*told, *unread])


def _ours(context: PlanContext, name: str) -> str:
    """Users of this job that have the name in their own, as the end of a sentence: a leaver's account is no agent's."""
    word, memory = (
        name.casefold(),
        context.state.memory(context.reader.describe().identity, context.job),
    )
    there = sorted(ref.name for ref, _ in memory.owned() if word in _words(ref.name))
    return (
        f"; this job wrote to {' and '.join(map(repr, there[:_OURS]))}: give the whole name"
        if there
        else ""
    )


def _words(name: str) -> set[str]:
    """The values of a DN's first RDN; none of what is no DN."""
    try:
        return {
            str(value).casefold() for _, value in next(iter(rdns(name)), frozenset())
        }
    except ValueError:
        return set()

"""Why one agent or user is planned for as it is: the planner's own steps, held to what concerns them."""

from __future__ import annotations

from connector.errors import UsageError
from connector.model import AgentRef
from connector.reconcile.explain.explanation import Explanation
from connector.reconcile.explain.user_case import UserCase
from connector.reconcile.matching.selection import nobody, selected
from connector.run.context import PlanContext
from connector.run.lookup import Lookup

WHERE = "AGENT"
"""What a name on the command line is called there."""


def explain(context: PlanContext, name: str) -> list[Explanation]:
    """The records of the source that this names, each explained: one, unless several share an account or a seat.

    Of a user, the agents that look for it; before them the user itself, where none of them claims it. Raises UsageError
    for a name that is nobody's, or two things.
    """
    context.observer.stage("read source")
    tenant = context.source.read()
    agents = [AgentRef(agent.work_no, agent.account_code) for agent in tenant.agents]
    invalid = [AgentRef(record.work_no, record.account_code) for record in tenant.invalid]
    only = selected([name], [*agents, *invalid], WHERE)
    context.observer.stage("describe directory", agents=tenant.size)
    case = UserCase(context.brief(), tenant, context.pins, context.exclude)
    directory = Lookup(context.reader, context.read, context.observer, beyond=context.beyond)
    if only.users:
        found = directory.run(case.explain_user(only.users[0]))
        if not found:
            raise UsageError(nobody(only, only.users[0]), where=WHERE)
        return found
    named = [number for number, ref in enumerate(agents) if only.names_agent(ref)]
    unread = [
        Explanation(ref, "invalid", f"record {record.record}: {record.why}")
        for record, ref in zip(tenant.invalid, invalid, strict=True)
        if only.names_agent(ref)
    ]
    return [*(directory.run(case.explain(number)) for number in named), *unread]

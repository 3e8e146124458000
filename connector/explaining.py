"""Why one agent is planned for as it is: the planner's own steps, held to what concerns this agent."""

from __future__ import annotations

from typing import Final

from connector.errors import UsageError
from connector.lookup import Lookup
from connector.model import AgentRef, Tenant
from connector.parts import Dry
from connector.reconcile.case import Case
from connector.reconcile.explanation import Explanation
from connector.reconcile.spellings import spellings

NAMED: Final = 5
"""How many agents of nearly that name are suggested."""


def explain(parts: Dry, name: str) -> list[Explanation]:
    """The records of the source with this accountCode or workNo, each explained: one, unless several share it.

    Raises UsageError for an agent that there is not.
    """
    parts.watch.stage("read source")
    tenant = parts.source.read()
    named = [number for number, agent in enumerate(tenant.agents) if name in (agent.account_code, str(agent.work_no))]
    unread = [record for record in tenant.invalid if name in (record.account_code, str(record.work_no))]
    if not named and not unread:
        raise UsageError(f"the source has no agent with accountCode or workNo {name!r}{_meant(tenant, name)}")
    explained = [
        Explanation(AgentRef(record.work_no, record.account_code), "invalid", f"record {record.record}: {record.why}")
        for record in unread
    ]
    parts.watch.stage("describe directory", agents=tenant.size)
    case = Case(parts.brief(), tenant, parts.pins, parts.never)
    directory = Lookup(parts.reader, parts.read, parts.watch, beyond=parts.beyond)
    return [*(directory.run(case.explain(number)) for number in named), *explained]


def _meant(tenant: Tenant, name: str) -> str:
    """Agents of nearly that name, as the end of a sentence."""
    known = {word.lower(): word for agent in tenant.agents for word in (agent.account_code, str(agent.work_no)) if word}
    domains = sorted({word.rpartition("@")[2] for word in known if "@" in word})[:NAMED]
    close = dict.fromkeys(known[text.lower()] for _, text in spellings(name, domains) if text.lower() in known)
    return f"; did you mean {' or '.join(map(repr, list(close)[:NAMED]))}?" if close else ""

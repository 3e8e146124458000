"""Why one agent is planned for as it is: the planner's own steps, held to what concerns this agent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from connector.directories.port import Reader
from connector.errors import UsageError
from connector.lookup import Lookup
from connector.model import AgentRef, Tenant, View
from connector.parts import Dry
from connector.reconcile.case import Case
from connector.reconcile.explanation import Explanation
from connector.reconcile.spellings import spellings
from connector.settings import job as jobs, mapping as mappings
from connector.wiring import reader_of

NAMED: Final = 5
"""How many agents of nearly that name are suggested."""


def explain(parts: Dry, name: str, beyond: Reader | None = None) -> list[Explanation]:
    """The records of the source with this accountCode or workNo, each explained: one, unless several share it.

    `beyond` reads the same directory past base and filter. Raises UsageError for an agent that there is not.
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
    directory = Lookup(parts.reader, parts.read, parts.watch, beyond=beyond)
    return [*(directory.run(case.explain(number)) for number in named), *explained]


def _meant(tenant: Tenant, name: str) -> str:
    """Agents of nearly that name, as the end of a sentence."""
    known = {word.lower(): word for agent in tenant.agents for word in (agent.account_code, str(agent.work_no)) if word}
    domains = sorted({word.rpartition("@")[2] for word in known if "@" in word})[:NAMED]
    close = dict.fromkeys(known[text.lower()] for _, text in spellings(name, domains) if text.lower() in known)
    return f"; did you mean {' or '.join(map(repr, list(close)[:NAMED]))}?" if close else ""


@contextmanager
def beyond(path: Path) -> Iterator[Reader]:
    """A reader of the same directory past the job's base and filter, for telling who is there."""
    job = jobs.load(path)
    settings = job.job.directory
    if settings.type == "scim":
        everybody: dict[str, str | None] = {"filter": None}
    elif settings.type == "ldap":
        everybody = {"filter": "(objectClass=*)", "base": _domain(settings.base), "scope": "subtree"}
    else:
        everybody = {"filter": "(objectClass=*)", "base": ""}
    wider = job.job.model_copy(update={"directory": settings.model_copy(update=everybody)})
    mapping = mappings.load(job.job.mapping, path)
    view = View(tuple(dict.fromkeys(rule.directory for rule in mapping.match)))
    with closing(reader_of(replace(job, job=wider), view)) as reader:
        yield reader


def _domain(base: str) -> str:
    """The `dc=` end of a DN, which most trees have for their root; without one the DN itself."""
    found = re.search(r"(?:^|,)\s*(dc=[^,+]+(?:,\s*dc=[^,+]+)*)\s*$", base, re.IGNORECASE)
    return found[1] if found else base

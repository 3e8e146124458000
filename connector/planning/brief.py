"""What a plan is made with, beside the directory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.people import AgentPin, ExcludeList
from connector.matching.roster import AgentRoster
from connector.matching.user_names import NameRules
from connector.model import (
    AccountList,
    Description,
    Fingerprint,
    Memory,
    SiblingPlans,
    Tenant,
)
from connector.model.limits import Limits
from connector.model.mapping import Mapping
from connector.model.templates import AGENT_FIELDS, TENANT_FIELDS, field_of
from connector.planning.compare_user import UserComparer
from connector.planning.standing import KnownSpellings

NAMES_SECONDS: Final = 5
"""So long names of people are waited for that nobody has asked for."""
Slot = tuple[str, str]
"""A user's id, and an attribute."""


class ShownNames(Struct, frozen=True):
    """The names of people in reports."""

    attributes: tuple[str, ...] = ()
    """The attributes that have them, in the order in which they are tried."""
    asked: bool = False
    """The job says so itself."""
    everybody: bool = False
    """A report will name all users of the changes."""


class PlanBrief(Struct, frozen=True, kw_only=True):
    """The job's rules, what is known of the directory, and the plan's heading."""

    mapping: Mapping
    limits: Limits
    description: Description
    memory: Memory
    fingerprint: Fingerprint
    job: str
    plan_id: str
    now: datetime
    """When planning began."""
    about: tuple[tuple[str, str], ...] = ()
    """What the plan is made from, for its reader."""
    show: ShownNames = ShownNames()
    siblings: SiblingPlans = SiblingPlans()
    """What other jobs of the tenant find."""


# ---------------------------------------------------------------- what comes of it for one tenant


class PlanInput(Struct, frozen=True):
    """What a plan is made with, beside the directory: the brief, and what comes of it for one tenant."""

    brief: PlanBrief
    tenant: Tenant
    comparer: UserComparer
    roster: AgentRoster
    naming: NameRules
    pins: Collection[AgentPin]
    exclude: ExcludeList

    @classmethod
    def prepare_input(
        cls,
        brief: PlanBrief,
        tenant: Tenant,
        pins: Collection[AgentPin],
        exclude: ExcludeList,
    ) -> Self:
        """Raises FileError where the directory's schema forbids the mapping."""
        description, mapping, memory = brief.description, brief.mapping, brief.memory
        about = (*brief.about, *_notes_on_source(mapping, tenant))
        spellings = KnownSpellings(memory, brief.fingerprint)
        return cls(
            replace(brief, about=about),
            tenant,
            UserComparer(
                tenant,
                mapping,
                description,
                spellings,
            ),
            AgentRoster(
                tenant,
                mapping,
                pins,
                description,
            ),
            NameRules(description),
            pins,
            exclude.with_known_users(memory.read_excluded()),
        )


def describe_accounts(accounts: AccountList) -> str:
    """How the account list fits the agents, in counts."""
    counts = {
        "listed": accounts.listed,
        "agents that are not listed": accounts.unlisted,
        "accounts without an agent": len(accounts.alone),
    }
    for field, count in sorted(accounts.unknown.items()):
        counts[f"agents of unknown {field}"] = count
    if accounts.contradictions:
        counts["agents with another seat there"] = len(accounts.contradictions)
    return "; ".join(f"{what}: {count:,}" for what, count in counts.items())


def _notes_on_source(mapping: Mapping, tenant: Tenant) -> Iterator[tuple[str, str]]:
    if tenant.other_jobs_count:
        yield "not this job's", f"{tenant.other_jobs_count} agents of the source"
    if tenant.accounts is not None:
        yield "accounts", describe_accounts(tenant.accounts)
    unwritten = _unwritten_fields(mapping, tenant)
    if unwritten:
        takes = "takes it" if len(unwritten) == 1 else "takes them"
        yield (
            "not written",
            f"{', '.join(unwritten)} (no attribute of the mapping {takes})",
        )


def _unwritten_fields(mapping: Mapping, tenant: Tenant) -> list[str]:
    """The fields that agents have and no attribute takes. Whoever has a number has a password, which may be unread."""
    taken = frozenset[str]().union(*(rule.fields for rule in mapping.attributes))
    unwritten = []
    for field in (*AGENT_FIELDS, *TENANT_FIELDS):
        shown_by = "sipAccount" if field == "sipPwd" else field
        if field not in taken and any(
            field_of(shown_by, tenant, agent) for agent in tenant.agents
        ):
            unwritten.append(field)
    return unwritten

"""Values that others keep in attributes: a proposed mapping takes none of them away."""

from __future__ import annotations

import os
from collections.abc import (
    Iterator,
    Mapping as AbstractMapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.adapters import reader_of
from connector.apply.lookup import DirectoryLookup
from connector.init.drafts import ChosenMapping
from connector.matching.people import ExcludeList
from connector.model import (
    Agent,
    AttributeInfo,
    Held,
    Secret,
    Tenant,
    User,
    equality,
    patterns,
)
from connector.model.digests import make_fingerprinter
from connector.model.limits import Limits
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import Template
from connector.observers.observer import Observer
from connector.planning.brief import PlanBrief, PlanInput
from connector.planning.forms import (
    ForeignValues,
    find_foreign_values,
)
from connector.planning.make_plan import make_plan
from connector.runtime import clock
from connector.settings import job as jobs
from connector.state.store import open_state

# ---------------------------------------------------------------- values in one attribute


class MatchedAgents(Struct, frozen=True):
    """The tenant's agents and their users."""

    tenant: Tenant
    by_user: AbstractMapping[str, Agent]
    """The agent of each matched user, by the user's id."""
    claimed: AbstractSet[str]
    """The ids of all users that an agent claims, or may claim."""


class MadeValues:
    """Tells whether a value is what a template makes for a user's agent."""

    def __init__(
        self,
        template: Template,
        info: AttributeInfo,
        agents: MatchedAgents,
    ) -> None:
        self._name = info.name
        self._agents = agents
        self._render = template.bind(agents.tenant)
        self._key_of = equality.keys_of(info.equality)
        made = map(self._render, agents.tenant.agents)
        self._made_for_any = {
            self._key_of(value) for value in made if isinstance(value, str)
        }

    def find_holders(self, owns: str | None, users: Sequence[User]) -> frozenset[str]:
        """Find who holds a value that would count as ours and is not made for the user's agent."""
        holders = set()
        for user in users:
            values = user.values.get(self._name, ())
            covered = patterns.owned_values(owns, values)
            if not all(self._is_made(user, value) for value in covered):
                holders.add(user.id)
        return frozenset(holders)

    def count_users(self, users: Sequence[User]) -> int:
        """Count the users who hold a value that is made for their agent."""
        count = 0
        for user in users:
            values = user.values.get(self._name, ())
            count += any(self._is_made(user, value) for value in values)
        return count

    def _is_made(self, user: User, value: Held) -> bool:
        """Judge a value by the user's agent; without an agent, by any. A secret is never made."""
        if isinstance(value, Secret):
            return False
        agent = self._agents.by_user.get(user.id)
        wanted = self._render(agent) if agent else None
        if isinstance(wanted, str):
            return self._key_of(value) == self._key_of(wanted)
        return self._key_of(value) in self._made_for_any


def narrow_patterns(template: Template, tenant: Tenant) -> Iterator[str]:
    """Yield patterns of what is made for this tenant.

    The first is with its own address, the second with what all values begin with.
    """
    within = template.fill_tenant(tenant)
    pattern = patterns.pattern_of(within)
    if pattern != patterns.ALL:
        yield pattern
    begin, star, end = pattern.partition(patterns.ALL)
    made = map(within.bind(tenant), tenant.agents)
    values = {value for value in made if isinstance(value, str)}
    if not star or len(values) < 2:
        return
    start = os.path.commonprefix([*values])  # noqa: RUF071  # texts, no paths
    is_longer = start.startswith(begin) and start != begin
    if is_longer and "*" not in start and "\n" not in start:
        yield f"{start}*{end}"


# ---------------------------------------------------------------- values in a whole mapping


def keep_foreign_values(
    job: jobs.LoadedJob, tenant: Tenant, chosen: ChosenMapping
) -> ChosenMapping:
    """Narrow `owns` where that leaves values of others to them.

    Attributes of which some would still go are left out. Without an attribute that held a group
    back, other attributes of the group may be written: so it is counted again.
    """
    if not chosen.found.rules:  # no agent matches a user, so nothing is written
        return chosen
    mapping = chosen.mapping
    found = at_first = _count_foreign_values(job, tenant, mapping)
    if found.users:
        rules = [_narrow_owns(rule, found, tenant) for rule in mapping.attributes]
        mapping = replace(mapping, attributes=tuple(rules))
        found = _count_foreign_values(job, tenant, mapping)
    taken: dict[str, str] = {}
    while found.users:
        taken |= {name: found.describe_attribute(name) for name in found.users}
        mapping = _leave_out(mapping, taken)
        found = _count_foreign_values(job, tenant, mapping)
    for name in _find_without_number(chosen.mapping, mapping):
        taken[name] = "no attribute takes the sipAccount"
    use = {name: at_first.describe_gain(name) for name in at_first.gaining}
    use |= {name: at_first.describe_attribute(name) for name in at_first.users}
    before = {rule.name: rule.owns for rule in chosen.ready.attributes}
    owns = {}
    stays = {**chosen.stays}
    for rule in mapping.attributes:
        if rule.name not in taken and rule.owns and rule.owns != before[rule.name]:
            owns[rule.name] = rule.owns
            stays[rule.name] = f"{at_first.describe_attribute(rule.name)}, which stays"
    return replace(
        chosen,
        taken={**chosen.taken, **taken},
        stays=stays,
        owns=owns,
        use=use,
    )


def _leave_out(mapping: Mapping, taken: AbstractMapping[str, str]) -> Mapping:
    left = [rule for rule in mapping.attributes if rule.name not in taken]
    return replace(mapping, attributes=tuple(left))


def _find_without_number(before: Mapping, mapping: Mapping) -> list[str]:
    """Find the attributes of groups that no longer hold the number.

    Beside somebody else's number they are half an identity.
    """
    had, has = (
        {rule.group for rule in each.attributes if "sipAccount" in rule.fields}
        for each in (before, mapping)
    )
    lost = had - has - {None, ""}
    return [rule.name for rule in mapping.attributes if rule.group in lost]


def _narrow_owns(
    rule: AttributeRule,
    found: ForeignValues,
    tenant: Tenant,
) -> AttributeRule:
    """Narrow `owns` to what is made for this tenant, if at most half of the users hold others."""
    users = found.users.get(rule.name, found.matched)
    if rule.owns is None or rule.secret or 2 * users > found.matched:
        return rule
    narrow = [
        next(narrow_patterns(template, tenant), patterns.ALL)
        for template in rule.templates
    ]
    return replace(rule, owns=patterns.join_patterns(narrow))


def _count_foreign_values(
    job: jobs.LoadedJob,
    tenant: Tenant,
    mapping: Mapping,
) -> ForeignValues:
    """Plan for everybody with this mapping, as the first plan of the job will."""
    with (
        closing(reader_of(job, mapping.view())) as reader,
        closing(open_state(None)) as state,
    ):
        description = reader.describe()
        key = Secret(os.urandom(32).hex())
        brief = PlanBrief(
            mapping=mapping,
            limits=Limits(),
            description=description,
            memory=state.memory(description.identity, job.name, description),
            fingerprint=make_fingerprinter(key),
            job=job.name,
            plan_id="",
            now=clock.read_clock(),
        )
        given = PlanInput.prepare_input(
            brief,
            tenant,
            (),
            ExcludeList(),
        )
        directory = DirectoryLookup(
            reader,
            job.job.directory.read,
            Observer(),
        )
        planned = make_plan(directory, given)
        return find_foreign_values(planned.plan, brief, planned.denied)

"""Values that others keep in the attributes of a proposed mapping: its first apply takes none of them away."""

from __future__ import annotations

import os
from contextlib import closing

from msgspec.structs import replace

from connector.init.drafts import Chosen
from connector.init.places import narrow_patterns
from connector.model import Secret, Tenant
from connector.observers.observer import Observer
from connector.reconcile.checks.limits import Limits
from connector.reconcile.diff import patterns
from connector.reconcile.digests import fingerprinter
from connector.reconcile.mapping import AttributeRule, Mapping
from connector.reconcile.matching.people import ExcludeList
from connector.reconcile.overview.foreign_values import (
    ForeignValues,
    find_foreign_values,
)
from connector.reconcile.planner import Planner
from connector.reconcile.questions import Brief
from connector.run.adapters import reader_of
from connector.run.lookup import Lookup
from connector.runtime import clock
from connector.settings import job as jobs
from connector.state.store import open_state


def keep_foreign_values(job: jobs.LoadedJob, tenant: Tenant, chosen: Chosen) -> Chosen:
    """Narrow `owns` where that leaves values of others to them; leave out the attributes of which some would still go.

    Without an attribute that held a group back, other attributes of the group may be
    written: so it is counted again.
    """
    if not chosen.rules:  # no agent matches a user, so nothing is written
        return chosen
    found = at_first = _count_foreign_values(job, tenant, chosen.mapping)
    mapping = chosen.mapping
    if found.users:
        rules = [_narrow_owns(rule, found, tenant) for rule in mapping.attributes]
        mapping = replace(mapping, attributes=tuple(rules))
        found = _count_foreign_values(job, tenant, mapping)
    taken: dict[str, str] = {}
    while found.users:
        taken |= {name: found.tell(name) for name in found.users}
        left = tuple(rule for rule in mapping.attributes if rule.name not in taken)
        mapping = replace(mapping, attributes=left)
        found = _count_foreign_values(job, tenant, mapping)
    taken |= dict.fromkeys(
        _without_number(chosen.mapping, mapping), "no attribute takes the sipAccount"
    )
    mapping = replace(
        mapping,
        attributes=tuple(rule for rule in mapping.attributes if rule.name not in taken),
    )
    before = {rule.name: rule.owns for rule in chosen.ready.attributes}
    owns = {
        rule.name: rule.owns
        for rule in mapping.attributes
        if rule.owns and rule.owns != before[rule.name]
    }
    stays = {name: f"{at_first.tell(name)}, which stays" for name in owns}
    return replace(
        chosen,
        taken={**chosen.taken, **taken},
        stays={**chosen.stays, **stays},
        owns=owns,
    )


def _without_number(before: Mapping, mapping: Mapping) -> list[str]:
    """The attributes of groups that no longer hold the number: beside somebody else's they are half an identity."""
    had, has = (
        {rule.group for rule in each.attributes if "sipAccount" in rule.fields}
        for each in (before, mapping)
    )
    return [
        rule.name
        for rule in mapping.attributes
        if rule.group and rule.group in had - has
    ]


def _narrow_owns(
    rule: AttributeRule, found: ForeignValues, tenant: Tenant
) -> AttributeRule:
    """The rule with `owns` narrowed to what is made for this tenant, if at most half of the users hold others."""
    if (
        rule.owns is None
        or rule.secret
        or 2 * found.users.get(rule.name, found.matched) > found.matched
    ):
        return rule
    narrow = [
        next(narrow_patterns(template, tenant), patterns.ALL)
        for template in rule.templates
    ]
    return replace(rule, owns=patterns.joined(narrow))


def _count_foreign_values(
    job: jobs.LoadedJob, tenant: Tenant, mapping: Mapping
) -> ForeignValues:
    """Plan for everybody with this mapping, as the first plan of the job will."""
    with (
        closing(reader_of(job, mapping.view())) as reader,
        closing(open_state(None)) as state,
    ):
        description = reader.describe()
        brief = Brief(
            mapping=mapping, limits=Limits(), description=description,
            memory=state.memory(description.identity, job.name, description),
            fingerprint=fingerprinter(Secret(os.urandom(32).hex())), job=job.name, plan_id="", now=clock.now(),
        )  # fmt: skip
        planner = Planner(brief, tenant, (), ExcludeList())
        planned = Lookup(reader, job.job.directory.read, Observer()).run(planner.plan())
        return find_foreign_values(planned.plan, brief, planned.denied)

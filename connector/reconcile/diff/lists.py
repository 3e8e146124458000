"""Attributes of several templates: which values stay where a template makes none for an agent."""

from __future__ import annotations

from connector.model import Agent, Equality, Held, Tenant
from connector.reconcile import equality
from connector.reconcile.diff import patterns
from connector.reconcile.diff.together import OWN
from connector.reconcile.mapping import AttributeRule


def staying(
    rule: AttributeRule,
    compared: Equality,
    tenant: Tenant,
    agent: Agent,
    *,
    owned: tuple[Held, ...],
    new: tuple[Held, ...],
) -> tuple[Held, ...]:
    """Of our values, the new ones and those that a template without a value may have made for this agent.

    Its absent fields may be anything. Where the agent lacks one, so may the tenant's: nobody knows where that number
    was. Under `keep`, everything stays if nothing is made, as with one template.
    """
    keep, gone = rule.when_absent == "keep", equality.minus(compared, owned, new)
    if not gone or (keep and not new):
        return owned
    outlines = []
    for template in rule.templates:
        lacks = template.lacks(agent, tenant)
        known = OWN.isdisjoint(lacks)
        if lacks and (keep or known):
            outlines.append(template.outline(agent, tenant if known else None))

    def may_be(value: Held) -> bool:
        if equality.written(compared, value) is None:
            return bool(outlines)  # a value that is no text, such as a name, fits no pattern
        return any(patterns.fits(compared, outline, value) for outline in outlines)

    return tuple(value for value in owned if value not in gone or may_be(value))

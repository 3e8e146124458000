"""Attributes that belong together: a user gets all new values of a group, or none.

An attribute that is held back holds its group (`draft.py`). So does a value that stays,
since a field of its template is absent, if it does not go with the new ones: the address of
another number, the password of another account. What is found here is which values those
are, and which values of several templates stay beside the new ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from connector.model import (
    Agent,
    AttributeChange,
    AttributeInfo,
    Description,
    Equality,
    Held,
    Secret,
    Tenant,
    User,
    equality,
    patterns,
)
from connector.model.draft import Kept
from connector.model.mapping import AttributeRule, Mapping as AttributeMapping
from connector.model.templates import ACCOUNT_FIELDS, AGENT_FIELDS

OWN: Final = frozenset({*AGENT_FIELDS, *ACCOUNT_FIELDS})
"""The fields of an agent; others are the tenant's."""
_ANYTHING: Final = "1"
"""A value that nearly every syntax has."""
_Changes = Mapping[str, AttributeChange]


class _GroupMember(Struct, frozen=True):
    """An attribute of a group, with what the directory says of it."""

    rule: AttributeRule
    info: AttributeInfo

    def held_values(self, user: User) -> tuple[Held, ...]:
        return patterns.owned_values(
            self.rule.owns, user.values.get(self.rule.name, ())
        )

    def fits_values(
        self,
        values: Iterable[Held],
        agent: Agent,
        tenant: Tenant | None = None,
    ) -> bool:
        """Whether all of them may be made of this agent; without a tenant, whatever its fields were."""
        of = [
            each
            for each in self.rule.templates
            if tenant is not None or not OWN.isdisjoint(each.fields)
        ]
        outlines = [template.outline(agent, tenant) for template in of]
        compared = equality.choose_rule(self.info.equality, secret=self.rule.secret)
        fits = partial(patterns.fits_pieces, compared, any_case=not self.rule.secret)
        return all(
            any(fits(outline, value) for outline in outlines) for value in values
        )


class AttributeGroups:
    """A mapping's groups, for one tenant. `lacking`: it lacks a field of its own that a group is made of."""

    def __init__(
        self,
        mapping: AttributeMapping,
        tenant: Tenant,
        description: Description,
    ) -> None:
        members = {
            rule.name: _GroupMember(rule, description.attributes[rule.name])
            for rule in mapping.attributes
        }
        self._tenant = tenant
        self._groups = [[members[name] for name in group] for group in mapping.groups]
        self.lacking = any(
            member.rule.missing(tenant) for group in self._groups for member in group
        )

    def find_kept(
        self,
        agent: Agent,
        user: User,
        planned: Iterable[AttributeChange],
    ) -> tuple[Kept, ...]:
        changes = {each.name: each for each in planned}
        return tuple(
            kept
            for group in self._groups
            for kept in self._find_kept_of(
                group,
                agent,
                user,
                changes,
            )
        )

    def _find_kept_of(
        self,
        group: list[_GroupMember],
        agent: Agent,
        user: User,
        changes: _Changes,
    ) -> Iterator[Kept]:
        ours = frozenset(each.rule.name for each in group if each.rule.name in changes)
        for member in group if ours else ():
            name, held, change = (
                member.rule.name,
                member.held_values(user),
                changes.get(member.rule.name),
            )
            if change is not None:
                held = tuple(value for value in change.old if value in change.new)
            if not (held or (member.info.readable is not True and change is None)):
                continue
            fields = member.rule.find_missing(agent, self._tenant)
            if not fields:
                continue  # nothing stays but what the templates make
            if not member.fits_values(held, agent, self._tenant):
                yield Kept(
                    name, fields, frozenset(each for each in ours if changes[each].new)
                )
            elif change is not None:
                continue
            elif not held and not member.rule.secret:
                yield Kept(
                    name,
                    fields,
                    ours,
                    _ANYTHING,
                )
            elif not held or not OWN.isdisjoint(fields):
                renewed = frozenset(
                    self._find_renewed(
                        group,
                        agent,
                        user,
                        changes,
                    )
                )
                yield Kept(
                    name,
                    fields,
                    renewed,
                    None if held else Secret(_ANYTHING),
                )

    def _find_renewed(
        self,
        group: list[_GroupMember],
        agent: Agent,
        user: User,
        changes: _Changes,
    ) -> Iterator[str]:
        """Attributes whose new values say that they are of another number or account than the user had.

        A first value does not, beside one that was made for this agent.
        """
        own = [each for each in group if not OWN.isdisjoint(each.rule.fields)]
        own = [
            each
            for each in own
            if OWN.isdisjoint(each.rule.find_missing(agent, self._tenant))
        ]
        stands = any(
            held and each.fits_values(held, agent)
            for each in own
            if (held := each.held_values(user))
        )
        for member in own:
            change = changes.get(member.rule.name)
            if change is None or not change.new:
                continue
            if not change.seen or (
                not member.fits_values(change.old, agent) if change.old else not stands
            ):
                yield change.name


def choose_staying(
    rule: AttributeRule,
    compared: Equality,
    tenant: Tenant,
    agent: Agent,
    *,
    owned: tuple[Held, ...],
    new: tuple[Held, ...],
) -> tuple[Held, ...]:
    """Of our values, the new ones and those that a template without a value may have made for this agent.

    Its absent fields may be anything. Where the agent lacks one, so may the tenant's:
    nobody knows where that number was. Under `keep`, everything stays if nothing is made,
    as with one template.
    """
    keep, gone = (
        rule.when_absent == "keep",
        equality.subtract_equal(compared, owned, new),
    )
    if keep and not new:
        return owned
    outlines = []
    for template in rule.templates:
        lacks = template.find_missing(agent, tenant)
        known = OWN.isdisjoint(lacks)
        if lacks and (keep or known):
            outlines.append(template.outline(agent, tenant if known else None))

    def may_be(value: Held) -> bool:
        if equality.write_key(compared, value) is None:
            # a value that is no text, such as a name, fits no pattern
            return bool(outlines)
        return any(
            patterns.fits_pieces(compared, outline, value) for outline in outlines
        )

    return tuple(value for value in owned if value not in gone or may_be(value))
